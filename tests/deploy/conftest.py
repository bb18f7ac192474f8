"""A node with what deploy/ puts on one."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers import nsutil, ways
from helpers.node import need_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

DEPLOY = Path(__file__).parents[2] / "deploy"
BUSYBOX = "/bin/busybox"
APPLETS = ("sh", "ip", "cat", "sleep", "wget", "httpd", "ping")
HOST = Path(__file__).with_name("throwaway_host.sh")
HOST_SECONDS = 120
REST = "/usr/lib/cni"  # plugins that cnifast does not have, of Debian


@contextmanager
def cgroups() -> Iterator[None]:
    """Show the machine's cgroups on the node: container runtimes look what kind they are of."""
    nsutil.mount("cgroup2", "/sys/fs/cgroup", "cgroup2")
    try:
        yield
    finally:
        nsutil.umount("/sys/fs/cgroup")


@pytest.fixture
def bare(node: Node) -> Iterator[Node]:
    """A node on which containers can be run, and where nobody has put a plugin yet."""
    with nsutil.covered("/opt", "/dev/shm"), cgroups():
        yield node
        node.kill_processes()


@pytest.fixture
def installed(bare: Node) -> Node:
    """A node with our plugins in /opt/cni/bin."""
    subprocess.run(
        [ways.COMMAND, "plugins", "install", "/opt/cni/bin"], check=True, capture_output=True
    )
    return bare


@pytest.fixture
def rootfs(node: Node) -> str:  # noqa: ARG001 - it is on the node
    """The root directory of a container: busybox."""
    return make_rootfs(Path("/run/rootfs"))


def make_rootfs(root: Path) -> str:
    """Make a root directory for containers; return its path."""
    if not os.path.exists(BUSYBOX):
        pytest.skip("needs Debian's busybox-static")
    for directory in ("bin", "etc", "proc", "sys", "dev", "tmp", "run", "var"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    shutil.copy(BUSYBOX, root / "bin" / "busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "etc" / "hello").write_text("hello from the container\n")
    return str(root)


def need_plugins(*names: str) -> None:
    """Skip where plugins of a chain are neither ours nor the distribution's."""
    for name in names:
        if not any(os.path.exists(f"{d}/{name}") for d in ("/opt/cni/bin", REST)):
            pytest.skip(f"needs the plugin {name} (Debian: containernetworking-plugins)")


def on_throwaway_host(directory: Path, *command: str) -> None:
    """Run a command as the first process of a host of its own, with its output in boot.log."""
    if os.geteuid() != 0:
        pytest.skip("a host of its own needs root")
    need_tools("unshare")
    with (directory / "boot.log").open("wb") as log:
        subprocess.run(
            ["bash", HOST, directory, *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            timeout=HOST_SECONDS,
            check=False,
        )
