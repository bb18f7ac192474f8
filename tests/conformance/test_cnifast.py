"""cnifast against the golden records, by each of its ways of execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import differences
import pytest
import table_bandwidth
import table_bridge
import table_check
import table_interfaces
import table_kinds
import table_others
import table_sbr
import table_tuning

import golden
from helpers.record import check_after, life, refusal

if TYPE_CHECKING:
    from helpers.case import Case, Damage
    from helpers.node import Node
    from helpers.plugin import Runner

CHAINED = (table_bandwidth, table_tuning, table_sbr)
TABLES = (table_bridge, table_others, *CHAINED, table_interfaces, table_kinds)
LIVES = [case for table in TABLES for case in table.LIVES]
REFUSED = [case for table in TABLES for case in table.REFUSED]
DAMAGES = [*table_check.DAMAGES]
DAMAGES += [damage for table in CHAINED for damage in table.DAMAGES]


@pytest.mark.sampled("case")
@pytest.mark.kind_of("case", one_in=6)
@pytest.mark.parametrize("case", LIVES, ids=str)
def test_lives(node: Node, runner: Runner, case: Case) -> None:
    """Attaching and detaching does what the reference does, but for the documented differences."""
    seen = life(node, case, runner)
    golden.require_equal(
        differences.expected(case, golden.load(case.name)),
        differences.without_made(seen.lines),
        seen.outcomes,
    )


@pytest.mark.sampled("case")
@pytest.mark.kind_of("case", one_in=6)
@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_refusals(node: Node, runner: Runner, case: Case) -> None:
    """What the reference refuses is refused with the same code, and leaves the node as it was."""
    recorder = refusal(node, case, runner)
    golden.require_equal(
        differences.expected_codes(case, golden.load(case.name)),
        [line for line in recorder.lines if line[0] not in "+-"],
        recorder.outcomes,
    )
    assert "\n".join(differences.beyond_refusal(case, recorder.changes[0])) == ""
    after_del = differences.beyond_refusal(case, recorder.changes[1])
    assert [line for line in after_del if line[0] == "+"] == []
    refused = recorder.outcomes[0]
    assert refused.json["msg"]
    assert "\n" not in refused.json["msg"]


@pytest.mark.sampled("damage")
@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_check(node: Node, runner: Runner, damage: Damage) -> None:
    """CHECK notices what the reference's CHECK notices, and DEL cleans up all the same."""
    checked, deleted = check_after(node, damage, runner)
    expected = damage.code if damage.ours is None else damage.ours
    assert (checked.code, deleted.code) == (expected, 0), (checked, deleted)
    assert set(node.strays()) <= {"m0", "m1", *table_bandwidth.LINKS, *table_sbr.LINKS}
