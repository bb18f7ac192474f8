"""Host ports as work: pods that are attached already, port mappings for them, and the proof.

Every competitor gets the same pods on the same bridge, made with `ip`, so that nothing but the
portmap plugin is timed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import require
from benchmarks.workloads import BRIDGE, make_bridge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.node import Node
    from benchmarks.workloads import Network, Pod

PROBE = str(Path(__file__).with_name("ports_probe.py"))
# (protocol, port of the host, port of the pod)
MAPPINGS = (("tcp", 8080, 80), ("tcp", 8443, 443), ("udp", 5353, 53), ("tcp", 9090, 9090))


def make_pods(node: Node, network: Network, count: int) -> None:
    """Join ``count`` pods, whose namespaces are there, to the bridge."""
    make_bridge(node, network)
    for number in range(count):
        inside = ["ip", "-n", f"pod{number}"]
        link = ["ip", "link", "add", f"v{number}", "up", "master", BRIDGE, "type", "veth"]
        node.do(*link, "peer", "name", "eth0", "netns", f"pod{number}")
        node.do(*inside, "addr", "add", f"{network.address(number)}/16", "dev", "eth0")
        node.do(*inside, "link", "set", "eth0", "up")
        node.do(*inside, "route", "add", "default", "via", network.gateway)


def conf(pod: Pod, network: Network) -> dict[str, Any]:
    """Return the configuration that a runtime sends for a pod, for ADD and for DEL."""
    return {
        "cniVersion": "1.0.0",
        "name": network.name,
        "type": "portmap",
        "capabilities": {"portMappings": True},
        "runtimeConfig": {
            "portMappings": [
                {"hostPort": host_port, "containerPort": port, "protocol": protocol}
                for protocol, host_port, port in MAPPINGS
            ]
        },
        "prevResult": previous(pod, network),
    }


def previous(pod: Pod, network: Network) -> dict[str, Any]:
    """Return what the bridge plugin would have answered for a pod."""
    return {
        "cniVersion": "1.0.0",
        "interfaces": [
            {"name": BRIDGE},
            {"name": f"v{pod.number}"},
            {"name": "eth0", "sandbox": pod.netns},
        ],
        "ips": [
            {
                "interface": 2,
                "address": f"{network.address(pod.number)}/16",
                "gateway": network.gateway,
            }
        ],
    }


def check(
    node: Node,
    pod: Pod,
    network: Network,
    *,
    mapped: bool,
    mappings: Sequence[tuple[str, int | str, int]] = MAPPINGS,
) -> None:
    """Check that every mapping leads to the pod, or that none does.

    Raises:
        WrongResultError: one does not, or one does.
    """
    words = [f"{protocol}:{host_port}:{port}" for protocol, host_port, port in mappings]
    found = node.do(sys.executable, PROBE, pod.netns, network.gateway, *words).decode().split()
    expected = ["led" if mapped else "not-led"] * len(words)
    require(found == expected, f"{node.name}, {pod.container_id}: ports are {found}")
