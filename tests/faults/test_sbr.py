"""Every kernel call of the sbr plugin is made to fail while it moves an interface's routes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from helpers.faulty import FaultyRunner, await_equal
from helpers.plugin import Attachment
from helpers.snapshot import Snapshot, changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

BEHIND = {
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "eth0", "sandbox": "/run/netns/pod1"}],
    "ips": [
        {"address": "10.1.0.5/24", "gateway": "10.1.0.1", "interface": 0},
        {"address": "fd01::5/64", "gateway": "fd01::1", "interface": 0},
    ],
}
SET_UP = (
    "link add h0 type veth peer name eth0 netns pod1",
    "link set h0 up",
    "-n pod1 link set eth0 up",
    "-n pod1 addr add 10.1.0.5/24 dev eth0",
    "-n pod1 addr add fd01::5/64 dev eth0 nodad",
    "-n pod1 route add default via 10.1.0.1",
    "-n pod1 route add 10.9.0.0/16 via 10.1.0.1 metric 50 mtu 1300",
    "-n pod1 -6 route add default via fd01::1",
)


@pytest.fixture(params=[False, True], ids=["fresh", "warm"])
def runner(
    node: Node,  # noqa: ARG001 - the program is on the node
    plugin_directory: str,
    request: pytest.FixtureRequest,
) -> Iterator[FaultyRunner]:
    """Call plugins of a build whose steps can be made to fail."""
    program = FaultyRunner(plugin_directory, warm=request.param)
    yield program
    program.close()


@pytest.mark.parametrize("keys", [{}, {"addSourceHints": True}], ids=["moved", "hints"])
def test_failed_add_changes_nothing(node: Node, runner: FaultyRunner, keys: dict[str, Any]) -> None:
    """Whichever step of ADD fails, the rules and routes of both families are as before."""
    pod = node.new_container("pod1")
    for command in SET_UP:
        node.ip(command)
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "sbr", "prevResult": BEHIND, **keys}
    one = Attachment(runner, conf, pod)
    before = Snapshot(node).lines()
    held = runner.settled()
    for outcome, step in runner.fail_each(one.add):
        assert outcome.code == 999, (step, outcome)
        assert ": input/output error" in outcome.message, (step, outcome)
        assert changes(before, Snapshot(node).lines()) == [], (step, outcome)
        await_equal(runner.held, held)
    assert one.check().ok
    moved = Snapshot(node).lines()
    for outcome, step in runner.fail_each(one.delete):
        gone = changes(moved, Snapshot(node).lines())
        assert [line for line in gone if " rule " not in line] == [], (step, outcome)
        await_equal(runner.held, held)
    assert '"src": "10.1.0.5"' in str(moved)
    assert '"src": "10.1.0.5"' not in str(Snapshot(node).lines())
