"""Every kernel call of the bandwidth plugin is made to fail, or the process killed there.

It follows another plugin, whose pair takes the limits at its end with it: what a killed ADD leaves
there is gone when the runtime's DEL has gone through the chain.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from helpers.faulty import STEPS_MAX, FaultyRunner, await_equal
from helpers.plugin import Attachment
from helpers.snapshot import Snapshot, changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from helpers.node import Node
    from helpers.plugin import Outcome

BEHIND = {"interfaces": [{"name": "host1"}, {"name": "eth0", "sandbox": "/run/netns/pod1"}]}
BOTH = {"ingressRate": 8_000_000, "egressRate": 8_000_000}
CONFS: dict[str, dict[str, Any]] = {
    "both": BOTH,
    "ingress": {"ingressRate": 8_000_000, "ingressBurst": 80_000},
    "egress": {"egressRate": 8_000_000, "egressBurst": 80_000},
    "unshaped": {**BOTH, "unshapedSubnets": ["10.0.0.0/8", "fd00::/8"]},
    "shaped": {**BOTH, "shapedSubnets": ["192.0.2.0/24"]},
}


class Scene:
    """A node with a pair, a program that calls plugins, and the attachment that is limited."""

    def __init__(self, node: Node, runner: FaultyRunner, conf: dict[str, Any]) -> None:
        self.node = node
        self.runner = runner
        pod = node.new_container("pod1")
        base = {"cniVersion": "1.1.0", "name": "net", "type": "bandwidth", "prevResult": BEHIND}
        self.one = Attachment(runner, {**base, **conf}, pod)
        self.make_pair()

    def make_pair(self) -> None:
        """Do what the plugin before does."""
        self.node.ip("link add host1 type veth peer name eth0 netns pod1")
        self.node.ip("link set host1 up")
        self.node.ip("-n pod1 link set eth0 up")

    def renew(self) -> None:
        """Detach: the rest of the chain's DEL; then attach again as far as the plugin before."""
        outcome = self.one.delete()
        assert outcome.ok, outcome
        self.node.ip("link del host1")
        self.make_pair()

    def state(self) -> list[str]:
        """Return what is on the node."""
        return Snapshot(self.node).lines()


@pytest.fixture(params=[False, True], ids=["fresh", "warm"])
def scene(
    node: Node, plugin_directory: str, request: pytest.FixtureRequest
) -> Iterator[Callable[[str], Scene]]:
    """Build a scene for one of the configurations; its program must end properly."""
    runner = FaultyRunner(plugin_directory, warm=request.param)
    yield lambda name: Scene(node, runner, CONFS[name])
    runner.close()


def _assert_error(outcome: Outcome, step: str) -> None:
    assert outcome.code == 999, (step, outcome)
    assert ": input/output error" in outcome.message, (step, outcome)


@pytest.mark.parametrize("name", CONFS)
def test_failed_add_changes_nothing(scene: Callable[[str], Scene], name: str) -> None:
    """Whichever step of ADD fails, links, queueing disciplines and the process are as before."""
    the = scene(name)
    before = the.state()
    held = the.runner.settled()
    for outcome, step in the.runner.fail_each(the.one.add):
        if outcome.ok:  # a step whose failure does not matter
            the.renew()
        else:
            _assert_error(outcome, step)
        assert changes(before, the.state()) == [], (step, outcome)
        if not the.runner.warm:
            await_equal(the.runner.held, held)
    assert the.one.check().ok
    the.renew()
    assert changes(before, the.state()) == []


def test_failed_check(scene: Callable[[str], Scene]) -> None:
    """Whichever step of CHECK fails, it says so and changes nothing."""
    the = scene("unshaped")
    assert the.one.add().ok
    before = the.state()
    for outcome, step in the.runner.fail_each(the.one.check):
        if not outcome.ok:
            _assert_error(outcome, step)
        assert changes(before, the.state()) == [], (step, outcome)


def test_failed_delete(scene: Callable[[str], Scene]) -> None:
    """Whichever step of DEL fails, the next DEL leaves nothing."""
    the = scene("both")
    before = the.state()
    for n in range(1, STEPS_MAX):
        assert the.one.add().ok
        outcome, step = the.runner.fail(the.one.delete, n, errno.EIO)
        if not outcome.ok:
            _assert_error(outcome, f"step {n}, {step}")
        the.renew()
        assert changes(before, the.state()) == [], (n, step)
        if step is None:
            assert outcome.ok, outcome
            assert n > 3
            return


def test_failed_gc(scene: Callable[[str], Scene]) -> None:
    """Whichever step of GC fails, the next GC leaves nothing of what is not valid."""
    the = scene("egress")
    before = the.state()

    def collect() -> Outcome:
        valid = [{"containerID": "other", "ifname": "eth0"}]
        return the.one.call("GC", **{"cni.dev/valid-attachments": valid})

    for n in range(1, STEPS_MAX):
        assert the.one.add().ok
        outcome, step = the.runner.fail(collect, n, errno.EIO)
        if not outcome.ok:
            _assert_error(outcome, f"step {n}, {step}")
            outcome = collect()
        assert outcome.ok, outcome
        assert not any("ifb" in line for line in changes(before, the.state()))
        the.renew()
        if step is None:
            assert n > 3
            return


@pytest.mark.parametrize("name", ["both", "unshaped"])
def test_killed_add(scene: Callable[[str], Scene], name: str) -> None:
    """At whichever step an ADD is killed, the chain's DEL leaves nothing."""
    the = scene(name)
    before = the.state()
    for outcome in the.runner.kill_each(the.one.add):
        the.renew()
        assert changes(before, the.state()) == [], outcome
    the.renew()
    assert changes(before, the.state()) == []


def test_killed_delete(scene: Callable[[str], Scene]) -> None:
    """At whichever step a DEL is killed, the next one leaves nothing."""
    the = scene("both")
    before = the.state()
    assert the.one.add().ok
    for outcome in the.runner.kill_each(the.one.delete):
        the.renew()
        assert changes(before, the.state()) == [], outcome
        assert the.one.add().ok
