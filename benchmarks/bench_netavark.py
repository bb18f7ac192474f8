"""How does a bridge ADD and DEL compare with netavark's set-up and teardown of a container?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import measure, seated
from benchmarks.harness import Report
from benchmarks.targets.netavark import Netavark
from benchmarks.targets.service import Service
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.targets import Attacher

COMPETITORS: list[type[Attacher]] = [Netavark, Service]


def run(plan: Plan) -> Report:
    """Ask the question."""
    report = Report()
    for text, network in (("", Network()), (", masquerading", Network(ip_masq=True))):
        with seated(COMPETITORS, report, network) as competitors:
            add, delete = f"ADD{text}", f"DEL{text}"
            measure(plan, report, competitors, network, 40, add=add, delete=delete)
        report.compare(add, "netavark", "cnifast")
        report.compare(delete, "netavark", "cnifast")
    report.notes.append(
        "netavark allocates no address, makes no default route on an internal network, and does "
        "not wait for the bridge port; its rules are per network, and include host port chains"
    )
    return report
