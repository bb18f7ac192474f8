"""How long do ADD and DEL take for a routed pair that masquerades?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import compare, measure, seated
from benchmarks.harness import Report
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan


def run(plan: Plan) -> Report:
    """Ask the question."""
    report, network = Report(), Network(kind="ptp", ip_masq=True)
    with seated(PLUGINS, report, network) as competitors:
        measure(plan, report, competitors, network, 60, in_a_row=True)
    compare(report, "ADD", "reference", "cnifast", 10, label="ptp ADD, ipMasq")
    compare(report, "DEL", "reference", "cnifast", label="ptp DEL, ipMasq")
    return report
