"""How long does host-local take to find an address when 0 to 60,000 of a /16 are taken?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import WARM_UP, seated
from benchmarks.harness import Report, alternate, require
from benchmarks.targets.both import PLUGINS
from benchmarks.targets.service import Service
from benchmarks.workloads import (
    STORE,
    Network,
    Pod,
    address_of,
    fill_store,
    host_local,
    store_size,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.harness import Plan
    from benchmarks.node import Node
    from benchmarks.targets import Plugins

ROUNDS = {0: 60, 1_000: 60, 10_000: 20, 60_000: 8}
FLAT = "cnifast alone, ADD"


def run(plan: Plan) -> Report:
    """Ask the question: one store, the reference's files, filled before the competitors start.

    Reading 60,000 files leaves nothing of anybody else's in the processor's caches, so that
    cnifast is compared with itself in a run without the reference.
    """
    report = Report()
    for taken in (0, 1_000) if plan.once else ROUNDS:
        with seated(PLUGINS, report, Network(), furnish=_Full(taken)) as competitors:
            _measure(plan, report, competitors, taken, ROUNDS[taken])
    for taken, goal in ((0, None), (1_000, None), (10_000, 80), (60_000, None)):
        case = _case(taken)
        report.compare(case, "reference", "cnifast", goal, label=f"host-local {case}")
    if Service.missing() is None and not plan.once:
        _measure_flat(plan, report)
        report.compare(
            *(FLAT, "60,000 taken", "0 taken", 1.3),
            label="host-local ADD: 60,000 addresses taken / none taken",
            sense="at most",
        )
    report.notes.append("the store is on a tmpfs for both, so that no disk is in the numbers")
    return report


class _Full:
    """Fills a node's store."""

    def __init__(self, taken: int) -> None:
        self.taken = taken

    def __call__(self, node: Node) -> None:
        fill_store(node, self.taken)


def _case(taken: int) -> str:
    return f"ADD, {taken:,} taken"


def _measure(
    plan: Plan, report: Report, competitors: Sequence[Plugins], taken: int, rounds: int
) -> None:
    warm_up = 0 if plan.once else WARM_UP
    for number, competitor in alternate(competitors, plan.rounds(rounds) + warm_up):
        add, delete = _add_and_delete(competitor, number)
        require(store_size(competitor.node) == taken, f"{competitor.name}: not {taken} taken")
        plan.settle()
        if number >= warm_up:
            report.add(_case(taken), competitor.name, add)
            report.add(_case(taken).replace("ADD", "DEL"), competitor.name, delete)
        elif number == 0:
            report.facts[f"first ADD in a store of {taken:,}, {competitor.name}, ns"] = add


def _measure_flat(plan: Plan, report: Report) -> None:
    with (
        seated([Service], report, Network(), furnish=_Full(0)) as (empty,),
        seated([Service], report, Network(), furnish=_Full(60_000)) as (full,),
    ):
        for number, competitor in alternate((empty, full), plan.rounds(100) + WARM_UP):
            add, _ = _add_and_delete(competitor, number)
            if number >= WARM_UP:
                report.add(FLAT, "0 taken" if competitor is empty else "60,000 taken", add)
            plan.settle()


def _add_and_delete(competitor: Plugins, number: int) -> tuple[int, int]:
    """Reserve and release an address, and look into the store after each."""
    node, pod = competitor.node, Pod("/run/netns/pod0", f"c{number}")
    added = competitor.call("host-local", "ADD", pod, host_local())
    address = address_of(added.out)
    file = node.path(f"{STORE}/bench/{address}")
    require(file.read_bytes() == f"c{number}\r\neth0".encode(), f"{node.name}: {address}: owner")
    deleted = competitor.call("host-local", "DEL", pod, host_local())
    require(not file.exists(), f"{node.name}: {address} is still taken")
    return added.ns, deleted.ns
