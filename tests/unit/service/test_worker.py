"""A thread of the service when something in it goes wrong."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from cnifast.protocol import wire
from cnifast.service.listener import bind
from cnifast.service.order import Adds
from cnifast.service.worker import Home, Worker

if TYPE_CHECKING:
    from pathlib import Path

    from cnifast.protocol.skel import Plugin

REQUEST = wire.WireRequest((1, 2), "0.0.1", "noop", {"CNI_COMMAND": "ADD"}, b"{}")


class Pool:
    """A service that is out of means for its first connections."""

    command = None
    adds = Adds()

    def __init__(self, failures: int) -> None:
        self.left = failures

    def find(self, name: str, /) -> Plugin:
        """Know no plugin."""
        raise LookupError(name)

    def took(self) -> None:
        """Fail, or not any more."""
        if self.left:
            self.left -= 1
            raise OSError("out of descriptors")

    def surplus(self, _worker: Worker) -> bool:
        """Keep the thread."""
        return False

    def drain(self) -> None:
        """Go on."""


def ask(path: str) -> bytes:
    """Return what is said to a request of an older build until the connection ends."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(20)
        sock.connect(path)
        said = b""
        with suppress(ConnectionError):  # it may have been closed before anything was sent
            socket.send_fds(sock, [wire.encode_request(REQUEST)], [2])
            while chunk := sock.recv(1000):
                said += chunk
        return said


def test_connection_is_closed_whatever_happens(tmp_path: Path) -> None:
    """A connection that cannot be served ends, its descriptors too, and the next one is served."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    listener = bind(str(directory / "s"))
    events: list[str] = []
    failures = 3
    accept, pool = listener.acceptor(), Pool(failures)
    worker = Worker(0, accept, pool, Home(), lambda event, **_: events.append(event))
    worker.start()
    assert ask(listener.path) == b""
    before = len(os.listdir("/proc/self/fd"))
    assert [ask(listener.path) for _ in range(failures - 1)] == [b""] * (failures - 1)
    assert wire.decode_header(ask(listener.path)[: wire.HEADER_SIZE]).kind == wire.RUN_COLD
    listener.stop()
    worker.join(20)
    assert not worker.is_alive()
    assert events == ["defect"] * failures + ["cold"]
    assert len(os.listdir("/proc/self/fd")) <= before
    listener.close()
