"""How long does firewall take to let a pod through, and to stop that?"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import firewall, ports
from benchmarks.attachments import PODS, compare, paced, seated
from benchmarks.harness import Report
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network, Pod, foreign_rules

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.harness import Plan
    from benchmarks.node import Node
    from benchmarks.targets import Plugins

ROUNDS = 40
OTHERS = 200  # pods
RULES = 10_000


def run(plan: Plan) -> Report:
    """Ask the question: rules are in the chains of iptables, where the reference has them."""
    report, network = Report(), Network()
    # What comes behind the question's name, the policy, and what furnishes a node.
    cases: tuple[tuple[str, str, Callable[[Node], None] | None], ...] = (
        ("", "open", None),
        (", same-bridge", "same-bridge", None),
        (
            f", {OTHERS} others",
            "open",
            partial(_crowd, network=network, count=plan.size(OTHERS, 2)),
        ),
        (
            f", {RULES:,} rules of others",
            "open",
            partial(foreign_rules, count=plan.size(RULES, 100)),
        ),
    )
    with ExitStack() as stack:
        stands: list[tuple[Plugins, str, str]] = []
        for suffix, policy, furnish in cases:
            competitors = stack.enter_context(seated(PLUGINS, report, network, furnish=furnish))
            stands += [(competitor, suffix, policy) for competitor in competitors]
        for pace, number, (competitor, suffix, policy), pods in paced(plan, stands, ROUNDS):
            for command in ("ADD", "DEL"):
                done = [
                    competitor.call("firewall", command, pod, _conf(pod, network, policy))
                    for pod in pods
                ]
                for pod in pods:
                    address = network.address(pod.number)
                    firewall.check(competitor.node, address, there=command == "ADD")
                plan.settle()
                if number >= 0:
                    case = f"{command}{suffix}{pace}"
                    report.add(case, competitor.name, *(call.ns for call in done))
    for suffix, _, _ in cases:
        what = f"ADD{suffix}"
        compare(report, what, "reference", "cnifast", 15, label=f"firewall {what}")
        what = f"DEL{suffix}"
        compare(report, what, "reference", "cnifast", label=f"firewall {what}")
    return report


def _crowd(node: Node, network: Network, count: int) -> None:
    """Have other pods been let through already."""
    lines = [":CNI-ADMIN - [0:0]", ":CNI-FORWARD - [0:0]"]
    said = "-m comment --comment"
    lines += [
        f'-A FORWARD {said} "CNI firewall plugin rules" -j CNI-FORWARD',
        f'-A CNI-FORWARD {said} "CNI firewall plugin admin overrides" -j CNI-ADMIN',
    ]
    for number in range(PODS, PODS + count):
        lines += [f"-A CNI-FORWARD {rule}" for rule in firewall.rules(network.address(number))]
    node.path("/run/rules").write_text("\n".join(["*filter", *lines, "COMMIT", ""]))
    node.do("sh", "-c", "iptables-restore --noflush </run/rules")


def _conf(pod: Pod, network: Network, policy: str) -> dict[str, Any]:
    """Return what a runtime sends for a pod on the bridge."""
    return {
        "cniVersion": "1.0.0",
        "name": network.name,
        "type": "firewall",
        "ingressPolicy": policy,
        "prevResult": ports.previous(pod, network),
    }
