"""When things break after a request was sent, the call fails with code 11 and is not repeated."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from cnifast.protocol import wire
from helpers.bench import PATIENCE, Bench, Service, error_code, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable


def test_killed_service_means_try_again(bench: Bench, service: Service) -> None:
    """Kill -9 of the service in the middle of a call is error 11, and nothing is run again."""
    before = service.fds()
    with bench.popen("slow") as process:
        assert process.stdin is not None
        process.stdin.write(bench.conf({"seconds": 30}))
        process.stdin.close()
        process.stdin = None
        wait_for(lambda: service.fds() > before)
        service.stop(signal.SIGKILL)
        out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, error_code(out)) == (1, 11)


def test_call_after_a_kill_is_cold(bench: Bench, service: Service) -> None:
    """The socket that a killed service leaves is no obstacle: the next call finds nobody."""
    service.stop(signal.SIGKILL)
    assert service.path.exists()
    _, out, _ = bench.call("noop")
    assert json.loads(out)["argv"] == ["noop", str(bench.socket)]


def test_service_replaces_a_stale_socket(bench: Bench, service: Service) -> None:
    """So it is none for the next service."""
    service.stop(signal.SIGKILL)
    bench.serve()
    assert bench.call("noop")[0] == 0


def against(bench: Bench, peer: Callable[[socket.socket], None]) -> tuple[int, bytes, bytes]:
    """Return what a plugin binary makes of a service that behaves like `peer`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(bench.socket))
        listener.listen()

        def serve() -> None:
            conn = listener.accept()[0]
            with conn:
                peer(conn)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return bench.call("noop")
        finally:
            thread.join()


def take(conn: socket.socket) -> None:
    """Read a whole request and close the descriptors that came with it."""
    data, fds, _, _ = socket.recv_fds(conn, 1 << 16, 8)
    for fd in fds:
        os.close(fd)
    header = wire.decode_header(data[: wire.HEADER_SIZE])
    assert len(data) == wire.HEADER_SIZE + header.length


ANSWER = wire.encode_result(0, b'{"cniVersion":"1.0.0"}\n')


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        ANSWER[:1],
        ANSWER[: wire.HEADER_SIZE],
        ANSWER[:-1],
        b"X" + ANSWER[1:],
        ANSWER[:4] + struct.pack("<H", 2) + ANSWER[6:],
        wire.encode_header(wire.REQUEST, 4) + bytes(4),
        wire.encode_header(9, 4) + bytes(4),
        wire.encode_header(wire.RESULT, 3) + bytes(3),
        wire.encode_header(wire.RESULT, 0xFFFFFFFF) + bytes(100),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_broken_answers(bench: Bench, answer: bytes) -> None:
    """An answer that ends early or is none is error 11, and no part of it is printed."""

    def peer(conn: socket.socket) -> None:
        take(conn)
        conn.sendall(answer)

    status, out, _ = against(bench, peer)
    assert (status, error_code(out)) == (1, 11)


def test_connection_that_closes_before_the_request_is_read(bench: Bench) -> None:
    """A service that hangs up is error 11: the request may have been read."""
    status, out, _ = against(bench, lambda conn: conn.close())
    assert (status, error_code(out)) == (1, 11)


def test_answer_in_pieces_is_put_together(bench: Bench) -> None:
    """However the stream is cut, the answer is the same."""

    def peer(conn: socket.socket) -> None:
        take(conn)
        for i in range(len(ANSWER)):
            conn.sendall(ANSWER[i : i + 1])

    assert against(bench, peer) == (0, b'{"cniVersion":"1.0.0"}\n', b"")


@pytest.mark.parametrize(("code", "status"), [(0, 0), (1, 1), (255, 255), (256, 1), (1 << 31, 1)])
def test_exit_codes(bench: Bench, code: int, status: int) -> None:
    """An exit code that a process cannot have is 1, never 0."""

    def peer(conn: socket.socket) -> None:
        take(conn)
        conn.sendall(wire.encode_result(code, b"x"))

    assert against(bench, peer) == (status, b"x", b"")


def test_reason_to_run_cold_may_be_long(bench: Bench) -> None:
    """The text of the reason does not disturb what the cold path is given."""

    def peer(conn: socket.socket) -> None:
        take(conn)
        conn.sendall(wire.encode_run_cold("x" * 7000))

    _, out, _ = against(bench, peer)
    assert json.loads(out)["stdin"].encode() == bench.conf()


def test_full_backlog_is_waited_for(bench: Bench) -> None:
    """A service that is busy is not taken for one that is not there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(bench.socket))
        listener.listen(0)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as first:
            first.connect(str(bench.socket))
            with bench.popen("noop") as process:
                assert process.stdin is not None
                process.stdin.write(bench.conf())
                process.stdin.close()
                process.stdin = None
                with open(f"/proc/{process.pid}/wchan", encoding="ascii") as file:
                    wait_for(lambda: file.seek(0) == 0 and "unix" in file.read())
                listener.accept()[0].close()
                conn = listener.accept()[0]
                with conn:
                    take(conn)
                    conn.sendall(ANSWER)
                out, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out) == (0, b'{"cniVersion":"1.0.0"}\n')
