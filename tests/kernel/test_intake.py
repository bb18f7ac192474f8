"""Whose network namespace a connection comes from, by what the kernel says of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cnifast.kernel.intake import Intake
from helpers.node import need_tools
from helpers.nsutil import inside

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.node import Node


@pytest.fixture
def listener(node: Node, tmp_path: Path) -> Iterator[socket.socket]:
    """A listening socket of the node."""
    assert node
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind(str(tmp_path / "s"))
        sock.listen()
        yield sock


def come_from(
    listener: socket.socket, there: int, container: int
) -> tuple[os.stat_result | None, bool]:
    """Return where a caller in a namespace seems to be, and whether the container is there."""
    with inside(there):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with sock:
        sock.connect(listener.getsockname())
        socket.send_fds(sock, [b"request"], [2, container])
        intake = Intake()
        intake.accept(listener.fileno())
        try:
            assert (intake.data(), intake.has_netns) == (b"request", True)
            host = intake.host_netns
            return None if host is None else os.fstat(host), intake.own_netns
        finally:
            intake.end()


def test_caller_of_the_same_namespace(node: Node, listener: socket.socket) -> None:
    """Who is where the service is needs no descriptor; nor is the container's namespace theirs."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    assert come_from(listener, own, node.new_container("pod").fd) == (None, False)
    assert come_from(listener, own, own) == (None, True)
    os.close(own)


def test_caller_of_another_namespace(node: Node, listener: socket.socket) -> None:
    """Whoever sends a socket from elsewhere is there, whichever container it names."""
    there, pod = node.new_container("there").fd, node.new_container("pod").fd
    for container, own in ((pod, False), (there, True)):
        found, is_own = come_from(listener, there, container)
        assert found is not None
        assert os.path.samestat(found, os.fstat(there))
        assert is_own == own


UNABLE = """
import socket, sys
from cnifast.kernel.intake import Intake

listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[2])
listener.listen()
sock = socket.socket(fileno=int(sys.argv[1]))
sock.connect(listener.getsockname())
intake = Intake()
intake.accept(listener.fileno())
try:
    print(intake.host_netns)
except PermissionError as e:
    print(e)
"""


def test_namespace_that_the_kernel_does_not_give(node: Node, tmp_path: Path) -> None:
    """Without CAP_NET_ADMIN nobody is told where somebody from elsewhere is, and that is said."""
    need_tools("setpriv")
    with inside(node.new_container("there").fd):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with sock:
        os.set_inheritable(sock.fileno(), True)
        command = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
        done = subprocess.run(
            [*command, sys.executable, "-c", UNABLE, str(sock.fileno()), str(tmp_path / "s")],
            pass_fds=[sock.fileno()],
            capture_output=True,
            text=True,
            check=False,
        )
    said = "open the caller's network namespace: operation not permitted"
    assert done.stdout.strip() == said, done.stderr
