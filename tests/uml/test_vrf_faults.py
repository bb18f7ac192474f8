"""Every kernel call of the vrf plugin is made to fail while it moves an interface into a VRF."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.faulty import FaultyRunner
from helpers.plugin import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Container, Node

pytestmark = pytest.mark.second_kernel("vrf")

CONF = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "vrf",
    "vrfname": "blue",
    "prevResult": {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0"}]},
}
SET_UP = (
    "link set lo up",
    "link add eth0 type veth peer name peer",
    "link set peer up",
    "link set eth0 up",
    "addr add 10.1.0.5/24 dev eth0",
    "addr add fd01::5/64 dev eth0 nodad",
    "route add default via 10.1.0.1",
    "route add 10.9.0.0/16 via 10.1.0.1 metric 50 mtu 1300",
    "-6 route add default via fd01::1",
    "-6 route add fd09::/64 dev eth0 metric 70",
)


@pytest.fixture
def runner(node: Node, plugin_directory: str) -> Iterator[FaultyRunner]:  # noqa: ARG001 - on it
    """Call plugins of a build whose steps can be made to fail."""
    program = FaultyRunner(plugin_directory)
    yield program
    program.close()


@pytest.fixture
def pod(node: Node) -> Container:
    """A container with an eth0 that stands for another plugin's."""
    container = node.new_container("pod")
    for command in SET_UP:
        node.ip(f"-n pod {command}")
    return container


def seen(node: Node) -> list[str]:
    """Return links, global addresses and routes of all tables, as `ip` prints them."""
    shown = [
        node.ip("-n pod -br link"),
        node.ip("-n pod -br addr show dev eth0 scope global"),
        node.ip("-n pod route show table all"),
        node.ip("-n pod -6 route show table all"),
    ]
    lines = (line.strip() for text in shown for line in text.splitlines())
    # What the kernel adds itself, a while after a link has come up.
    late = ("multicast", "anycast", "fe80", "local fe80")
    return sorted(line for line in lines if not line.startswith(late))


def test_failed_add(node: Node, runner: FaultyRunner, pod: Container) -> None:
    """Whichever step of ADD fails, there is no VRF, and addresses and routes are as before."""
    one = Attachment(runner, CONF, pod)
    before = seen(node)
    for outcome, step in runner.fail_each(one.add):
        assert outcome.code == 999, (step, outcome)
        assert ": input/output error" in outcome.message, (step, outcome)
        assert seen(node) == before, (step, outcome)
    assert one.check().ok
    assert seen(node) != before


def test_failed_delete(node: Node, runner: FaultyRunner, pod: Container) -> None:
    """Whichever step of DEL fails, the next one leaves no VRF behind."""
    one = Attachment(runner, CONF, pod)
    assert one.add().ok
    for outcome, step in runner.fail_each(one.delete):
        if not outcome.ok:
            assert ": input/output error" in outcome.message, (step, outcome)
            assert "blue" in str(seen(node))
            assert one.delete().ok
        assert "blue" not in str(seen(node)), (step, outcome)
        assert one.add().ok
    assert "blue" not in str(seen(node))


def test_killed_add(node: Node, runner: FaultyRunner, pod: Container) -> None:
    """At whichever step an ADD is killed, DEL takes the VRF away, and the next ADD succeeds."""
    one = Attachment(runner, CONF, pod)
    for outcome in runner.kill_each(one.add):
        assert outcome is None
        assert one.delete().ok
        assert "blue" not in str(seen(node))
