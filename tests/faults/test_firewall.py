"""The firewall plugin by programs of iptables and by firewalld: each step fails, or is the last.

What it makes by netlink alone is in test_every_step.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kernel import firewall
from cnifast.kernel.nft import NftSocket
from helpers.fakebus import FakeBus, Zones
from helpers.faulty import STEPS_MAX, FaultyRunner, await_equal
from helpers.flavour import choose
from helpers.node import need_tools
from helpers.plugin import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node
    from helpers.plugin import Outcome

BUS = Path("/run/dbus/system_bus_socket")
BEHIND = {
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "br0"}, {"name": "eth0", "sandbox": "/run/netns/pod1"}],
    "ips": [{"address": "10.1.0.5/24"}, {"address": "fd01::5/64"}],
}
CONF: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "net",
    "type": "firewall",
    "ingressPolicy": "isolated",
    "prevResult": BEHIND,
}


class Scene:
    """A node with legacy iptables, perhaps a firewalld, and an attachment that is let through."""

    def __init__(self, node: Node, runner: FaultyRunner, zones: Zones) -> None:
        self.node = node
        self.runner = runner
        self.one = Attachment(runner, CONF, node.new_container("pod1"))
        self._zones = zones

    def state(self) -> list[str]:
        """Return the pod's rules, sources and records."""
        found = [
            f"{zone} {source}" for zone, all_of in self._zones.sources.items() for source in all_of
        ]
        for command in ("iptables", "ip6tables"):
            lines = self.node.run(f"{command}-legacy-save -t filter").splitlines()
            found += [line for line in lines if line.startswith("-A CNI-FORWARD -")]
        with NftSocket(self.node.fd) as nft:
            for means in ("legacy", "firewalld", "iptables", "nftables"):
                found += map(repr, firewall.recorded(nft, means))
        return sorted(line for line in found if "admin overrides" not in line)

    def gc(self) -> Outcome:
        """GC for which nothing is valid."""
        return self.one.call("GC", **{"cni.dev/valid-attachments": []})


@pytest.fixture(params=["legacy", "firewalld"])
def scene(
    node: Node,
    plugin_directory: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[Scene]:
    """Build a scene; its program must end properly."""
    need_tools("nft", "iptables-legacy", "iptables-nft")
    choose(node, "legacy", monkeypatch)
    zones = Zones(trusted=set())
    runner = FaultyRunner(plugin_directory)
    if request.param == "legacy":
        yield Scene(node, runner, zones)
    else:
        BUS.parent.mkdir()
        with FakeBus(BUS, zones):
            yield Scene(node, runner, zones)
            runner.close()
            return
    runner.close()


def _assert_error(outcome: Outcome, step: str) -> None:
    assert outcome.code == 999, (step, outcome)
    assert "input/output error" in outcome.message, (step, outcome)


def test_failed_add(scene: Scene) -> None:
    """Whichever step of ADD fails, no rule of the pod, no source and no record is left."""
    held = scene.runner.settled()
    for outcome, step in scene.runner.fail_each(scene.one.add):
        if outcome.ok:
            assert scene.one.delete().ok
        else:
            _assert_error(outcome, step)
        assert scene.state() == [], (step, outcome)
        await_equal(scene.runner.held, held)
    assert scene.state() != []
    assert scene.one.check().ok


def test_failed_delete(scene: Scene) -> None:
    """Whichever step of DEL fails, the next one leaves nothing."""
    assert scene.one.add().ok
    for outcome, step in scene.runner.fail_each(scene.one.delete):
        if not outcome.ok:
            _assert_error(outcome, step)
            assert scene.one.delete().ok
        assert scene.state() == [], (step, outcome)
        assert scene.one.add().ok
    assert scene.state() == []


def test_failed_gc(scene: Scene) -> None:
    """Whichever step of GC fails, the next one leaves nothing."""
    for n in range(1, STEPS_MAX):
        assert scene.one.add().ok
        outcome, step = scene.runner.fail(scene.gc, n, errno.EIO)
        if not outcome.ok:
            _assert_error(outcome, f"step {n}, {step}")
            assert scene.gc().ok
        assert scene.state() == [], (n, step)
        if step is None:
            return


@pytest.mark.parametrize("command", ["add", "delete"])
def test_killed(scene: Scene, command: str) -> None:
    """At whichever step an ADD or DEL is killed, the next DEL leaves nothing."""
    call = getattr(scene.one, command)
    if command == "delete":
        assert scene.one.add().ok
    for outcome in scene.runner.kill_each(call):
        scene.one.call("DEL", prev=False, netns="", prevResult=None)
        assert scene.state() == [], outcome
        if command == "delete":
            assert scene.one.add().ok
    assert (scene.state() == []) is (command == "delete")
