"""What does ADD and DEL cost on a node that has 0, 100 or 1,000 pods already?"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.attachments import measure, seated
from benchmarks.harness import Report
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan

EXISTING = (0, 100, 1_000)
CLIENTS = 16
MANY, CALM = 100, 15


def run(plan: Plan) -> Report:
    """Ask the question; each competitor has attached the existing pods itself.

    A bridge copies every broadcast to every port, so many pods greet each other for a while. The
    copies of one broadcast on 1,000 ports are more than the kernel queues (netdev_max_backlog):
    there an answer to the first ping's ARP request may be lost and come a second later.
    """
    report, network = Report(), Network(ip_masq=True)
    for existing in (0, 8) if plan.once else EXISTING:
        with seated(PLUGINS, report, network) as competitors:
            for competitor in competitors:
                competitor.node.make_pods(existing, "keep")
                if existing:
                    size = {"clients": CLIENTS, "pods": existing}
                    competitor.churn(network, **size, ops="A", prefix="keep")
            if existing >= MANY:
                time.sleep(CALM)
            add, delete = (f"{op}, {existing:,} pods" for op in ("ADD", "DEL"))
            measure(plan, report, competitors, network, 20, add=add, delete=delete, patience=4)
        for case in (add, delete):
            label = f"bridge {case.replace(',', ', ipMasq,', 1)} already there"
            report.compare(case, "reference", "cnifast", label=label)
    return report
