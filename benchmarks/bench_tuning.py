"""How long does tuning take to change sysctls and an interface, and to change that back?"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.attachments import PODS, compare, paced, seated
from benchmarks.harness import Report, require
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.node import Node, Outcome
    from benchmarks.workloads import Pod

ROUNDS = 100
SYSCTLS = {"net.core.somaxconn": ("4096", "500"), "net.ipv4.conf.eth0.arp_notify": ("0", "1")}
MODES = {"PROMISC", "ALLMULTI"}
MTU = 1400


def run(plan: Plan) -> Report:
    """Ask the question: a pair of links stands for what the plugin before has made."""
    report = Report()
    with seated(PLUGINS, report, Network(), furnish=_make_pairs) as competitors:
        for pace, number, competitor, pods in paced(plan, competitors, ROUNDS):
            before = [_prepare(competitor.node, pod) for pod in pods]
            rows = list(zip(pods, before, strict=True))
            added = [competitor.call("tuning", "ADD", pod, _conf(pod, old)) for pod, old in rows]
            for pod, done in zip(pods, added, strict=True):
                _check(competitor.node, pod, done)
            plan.settle()
            deleted = [competitor.call("tuning", "DEL", pod, _conf(pod, old)) for pod, old in rows]
            for pod, old in rows:
                found = _eth0(competitor.node, pod)
                require(found == old, f"{competitor.name}: {found} is not {old}")
            plan.settle()
            if number >= 0:
                report.add(f"ADD{pace}", competitor.name, *(done.ns for done in added))
                report.add(f"DEL{pace}", competitor.name, *(done.ns for done in deleted))
    compare(report, "ADD", "reference", "cnifast", 4, label="tuning ADD")
    compare(report, "DEL", "reference", "cnifast", label="tuning DEL")
    return report


def _make_pairs(node: Node) -> None:
    for number in range(PODS):
        far = ("peer", "name", "eth0", "netns", f"pod{number}")
        node.do("ip", "link", "add", f"v{number}", "up", "type", "veth", *far)
        node.do("ip", "-n", f"pod{number}", "link", "set", "eth0", "up")


def _prepare(node: Node, pod: Pod) -> dict[str, Any]:
    """Give a pod the usual sysctls; return what its eth0 is."""
    for path, (usual, _) in SYSCTLS.items():
        node.do("ip", "netns", "exec", f"pod{pod.number}", "sysctl", "-qw", f"{path}={usual}")
    return _eth0(node, pod)


def _mac(pod: Pod) -> str:
    """Return the MAC that an attachment asks for."""
    number = int(pod.container_id.removeprefix("c"))
    return f"02:00:00:00:{number // 256:02x}:{number % 256:02x}"


def _check(node: Node, pod: Pod, done: Outcome) -> None:
    """Check that interface and sysctls are as they were asked for, and that the result says so."""
    after = _eth0(node, pod)
    require((after["address"], after["mtu"]) == (_mac(pod), MTU), f"{node.name}: {after}")
    require(set(after["flags"]) >= MODES, f"{node.name}: modes are {after['flags']}")
    for path, (_, wanted) in SYSCTLS.items():
        name = f"pod{pod.number}"
        found = node.do("ip", "netns", "exec", name, "sysctl", "-n", path).decode().strip()
        require(found == wanted, f"{node.name}: {path} is {found}")
    told = json.loads(done.out)["interfaces"][0]["mac"]
    require(told == _mac(pod), f"{node.name}: the result says {told}")


def _conf(pod: Pod, before: dict[str, Any]) -> dict[str, Any]:
    """Return a configuration of options that all releases of the reference have."""
    interface = {"name": "eth0", "mac": before["address"], "sandbox": "/run/netns/pod"}
    return {
        "cniVersion": "1.0.0",
        "name": "bench",
        "type": "tuning",
        "sysctl": {path: wanted for path, (_, wanted) in SYSCTLS.items()},
        "mac": _mac(pod),
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
