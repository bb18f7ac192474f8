"""The reference at hand against the golden records: they, and the harness, are to be believed."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

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
from helpers.plugin import BinaryRunner
from helpers.record import check_after, life, refusal

if TYPE_CHECKING:
    from helpers.case import Case, Damage
    from helpers.node import Node

CHAINED = (table_bandwidth, table_tuning, table_sbr)
TABLES = (table_bridge, table_others, *CHAINED, table_interfaces, table_kinds)
LIVES = [case for table in TABLES for case in table.LIVES]
REFUSED = [case for table in TABLES for case in table.REFUSED]
DAMAGES = [*table_check.DAMAGES]
DAMAGES += [damage for table in CHAINED for damage in table.DAMAGES]


@pytest.fixture(scope="session")
def release(reference: str) -> tuple[int, ...]:
    """The release of the reference at hand; Debian's does not say, and is 1.1.1."""
    said = subprocess.run(
        [f"{reference}/bridge"], capture_output=True, text=True, check=False, env={}
    ).stderr
    found = re.search(r"plugin v(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (1, 1)


def _need(release: tuple[int, ...], name: str, since: str = "") -> None:
    """Skip what the reference at hand is too old for."""
    if release < golden.FOLLOWED and name in golden.OLDER:
        pytest.skip(golden.OLDER[name])
    if since and release < tuple(map(int, since.split("."))):
        pytest.skip(f"the reference at hand is {release}, this needs {since}")


@pytest.mark.sampled("case", one_in=4)
@pytest.mark.kind_of("case", one_in=24)
@pytest.mark.parametrize("case", LIVES, ids=str)
def test_golden_lives(node: Node, reference: str, release: tuple[int, ...], case: Case) -> None:
    """The reference does, step by step, what the golden record says it does."""
    _need(release, case.name, case.since)
    seen = life(node, case, BinaryRunner("reference", reference)).lines
    golden.require_equal(golden.shared(golden.load(case.name)), golden.shared(seen))


@pytest.mark.sampled("case", one_in=4)
@pytest.mark.kind_of("case", one_in=24)
@pytest.mark.parametrize("case", REFUSED, ids=str)
def test_golden_refusals(node: Node, reference: str, release: tuple[int, ...], case: Case) -> None:
    """The reference refuses what the golden record says it refuses, with that code."""
    _need(release, case.name, case.since)
    seen = refusal(node, case, BinaryRunner("reference", reference)).lines
    golden.require_equal(golden.shared(golden.load(case.name)), golden.shared(seen))


@pytest.mark.sampled("damage", one_in=4)
@pytest.mark.parametrize("damage", DAMAGES, ids=str)
def test_expectations_of_check(
    node: Node, reference: str, release: tuple[int, ...], damage: Damage
) -> None:
    """The reference's CHECK answers what the table of damages expects, and its DEL succeeds."""
    _need(release, damage.name, damage.case.since)
    checked, deleted = check_after(node, damage, BinaryRunner("reference", reference))
    assert (checked.code, deleted.code) == (damage.code, 0), checked


def test_every_golden_record_has_its_case() -> None:
    """No golden record is left of a case that is gone, and no case lacks one."""
    assert golden.names() == {case.name for case in [*LIVES, *REFUSED]}
    assert len(golden.names()) == len([*LIVES, *REFUSED])
