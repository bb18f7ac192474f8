"""Whose network namespace a connection comes from, by what the kernel says of it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.kernel.intake import Intake, own_root
from cnifast.protocol import wire
from helpers.bench import PATIENCE
from helpers.node import need_tools
from helpers.nsutil import inside

if TYPE_CHECKING:
    from collections.abc import Iterator

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


PROBE = """
import os
from cnifast.kernel.intake import own_root

os.chroot(os.environ.get("ROOT", "/"))
print(own_root())
"""


@pytest.mark.parametrize(
    ("before", "same"),
    [
        ([], True),
        (["unshare", "--net", "--uts", "--ipc"], True),
        (["unshare", "--mount"], False),
        (["env", "ROOT=/usr"], False),
        (["env", "ROOT=/run/root"], False),
    ],
    ids=["here", "other namespaces", "mounts of its own", "root of its own", "root once more"],
)
def test_root_directories_are_told_apart(node: Node, before: list[str], *, same: bool) -> None:
    """A process has our root directory unless its mounts, or its root, are its own."""
    Path("/run/root").mkdir()
    node.run("mount --bind / /run/root")
    command = [*before, sys.executable, "-c", PROBE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout.strip() == str(own_root())) == same


UNABLE = """
import socket, sys
from cnifast.kernel.intake import Intake, own_root

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


def test_plugins_say_the_same_root(node: Node, plugin_directory: str) -> None:
    """A plugin names its root directory as the service does."""
    assert node
    Path("/run/cnifast").mkdir(mode=0o700, exist_ok=True)
    environment = {"CNI_COMMAND": "STATUS", "CNI_PATH": plugin_directory}
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.bind("/run/cnifast/cnifast.sock")
        sock.listen()
        sock.settimeout(PATIENCE)
        with subprocess.Popen(
            [f"{plugin_directory}/bridge"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        ):
            connection, _ = sock.accept()
            with connection:
                frame = connection.recv(1 << 16)
    request = wire.decode_request(frame[wire.HEADER_SIZE :])
    assert request.root == own_root()
