"""How long do ADD and DEL of bandwidth take, with limits for both directions and with none?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.attachments import compare, paced, seated
from benchmarks.harness import Report, require
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.node import Node, Outcome
    from benchmarks.targets import Plugins
    from benchmarks.workloads import Pod

LIMITS = {
    "ingressRate": 100_000_000,
    "ingressBurst": 10_000_000,
    "egressRate": 100_000_000,
    "egressBurst": 10_000_000,
}
# The first filter of a machine makes the kernel patch itself; here another pod has had it.
RESIDENT = (
    "ip link add keep0 up type veth peer name keep1",
    "tc qdisc add dev keep0 ingress",
    "tc filter add dev keep0 ingress protocol all u32 match u32 0 0 flowid 1:1",
)
CASES: dict[str, dict[str, Any]] = {"no limits": {}, "both directions": LIMITS}
BRIDGE_END = 1  # where the host's end of the pair stands in the bridge plugin's result


def run(plan: Plan) -> Report:
    """Ask the question; the pair is made and deleted by the competitor's own bridge plugin."""
    report, network = Report(), Network()
    with seated(PLUGINS, report, network, furnish=furnish) as competitors:
        for pace, number, competitor, pods in paced(plan, competitors, 60):
            attached = [competitor.attach(pod, network) for pod in pods]
            results = [json.loads(one.result) for one in attached]
            for case, limits in CASES.items():
                conf = {"cniVersion": "1.0.0", "name": "bench", "type": "bandwidth", **limits}
                plan.settle()
                rows = list(zip(pods, results, strict=True))
                added = [_call(competitor, "ADD", conf, *row) for row in rows]
                limited = [json.loads(call.out) for call in added]
                check_limits(competitor.node, limited if limits else [])
                plan.settle()
                rows = list(zip(pods, limited, strict=True))
                deleted = [_call(competitor, "DEL", conf, *row) for row in rows]
                left = [link["ifname"] for link in competitor.node.links()]
                require(not [name for name in left if name.startswith("bwp")], f"left: {left}")
                if number >= 0:
                    report.add(f"ADD, {case}{pace}", competitor.name, *(one.ns for one in added))
                    report.add(f"DEL, {case}{pace}", competitor.name, *(one.ns for one in deleted))
            for pod, one in zip(pods, attached, strict=True):
                competitor.detach(pod, network, one)
    compare(report, "ADD, both directions", "reference", "cnifast", 4, label="bandwidth ADD")
    compare(report, "DEL, both directions", "reference", "cnifast", label="bandwidth DEL")
    compare(report, "ADD, no limits", "reference", "cnifast", label="bandwidth ADD, no limits")
    compare(report, "DEL, no limits", "reference", "cnifast", label="bandwidth DEL, no limits")
    return report


def _call(
    competitor: Plugins, command: str, conf: dict[str, Any], pod: Pod, previous: Any
) -> Outcome:
    """Execute the plugin behind what ``previous`` says is there."""
    return competitor.call("bandwidth", command, pod, {**conf, "prevResult": previous})


def furnish(node: Node) -> None:
    """Have another pod whose packets are filtered."""
    for command in RESIDENT:
        node.do(*command.split())


def check_limits(node: Node, results: list[dict[str, Any]]) -> None:
    """Check that what results tell of is limited, and nothing else.

    Both ends have their token bucket, and the container's packets go to the second.

    Raises:
        WrongResultError: something is missing, or there without being asked for.
    """
    rate = LIMITS["ingressRate"] // 8
    ends = [result["interfaces"][BRIDGE_END]["name"] for result in results]
    devices = [result["interfaces"][-1]["name"] for result in results]
    shown = json.loads(node.do("tc", "-j", "qdisc", "show"))
    buckets = {one["dev"]: one["options"]["rate"] for one in shown if one["kind"] == "tbf"}
    wanted = dict.fromkeys([*ends, *devices], rate)
    require(buckets == wanted, f"{node.name}: limits are {buckets}, not {wanted}")
    for end, device in zip(ends, devices, strict=True):
        filters = node.do("tc", "filter", "show", "dev", end, "ingress").decode()
        require(f"Redirect to device {device}" in filters, f"{node.name}: {filters}")
