"""How long do ADD and DEL take for flannel with a bridge, against the reference's processes?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from benchmarks.attachments import measure, seated
from benchmarks.harness import Report
from benchmarks.targets.reference import DIRECTORY, Reference
from benchmarks.targets.service import Service
from benchmarks.workloads import FLANNEL_MTU, Network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.harness import Plan
    from benchmarks.node import Node, Outcome
    from benchmarks.targets import Plugins
    from benchmarks.workloads import Pod

NETWORK = Network(kind="flannel")
HAS_FLANNEL = os.access(f"{DIRECTORY}/flannel", os.X_OK)
# What flannel gives its delegate.
DELEGATE: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": NETWORK.name,
    "type": "bridge",
    "isDefaultGateway": True,
    "isGateway": True,
    "ipMasq": False,
    "mtu": FLANNEL_MTU,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": NETWORK.subnet}]],
        "routes": [{"dst": "10.0.0.0/8"}],
    },
}


class Chain(Reference):
    """Where there is no flannel of the reference: its bridge, with what flannel gives it.

    ``process_ns`` are, by command, the times of a plugin of the reference that does nothing but
    start: the least that the process of flannel itself takes, which executes the bridge.
    """

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.process_ns: dict[str, list[float]] = {"ADD": [], "DEL": []}

    def call(self, plugin: str, command: str, pod: Pod, conf: Mapping[str, Any]) -> Outcome:
        """Execute the bridge in flannel's place, and insist on success."""
        if HAS_FLANNEL:
            return super().call(plugin, command, pod, conf)
        more = {key: value for key, value in conf.items() if key == "prevResult"}
        self.process_ns[command].append(super().call("loopback", "VERSION", pod, conf).ns)
        return super().call("bridge", command, pod, {**DELEGATE, **more})


def run(plan: Plan) -> Report:
    """Ask the question."""
    report, kinds = Report(), list[type["Plugins"]]([Chain, Service])
    against, how = "reference", ""
    with seated(kinds, report, NETWORK) as competitors:
        measure(plan, report, competitors, NETWORK, 60)
        for chain in competitors:
            if isinstance(chain, Chain) and not HAS_FLANNEL:
                against, how = "reference chain", ", a process without work for the reference's own"
                for case, times in report.series.items():
                    idle = chain.process_ns[case][-len(times["reference"]) :]
                    for bridge, process in zip(times["reference"], idle, strict=True):
                        report.add(case, against, bridge + process)
    report.compare("ADD", against, "cnifast", 8, label=f"flannel ADD{how}")
    report.compare("DEL", against, "cnifast", 14, label=f"flannel DEL{how}")
    return report
