"""How long do ADD and DEL of bandwidth take, with limits for both directions and with none?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.attachments import PODS, WARM_UP, seated
from benchmarks.harness import Report, alternate, require
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network, Pod

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.node import Node

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
    warm_up = 0 if plan.once else WARM_UP
    with seated(PLUGINS, report, network, furnish=furnish) as competitors:
        for number, competitor in alternate(competitors, plan.rounds(60) + warm_up):
            pod = Pod(f"/run/netns/pod{number % PODS}", f"c{number}", number % PODS)
            attached = competitor.attach(pod, network)
            previous = json.loads(attached.result)
            for case, limits in CASES.items():
                conf = {"cniVersion": "1.0.0", "name": "bench", "type": "bandwidth", **limits}
                plan.settle()
                added = competitor.call("bandwidth", "ADD", pod, {**conf, "prevResult": previous})
                result = json.loads(added.out)
                check_limits(competitor.node, result, limited=bool(limits))
                plan.settle()
                deleted = competitor.call("bandwidth", "DEL", pod, {**conf, "prevResult": result})
                left = [link["ifname"] for link in competitor.node.links()]
                require(not [name for name in left if name.startswith("bwp")], f"left: {left}")
                if number >= warm_up:
                    report.add(f"ADD, {case}", competitor.name, added.ns)
                    report.add(f"DEL, {case}", competitor.name, deleted.ns)
            competitor.detach(pod, network, attached)
    report.compare("ADD, both directions", "reference", "cnifast", 4, label="bandwidth ADD")
    report.compare("DEL, both directions", "reference", "cnifast", label="bandwidth DEL")
    report.compare("ADD, no limits", "reference", "cnifast", label="bandwidth ADD, no limits")
    report.compare("DEL, no limits", "reference", "cnifast", label="bandwidth DEL, no limits")
    return report


def furnish(node: Node) -> None:
    """Have another pod whose packets are filtered."""
    for command in RESIDENT:
        node.do(*command.split())


def check_limits(node: Node, result: dict[str, Any], *, limited: bool) -> None:
    """Check that both ends have their token bucket and the container's packets go to the second.

    Raises:
        WrongResultError: something is missing, or there without being asked for.
    """
    end = result["interfaces"][BRIDGE_END]["name"]
    shown = json.loads(node.do("tc", "-j", "qdisc", "show"))
    buckets = {one["dev"]: one["options"]["rate"] for one in shown if one["kind"] == "tbf"}
    if not limited:
        require(not buckets, f"{node.name}: limited without limits: {buckets}")
        return
    device = result["interfaces"][-1]["name"]
    rate = LIMITS["ingressRate"] // 8
    require(buckets == {end: rate, device: rate}, f"{node.name}: limits are {buckets}")
    filters = node.do("tc", "filter", "show", "dev", end, "ingress").decode()
    require(f"Redirect to device {device}" in filters, f"{node.name}: no redirection: {filters}")
