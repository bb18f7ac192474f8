"""Renewing, rebinding and losing leases with a real server and real links, in shifted time."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import pytest

from cnifast.ipam.dhcp import frame
from cnifast.ipam.dhcp import message as dhcpmessage
from cnifast.ipam.dhcp.exchange import Timing
from cnifast.ipam.dhcp.keeper import Keeper
from cnifast.ipam.dhcp.lease import Lease, Order
from cnifast.ipam.dhcp.store import Store
from cnifast.ipam.dhcp.system import System
from helpers import dhcp
from helpers.dhcpserver import raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from helpers.node import Container, Node

KEY = ("pod", "net", "eth0")
_ETH_P_IP = 0x0800


class Shifted(System):
    """The real clock, namespaces and links, but at another time."""

    shift = 0.0

    def now(self) -> float:
        """Return the time."""
        return super().now() + self.shift


@pytest.fixture
def pod(node: Node) -> Container:
    """A container with an interface on the server's bridge, and no address."""
    dhcp.bridge(node)
    made = node.new_container("pod")
    node.ip("link add host type veth peer name eth0 netns pod")
    node.ip("link set host up master cni0")
    return made


@pytest.fixture
def system() -> Shifted:
    """The time."""
    return Shifted()


@pytest.fixture
def keeper(pod: Container, system: Shifted, tmp_path: Path) -> Iterator[Keeper]:  # noqa: ARG001
    """A keeper; it does what the test has it do."""
    with Keeper(Store(str(tmp_path / "s.sock")), Timing(5, 2, 10), system=system) as made:
        yield made


def lease_for(keeper: Keeper, node: Node, pod: Container) -> Lease:
    """Acquire a lease, and give the container its address."""
    lease = keeper.allocate(Order(*KEY, pod.path, ((55, b"\3\1"),)))
    node.ip(f"-n pod addr add {lease.result().ips[0].address} dev eth0")
    return lease


def drive(keeper: Keeper, system: Shifted, until: Callable[[], bool]) -> None:
    """Have the keeper do what is due until something is the case; it waits for answers alone."""
    for _ in range(100):
        seconds = keeper.turn()
        if until():
            return
        files = [kept.wire.fileno() for kept in keeper._kept.values() if kept.wire is not None]
        system.wait(files, seconds if files else 0)
    raise AssertionError("it never came to that")


def unreachable(node: Node) -> int:
    """Return how often the container refused a datagram."""
    lines = node.run("ip netns exec pod cat /proc/net/snmp").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Icmp:"))
    return int(values[names.index("OutDestUnreachs")])


def test_renewed(node: Node, pod: Container, keeper: Keeper, system: Shifted) -> None:
    """At half of its time a lease is renewed with its server, by a single packet each way."""
    with dhcp.Dnsmasq("cni0") as server:
        lease = lease_for(keeper, node, pod)
        assert keeper.turn() == pytest.approx(1800, abs=5)
        before = lease.expires
        system.shift += 1801
        server.forget()
        drive(keeper, system, lambda: lease.expires > before)
        server.wait_for("DHCPACK(cni0)")
        assert [line for line in server.log if "DHCPREQUEST" in line or "DHCPDISCOVER" in line] == [
            line for line in server.log if "DHCPREQUEST(cni0) 10.5.0." in line
        ]
        assert lease.expires - before == pytest.approx(1801, abs=5)
        assert unreachable(node) == 0


def test_rebound(node: Node, pod: Container, keeper: Keeper, system: Shifted) -> None:
    """A server that lost its leases is asked by broadcast, and the container keeps its address."""
    with dhcp.Dnsmasq("cni0") as server:
        lease = lease_for(keeper, node, pod)
        before, address = lease.expires, lease.address
        server.restart()
        system.shift += 3100
        drive(keeper, system, lambda: lease.expires > before)
        assert lease.address == address
        assert len(server.leases()) == 1
        assert unreachable(node) == 0


def test_lost(node: Node, pod: Container, keeper: Keeper, system: Shifted) -> None:
    """A server that does not grant the address any more ends in the link going down."""
    with dhcp.Dnsmasq("cni0"):
        lease = lease_for(keeper, node, pod)
    with dhcp.Dnsmasq("cni0", "--dhcp-range=10.5.0.210,10.5.0.220,1h", ranged=False) as server:
        system.shift += 1801
        while lease.expires > system.now():
            wait = keeper.turn()
            assert wait is not None
            files = [kept.wire.fileno() for kept in keeper._kept.values() if kept.wire is not None]
            if files:
                system.wait(files, min(wait, 1))
            system.shift += wait
        server.wait_for("DHCPNAK(cni0)")
        drive(keeper, system, lambda: not keeper.busy)
        (link,) = (link for link in node.links(pod) if link["ifname"] == "eth0")
        assert "UP" not in link["flags"]


def test_released_after_the_time_of_one_process(
    node: Node, pod: Container, keeper: Keeper, system: Shifted
) -> None:
    """A lease that another process acquired is released by what that wrote down."""
    with dhcp.Dnsmasq("cni0") as server:
        lease_for(keeper, node, pod)
        with Keeper(keeper._store, system=system) as another:
            another.release(KEY)
        server.wait_for("DHCPRELEASE")
        assert server.leases() == {}


def test_rubbish(node: Node, pod: Container, keeper: Keeper) -> None:
    """Whatever else is sent to a client's port is skipped, and the answer among it is found."""
    node.ip("link set host nomaster")
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(_ETH_P_IP))
    wire.bind(("host", _ETH_P_IP))
    wire.settimeout(20)

    def answer(data: bytes, mac: bytes) -> None:
        """Send a payload from a server's port to a client's."""
        packet = bytearray(frame.wrap(data, 0x0A050001, 0xFFFFFFFF))
        packet[20:24] = packet[22:24] + packet[20:22]
        wire.sendto(packet, ("host", _ETH_P_IP, 0, 0, mac))

    def serve() -> None:
        kind = 0
        while kind != dhcpmessage.ACK:
            while True:
                packet, sender = wire.recvfrom(4096)
                if packet[9] == 17 and packet[20:24] == bytes.fromhex("00440043"):
                    break
            sent = packet[28:]
            kind = dhcpmessage.OFFER if sent[242] == dhcpmessage.DISCOVER else dhcpmessage.ACK
            good = raw(kind, int.from_bytes(sent[4:8]), mac=sent[28:34])
            for rubbish in (
                b"",
                good[:100],
                good[:-1] + b"\x0c\xff",
                bytes(len(good)),
                b"\1" + good[1:],
                good[:4] + b"abcd" + good[8:],
                good[:28] + b"\2\2\2\2\2\2" + good[34:],
                good + bytes(1200),
            ):
                answer(rubbish, sender[4])
            answer(good, sender[4])

    thread = threading.Thread(target=serve)
    thread.start()
    with wire:
        lease = keeper.allocate(Order(*KEY, pod.path))
        thread.join()
    assert lease.result().ips[0].address == "10.5.0.50/24"


def test_nothing_stays_open(node: Node, pod: Container, keeper: Keeper) -> None:
    """Between renewals nothing holds the container's namespace: it ends with its last user."""
    with dhcp.Dnsmasq("cni0"):
        lease_for(keeper, node, pod)
        node.remove_container(pod)
        assert "host" not in node.link_names()
        keeper.release(KEY)
        assert not keeper.busy
