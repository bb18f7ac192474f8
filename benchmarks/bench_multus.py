"""How long does it take to attach a pod to two networks, by Multus and by `cnifast add --all`?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import compare, measure, seated
from benchmarks.harness import Report
from benchmarks.several import Several, furnish
from benchmarks.targets.multus import OurMultus, OurSeveral, TheirMultus

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.targets import Attacher

COMPETITORS: list[type[Attacher]] = [TheirMultus, OurMultus, OurSeveral]


def run(plan: Plan) -> Report:
    """Ask the question."""
    report, network = Report(), Several()
    with seated(COMPETITORS, report, network, furnish=furnish) as competitors:
        measure(plan, report, competitors, network, 60, in_a_row=True)
    for command in ("ADD", "DEL"):
        head = f"two networks, {command}: Multus with the reference"
        compare(report, command, *("multus", "multus, cnifast"), label=f"{head} / with cnifast")
        compare(report, command, *("multus", "cnifast"), label=f"{head} / `cnifast --all`")
    return report
