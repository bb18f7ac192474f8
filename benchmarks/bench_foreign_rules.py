"""What does ADD and DEL with masquerading cost where 10,000 iptables rules are loaded?"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from benchmarks.attachments import measure, seated
from benchmarks.harness import Report
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network, foreign_rules

if TYPE_CHECKING:
    from benchmarks.harness import Plan

RULES = (0, 10_000)


def run(plan: Plan) -> Report:
    """Ask the question; the rules are in a chain that no competitor uses."""
    report, network = Report(), Network(ip_masq=True)
    for rules in RULES:
        count = min(rules, plan.size(rules, 100))
        with seated(
            PLUGINS, report, network, furnish=partial(foreign_rules, count=count)
        ) as competitors:
            add, delete = (f"{op}, {rules:,} rules" for op in ("ADD", "DEL"))
            measure(plan, report, competitors, network, 15, add=add, delete=delete)
        for case in (add, delete):
            label = f"bridge {case.replace(',', ', ipMasq,', 1)} of others"
            report.compare(case, "reference", "cnifast", label=label)
    return report
