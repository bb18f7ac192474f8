"""Addresses of services, as kube-proxy implements them, and how often what is sent arrives."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import nsutil

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .node import Container, Node

PORT = 40000
ADDRESS = {4: "10.96.0.1", 6: "fd96::1"}
_SECONDS = 10


def serve(node: Node, endpoint: str) -> None:
    """Have the service's address lead to a pod; what comes from that pod itself is masqueraded."""
    family = "ip6" if ":" in endpoint else "ip"
    address = ADDRESS[6 if family == "ip6" else 4]
    to = f"[{endpoint}]" if family == "ip6" else endpoint
    rules = f"""
        table {family} service {{
            chain prerouting {{
                type nat hook prerouting priority dstnat;
                {family} daddr {address} udp dport {PORT} dnat to {to}:{PORT}
            }}
            chain postrouting {{
                type nat hook postrouting priority srcnat;
                {family} saddr {endpoint} {family} daddr {endpoint} masquerade
            }}
        }}"""
    node.run(["nft", f"add table {family} service; delete table {family} service; {rules}"])


def deliveries(sender: Container, receiver: Container, address: str, own: str) -> list[str]:
    """Send a datagram to the service; return the sources that it arrives with, one for each time.

    Args:
        sender: who sends it.
        receiver: the service's endpoint.
        address: the service's.
        own: the receiver's, to which another datagram is sent that comes after all others.

    Raises:
        TimeoutError: not even that one has arrived.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with nsutil.inside(receiver.fd):
        inbox = socket.socket(family, socket.SOCK_DGRAM)
    with nsutil.inside(sender.fd):
        outbox = socket.socket(family, socket.SOCK_DGRAM)
    with inbox, outbox, _on_one_cpu():
        inbox.bind((own, PORT))
        inbox.settimeout(_SECONDS)
        outbox.sendto(b"to the service", (address, PORT))
        outbox.sendto(b"the end", (own, PORT))
        seen = []
        while (got := inbox.recvfrom(64))[0] != b"the end":
            seen.append(str(got[1][0]))
        return seen


@contextmanager
def _on_one_cpu() -> Iterator[None]:
    """Keep to one CPU, so that packets keep their order."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
