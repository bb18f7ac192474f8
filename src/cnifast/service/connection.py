"""One connection of a shim: a request with its descriptors in, one answer out.

Everything that comes from outside is bounded here: how long a request may be, how many
descriptors come with it, how long it takes to arrive.  Whatever goes wrong, each descriptor
that was received is closed.
"""

from __future__ import annotations

import select
import socket
import struct
import time

from cnifast.protocol import wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cnifast.kernel.intake import Intake
    from cnifast.protocol.wire import WireRequest

STALL_SECONDS = 5  # without a byte
REQUEST_SECONDS = 10  # until the request is complete

_TIMEOUT = struct.pack("ll", STALL_SECONDS, 0)


class Rejected(Exception):  # noqa: N818 - it is a verdict on the peer, not an error of ours
    """What the peer sent is no request; it gets no answer."""


class Connection:
    """A connected shim and what it sent.

    ``intake`` has the connection; closing this closes it, and the descriptors that came with the
    request.
    """

    __slots__ = ("_deadline", "_intake", "_said", "_sock")

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._sock: socket.socket | None = None
        self._deadline = 0.0
        self._said: int | None = None

    @property
    def pid(self) -> int:
        """The shim's process ID, as seen from here."""
        return self._intake.pid

    @property
    def root(self) -> tuple[int, int]:
        """The service's own root directory, as requests name theirs."""
        return self._intake.root

    @property
    def host_netns(self) -> int | None:
        """The caller's network namespace, None when it is that of the service.

        Raises:
            OSError: it cannot be had.
        """
        return self._intake.host_netns

    @property
    def stderr(self) -> int:
        """The standard error of a plugin's caller."""
        return self._intake.fds[0]

    @property
    def netns(self) -> int | None:
        """The container's network namespace, None when no such thing came."""
        return self._intake.fds[1] if self._intake.has_netns else None

    @property
    def own_netns(self) -> bool:
        """Whether the container's network namespace is the caller's."""
        return self._intake.own_netns

    def receive(self, admit: Callable[[int], None] | None = None) -> WireRequest:
        """Return the request.

        ``admit`` is given the peer's user ID before anything is waited for; what it raises is
        raised.

        Raises:
            Rejected: it is not complete in time, too long, or no request at all.
        """
        try:
            data = self._first(admit)
            if len(data) < wire.HEADER_SIZE:
                data = self._complete(data, wire.HEADER_SIZE)
            header = wire.decode_header(data[: wire.HEADER_SIZE])
            if header.kind != wire.REQUEST:
                raise Rejected(f"frame of kind {header.kind}")
            total = wire.HEADER_SIZE + header.length
            if len(data) < total:
                data = self._complete(data, total)
            if len(data) == total + 1 and header.flags & wire.FLAG_COMMAND:
                self._said = data[total]  # by a signal that came before the request was taken
                data = data[:total]
            if len(data) > total:
                raise Rejected("more than one frame")
            request = wire.decode_request(data[wire.HEADER_SIZE :], header.flags)
        except wire.WireError as e:
            raise Rejected(str(e)) from None
        except BlockingIOError:
            raise Rejected(f"nothing came for {STALL_SECONDS} s") from None
        except OSError as e:
            raise Rejected(str(e)) from None
        return request

    def require_descriptors(self, request: WireRequest) -> None:
        """Insist on the descriptors that come with a request of this build.

        Raises:
            Rejected: there are others.
        """
        count = len(self._intake.fds)
        if self._intake.truncated or count != (not request.command) + request.netns:
            more = " and more" * self._intake.truncated
            raise Rejected(f"{count}{more} descriptors came with it")

    def told(self) -> int | None:
        """Return the byte that came after the request, 0 at the end; None when nothing came."""
        if self._said is not None:
            return self._said
        try:
            said = self._socket().recv(1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        return said[0] if said else 0

    def gone(self) -> bool:
        """Tell whether the peer is gone; any thread may ask, until `close`."""
        poll = select.poll()
        poll.register(self._intake.conn, select.POLLRDHUP)
        return bool(poll.poll(0))

    def answer(self, frame: bytes) -> bool:
        """Send the answer; return False when the peer is gone."""
        try:
            sent = self._intake.answer(frame)
            if sent < len(frame):
                sock = self._socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEOUT)
                sock.sendall(memoryview(frame)[sent:])
        except OSError:
            return False
        return True

    def _first(self, admit: Callable[[int], None] | None) -> bytes:
        """Return what has come, usually the whole request, and take its descriptors.

        Only when nothing is there yet does the socket get a time limit, and is waited for.
        """
        intake = self._intake
        if admit is not None:
            admit(intake.uid)
        data = intake.data()
        if data is None:
            self._limit()
            data = intake.wait()
        return data

    def _complete(self, start: bytes, total: int) -> bytes:
        """Return the first ``total`` bytes, of which some are here."""
        sock = self._limit()
        room = bytearray(total)
        room[: len(start)] = start
        view = memoryview(room)
        have = len(start)
        while have < total:
            n = sock.recv_into(view[have:])
            if n == 0:
                raise Rejected(f"it ends after {have} bytes")
            have += n
            if time.monotonic() > self._deadline:
                raise Rejected(f"it is not complete after {REQUEST_SECONDS} s")
        return bytes(room)

    def _limit(self) -> socket.socket:
        """Bound how long a read may wait, and all of them together."""
        sock = self._socket()
        if not self._deadline:
            self._deadline = time.monotonic() + REQUEST_SECONDS
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _TIMEOUT)
        return sock

    def _socket(self) -> socket.socket:
        """Return the connection as what is only needed where not all comes or goes at once."""
        if self._sock is None:
            self._sock = socket.socket(
                socket.AF_UNIX, socket.SOCK_STREAM, 0, fileno=self._intake.conn
            )
        return self._sock

    def close(self) -> None:
        """Close the connection and every descriptor that came over it."""
        if self._sock is not None:
            self._sock.detach()
        self._intake.end()
