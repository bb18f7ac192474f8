"""The harness can fail: an implementation with any one of these faults does not conform."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from table_bridge import LIVES

import golden
from helpers.plugin import BinaryRunner, Outcome
from helpers.record import life

if TYPE_CHECKING:
    from collections.abc import Mapping

    from helpers.node import Node

GATEWAY = next(case for case in LIVES if case.name == "gateway")
PEER = "$(ip -o link show type veth | sed 's/^[0-9]*: //; s/@.*//' | head -n 1)"


class FaultyRunner(BinaryRunner):
    """The reference with one fault: once, after one kind of call, it does something more."""

    def __init__(self, directory: str, node: Node, after: str, fault: str) -> None:
        super().__init__("faulty", directory)
        self.node = node
        self.after = after
        self.fault = fault

    def call(self, plugin: str, environment: Mapping[str, str], stdin: bytes) -> Outcome:
        """Call the plugin and, once, commit the fault."""
        outcome = super().call(plugin, environment, stdin)
        if environment["CNI_COMMAND"] != self.after or not self.fault or not outcome.ok:
            return outcome
        fault, self.fault = self.fault, ""
        if fault.startswith("result "):
            _, path, value = fault.split(" ", 2)
            return Outcome(outcome.exit_code, _edited(outcome.stdout, path, value), "")
        if fault == "fails":
            return Outcome(1, '{"code": 999, "msg": "no"}', "")
        self.node.run(["sh", "-c", fault])
        return outcome


def _edited(text: str, path: str, value: str) -> str:
    """Replace one value in a JSON text."""
    document = json.loads(text)
    place = document
    *way, last = path.split(".")
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place[step]
    place[last] = json.loads(value)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("after", "fault"),
    [
        ("ADD", 'result ips.0.address "10.1.0.3/24"'),
        ("ADD", 'result ips.0.gateway "10.1.0.2"'),
        ("ADD", "result ips.0.interface 1"),
        ("ADD", 'result interfaces.0.name "cni1"'),
        ("ADD", 'result interfaces.2.mac "02:00:00:00:00:01"'),
        ("ADD", 'result interfaces.2.sandbox "/run/netns/x"'),
        ("ADD", 'result dns {"domain": "test"}'),
        ("ADD", 'result routes [{"dst": "0.0.0.0/0"}]'),
        ("ADD", f"ip link set {PEER} mtu 1400"),
        ("ADD", f"ip link set {PEER} nomaster"),
        ("ADD", f"bridge link set dev {PEER} hairpin on"),
        ("ADD", f"bridge link set dev {PEER} isolated on"),
        ("ADD", f"bridge link set dev {PEER} learning off"),
        ("ADD", "ip link set cni0 promisc on"),
        ("ADD", "ip addr flush dev cni0"),
        ("ADD", "ip -n pod1 addr add 10.1.0.77/24 dev eth0"),
        ("ADD", "ip -n pod1 route add 10.77.0.0/16 via 10.1.0.1"),
        ("ADD", "ip -n pod1 link set eth0 down"),
        ("ADD", "ip netns exec pod1 sysctl -qw net.ipv4.conf.eth0.arp_notify=0"),
        ("ADD", "ip netns exec pod1 sysctl -qw net.ipv6.conf.eth0.accept_dad=1"),
        ("ADD", "sysctl -qw net.ipv4.ip_forward=0"),
        ("ADD", "sysctl -qw net.ipv6.conf.all.forwarding=1"),
        ("ADD", "chmod 0666 /var/lib/cni/networks/net/10.1.0.2"),
        ("ADD", "printf wrong > /var/lib/cni/networks/net/10.1.0.2"),
        ("ADD", "printf 10.1.0.9 > /var/lib/cni/networks/net/last_reserved_ip.0"),
        ("ADD", "nft add table ip t '{ comment \"10.1.0.2\"; }'"),
        ("CHECK", "fails"),
        ("CHECK", "ip -n pod1 link set eth0 down"),
        ("DEL", "fails"),
        ("DEL", "ip link add left type veth peer name over"),
        ("DEL", "touch /var/lib/cni/networks/net/10.1.0.2"),
        ("DEL", "ip link del cni0"),
    ],
)
def test_a_fault_is_seen(node: Node, reference: str, after: str, fault: str) -> None:
    """The record of an implementation with one fault differs from the golden one."""
    seen = life(node, GATEWAY, FaultyRunner(reference, node, after, fault)).lines
    assert golden.shared(seen) != golden.shared(golden.load(GATEWAY.name))
