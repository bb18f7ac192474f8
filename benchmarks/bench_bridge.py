"""How long do ADD and DEL take for a bridge with a gateway and without masquerading?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import compare, measure, seated
from benchmarks.harness import Report
from benchmarks.targets.ip import Ip
from benchmarks.targets.reference import Reference
from benchmarks.targets.service import Service
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.targets import Attacher

COMPETITORS: list[type[Attacher]] = [Reference, Service, Ip]


def run(plan: Plan) -> Report:
    """Ask the question."""
    report, network = Report(), Network()
    with seated(COMPETITORS, report, network) as competitors:
        measure(plan, report, competitors, network, 100, in_a_row=True)
    compare(report, "ADD", "reference", "cnifast", 6, label="bridge ADD, no masquerade")
    compare(report, "DEL", "reference", "cnifast", 12, label="bridge DEL, no masquerade")
    compare(report, "ADD", "ip", "cnifast", label="bridge ADD: four `ip` commands / cnifast")
    return report
