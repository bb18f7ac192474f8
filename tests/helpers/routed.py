"""A node with pods on a bridge and a neighbour beyond it, to see how packets leave."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

from . import nsutil

if TYPE_CHECKING:
    from .node import Container, Node

INSIDE = {4: "10.1.0.1", 6: "fd00:1::1"}  # the node on the bridge
NODE = {4: "192.0.2.1", 6: "2001:db8::1"}  # the node towards the neighbour
NEIGHBOUR = {4: "192.0.2.2", 6: "2001:db8::2"}
PREFIX = {4: 16, 6: 64}


class Routed:
    """Two pods, .5 and .6 of 10.1.0.0/16 and fd00:1::/64, and a neighbour who can answer them."""

    def __init__(self, node: Node) -> None:
        node.run("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        node.ip("link add br0 up type bridge")
        _address(node, "br0", INSIDE)
        self.pods = [_pod(node, number) for number in (5, 6)]
        self.neighbour = node.new_container("neighbour")
        node.ip(f"link add up0 up type veth peer name eth0 netns {self.neighbour.name}")
        _address(node, "up0", NODE, {4: 24, 6: 64})
        _address(node, "eth0", NEIGHBOUR, {4: 24, 6: 64}, f"-n {self.neighbour.name} ")
        node.ip(f"-n {self.neighbour.name} link set eth0 up")
        node.ip(f"-n {self.neighbour.name} route add 10.0.0.0/8 via {NODE[4]}")
        node.ip(f"-n {self.neighbour.name} route add fd00::/8 via {NODE[6]}")


def pod_address(number: int, family: int) -> str:
    """Return the address of a pod."""
    return f"10.1.0.{number}" if family == 4 else f"fd00:1::{number}"


def pod_prefix(number: int, family: int) -> str:
    """Return the address of a pod with its prefix length."""
    return f"{pod_address(number, family)}/{PREFIX[family]}"


def _address(
    node: Node,
    link: str,
    addresses: dict[int, str],
    lengths: dict[int, int] | None = None,
    where: str = "",
) -> None:
    """Give a link its two addresses."""
    for family, address in addresses.items():
        length = (lengths or PREFIX)[family]
        node.ip(f"{where}address add {address}/{length} dev {link} {'nodad' * (family == 6)}")


def _pod(node: Node, number: int) -> Container:
    """Attach a container to the bridge."""
    pod = node.new_container(f"c{number}")
    node.ip(f"link add port{number} up master br0 type veth peer name eth0 netns {pod.name}")
    inside = f"-n {pod.name} "
    _address(node, "eth0", {family: pod_address(number, family) for family in (4, 6)}, where=inside)
    node.ip(f"{inside}link set eth0 up")
    for gateway in INSIDE.values():
        node.ip(f"{inside}route add default via {gateway}")
    return pod


def bound_source_seen(sender: int, source: str, receiver: int, target: str) -> str:
    """Send a datagram from one address of the node, out of up0; return the source it arrives with.

    Args:
        sender: the node's namespace.
        source: an address of the node.
        receiver: the neighbour's namespace.
        target: an IPv4 address of the neighbour, or a group, which it joins.

    Raises:
        TimeoutError: it did not arrive within 5 s.
    """
    with nsutil.inside(receiver):
        inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        index = socket.if_nametoindex("eth0")
    with inbox:
        if int(target.partition(".")[0]) >= 224:
            inbox.setsockopt(
                socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, _membership(target, index)
            )
        inbox.bind((target, 40001))
        inbox.settimeout(5)
        with nsutil.inside(sender):
            outbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            outgoing = _membership("0.0.0.0", socket.if_nametoindex("up0"))  # noqa: S104
        with outbox:
            outbox.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, outgoing)
            outbox.bind((source, 0))
            outbox.sendto(b"who am I", (target, 40001))
        return str(inbox.recvfrom(64)[1][0])


def _membership(group: str, index: int) -> bytes:
    """Build a struct ip_mreqn."""
    return struct.pack("=4s4si", socket.inet_aton(group), bytes(4), index)
