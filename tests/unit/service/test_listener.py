"""The socket of the service: whose it is, and how it ends."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from cnifast.kernel.intake import Intake
from cnifast.service.listener import Busy, activated, bind

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Give the path of a socket in a directory of its own."""
    (tmp_path / "run").mkdir(mode=0o700)
    return str(tmp_path / "run" / "s")


def connect(path: str) -> socket.socket:
    """Return a connection."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def test_queue_is_served_after_the_end(path: str) -> None:
    """Connections that were made before the end are still accepted, later ones are refused."""
    listener = bind(path)
    accept = listener.acceptor()
    intake = Intake()
    early = [connect(path) for _ in range(3)]
    listener.stop()
    with pytest.raises(ConnectionRefusedError):
        connect(path)
    for sock in early:
        assert accept(intake)
        intake.end()
        sock.close()
    assert not accept(intake)
    listener.close()
    assert not os.path.exists(path)


def test_waiting_thread_is_released(path: str) -> None:
    """A thread that waits for a connection learns of the end."""
    listener = bind(path)
    thread = threading.Thread(target=listener.acceptor(), args=(Intake(),))
    thread.start()
    listener.stop()
    thread.join(10)
    assert not thread.is_alive()
    listener.close()


def test_one_at_a_time(path: str) -> None:
    """The lock tells a second service that it is one too many, and is free after the first."""
    first = bind(path)
    with pytest.raises(Busy):
        bind(path)
    first.stop()
    first.close()
    second = bind(path)
    second.close()


def test_file_that_is_no_socket_is_not_removed(path: str) -> None:
    """Only a stale socket is replaced."""
    with open(path, "w", encoding="ascii") as file:
        file.write("precious")
    with pytest.raises(OSError, match="in use"):
        bind(path)
    with open(path, encoding="ascii") as file:
        assert file.read() == "precious"


def test_lock_that_is_a_link_is_refused(path: str, tmp_path: Path) -> None:
    """A link in place of the lock is not followed."""
    os.symlink(tmp_path / "elsewhere", path + ".lock")
    with pytest.raises(OSError, match="symbolic"):
        bind(path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_directory_of_others_is_refused(path: str, mode: int) -> None:
    """A directory that others write to is no place for the socket."""
    os.chmod(os.path.dirname(path), mode)
    with pytest.raises(PermissionError):
        bind(path)


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid())},
    ],
)
def test_not_activated(env: dict[str, str]) -> None:
    """Without variables that mean this process there is no socket of systemd."""
    assert activated(env) is None
    assert env == {}


def test_more_sockets_than_one_are_refused() -> None:
    """Which of several sockets is meant is not guessed."""
    with pytest.raises(ValueError, match="2 sockets"):
        activated({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"})
