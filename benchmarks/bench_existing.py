"""What does ADD and DEL cost on a node that has 0, 100 or 1,000 pods already?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import measure, seated
from benchmarks.harness import Report
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan

EXISTING = (0, 100, 1_000)
CLIENTS = 4


def run(plan: Plan) -> Report:
    """Ask the question; each competitor has attached the existing pods itself."""
    report, network = Report(), Network(ip_masq=True)
    for existing in (0, 8) if plan.once else EXISTING:
        with seated(PLUGINS, report, network) as competitors:
            for competitor in competitors:
                competitor.node.make_pods(existing, "keep")
                if existing:
                    size = {"clients": CLIENTS, "pods": existing}
                    competitor.churn(network, **size, ops="A", prefix="keep")
            add, delete = (f"{op}, {existing:,} pods" for op in ("ADD", "DEL"))
            measure(plan, report, competitors, network, 20, add=add, delete=delete)
        for case in (add, delete):
            label = f"bridge {case.replace(',', ', ipMasq,', 1)} already there"
            report.compare(case, "reference", "cnifast", label=label)
    return report
