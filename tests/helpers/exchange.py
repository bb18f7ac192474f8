"""Whole exchanges as evidence: who a server sees, and that its answer finds the client."""

from __future__ import annotations

import socket
import struct

from . import nsutil

SECONDS = 5
GONE_SECONDS = 0.3  # for an answer that is not to come: nothing is retried in that time
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Unanswered(Exception):  # noqa: N818 - an outcome, not a failure
    """The client was refused, or nobody answered."""


class Server:
    """A port in a namespace, on all of its addresses of a family."""

    def __init__(self, fd: int, protocol: str, port: int, family: int = 4) -> None:
        """Listen from now on.

        Args:
            fd: namespace descriptor.
            protocol: "tcp" or "udp".
            port: free there.
            family: 4 or 6.
        """
        with nsutil.inside(fd):
            self._socket = socket.socket(_family(family), _KINDS[protocol])
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("", port))
        self._protocol = protocol
        if protocol == "tcp":
            self._socket.listen(8)

    def asked_by(self, client: Client, *, seconds: float = SECONDS) -> str:
        """Have a client ask and be answered; return the address that it is seen with.

        Raises:
            Unanswered: it was not.
        """
        self._socket.settimeout(seconds)
        try:
            client.ask(seconds)
            seen = self._answer()
            client.hear(seconds)
        except (OSError, TimeoutError) as error:
            raise Unanswered(str(error)) from error
        return seen

    def _answer(self) -> str:
        if self._protocol == "tcp":
            connection, peer = self._socket.accept()
            with connection:
                connection.settimeout(SECONDS)
                connection.sendall(connection.recv(16))
        else:
            data, peer = self._socket.recvfrom(16)
            self._socket.sendto(data, peer)
        return str(peer[0])

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()


class Client:
    """One socket in a namespace that asks one address and port, again and again if it is UDP."""

    def __init__(
        self, fd: int, protocol: str, target: str, port: int, source: tuple[str, int] | None = None
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            fd: namespace descriptor.
            protocol: "tcp" or "udp".
            target: whom to ask.
            port: where.
            source: address and port to ask from.
        """
        self._target = (target, port)
        with nsutil.inside(fd):
            self._socket = socket.socket(_family(6 if ":" in target else 4), _KINDS[protocol])
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if source:
            self._socket.bind(source)
        self._connected = False

    def ask(self, seconds: float) -> None:
        """Connect if that is still to be done, and ask."""
        self._socket.settimeout(seconds)
        if not self._connected:
            self._socket.connect(self._target)
            self._connected = True
        self._socket.send(b"who am I")

    def hear(self, seconds: float) -> None:
        """Wait for the answer."""
        self._socket.settimeout(seconds)
        if self._socket.recv(16) != b"who am I":
            raise Unanswered("another answer")

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def exchange(server: tuple[int, int], client: int, protocol: str, target: str, port: int) -> str:
    """Have a client ask a server once; return the address that it is seen with.

    Args:
        server: namespace descriptor and port.
        client: namespace descriptor.
        protocol: "tcp" or "udp".
        target: address that the client asks.
        port: where it asks.

    Raises:
        Unanswered: it was not answered.
    """
    listening = Server(server[0], protocol, server[1], 6 if ":" in target else 4)
    asking = Client(client, protocol, target, port)
    try:
        return listening.asked_by(asking)
    finally:
        asking.close()
        listening.close()


def is_refused(client: int, target: str, port: int) -> bool:
    """Tell whether nobody takes a TCP connection there."""
    asking = Client(client, "tcp", target, port)
    try:
        asking.ask(SECONDS)
    except ConnectionRefusedError:
        return True
    finally:
        asking.close()
    return False


def _family(family: int) -> socket.AddressFamily:
    return socket.AF_INET6 if family == 6 else socket.AF_INET


# -- SCTP, which this kernel translates but does not speak -----------------------------------------


def sctp_arrival(
    sender: int, receiver: int, source: str, target: str, port: int
) -> tuple[str, int, int]:
    """Send the first packet of an SCTP association; return source, both ports as it arrives.

    Args:
        sender: namespace descriptor.
        receiver: namespace descriptor.
        source: an IPv4 address of the sender.
        target: an IPv4 address.
        port: the one that is asked for.

    Raises:
        TimeoutError: it did not arrive.
    """
    with nsutil.inside(receiver):
        inbox = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)
    with inbox:
        inbox.settimeout(SECONDS)
        with nsutil.inside(sender):
            outbox = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_SCTP)
        with outbox:
            outbox.bind((source, 0))
            outbox.sendto(_init(40000, port), (target, 0))
        packet, peer = inbox.recvfrom(256)
        header = packet[(packet[0] & 15) * 4 :]
        sport, dport = struct.unpack_from("!HH", header)
        return str(peer[0]), sport, dport


def _init(sport: int, dport: int) -> bytes:
    """Build a packet with an INIT chunk."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 0x01020304, 65535, 1, 1, 1)
    packet = struct.pack("!HHII", sport, dport, 0, 0) + chunk
    checksum = struct.pack("<I", _crc32c(packet))
    return packet[:8] + checksum + packet[12:]


def _crc32c(data: bytes) -> int:
    """Compute the checksum of SCTP."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF
