"""How long do ADD and DEL take for a pod with four host ports, with and without 10,000 rules?"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from benchmarks import ports
from benchmarks.attachments import PODS, WARM_UP, seated
from benchmarks.harness import Ratio, Report, alternate
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network, Pod, foreign_rules

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.node import Node

RULES = 10_000
ROUNDS = 60


def _furnish(node: Node, network: Network, rules: int) -> None:
    """Attach the pods, and load rules that are none of any competitor's business."""
    ports.make_pods(node, network, PODS)
    foreign_rules(node, rules)


def run(plan: Plan) -> Report:
    """Ask the question; nodes with and without the rules take turns as the competitors do.

    Three of the ports are TCP, one is UDP, for which tracked connections are forgotten as well.
    """
    report, network = Report(), Network()
    crowd = f", {RULES:,} rules of others"
    with ExitStack() as stack:
        stands = []
        for suffix, rules in (("", 0), (crowd, plan.size(RULES, 100))):
            furnish = partial(_furnish, network=network, rules=rules)
            competitors = stack.enter_context(seated(PLUGINS, report, network, furnish=furnish))
            stands += [(competitor, suffix) for competitor in competitors]
        warm_up = 0 if plan.once else WARM_UP
        for number, (competitor, suffix) in alternate(stands, plan.rounds(ROUNDS) + warm_up):
            pod = Pod(f"/run/netns/pod{number % PODS}", f"c{number}", number % PODS)
            conf = ports.conf(pod, network)
            for command in ("ADD", "DEL"):
                done = competitor.call("portmap", command, pod, conf)
                ports.check(competitor.node, pod, network, mapped=command == "ADD")
                plan.settle()
                if number >= warm_up:
                    report.add(f"{command}{suffix}", competitor.name, done.ns)
    for command, goal in (("ADD", 20), ("DEL", 30)):
        for suffix in ("", crowd):
            label = f"portmap {command}, 4 ports{suffix}"
            report.compare(f"{command}{suffix}", "reference", "cnifast", goal, label=label)
        alone = report.median(command, "cnifast")
        crowded = report.median(f"{command}{crowd}", "cnifast")
        if alone and crowded:
            label = f"portmap {command}, with 10,000 rules of others / without"
            report.ratios.append(Ratio(label, crowded / alone, 1.2, "at most"))
    return report
