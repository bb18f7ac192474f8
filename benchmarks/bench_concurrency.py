"""How long do the slowest calls take (p99) with 1, 16 and 64 clients at once?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import seated
from benchmarks.harness import Ratio, Report, alternate, summary
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network, check_empty

if TYPE_CHECKING:
    from benchmarks.harness import Plan

LOOPS = {1: 2, 16: 3, 64: 3}
PODS = 128


def run(plan: Plan) -> Report:
    """Ask the question; every call of a run counts, from the first on."""
    report, network = Report(), Network()
    pods = plan.size(PODS, 64)
    with seated(PLUGINS, report, network, pods=pods) as competitors:
        for competitor in competitors:
            competitor.churn(network, clients=1, pods=1, loops=1 if plan.once else 3)
        for clients, loops in LOOPS.items():
            for _, competitor in alternate(competitors, plan.rounds(loops)):
                done = competitor.churn(network, clients=clients, pods=pods)
                for sample in done.samples:
                    report.add(_case(sample.op, clients), competitor.name, sample.ns)
                check_empty(competitor.node, network)
                plan.settle()
    for clients in LOOPS:
        for op in "AD":
            _compare(report, _case(op, clients))
    return report


def _case(op: str, clients: int) -> str:
    return f"{'ADD' if op == 'A' else 'DEL'}, {clients} client{'s' * (clients > 1)}"


def _compare(report: Report, case: str) -> None:
    by_name = report.series.get(case, {})
    if len(by_name) == len(PLUGINS):
        reference, ours = (summary(by_name[name])["p99"] for name in ("reference", "cnifast"))
        report.ratios.append(Ratio(f"p99 of bridge {case}", reference / ours))
