"""Packets as evidence: one ping, who a datagram seems to come from, which frames get through."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import TYPE_CHECKING

from . import nsutil

if TYPE_CHECKING:
    from .node import Container

# Shorter than the second after which the kernel repeats an unanswered ARP or neighbour request, so
# that a ping whose first packets were lost is not mistaken for one that got through.
NO_RETRY_SECONDS = 0.9
_ICMP_ECHO = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
_TEST_ETHERTYPE = 0x88B5  # IEEE 802: for local experiments


def _checksum(data: bytes) -> int:
    """Compute the internet checksum."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    folded: int = ~(total + (total >> 16)) & 0xFFFF
    return folded


def ping(fd: int, target: str, *, timeout: float = NO_RETRY_SECONDS) -> bool:
    """Send one echo request from the namespace of fd; tell whether its answer came in time."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    request, reply = _ICMP_ECHO[family]
    with nsutil.inside(fd):
        sender = socket.socket(family, socket.SOCK_RAW, protocol)
    with sender:
        token = os.urandom(8)
        identifier = struct.unpack("!H", token[:2])[0]
        body = struct.pack("!BBHHH", request, 0, 0, identifier, 1) + token
        if family == socket.AF_INET:
            body = body[:2] + struct.pack("!H", _checksum(body)) + body[4:]
        deadline = time.monotonic() + timeout
        sender.sendto(body, (target, 0))
        while (left := deadline - time.monotonic()) > 0:
            sender.settimeout(left)
            try:
                packet = sender.recv(2048)
            except TimeoutError:
                return False
            if family == socket.AF_INET:
                packet = packet[(packet[0] & 15) * 4 :]
            if packet[0] == reply and packet[8:16] == token:
                return True
    return False


def source_seen(
    sender: int,
    receiver: int,
    target: str,
    port: int = 40000,
    via: tuple[str, int] | None = None,
) -> str:
    """Send a datagram between namespaces; return the source address it arrives with.

    Args:
        sender: namespace descriptor.
        receiver: namespace descriptor.
        target: an address of the receiver.
        port: free there.
        via: address and port that are sent to, where something leads from there to the target.

    Raises:
        TimeoutError: it did not arrive within 5 s.
    """
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with nsutil.inside(receiver):
        inbox = socket.socket(family, socket.SOCK_DGRAM)
    with inbox:
        inbox.bind((target, port))
        inbox.settimeout(5)
        with nsutil.inside(sender):
            outbox = socket.socket(family, socket.SOCK_DGRAM)
        with outbox:
            outbox.sendto(b"who am I", via or (target, port))
        return str(inbox.recvfrom(64)[1][0])


def frames_through(
    container: Container, ifname: str, watcher: int, bridge: str, sources: list[str]
) -> list[str]:
    """Send one frame per source MAC out of a container; return the sources that reach the bridge.

    The order on a pair is kept, so the last source must be one that is let through: when it has
    arrived, the others never will.

    Raises:
        TimeoutError: the last frame did not arrive within 5 s.
    """
    with nsutil.inside(watcher):
        inbox = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_TEST_ETHERTYPE))
        inbox.bind((bridge, _TEST_ETHERTYPE))
    with inbox:
        inbox.settimeout(5)
        with nsutil.inside(container.fd):
            outbox = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_TEST_ETHERTYPE))
            outbox.bind((ifname, _TEST_ETHERTYPE))
        with outbox:
            for source in sources:
                header = b"\xff" * 6 + bytes.fromhex(source.replace(":", ""))
                outbox.send(header + struct.pack("!H", _TEST_ETHERTYPE) + bytes(46))
        seen: list[str] = []
        while not seen or seen[-1] != sources[-1]:
            seen.append(inbox.recv(2048)[6:12].hex(":"))
        return seen
