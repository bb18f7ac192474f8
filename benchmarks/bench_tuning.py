"""How long does tuning take to change sysctls and an interface, and to change that back?"""

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
    from benchmarks.targets import Plugins

ROUNDS = 100
SYSCTLS = {"net.core.somaxconn": ("4096", "500"), "net.ipv4.conf.eth0.arp_notify": ("0", "1")}
MODES = {"PROMISC", "ALLMULTI"}
MTU = 1400


def run(plan: Plan) -> Report:
    """Ask the question: a pair of links stands for what the plugin before has made."""
    report = Report()
    with seated(PLUGINS, report, Network(), furnish=_make_pairs) as competitors:
        warm_up = 0 if plan.once else WARM_UP
        for number, competitor in alternate(competitors, plan.rounds(ROUNDS) + warm_up):
            add, delete = _add_and_delete(plan, competitor, number)
            if number >= warm_up:
                report.add("ADD", competitor.name, add)
                report.add("DEL", competitor.name, delete)
    report.compare("ADD", "reference", "cnifast", 4, label="tuning ADD")
    report.compare("DEL", "reference", "cnifast", label="tuning DEL")
    return report


def _make_pairs(node: Node) -> None:
    for number in range(PODS):
        far = ("peer", "name", "eth0", "netns", f"pod{number}")
        node.do("ip", "link", "add", f"v{number}", "up", "type", "veth", *far)
        node.do("ip", "-n", f"pod{number}", "link", "set", "eth0", "up")


def _add_and_delete(plan: Plan, competitor: Plugins, number: int) -> tuple[int, int]:
    """Change an interface and restore it; look at it, and at the sysctls, after each."""
    name, pod = f"pod{number % PODS}", Pod(f"/run/netns/pod{number % PODS}", f"c{number}")
    node, mac = competitor.node, f"02:00:00:00:{number // 256:02x}:{number % 256:02x}"
    for path, (usual, _) in SYSCTLS.items():
        node.do("ip", "netns", "exec", name, "sysctl", "-qw", f"{path}={usual}")
    before = _eth0(node, pod)
    added = competitor.call("tuning", "ADD", pod, _conf(mac, before["address"]))
    after = _eth0(node, pod)
    require((after["address"], after["mtu"]) == (mac, MTU), f"{node.name}: {after}")
    require(set(after["flags"]) >= MODES, f"{node.name}: modes are {after['flags']}")
    for path, (_, wanted) in SYSCTLS.items():
        found = node.do("ip", "netns", "exec", name, "sysctl", "-n", path).decode().strip()
        require(found == wanted, f"{node.name}: {path} is {found}")
    told = json.loads(added.out)["interfaces"][0]["mac"]
    require(told == mac, f"{node.name}: the result says {told}")
    plan.settle()
    deleted = competitor.call("tuning", "DEL", pod, _conf(mac, mac))
    require(_eth0(node, pod) == before, f"{node.name}: {_eth0(node, pod)} is not {before}")
    plan.settle()
    return added.ns, deleted.ns


def _conf(mac: str, previous_mac: str) -> dict[str, Any]:
    """Return a configuration of options that all releases of the reference have."""
    interface = {"name": "eth0", "mac": previous_mac, "sandbox": "/run/netns/pod"}
    return {
        "cniVersion": "1.0.0",
        "name": "bench",
        "type": "tuning",
        "sysctl": {path: wanted for path, (_, wanted) in SYSCTLS.items()},
        "mac": mac,
        "mtu": MTU,
        "promisc": True,
        "allmulti": True,
        "prevResult": {
            "cniVersion": "1.0.0",
            "interfaces": [interface],
            "ips": [{"address": "10.22.0.5/16", "gateway": "10.22.0.1", "interface": 0}],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }


def _eth0(node: Node, pod: Pod) -> dict[str, Any]:
    """Return what is changed of a pod's eth0."""
    (link,) = (link for link in node.links(pod.netns) if link["ifname"] == "eth0")
    modes = sorted(set(link["flags"]) & MODES)
    return {"address": link["address"], "mtu": link["mtu"], "flags": modes}
