"""How long does a bridge ADD take without the service, and what does it consist of?"""

from __future__ import annotations

import sys
from importlib.metadata import distribution
from typing import TYPE_CHECKING

from benchmarks.attachments import measure, seated
from benchmarks.harness import Report, require
from benchmarks.inprocess import need
from benchmarks.targets.cold import Cold
from benchmarks.targets.reference import Reference
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.node import Node
    from benchmarks.targets import Plugins

COMPETITORS: list[type[Plugins]] = [Reference, Cold]
ROUNDS = 60
START = "from cnifast.cli import paths; from cnifast.protocol import skel"
BINDING = f"{START}; paths.complete(); import cnifast._native"
PARTS = {
    "an interpreter that does nothing": "pass",
    "with the protocol": START,
    "with the binding": BINDING,
    "with the plugins": f"{BINDING}; import cnifast.plugins.main.bridge, cnifast.ipam.host_local",
}


def run(plan: Plan) -> Report:
    """Ask the question; the parts are interpreters that end after a step of the cold path."""
    need("cnifast")
    report, network = Report(), Network()
    with seated(COMPETITORS, report, network) as competitors:
        measure(plan, report, competitors, network, ROUNDS)
        node = competitors[-1].node
        folder = str(distribution("cnifast").locate_file(""))
        for _ in range(plan.rounds(ROUNDS // 2)):
            for text, code in PARTS.items():
                report.add(f"to there: {text}", "cold", _interpreter(node, folder, code))
    report.compare(
        *("ADD", "cold", "reference", 3),
        label="bridge ADD without the service: cnifast / reference",
        sense="at most",
    )
    report.compare(
        *("DEL", "reference", "cold"), label="bridge DEL without the service: reference / cnifast"
    )
    return report


def _interpreter(node: Node, folder: str, code: str) -> int:
    """Start Python as the shim does, and end it after a step."""
    program = f"import os, sys; sys.path.insert(0, {folder!r}); {code}; os._exit(0)"
    done = node.call([sys.executable, "-I", "-S", "-c", program])
    require(done.exit_code == 0, f"python: {done.err.decode().strip()}")
    return done.ns
