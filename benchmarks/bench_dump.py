"""How long does a Python program take to list 1,000 links?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.harness import Report, alternate
from benchmarks.inprocess import block, need
from benchmarks.node import Node
from benchmarks.targets.libraries import LIBRARIES, versions

if TYPE_CHECKING:
    from benchmarks.harness import Plan

LINKS = 1_000
ROUNDS = 8
BLOCK = 5
CASE = "dump"


def run(plan: Plan) -> Report:
    """Ask the question: every link with its attributes, as the library gives them."""
    need("cnifast", "pyroute2", "pytest_benchmark")
    report = Report(versions=versions())
    with ExitStack() as stack:
        nodes = {}
        for name in LIBRARIES:
            node = nodes[name] = stack.enter_context(Node(name))
            pairs = plan.size(LINKS, 20) // 2
            commands = (f"link add a{n} type veth peer name b{n}\n" for n in range(pairs))
            node.path("/run/batch").write_text("".join(commands))
            node.do("ip", "-batch", "/run/batch")
        for _, name in alternate(list(nodes), plan.rounds(ROUNDS)):
            report.add(CASE, name, *block(nodes[name], LIBRARIES[name], CASE, BLOCK))
    report.compare(
        CASE, "pyroute2", "cnifast", 10, label=f"list {LINKS:,} links: pyroute2 / cnifast"
    )
    return report
