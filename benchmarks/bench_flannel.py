"""How long do ADD and DEL take for flannel with a bridge, against the reference's processes?"""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.attachments import compare, measure, seated
from benchmarks.harness import Report
from benchmarks.targets.reference import DIRECTORY, Reference
from benchmarks.targets.service import Service
from benchmarks.workloads import FLANNEL_MTU, Network

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.harness import Plan
    from benchmarks.node import Outcome
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

    The process of flannel itself, which executes the bridge, takes at least what a plugin of the
    reference does that does nothing but start.
    """

    def call(self, plugin: str, command: str, pod: Pod, conf: Mapping[str, Any]) -> Outcome:
        """Execute the bridge in flannel's place, and insist on success."""
        if HAS_FLANNEL:
            return super().call(plugin, command, pod, conf)
        more = {key: value for key, value in conf.items() if key == "prevResult"}
        process = super().call("loopback", "VERSION", pod, conf)
        done = super().call("bridge", command, pod, {**DELEGATE, **more})
        return replace(done, ns=done.ns + process.ns)


def run(plan: Plan) -> Report:
    """Ask the question."""
    report, kinds = Report(), list[type["Plugins"]]([Chain, Service])
    how = "" if HAS_FLANNEL else ", a process without work for the reference's own"
    if HAS_FLANNEL:
        binary = Path(DIRECTORY, "flannel").read_bytes()
        report.versions["flannel"] = f"sha256 {hashlib.sha256(binary).hexdigest()}"
    with seated(kinds, report, NETWORK) as competitors:
        measure(plan, report, competitors, NETWORK, 60, in_a_row=True)
    compare(report, "ADD", "reference", "cnifast", 8, label=f"flannel ADD{how}")
    compare(report, "DEL", "reference", "cnifast", 14, label=f"flannel DEL{how}")
    return report
