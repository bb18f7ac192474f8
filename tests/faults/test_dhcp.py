"""Every kernel call of an attachment with dhcp is made to fail, or the process killed there.

The daemon is another process: what it holds for an attachment that failed must be gone, too.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import pytest

from helpers import dhcp
from helpers.faulty import FaultyRunner
from helpers.plugin import Attachment
from helpers.snapshot import Snapshot, changes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

CONFS: dict[str, dict[str, Any]] = {
    "bridge": {},
    "macvlan": {"type": "macvlan", "master": dhcp.MASTER, "bridge": None},
}


@pytest.fixture(params=CONFS)
def attachment(
    node: Node, plugin_directory: str, request: pytest.FixtureRequest
) -> Iterator[Attachment]:
    """An attachment on a node with server and daemon, by a program whose steps can fail."""
    runner = FaultyRunner(plugin_directory)
    pod = node.new_container("pod1")
    with dhcp.Dnsmasq(dhcp.bridge(node)), dhcp.Daemon():
        yield Attachment(runner, dhcp.conf() | CONFS[request.param], pod)
    runner.close()


def test_add_fails(node: Node, attachment: Attachment) -> None:
    """Whichever step of ADD fails, neither node nor daemon have anything of it."""
    runner = attachment.runner
    assert isinstance(runner, FaultyRunner)
    before = Snapshot(node).lines()
    steps = 0
    for outcome, step in runner.fail_each(attachment.add, errno.EIO):
        steps += 1
        if outcome.ok:  # a step that may fail
            assert attachment.delete().ok
        assert changes(before, Snapshot(node).lines()) == [], step
        assert dhcp.recorded() == [], step
    assert steps > 10
    assert len(dhcp.recorded()) == 1
    assert attachment.delete().ok


def test_add_is_killed(node: Node, attachment: Attachment) -> None:
    """Wherever ADD is killed, the runtime's DEL leaves nothing of it."""
    runner = attachment.runner
    assert isinstance(runner, FaultyRunner)
    before = Snapshot(node).lines()
    kills = 0
    for _ in runner.kill_each(attachment.add):
        kills += 1
        assert attachment.delete().ok
        assert changes(before, Snapshot(node).lines()) == []
        assert dhcp.recorded() == []
    assert kills > 10
    assert attachment.delete().ok


def test_delete_fails(node: Node, attachment: Attachment) -> None:
    """Whichever step of DEL fails, the next one leaves nothing, and says that it failed."""
    runner = attachment.runner
    assert isinstance(runner, FaultyRunner)
    before = Snapshot(node).lines()
    steps = 0
    for number in range(1, 100):
        assert attachment.add().ok
        _, step = runner.fail(attachment.delete, number, errno.EIO)
        assert attachment.delete().ok
        assert changes(before, Snapshot(node).lines()) == [], step
        assert dhcp.recorded() == [], step
        if step is None:
            break
        steps += 1
    assert steps > 0
