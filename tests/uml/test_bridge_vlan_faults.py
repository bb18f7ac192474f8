"""Every kernel call of the bridge plugin is made to fail where it sets VLANs.

What is left is looked at without starting programs, which take long here; the same steps without
VLANs are watched closely on the machine's own kernel.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from helpers.faulty import STEPS_MAX, FaultyRunner
from helpers.plugin import Attachment
from helpers.vlans import BRIDGE, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Container, Node
    from helpers.plugin import Outcome

pytestmark = pytest.mark.second_kernel("bridge VLANs")

STORE = "/var/lib/cni/networks/net"
CONF = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "bridge",
    "bridge": BRIDGE,
    "isGateway": True,
    "vlan": 100,
    "vlanTrunk": [{"id": 7}],
    "macspoofchk": True,
    "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"},
}


class Scene:
    """A node, a program that calls plugins on it, and one attachment."""

    def __init__(self, node: Node, directory: str) -> None:
        self.node = node
        self.pod: Container = node.new_container("pod1")
        self.runner = FaultyRunner(directory)
        self.one = Attachment(self.runner, CONF, self.pod)

    def left(self) -> tuple[set[str], set[str], set[str]]:
        """Return the names of the links of host and container, and the addresses held."""
        here = {name for _, name in socket.if_nameindex()}
        with self.node.inside(self.pod):
            there = {name for _, name in socket.if_nameindex()}
        files = os.listdir(STORE) if os.path.isdir(STORE) else []
        return here, there, {name for name in files if name.startswith("10.")}


@pytest.fixture
def scene(node: Node, plugin_directory: str) -> Iterator[Scene]:
    """Build the scene; its program must end properly."""
    made = Scene(node, plugin_directory)
    yield made
    made.runner.close()


def _assert_error(outcome: Outcome, step: str) -> None:
    """Assert that a call failed with the kernel's words."""
    assert (outcome.code, ": input/output error" in outcome.message) == (999, True), (step, outcome)


def test_failed_add(scene: Scene) -> None:
    """Whichever step of ADD fails, neither bridge nor VLAN interface, link or address is left."""
    before = scene.left()
    for n in range(1, STEPS_MAX):
        outcome, step = scene.runner.fail(scene.one.add, n, errno.EIO)
        if outcome.ok:
            assert scene.one.delete().ok
            for link in (BRIDGE, "cni0.100"):
                scene.node.ip(f"link delete {link}")
        else:
            _assert_error(outcome, f"step {n}, {step}")
        assert scene.left() == before, (n, step, outcome)
        if step is None:
            return


def test_failed_delete(scene: Scene) -> None:
    """Whichever step of DEL fails, nothing is left when it succeeds, and then the next one does."""
    assert scene.one.add().ok
    assert scene.one.delete().ok
    before = scene.left()
    vlans = shown(scene.node)
    assert scene.one.add().ok
    for outcome, step in scene.runner.fail_each(scene.one.delete):
        if not outcome.ok:
            _assert_error(outcome, step)
            assert scene.one.delete().ok
        assert scene.left() == before, (step, outcome)
        assert scene.one.add().ok
    assert (scene.left(), shown(scene.node)) == (before, vlans)


def test_killed_add(scene: Scene) -> None:
    """At whichever step an ADD is killed, DEL leaves nothing but bridge and VLAN interface."""
    assert scene.one.add().ok
    assert scene.one.delete().ok
    before = scene.left()
    for outcome in scene.runner.kill_each(scene.one.add):
        assert scene.one.delete().ok
        assert scene.left() == before, outcome
