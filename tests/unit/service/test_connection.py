"""A connection of a shim, fed with frames good and bad."""

from __future__ import annotations

import os
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnifast.kernel.intake import Intake
from cnifast.protocol import wire
from cnifast.service.connection import Connection, Rejected

settings.register_profile("connection", max_examples=200, derandomize=True, deadline=None)
BOUNDED = settings.get_profile("connection")

REQUEST = wire.WireRequest((1, 2), "0.1.0", "bridge", {"CNI_COMMAND": "ADD"}, b"{}")
FRAME = wire.encode_request(REQUEST)


def open_fds() -> int:
    """Return how many descriptors this process has."""
    return len(os.listdir("/proc/self/fd"))


def pair() -> tuple[socket.socket, Connection]:
    """Return both ends of a connection, the shim's and the service's."""
    ours, theirs = socket.socketpair()
    intake = Intake()
    intake.adopt(theirs.detach())
    return ours, Connection(intake)


def feed(data: bytes, count: int) -> wire.WireRequest | None:
    """Return what a connection makes of bytes and descriptors, None when it rejects them."""
    before = open_fds()
    ours, conn = pair()
    fds = [os.open(os.devnull, os.O_RDWR) for _ in range(count)]
    try:
        if data:
            socket.send_fds(ours, [data], fds)
        ours.close()
        return conn.receive()
    except Rejected:
        return None
    finally:
        for fd in fds:
            os.close(fd)
        conn.close()
        assert open_fds() == before


def test_request_with_its_descriptors() -> None:
    """A request arrives with the caller's standard error and the container's namespace."""
    ours, conn = pair()
    frame = wire.encode_header(wire.REQUEST, len(FRAME) - 16, wire.FLAG_NETNS) + FRAME[16:]
    files = [os.open(path, os.O_RDONLY) for path in ("/", "/proc/self/ns/net")]
    with ours:
        socket.send_fds(ours, [frame], files)
        request = conn.receive()
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
    ours, conn = pair()
    frame = wire.encode_header(wire.REQUEST, len(FRAME) - 16, wire.FLAG_NETNS) + FRAME[16:]
    files = [os.open(name, os.O_RDONLY) for name in ("/", path)]
    with ours:
        socket.send_fds(ours, [frame], files)
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


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 253])
def test_number_of_descriptors(count: int) -> None:
    """A request without the container's namespace has one descriptor, and no other number."""
    assert (feed(FRAME, count) is not None) == (count == 1)


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
    ours, theirs = socket.socketpair()
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    intake = Intake()
    intake.adopt(theirs.detach())
    conn = Connection(intake)
    credentials = struct.pack("iII", os.getpid(), os.getuid(), os.getgid())
    with ours:
        ours.sendmsg([FRAME], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS, credentials)])
        with pytest.raises(Rejected):
            conn.receive()
    conn.close()
