"""One connection of a shim: a request with its descriptors in, one answer out.

Everything that comes from outside is bounded here: how long a request may be, how many
descriptors come with it, how long it takes to arrive.  Whatever goes wrong, each descriptor
that was received is closed.
"""

from __future__ import annotations

import os
import socket
import struct
import time

from cnifast.protocol import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

    from cnifast.protocol.wire import WireRequest

STALL_SECONDS = 5  # without a byte
REQUEST_SECONDS = 10  # until the request is complete
FIRST_READ = 16384  # bytes; a usual request comes in one piece
MOST_FDS = 3

_INT = struct.calcsize("i")
_CONTROL = socket.CMSG_SPACE(MOST_FDS * _INT)
_TIMEOUT = struct.pack("ll", STALL_SECONDS, 0)


class Rejected(Exception):  # noqa: N818 - it is a verdict on the peer, not an error of ours
    """What the peer sent is no request; it gets no answer."""


class Connection:
    """A connected shim and what it sent.

    The descriptors are there once the request is; closing the connection closes them.
    """

    __slots__ = ("_deadline", "_fds", "_sock")

    def __init__(self, sock: _socket.socket) -> None:
        self._sock = sock
        self._fds: list[int] = []
        self._deadline = 0.0

    @property
    def host_netns(self) -> int:
        """The caller's network namespace."""
        return self._fds[0]

    @property
    def stderr(self) -> int:
        """The caller's standard error."""
        return self._fds[1]

    @property
    def netns(self) -> int | None:
        """The container's network namespace, None when it did not come."""
        return self._fds[2] if len(self._fds) == MOST_FDS else None

    def receive(self) -> WireRequest:
        """Return the request.

        Raises:
            Rejected: it is not complete in time, too long, or no request at all.
        """
        try:
            data = self._first()
            if len(data) < wire.HEADER_SIZE:
                data = self._complete(data, wire.HEADER_SIZE)
            header = wire.decode_header(data[: wire.HEADER_SIZE])
            if header.kind != wire.REQUEST:
                raise Rejected(f"frame of kind {header.kind}")
            total = wire.HEADER_SIZE + header.length
            if len(data) < total:
                data = self._complete(data, total)
            if len(data) > total:
                raise Rejected("more than one frame")
            request = wire.decode_request(data[wire.HEADER_SIZE :], header.flags)
        except wire.WireError as e:
            raise Rejected(str(e)) from None
        except BlockingIOError:
            raise Rejected(f"nothing came for {STALL_SECONDS} s") from None
        except OSError as e:
            raise Rejected(str(e)) from None
        if len(self._fds) != MOST_FDS - (not request.netns):
            raise Rejected(f"{len(self._fds)} descriptors came with it")
        return request

    def answer(self, frame: bytes) -> bool:
        """Send the answer; return False when the peer is gone."""
        sock = self._sock
        try:
            try:
                sent = sock.send(frame, socket.MSG_DONTWAIT)
            except BlockingIOError:
                sent = 0
            if sent < len(frame):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEOUT)
                sock.sendall(memoryview(frame)[sent:])
        except OSError:
            return False
        return True

    def _first(self) -> bytes:
        """Return what has come, usually the whole request, and take its descriptors.

        Only when nothing is there yet does the socket get a time limit, and is waited for.
        """
        recvmsg = self._sock.recvmsg
        try:
            flags = socket.MSG_CMSG_CLOEXEC | socket.MSG_DONTWAIT
            data, control, got, _ = recvmsg(FIRST_READ, _CONTROL, flags)
        except BlockingIOError:
            self._limit()
            data, control, got, _ = recvmsg(FIRST_READ, _CONTROL, socket.MSG_CMSG_CLOEXEC)
        for level, kind, fds in control:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                self._fds += struct.unpack(f"{len(fds) // _INT}i", fds[: len(fds) & -_INT])
        if got & socket.MSG_CTRUNC:
            raise Rejected("more descriptors came with it than can be taken")
        return data

    def _complete(self, start: bytes, total: int) -> bytes:
        """Return the first ``total`` bytes, of which some are here."""
        self._limit()
        room = bytearray(total)
        room[: len(start)] = start
        view = memoryview(room)
        have = len(start)
        while have < total:
            n = self._sock.recv_into(view[have:])
            if n == 0:
                raise Rejected(f"it ends after {have} bytes")
            have += n
            if time.monotonic() > self._deadline:
                raise Rejected(f"it is not complete after {REQUEST_SECONDS} s")
        return bytes(room)

    def _limit(self) -> None:
        """Bound how long a read may wait, and all of them together."""
        if self._deadline:
            return
        self._deadline = time.monotonic() + REQUEST_SECONDS
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)

    def close(self) -> None:
        """Close the connection and every descriptor that came over it."""
        self._sock.close()
        while self._fds:
            os.close(self._fds.pop())
