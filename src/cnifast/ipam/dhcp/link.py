"""A container's link as a DHCP client uses it: open for one conversation, and no longer."""

from __future__ import annotations

import _socket

from cnifast._native import ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.ipam.dhcp import frame, message
from cnifast.kernel.handle import Handle
from cnifast.protocol.codec import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from cnifast.ipam.dhcp.exchange import Packet
    from cnifast.ipam.dhcp.message import Message

_ETH_P_IP = 0x0800
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_CSUM_NOT_READY = 1 << 3
_SIZE_MAX = 4096  # bytes of a packet; a client takes messages of 1472
_BURST = 64  # packets


class Link:
    """Sockets on a link of a namespace, an open one; a context manager that closes them."""

    __slots__ = ("_port", "_sock", "mac", "name")

    def __init__(self, netns: int, name: str) -> None:
        """Set the link up if it is down, and open the sockets.

        Raises:
            FileNotFoundError: there is no such link.
            KernelError: the kernel refused.
        """
        with Handle(netns) as handle:
            found = handle.link(name)
            if not found.is_up:
                handle.set_link(found.index, up=True)
        err = new_error()
        fds = ffi.new("int [2]", (-1, -1))
        check(lib.cnif_dhcp_open(netns, found.index, fds, fds + 1, err), err)
        self._sock = _socket.socket(_socket.AF_PACKET, _socket.SOCK_DGRAM, 0, int(fds[0]))
        self._port = (
            _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM, 0, int(fds[1]))
            if fds[1] >= 0
            else None
        )
        self.name = name
        self.mac = bytes.fromhex(found.mac.replace(":", ""))

    def fileno(self) -> int:
        """Return what becomes readable when something comes in."""
        return self._sock.fileno()

    def send(self, packet: Packet) -> bool:
        """Send a packet; False when it was lost on the way out, as any packet can be."""
        data = frame.wrap(packet.data, packet.source, packet.target)
        try:
            self._sock.sendto(data, (self.name, _ETH_P_IP, 0, 0, packet.mac))
        except OSError:
            return False
        return True

    def receive(self) -> Iterator[tuple[Message, bytes]]:
        """Yield the messages that have come, with their senders' MAC; other packets are skipped.

        Not all of them where somebody sends faster than they are read.
        """
        for _ in range(_BURST):
            try:
                data, extra, flags, sender = self._sock.recvmsg(_SIZE_MAX, 64)
            except BlockingIOError:
                return
            except OSError:  # the link went down, or away
                return
            if flags & _socket.MSG_TRUNC:
                continue
            try:
                _, payload = frame.unwrap(data, verify=_has_checksum(extra))
                yield message.decode(payload), sender[4]
            except DecodeError:
                continue

    def close(self) -> None:
        """Close the sockets; closing twice is allowed."""
        self._sock.close()
        if self._port is not None:
            self._port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _has_checksum(extra: list[tuple[int, int, bytes]]) -> bool:
    """Tell whether the kernel says that a packet has its checksum already."""
    for level, kind, data in extra:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA) and len(data) >= 4:
            return not int.from_bytes(data[:4], "little") & _CSUM_NOT_READY
    return True


def set_down(netns: int, name: str) -> None:
    """Set a link of a namespace down.

    Raises:
        FileNotFoundError: there is no such link.
        KernelError: the kernel refused.
    """
    with Handle(netns) as handle:
        handle.set_link(handle.link(name).index, up=False)
