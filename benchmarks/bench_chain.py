"""How long do ADD and DEL of chains take: of three idle plugins, and of five that have work?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import compare, measure, seated
from benchmarks.bench_bandwidth import furnish
from benchmarks.chain import Full, Idle
from benchmarks.harness import Report
from benchmarks.targets.both import PLUGINS
from benchmarks.targets.chains import InProcess

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.targets import Attacher

COMPETITORS: list[type[Attacher]] = [*PLUGINS, InProcess]


def run(plan: Plan) -> Report:
    """Ask the question; the five are programs alone."""
    report = Report()
    with seated(COMPETITORS, report, Idle()) as competitors:
        measure(plan, report, competitors, Idle(), 100, in_a_row=True)
    compare(report, "ADD", "reference", "in process", 12, label="chain ADD, in process")
    compare(report, "DEL", "reference", "in process", label="chain DEL, in process")
    compare(report, "ADD", "reference", "cnifast", label="chain ADD, by programs")
    compare(report, "DEL", "reference", "cnifast", label="chain DEL, by programs")
    with seated(PLUGINS, report, Full(), furnish=furnish) as programs:
        measure(
            plan, report, programs, Full(), 40, add="ADD, five", delete="DEL, five", in_a_row=True
        )
    for command in ("ADD", "DEL"):
        label = f"chain {command}, five plugins, by programs"
        compare(report, f"{command}, five", "reference", "cnifast", label=label)
    return report
