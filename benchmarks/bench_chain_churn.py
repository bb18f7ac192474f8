"""How many pods per second can 16 clients attach and detach by a chain of five plugins?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import seated
from benchmarks.chain import Full, check_none, check_some
from benchmarks.harness import Report, alternate
from benchmarks.targets.both import PLUGINS

if TYPE_CHECKING:
    from benchmarks.harness import Plan

CLIENTS = 16
PODS = 160
RUNS = 3
CASE = "bridge, portmap, firewall, bandwidth, tuning"


def run(plan: Plan) -> Report:
    """Ask the question: each client runs ADD and DEL on its own pods, one after the other.

    Before that every client attaches a pod, all of which are there at once, and detaches it.
    """
    report, network = Report(unit="pods/s"), Full()
    pods = plan.size(PODS, CLIENTS)
    with seated(PLUGINS, report, network, pods=pods) as competitors:
        for competitor in competitors:
            competitor.churn(network, clients=CLIENTS, pods=CLIENTS, ops="A")
            check_some(competitor.node, network, CLIENTS)
            competitor.churn(network, clients=CLIENTS, pods=CLIENTS, ops="D")
            check_none(competitor.node, network)
        for _, competitor in alternate(competitors, plan.rounds(RUNS)):
            done = competitor.churn(network, clients=CLIENTS, pods=pods)
            report.add(CASE, competitor.name, pods / done.wall_ns * 1e9)
            check_none(competitor.node, network)
            plan.settle()
    label = f"churn, {CLIENTS} clients, chain of five: pods per second"
    report.compare(CASE, "cnifast", "reference", 10, label=label)
    return report
