"""What attachments have in common and leave to the next one: bridges, rules, settings.

Nothing of it belongs to one container; `lasting` is for those who want to see all that a node has
of it.
"""

from __future__ import annotations

import os
import socket
import struct

from cnifast.kernel.handle import Handle
from cnifast.kernel.netns import read_sysctl

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
)

# linux/netlink.h, linux/netfilter/nfnetlink.h and nf_tables.h
_NETFILTER = 12
_REQUEST = struct.Struct("=IHHII BBH")
_HEADER = struct.Struct("=IHHII")
_FAMILY_SIZE = 4
_ATTRIBUTE = struct.Struct("=HH")
_ERROR, _DONE = 2, 3
_DUMP = 0x301
_INTERRUPTED = 0x10
_GET_CHAIN = 10 << 8 | 4
_TABLE, _NAME = 1, 3
_FAMILIES = {1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"}
_ROOM = 1 << 16


def lasting() -> list[str]:
    """Return in words what there is on the node, in the order in which it is made.

    Raises:
        OSError: it cannot be looked at.
    """
    with Handle() as host:
        found = [f"bridge {link.name}" for link in host.links(kind="bridge")]
    tables: dict[str, list[str]] = {}
    for table, chain in chains():
        tables.setdefault(table, []).append(chain)
    for table, names in tables.items():
        found.append(f"table {table} with {', '.join(names)}")
    for path in SETTINGS:
        try:
            value = read_sysctl(path).strip()
        except FileNotFoundError:
            continue
        if value != "0":
            found.append(f"{path.replace('/', '.')}={value}")
    return found


def chains() -> list[tuple[str, str]]:
    """Return the nftables chains of the node: the family and name of the table, and the chain's.

    Raises:
        OSError: the kernel does not tell.
    """
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, _NETFILTER
    ) as sock:
        while True:
            sock.send(_REQUEST.pack(_REQUEST.size, _GET_CHAIN, _DUMP, 0, 0, 0, 0, 0))
            found: list[tuple[str, str]] = []
            whole = True
            for kind, flags, payload in _messages(sock):
                whole = whole and not flags & _INTERRUPTED
                if kind == _ERROR:
                    (code,) = struct.unpack_from("=i", payload)
                    raise OSError(-code, f"list nftables chains: {os.strerror(-code)}")
                if kind != _DONE:
                    found.append(_chain(payload))
            if whole:
                return found


def _messages(sock: socket.socket) -> Iterator[tuple[int, int, bytes]]:
    """Yield kind, flags and payload of each message of an answer, the last one included."""
    while True:
        data = sock.recv(_ROOM)
        while data:
            size, kind, flags, _, _ = _HEADER.unpack_from(data)
            yield kind, flags, data[_HEADER.size : size]
            if kind in (_ERROR, _DONE):
                return
            data = data[_aligned(size) :]


def _chain(payload: bytes) -> tuple[str, str]:
    """Return table and chain that a message tells of."""
    texts = {}
    at = _FAMILY_SIZE
    while at < len(payload):
        size, kind = _ATTRIBUTE.unpack_from(payload, at)
        if kind in (_TABLE, _NAME):
            texts[kind] = payload[at + _ATTRIBUTE.size : at + size].rstrip(b"\0").decode()
        at += _aligned(size)
    family = _FAMILIES.get(payload[0], str(payload[0]))
    return f"{family} {texts[_TABLE]}", texts[_NAME]


def _aligned(size: int) -> int:
    """Return how far the next message or attribute is from the begin of one of this size."""
    return (size + 3) & ~3
