"""What does starting a plugin cost: VERSION, against an empty static C program?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from benchmarks.attachments import WARM_UP, seated
from benchmarks.harness import Report, alternate, require
from benchmarks.node import compile_c
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.node import Node
    from benchmarks.targets import Plugins

CASE = "VERSION"
EMPTY = "empty program"
ROUNDS = 200


def run(plan: Plan) -> Report:
    """Ask the question, with what podman sends."""
    report = Report()
    program = str(compile_c("empty", "-static"))
    with seated(PLUGINS, report, Network()) as competitors:
        warm_up = 0 if plan.once else WARM_UP
        for number, competitor in alternate(competitors, plan.rounds(ROUNDS) + warm_up):
            took, nothing = _version(competitor), _start(competitor.node, program)
            if number >= warm_up:
                report.add(CASE, competitor.name, took)
                report.add(CASE, EMPTY, nothing)
    report.compare(CASE, "reference", "cnifast", label="VERSION")
    report.compare(
        *(CASE, "cnifast", EMPTY, 1),
        label="VERSION: cnifast / an empty static C program",
        sense="at most",
    )
    return report


def _version(competitor: Plugins) -> int:
    env = {
        "CNI_COMMAND": "VERSION",
        "CNI_NETNS": "dummy",
        "CNI_IFNAME": "dummy",
        "CNI_PATH": "dummy",
        **competitor.env,
    }
    stdin = b'{"cniVersion":"1.0.0"}'
    done = competitor.node.call([f"{competitor.directory}/bridge"], env, stdin)
    require(done.exit_code == 0, f"{competitor.name}: {done.out!r}")
    require("1.0.0" in json.loads(done.out)["supportedVersions"], f"{competitor.name}: 1.0.0")
    return done.ns


def _start(node: Node, program: str) -> int:
    return node.call([program]).ns
