"""How long do ADD and DEL of bridge, portmap without ports and bandwidth without limits take?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import measure, seated
from benchmarks.harness import Report
from benchmarks.targets.chains import InProcess, ReferenceChain, ServiceChain
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.targets import Attacher

COMPETITORS: list[type[Attacher]] = [ReferenceChain, ServiceChain, InProcess]


def run(plan: Plan) -> Report:
    """Ask the question."""
    report, network = Report(), Network()
    with seated(COMPETITORS, report, network) as competitors:
        measure(plan, report, competitors, network, 100)
    report.compare("ADD", "reference", "in process", 12, label="chain ADD, in process")
    report.compare("DEL", "reference", "in process", label="chain DEL, in process")
    report.compare("ADD", "reference", "cnifast", label="chain ADD, by programs")
    report.compare("DEL", "reference", "cnifast", label="chain DEL, by programs")
    return report
