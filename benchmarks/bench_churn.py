"""How many pods per second can 16 clients at once attach and detach?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import seated
from benchmarks.harness import Report, alternate
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network, check_empty

if TYPE_CHECKING:
    from benchmarks.harness import Plan

CLIENTS = 16
PODS = 500
RUNS = 3


def run(plan: Plan) -> Report:
    """Ask the question: each client runs ADD and DEL on its own pods, one after the other."""
    report = Report(unit="pods/s")
    pods = plan.size(PODS, CLIENTS)
    for text, network in (("bridge", Network()), ("bridge, ipMasq", Network(ip_masq=True))):
        with seated(PLUGINS, report, network, pods=pods) as competitors:
            for competitor in competitors:
                competitor.churn(network, clients=1, pods=1, loops=1 if plan.once else 3)
            for _, competitor in alternate(competitors, plan.rounds(RUNS)):
                done = competitor.churn(network, clients=CLIENTS, pods=pods)
                report.add(text, competitor.name, pods / done.wall_ns * 1e9)
                check_empty(competitor.node, network)
                plan.settle()
        goal = 8 if network == Network() else None
        label = f"churn, {CLIENTS} clients, {text}: pods per second"
        report.compare(text, "cnifast", "reference", goal, label=label)
    return report
