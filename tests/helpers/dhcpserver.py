"""A DHCP server, a network and a clock that exist in a test alone."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Self

from cnifast.ipam.dhcp import message as dhcp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from cnifast.ipam.dhcp.exchange import Packet
    from cnifast.ipam.dhcp.message import Message

SERVER = 0x0A050001
SERVER_MAC = bytes.fromhex("020000000001")
MAC = bytes.fromhex("020000000005")
ADDRESS = 0x0A050032
NETNS = "/run/netns/pod"
COOKIE = b"\x63\x82\x53\x63"


def raw(
    kind: int,
    xid: int,
    *,
    address: int = ADDRESS,
    mac: bytes = MAC,
    server: int = SERVER,
    seconds: int | None = 3600,
    **more: bytes,
) -> bytes:
    """Return a server's message as bytes; `more` are options such as o3=b"..."."""
    options = {53: bytes([kind]), 54: server.to_bytes(4), 1: b"\xff\xff\xff\0"}
    if seconds is not None:
        options[51] = struct.pack("!I", seconds)
    options |= {int(name[1:]): value for name, value in more.items()}
    head = bytes([2, 1, 6, 0]) + xid.to_bytes(4) + bytes(8)
    head += address.to_bytes(4) + bytes(8) + mac.ljust(16, b"\0") + bytes(192)
    body = b"".join(bytes([code, len(value)]) + value for code, value in options.items())
    return head + COOKIE + body + b"\xff"


class Request:
    """A client's message, read by other code than wrote it."""

    def __init__(self, packet: Packet) -> None:
        data = packet.data
        self.packet = packet
        self.xid = int.from_bytes(data[4:8])
        self.address = int.from_bytes(data[12:16])
        self.broadcast = bool(data[10] & 0x80)
        self.options: dict[int, bytes] = {}
        assert data[236:240] == COOKIE
        at = 240
        while data[at] != 255:
            size = data[at + 1]
            self.options[data[at]] = data[at + 2 : at + 2 + size]
            at += 2 + size
        self.kind = self.options[53][0]


class Server:
    """Answers requests; `answer` may be replaced, and `heard` has every request.

    Attributes:
        seconds: of the leases that it grants.
        up: whether it answers at all.
    """

    def __init__(self) -> None:
        self.heard: list[Request] = []
        self.seconds = 3600
        self.address = ADDRESS
        self.up = True
        self.answer: Callable[[Request], list[bytes]] = self.grant

    def grant(self, request: Request) -> list[bytes]:
        """Give the address to whoever asks."""
        kind = {dhcp.DISCOVER: dhcp.OFFER, dhcp.REQUEST: dhcp.ACK}.get(request.kind)
        if kind is None:
            return []
        return [raw(kind, request.xid, seconds=self.seconds, address=self.address)]

    def refuse(self, request: Request) -> list[bytes]:
        """Refuse what is asked for, and offer nothing."""
        return [raw(dhcp.NAK, request.xid)] if request.kind == dhcp.REQUEST else []

    def take(self, packet: Packet) -> list[bytes]:
        """Hear a packet and return the answers."""
        request = Request(packet)
        self.heard.append(request)
        return self.answer(request) if self.up else []

    def kinds(self) -> list[int]:
        """Return what was heard so far, and forget it."""
        kinds = [request.kind for request in self.heard]
        self.heard.clear()
        return kinds


class Wire:
    """A link to the server."""

    def __init__(self, system: System) -> None:
        self.mac = MAC
        self._system = system
        self._came: list[bytes] = []
        system.open_wires += 1

    def fileno(self) -> int:
        """Return no file: nobody waits here."""
        return -1

    def send(self, packet: Packet) -> bool:
        """Hand a packet to the server."""
        self._came += self._system.server.take(packet)
        return True

    def receive(self) -> Iterator[tuple[Message, bytes]]:
        """Yield what the server said."""
        came, self._came = self._came, []
        for data in came:
            yield dhcp.decode(data), SERVER_MAC

    def close(self) -> None:
        """Note that it is closed."""
        self._system.open_wires -= 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class Netns:
    """A namespace."""

    def __init__(self, system: System, ident: tuple[int, int]) -> None:
        self.ident = ident
        self._system = system
        system.open_netns_count += 1

    def fileno(self) -> int:
        """Return no file."""
        return -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._system.open_netns_count -= 1


class System:
    """Stands in for `cnifast.ipam.dhcp.system.System`; time passes when somebody waits."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.server = Server()
        self.namespaces = {NETNS: (4, 7)}
        self.links = {"eth0"}
        self.down: list[str] = []
        self.open_wires = 0
        self.open_netns_count = 0
        self.meanwhile: Callable[[], object] = int

    def now(self) -> float:
        """Return the time."""
        return self.time

    def open_netns(self, path: str) -> Netns:
        """Open a namespace."""
        try:
            return Netns(self, self.namespaces[path])
        except KeyError:
            raise FileNotFoundError(f"open network namespace {path}") from None

    def open_link(self, _netns: int, name: str) -> Wire:
        """Open a link."""
        if name not in self.links:
            raise FileNotFoundError(f"no link {name}")
        return Wire(self)

    def set_down(self, _netns: int, name: str) -> None:
        """Note that a link is down."""
        self.down.append(name)

    def wait(self, _files: Sequence[int], seconds: float | None) -> None:
        """Let time pass, but for what has come already."""
        assert seconds is not None
        self.meanwhile()
        self.time += seconds
