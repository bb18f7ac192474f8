"""How long does `cnifast add` take as a whole command, against one on Go's libcni?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import measure, seated
from benchmarks.harness import Report
from benchmarks.targets.commands import GoCommand, OurCommand
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.targets import Attacher

COMPETITORS: list[type[Attacher]] = [GoCommand, OurCommand]
# The network that the documents of CNI show, and the same without masquerading.
NETWORKS = {"the documents' network": Network(ip_masq=True), "no masquerade": Network()}


def run(plan: Plan) -> Report:
    """Ask the question."""
    report = Report()
    for text, network in NETWORKS.items():
        add, delete = f"add, {text}", f"del, {text}"
        with seated(COMPETITORS, report, network) as competitors:
            measure(plan, report, competitors, network, 60, add=add, delete=delete)
        report.compare(
            add, "Go libcni", "cnifast", 1, label=f"`cnifast add`, {text}: Go libcni / cnifast"
        )
        report.compare(
            delete, "Go libcni", "cnifast", 1, label=f"`cnifast del`, {text}: Go libcni / cnifast"
        )
    return report
