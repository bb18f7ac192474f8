"""A connection of a shim, fed with frames good and bad."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnifast.kernel.intake import Intake
from cnifast.protocol import wire
from cnifast.service.connection import Connection, Rejected

if TYPE_CHECKING:
    from collections.abc import Sequence

settings.register_profile("connection", max_examples=200, derandomize=True, deadline=None)
BOUNDED = settings.get_profile("connection")

REQUEST = wire.WireRequest((1, 2), "0.1.0", "bridge", {"CNI_COMMAND": "ADD"}, b"{}")
FRAME = wire.encode_request(REQUEST)


def open_fds() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def pair(
    data: bytes = b"", fds: Sequence[int] = (), *, credentials: bool = False
) -> tuple[socket.socket, Connection]:
    """Return both ends of a connection, the shim's, which has sent this, and the service's."""
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    intake = Intake()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, credentials)
        listener.bind("")  # an abstract address that the kernel chooses
        listener.listen()
        ours.connect(listener.getsockname())
        if data:
            socket.send_fds(ours, [data], fds)
        intake.accept(listener.fileno())
    return ours, Connection(intake)


def feed(data: bytes, count: int, *, later: bool = False) -> wire.WireRequest | None:
    """Return what a connection makes of bytes and descriptors, None when it rejects them.

    They are there when it is accepted, or come ``later``.
    """
    before = open_fds()
    fds = [os.open(os.devnull, os.O_RDWR) for _ in range(count)]
    ours, conn = pair(b"" if later else data, fds)
    try:
        if data and later:
            socket.send_fds(ours, [data], fds)
        ours.close()
        request = conn.receive()
        conn.require_descriptors(request)
    except Rejected:
        return None
    else:
        return request
    finally:
        for fd in fds:
            os.close(fd)
        conn.close()
        assert open_fds() == before


def test_request_with_its_descriptors() -> None:
    """A request arrives with the caller's standard error and the container's namespace."""
    frame = wire.encode_header(wire.REQUEST, len(FRAME) - 16, wire.FLAG_NETNS) + FRAME[16:]
    files = [os.open(path, os.O_RDONLY) for path in ("/", "/proc/self/ns/net")]
    ours, conn = pair(frame, files)
    with ours:
        request = conn.receive()
        conn.require_descriptors(request)
        assert (request.plugin, request.stdin, request.netns) == ("bridge", b"{}", True)
        assert conn.netns is not None
        for ours_fd, theirs_fd in zip(files, (conn.stderr, conn.netns), strict=True):
            assert os.path.samestat(os.fstat(ours_fd), os.fstat(theirs_fd))
            assert not os.get_inheritable(theirs_fd)
        assert conn.host_netns is None
        assert conn.own_netns
        assert conn.pid == os.getpid()
        assert conn.answer(b"answer")
        assert ours.recv(100) == b"answer"
        conn.close()
        assert ours.recv(100) == b""
    for fd in files:
        os.close(fd)


@pytest.mark.parametrize("path", ["/proc/self/ns/mnt", "/dev/null", "/"])
def test_no_namespace(path: str) -> None:
    """A descriptor of something else than a network namespace is none of the container's."""
    frame = wire.encode_header(wire.REQUEST, len(FRAME) - 16, wire.FLAG_NETNS) + FRAME[16:]
    files = [os.open(name, os.O_RDONLY) for name in ("/", path)]
    ours, conn = pair(frame, files)
    with ours:
        assert conn.receive().netns
        assert (conn.netns, conn.own_netns) == (None, False)
        conn.close()
    for fd in files:
        os.close(fd)


def test_stranger() -> None:
    """Whoever is not admitted is told so by nothing, before anything is waited for."""
    ours, conn = pair()

    def refuse(uid: int) -> None:
        raise Rejected(f"user {uid}")

    with ours, pytest.raises(Rejected, match=f"user {os.getuid()}"):
        conn.receive(refuse)
    conn.close()


def test_answer_to_nobody() -> None:
    """An answer that nobody takes is reported, not raised."""
    ours, conn = pair()
    ours.close()
    assert not conn.answer(b"answer")
    conn.close()


@pytest.mark.parametrize("later", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 253])
def test_number_of_descriptors(count: int, later: bool) -> None:
    """A request without the container's namespace has one descriptor, and no other number."""
    assert (feed(FRAME, count, later=later) is not None) == (count == 1)


@BOUNDED
@given(st.binary(max_size=200), st.integers(0, 5))
def test_any_bytes(data: bytes, count: int) -> None:
    """Bytes that are no frame are rejected, and their descriptors closed."""
    assert feed(data, count) is None


@BOUNDED
@given(st.integers(0, len(FRAME) - 1), st.integers(0, 255), st.integers(0, 5))
def test_any_byte_changed(at: int, value: int, count: int) -> None:
    """A frame with a byte changed is rejected or a request; nothing else happens."""
    feed(FRAME[:at] + bytes([value]) + FRAME[at + 1 :], count)


@BOUNDED
@given(st.binary(max_size=300), st.integers(0, 1))
def test_any_payload(payload: bytes, flags: int) -> None:
    """A payload of any bytes is rejected or a request; nothing else happens."""
    feed(wire.encode_header(wire.REQUEST, len(payload), flags) + payload, 1 + flags)


@pytest.mark.parametrize("cut", range(len(FRAME)))
def test_any_beginning(cut: int) -> None:
    """No beginning of a request is taken for a request."""
    assert feed(FRAME[:cut], 1) is None


def test_descriptors_cannot_be_forged() -> None:
    """Control messages of another kind are not taken for descriptors."""
    ours, conn = pair(FRAME, credentials=True)
    with ours:
        request = conn.receive()
        with pytest.raises(Rejected, match=r"0 (and more )?descriptors"):
            conn.require_descriptors(request)
    conn.close()
