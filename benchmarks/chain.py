"""Chains of plugins as work: what a list has behind the bridge plugin, and the proof.

All options are ones that release 1.1.1 of the reference has, too.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from benchmarks import firewall, ports
from benchmarks.harness import require
from benchmarks.workloads import (
    Network,
    Pod,
    address_kept,
    addresses_in,
    check_attached,
    check_empty,
)

if TYPE_CHECKING:
    from benchmarks.node import Node

PORTMAP: dict[str, Any] = {"type": "portmap", "capabilities": {"portMappings": True}}
BANDWIDTH: dict[str, Any] = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
INGRESS, EGRESS, BURST = 200_000_000, 100_000_000, 10_000_000  # bits, per second
SYSCTL, WANTED = "net.ipv4.conf.eth0.arp_filter", "1"  # the bridge plugins leave it 0
MTU = 1400
BACKUPS = "/run/cni/tuning"
SAMPLED = 4  # pods


class Idle(Network):
    """bridge, portmap without ports and bandwidth without limits."""

    def plugins(self, pod: Pod) -> list[dict[str, Any]]:
        """Return the three."""
        return [*super().plugins(pod), PORTMAP, BANDWIDTH]


class Full(Network):
    """bridge, portmap, firewall, bandwidth and tuning, each with something to do."""

    def plugins(self, pod: Pod) -> list[dict[str, Any]]:
        """Return the five, with two ports of the host that are this pod's alone."""
        mappings = [
            {"hostPort": host_port, "containerPort": port, "protocol": protocol}
            for protocol, host_port, port in _mappings(pod)
        ]
        limits = {
            "ingressRate": INGRESS,
            "ingressBurst": BURST,
            "egressRate": EGRESS,
            "egressBurst": BURST,
        }
        return [
            *super().plugins(pod),
            {**PORTMAP, "runtimeConfig": {"portMappings": mappings}},
            {"type": "firewall"},
            {**BANDWIDTH, "runtimeConfig": {"bandwidth": limits}},
            {"type": "tuning", "sysctl": {SYSCTL: WANTED}, "mtu": MTU},
        ]

    def look(self, node: Node, pod: Pod, address: str, *, attached: bool) -> None:
        """Check that each of the plugins behind the bridge did its part, or undid it.

        Raises:
            WrongResultError: one did not.
        """
        ports.check(node, pod, self, mapped=attached, mappings=_mappings(pod))
        firewall.check(node, address, there=attached)
        if attached:
            eth0 = next(link for link in node.links(pod.netns) if link["ifname"] == "eth0")
            _check_limits(node, eth0["link_index"])
            value = node.do("ip", "netns", "exec", f"pod{pod.number}", "sysctl", "-n", SYSCTL)
            tuned = (eth0["mtu"], value.decode().strip())
            require(tuned == (MTU, WANTED), f"{node.name}, {pod.container_id}: tuned to {tuned}")


def check_some(node: Node, network: Network, count: int) -> None:
    """Check some of the pods that are attached, ``count`` of them, for all that there has to be.

    Raises:
        WrongResultError: something is missing.
    """
    for number in range(0, count, max(1, count // SAMPLED)):
        pod = Pod(f"/run/netns/pod{number}", f"pod{number}", number)
        check_attached(node, pod, network, address_kept(node, network, pod))


def check_none(node: Node, network: Network) -> None:
    """Check that nothing is left of any pod: no link, address, rule, mapping or backup.

    Raises:
        WrongResultError: something is.
    """
    check_empty(node, network)
    rules = node.do("nft", "list", "ruleset").decode()
    left = addresses_in(network, rules) | set(re.findall(r"CNI-DN-\w+", rules))
    require(not left, f"{node.name}: rules left for {left}")
    folder = node.path(BACKUPS)
    backups = sorted(file.name for file in folder.iterdir()) if folder.exists() else []
    require(not backups, f"{node.name}: backups left: {backups}")


def _mappings(pod: Pod) -> tuple[tuple[str, int | str, int], ...]:
    """Return protocol, port of the host and port of the pod."""
    return ("tcp", pod.port(10_000), 80), ("udp", pod.port(20_000), 53)


def _check_limits(node: Node, index: int) -> None:
    """Check that the host's end has its token bucket, and what comes from the pod another."""
    end = next(link["ifname"] for link in node.links() if link["ifindex"] == index)
    filters = node.do("tc", "filter", "show", "dev", end, "ingress").decode()
    redirected = re.search(r"Redirect to device (\w+)", filters)
    require(redirected, f"{node.name}: what comes from {end} has no limit: {filters}")
    assert redirected
    shown = json.loads(node.do("tc", "-j", "qdisc", "show"))
    buckets = {one["dev"]: one["options"]["rate"] * 8 for one in shown if one["kind"] == "tbf"}
    limits = (buckets.get(end), buckets.get(redirected[1]))
    require(limits == (INGRESS, EGRESS), f"{node.name}: limits of {end} are {limits}")
