"""Frames that no plugin binary sends: the service stays alive and keeps nothing of them."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from typing import TYPE_CHECKING

import pytest

from cnifast import __version__
from cnifast.kernel.intake import own_root
from cnifast.protocol import wire
from helpers.bench import Bench, Service, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


def frame(bench: Bench, *, netns: bool = False) -> bytes:
    """Return a request in order."""
    request = wire.WireRequest(
        own_root(), __version__, "noop", bench.env(), bench.conf(), netns=netns
    )
    return wire.encode_request(request)


def command(words: bytes) -> bytes:
    """Return a command, which is in order if it has words."""
    return wire.encode_request(
        wire.WireRequest(own_root(), __version__, "cnifast", {}, words, command=True)
    )


@contextlib.contextmanager
def connected(service: Service) -> Iterator[socket.socket]:
    """Give a connection to the service."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect(str(service.path))
        yield sock


@contextlib.contextmanager
def descriptors(count: int) -> Iterator[list[int]]:
    """Give so many descriptors, the first of a file, the others of a network namespace."""
    fds = [os.open(os.devnull, os.O_RDWR)]
    fds += [os.open("/proc/self/ns/net", os.O_RDONLY) for _ in range(count - 1)]
    yield fds
    for fd in fds:
        os.close(fd)


def answer(sock: socket.socket) -> bytes:
    """Return all that the service says until it hangs up."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while chunk := sock.recv(1 << 16):
            data += chunk
    return data


def test_request_in_order_is_answered(bench: Bench, service: Service) -> None:
    """What the other tests break works as it is."""
    with connected(service) as sock, descriptors(1) as fds:
        socket.send_fds(sock, [frame(bench)], fds)
        assert answer(sock) == wire.encode_result(0, b'{"cniVersion":"1.0.0"}\n')


def test_request_byte_by_byte_is_answered(bench: Bench, service: Service) -> None:
    """A stream may be cut anywhere."""
    data = frame(bench)
    with connected(service) as sock, descriptors(1) as fds:
        socket.send_fds(sock, [data[:1]], fds)
        for i in range(1, len(data)):
            sock.sendall(data[i : i + 1])
        assert answer(sock) == wire.encode_result(0, b'{"cniVersion":"1.0.0"}\n')


def hostile(bench: Bench) -> dict[str, bytes]:
    """Return frames that are none, by what is wrong with them."""
    good = frame(bench)
    header, payload = good[: wire.HEADER_SIZE], good[wire.HEADER_SIZE :]
    endless = struct.pack("<QQ", 0, 0) + b"x" * 100
    return {
        "nothing": b"",
        "a byte": b"C",
        "half a header": header[:8],
        "half a payload": good[:-20],
        "wrong magic": b"FINC" + good[4:],
        "wrong wire version": good[:4] + struct.pack("<H", 2) + good[6:],
        "an answer": wire.encode_result(0, b""),
        "unknown kind": good[:6] + struct.pack("<H", 77) + good[8:],
        "too long": good[:8] + struct.pack("<I", wire.PAYLOAD_MAX + 1) + good[12:],
        "empty payload": wire.encode_header(wire.REQUEST, 0),
        "no terminator": wire.encode_header(wire.REQUEST, len(endless)) + endless,
        "more than a frame": good + b"x",
        "two frames": good + good,
        "text": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "command with a descriptor": command(b"status\0net\0"),
        "flag without descriptor": wire.encode_header(wire.REQUEST, len(payload), wire.FLAG_NETNS)
        + payload,
    }


@pytest.mark.parametrize("words", [b"", b"status", b"\xff" * 20])
def test_command_without_words(service: Service, words: bytes) -> None:
    """A word ends in NUL; a command without any is refused."""
    with connected(service) as sock:
        sock.sendall(command(words))
        assert answer(sock) == b""
    assert "command without words" in service.wait_log("event=rejected")


def test_service_without_commands(service: Service) -> None:
    """One that runs none leaves them to processes."""
    with connected(service) as sock:
        sock.sendall(command(b"status\0net\0"))
        assert answer(sock) == wire.encode_run_cold("this service runs no commands")


def test_hostile_frames(bench: Bench, service: Service) -> None:
    """Each is refused without an answer, and its descriptors are closed."""
    before = service.fds()
    for what, data in hostile(bench).items():
        with connected(service) as sock, descriptors(1) as fds:
            if data:
                socket.send_fds(sock, [data], fds)
            sock.shutdown(socket.SHUT_WR)
            assert answer(sock) == b"", what
    wait_for(lambda: service.fds() == before)
    assert len([line for line in service.log() if "event=rejected" in line]) == len(hostile(bench))
    assert bench.call("noop")[0] == 0


@pytest.mark.parametrize("count", [2, 3, 4, 5, 64, 253])
def test_wrong_number_of_descriptors(bench: Bench, service: Service, count: int) -> None:
    """Too many descriptors are refused, and none of them stays."""
    before = service.fds()
    for _ in range(5):
        with connected(service) as sock, descriptors(count) as fds:
            socket.send_fds(sock, [frame(bench)], fds)
            assert answer(sock) == b""
    wait_for(lambda: service.fds() == before)
    assert bench.call("noop")[0] == 0


def test_descriptors_that_come_later_do_not_stay(bench: Bench, service: Service) -> None:
    """Descriptors are taken with the first bytes only; others are never received."""
    before = service.fds()
    data = frame(bench)
    with connected(service) as sock, descriptors(1) as fds:
        socket.send_fds(sock, [data[:10]], fds)
        for i in range(10, len(data) - 1):
            socket.send_fds(sock, [data[i : i + 1]], fds)
        wait_for(lambda: service.fds() <= before + 3)
        sock.sendall(data[-1:])
        answer(sock)
    wait_for(lambda: service.fds() == before)


def test_slow_senders_do_not_keep_others_waiting(bench: Bench) -> None:
    """A sender that stalls is given up, and those behind it are served."""
    service = bench.serve("--threads", "2")
    with contextlib.ExitStack() as stack:
        stalled = [stack.enter_context(connected(service)) for _ in range(2)]
        for sock in stalled:
            sock.sendall(frame(bench)[:20])
        start = time.monotonic()
        assert bench.call("noop")[0] == 0
        assert time.monotonic() - start < 9
        for sock in stalled:
            assert answer(sock) == b""


def test_sender_that_trickles_is_given_up(bench: Bench) -> None:
    """Sending a byte now and then does not keep a thread for ever."""
    service = bench.serve("--threads", "1")
    data = frame(bench)
    with connected(service) as sock, contextlib.suppress(BrokenPipeError):
        start = time.monotonic()
        for i in range(len(data)):
            sock.sendall(data[i : i + 1])
            time.sleep(0.3)
    assert 9 < time.monotonic() - start < 15
    assert bench.call("noop")[0] == 0


def test_caller_that_leaves_is_no_trouble(bench: Bench, service: Service) -> None:
    """A caller that is gone before the answer is logged, and that is all."""
    with connected(service) as sock, descriptors(1) as fds:
        socket.send_fds(sock, [frame(bench)], fds)
    wait_for(lambda: any(word in "".join(service.log()) for word in ("event=call", "is gone")))
    assert bench.call("noop")[0] == 0


def test_add_of_a_caller_that_is_gone_is_not_begun(bench: Bench) -> None:
    """Nothing is done for a caller that died while its call was waiting for its turn."""
    service = bench.serve("--threads", "1")
    with connected(service), connected(service) as sock, descriptors(1) as fds:
        socket.send_fds(sock, [frame(bench)], fds)
        sock.close()
    service.wait_log("the caller of this ADD is gone")
    assert not any("event=call" in line for line in service.log())
    assert bench.call("noop")[0] == 0


def test_reader_that_does_not_read_is_given_up(bench: Bench) -> None:
    """A caller that never takes its answer costs a thread a few seconds, not its life."""
    service = bench.serve("--threads", "1")
    conf = bench.conf({"size": 1_000_000})
    request = wire.WireRequest(own_root(), __version__, "big", bench.env(), conf)
    with connected(service) as sock, descriptors(1) as fds:
        socket.send_fds(sock, [wire.encode_request(request)], fds)
        assert "sent=False" in service.wait_log("event=call")
    assert bench.call("noop")[0] == 0
