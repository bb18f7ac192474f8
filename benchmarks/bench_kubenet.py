"""How many pods per second does a kubelet set up and tear down, with 1, 16 and 64 workers?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.harness import Report, alternate
from benchmarks.node import Node
from benchmarks.targets.kubelet import Kubelet, ReferenceKubelet

if TYPE_CHECKING:
    from benchmarks.harness import Plan

COMPETITORS: list[type[Kubelet]] = [ReferenceKubelet, Kubelet]
WORKERS = (1, 16, 64)
PODS = 256
AT_A_TIME = 64
RUNS = 3


def run(plan: Plan) -> Report:
    """Ask the question; sandboxes are started and ended outside of what is measured."""
    report = Report(unit="pods/s")
    pods = plan.size(PODS, AT_A_TIME)
    with ExitStack() as stack:
        competitors = []
        for kind in COMPETITORS:
            reason = kind.missing()
            if reason:
                report.notes.append(f"{kind.name} left out: {reason}")
                continue
            competitors.append(kind(stack.enter_context(Node(kind.name))))
            report.versions[kind.name] = kind.version()
        for workers in WORKERS:
            for _, competitor in alternate(competitors, plan.rounds(RUNS)):
                for what, rate in competitor.run(pods, AT_A_TIME, workers).items():
                    report.add(f"{what}, {workers} workers", competitor.name, rate)
                plan.settle()
    for workers in WORKERS:
        label = f"kubelet, {workers} worker{'s' * (workers > 1)}: pods per second"
        report.compare(f"both, {workers} workers", "cnifast", "reference", label=label)
    report.notes.append("the reference's plugins are executed; cnifast's kubenet calls its own")
    return report
