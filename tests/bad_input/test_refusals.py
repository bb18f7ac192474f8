"""Bad input is answered with an error that says what is wrong, and with nothing else."""

from __future__ import annotations

import shutil
import socket
from typing import TYPE_CHECKING

import pytest

from bad_input import (
    table_calls,
    table_dhcp,
    table_firewall,
    table_flannel,
    table_interfaces,
    table_limits,
    table_meta,
    table_types,
    table_values,
)
from bad_input.bad import GOOD, WAITS
from bad_input.stand import Stand, require_error
from helpers.plugin import BinaryRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bad_input.bad import Bad

TABLES = (
    *(table_calls, table_types, table_values),
    *(table_flannel, table_limits, table_meta, table_interfaces),
    *(table_firewall, table_dhcp),
)
TABLE = [row for table in TABLES for row in table.TABLE]


@pytest.mark.kind_of("plugin")
@pytest.mark.parametrize("plugin", GOOD)
def test_what_is_good(stand: Stand, plugin: str) -> None:
    """What the bad calls are made of is accepted, and DEL leaves nothing but the bridge."""
    added = stand.good(plugin, "ADD")
    assert added.ok, added
    assert stand.good(plugin, "DEL", prevResult=added.json).ok
    stand.node.run("ip link delete cni0", check=False)
    for directory in ("networks", "flannel"):
        shutil.rmtree(f"/var/lib/cni/{directory}", ignore_errors=True)
    stand.changes()


@pytest.mark.sampled("case")
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_refused(stand: Stand, case: Bad) -> None:
    """The error has the code and the words expected, and the node is as it was."""
    require_error(stand.call(case), case.code, case.words)
    assert stand.changes_of(case) == []


@pytest.mark.kind_of("plugin")
@pytest.mark.parametrize("plugin", GOOD)
def test_what_is_good_is_so_afterwards(stand: Stand, plugin: str) -> None:
    """After all bad calls the node is as it was, and the good ones succeed as before."""
    assert stand.changes() == []
    test_what_is_good(stand, plugin)


def test_nothing_is_held(stand: Stand) -> None:
    """The service has as many descriptors, namespaces and threads after bad calls as before."""
    if stand.service is None:
        pytest.skip("nothing lives on")
    # A thread opens what it keeps when it first needs it, so what counts is that this ends.
    held = [stand.held()]
    for _ in range(4):
        for case in TABLE:
            if len(case.stdin) < 1 << 16:
                stand.call(case)
        held.append(stand.held())
        if held[-1] == held[-2]:
            break
    assert held[-1] == held[-2]
    assert held[-1][1] == 0
    assert stand.good("bridge", "ADD").ok
    stand.node.remove_container(stand.pod)
    assert "event=defect" not in "\n".join(stand.service.log)


class TheirStand:
    """A node for the reference, which changes it also where it refuses."""

    def __init__(self, directory: str) -> None:
        self._runner = BinaryRunner("reference", directory)
        self._stand = Stand("cold", directory)
        self._links = self._count_links()

    def code(self, case: Bad) -> int:
        """Return the code of its answer; skip the test where it has no such plugin."""
        if shutil.which(case.plugin, path=self._runner.plugin_path) is None:
            pytest.skip(f"{self._runner.plugin_path} has no {case.plugin}")
        outcome = self._runner.call(
            case.plugin, case.environment(self._runner.plugin_path), case.stdin
        )
        shutil.rmtree("/var/lib/cni/networks", ignore_errors=True)
        if outcome.ok or self._count_links() != self._links:
            self.close()
            self._stand = Stand("cold", self._runner.plugin_path)
        return outcome.code

    def _count_links(self) -> tuple[int, int]:
        """Return how many links the host and the container have."""
        with self._stand.node.inside(self._stand.pod):
            inside = len(socket.if_nameindex())
        return len(socket.if_nameindex()), inside

    def close(self) -> None:
        """Leave the node."""
        self._stand.close()


@pytest.fixture(scope="module")
def theirs(reference: str) -> Iterator[TheirStand]:
    """The reference's plugins, on a node that is renewed when they have changed it."""
    stand = TheirStand(reference)
    yield stand
    stand.close()


@pytest.mark.kind_of("case", one_in=6)
@pytest.mark.parametrize("case", TABLE, ids=str)
def test_code_is_the_references(theirs: TheirStand, reference: str, case: Bad) -> None:
    """The code is the one of the reference, unless the table says why it is not."""
    if shutil.which(case.plugin, path=reference) is None:
        pytest.skip(f"the reference at hand has no {case.plugin}")
    if case.differs == WAITS:
        pytest.skip("the reference would wait for ever")
    assert (theirs.code(case) == case.code) == (not case.differs)
