"""How long does a Python program take to create, configure and delete a veth pair?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.harness import Report, alternate
from benchmarks.inprocess import BLOCK, POD, block, need
from benchmarks.node import Node
from benchmarks.targets.libraries import LIBRARIES, versions
from benchmarks.workloads import Network, Pod, check_attached, link_names, make_bridge

if TYPE_CHECKING:
    from benchmarks.harness import Plan

ROUNDS = 60
CASES = {"created": "create and configure", "cycle": "create, configure and delete"}


def run(plan: Plan) -> Report:
    """Ask the question with an address, the link up and a default route as the configuration."""
    need("cnifast", "pyroute2", "pytest_benchmark")
    report, network = Report(versions=versions()), Network()
    with ExitStack() as stack:
        nodes = {}
        for name, module in LIBRARIES.items():
            node = nodes[name] = stack.enter_context(Node(name))
            make_bridge(node, network)
            node.make_pods(1)
            before = link_names(node)
            block(node, module, "created", 0)
            check_attached(node, Pod(POD, name), network, network.address(0))
            node.do("ip", "link", "del", "bare0")
            block(node, module, "cycle", 0)
            if link_names(node) != before:
                report.notes.append(f"{name} left links behind")
            plan.settle()
        for case, text in CASES.items():
            for _, name in alternate(list(nodes), plan.blocks(ROUNDS, BLOCK)):
                count = 1 if plan.once else BLOCK
                report.add(text, name, *block(nodes[name], LIBRARIES[name], case, count))
            report.compare(
                *(text, "pyroute2", "cnifast", 8 if case == "cycle" else None),
                label=f"veth, {text}: pyroute2 / cnifast",
            )
    return report
