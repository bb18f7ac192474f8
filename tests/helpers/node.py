"""A private node: a throwaway host with its own network, in which plugins may do as they please.

The test process itself moves: `Machine.enter` gives it, once, a mount namespace that shares
nothing with the machine; every `Node` then puts the calling thread into a network namespace of its
own, with fresh /run, /etc/cni, /var/lib/cni and /sys.  Programs started by the test are therefore
on the node without any wrapper.  Leaving a node kills what still runs in it and detaches its
mounts; the kernel then frees its namespaces with every link and rule.  The machine's own network is
never touched.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from . import nsutil

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FRESH_DIRECTORIES = ("/run", "/etc/cni", "/var/lib/cni")
TOOLS_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Devices that a kernel with these drivers built in puts into every new namespace.
FALLBACK_DEVICES = frozenset(
    "lo tunl0 gre0 gretap0 erspan0 sit0 ip6tnl0 ip6gre0 ip_vti0 ip6_vti0 ifb0 ifb1".split()  # noqa: SIM905
)


class UnavailableError(Exception):
    """This machine cannot make a private node; the text says why."""


class Machine:
    """The machine as tests see it: what they need of it, and the way off it."""

    _entered = False

    @classmethod
    def enter(cls) -> None:
        """Take this process off the machine's mounts and network, for good.

        Raises:
            UnavailableError: not root, no `ip`, or the kernel refuses.
        """
        if cls._entered:
            return
        if os.geteuid() != 0:
            raise UnavailableError("a private node needs root")
        if shutil.which("ip", path=TOOLS_PATH) is None:
            raise UnavailableError("a private node needs the program ip (Debian package iproute2)")
        try:
            nsutil.unshare(nsutil.CLONE_NEWNS | nsutil.CLONE_NEWNET | nsutil.CLONE_NEWUTS)
            nsutil.mount("none", "/", None, nsutil.MS_REC | nsutil.MS_PRIVATE)
        except OSError as error:
            raise UnavailableError(f"no private node here: {error}") from error
        nsutil.adopt_orphans()
        os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{TOOLS_PATH}"
        for directory in FRESH_DIRECTORIES:
            Path(directory).mkdir(parents=True, exist_ok=True)
        cls._entered = True


class Container:
    """A network namespace under /run/netns, as a runtime makes one for a container.

    Attributes:
        name: also used as container ID.
        path: what CNI_NETNS carries.
        fd: a descriptor that keeps the namespace alive until `Node.remove_container`.
    """

    __slots__ = ("fd", "name", "path")

    def __init__(self, name: str, path: str, fd: int) -> None:
        self.name = name
        self.path = path
        self.fd = fd


class Node:
    """One private node; the calling thread is in its host namespace between `open` and `close`."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self._served = 0
        self._fd = -1
        self._parking = -1

    @property
    def fd(self) -> int:
        """A descriptor of the host's network namespace."""
        return self._fd

    def open(self) -> None:
        """Move the calling thread onto a fresh node."""
        Machine.enter()
        self._parking = nsutil.own_netns()
        nsutil.unshare(nsutil.CLONE_NEWNET)
        self._fd = nsutil.own_netns()
        nsutil.mount("sysfs", "/sys", "sysfs")
        for directory in FRESH_DIRECTORIES:
            nsutil.mount("tmpfs", directory, "tmpfs", options="mode=755")
        for directory in ("/run/netns", "/run/lock", "/etc/cni/net.d"):
            Path(directory).mkdir()
        self.ip("link set lo up")
        strange = {link["ifname"] for link in self.links()} - FALLBACK_DEVICES
        if strange:
            raise UnavailableError(f"not a private node: it has {sorted(strange)}")

    def close(self) -> None:
        """Kill what runs on the node and leave it to the kernel."""
        try:
            self.kill_processes()
        finally:
            nsutil.setns(self._parking)
            os.close(self._parking)
            for container in self.containers.values():
                os.close(container.fd)
            self.containers.clear()
            os.close(self._fd)
            for directory in (*reversed(FRESH_DIRECTORIES), "/sys"):
                nsutil.umount(directory)

    # -- programs -------------------------------------------------------------------------------

    def run(self, command: str | Sequence[str], *, check: bool = True) -> str:
        """Run a program on the node's host and return its stdout.

        Raises:
            AssertionError: exit code not 0 and `check`; carries the program's stderr.
        """
        words = shlex.split(command) if isinstance(command, str) else list(command)
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{shlex.join(words)}: exit {done.returncode}: {done.stderr}")
        return done.stdout

    def ip(self, arguments: str) -> str:
        """Run `ip` on the node's host."""
        return self.run(f"ip {arguments}")

    def ruleset(self) -> str:
        """Return all of nftables' rules, without counts of packets: a stray one changes nothing."""
        return self.run("nft --stateless list ruleset")

    def links(self, container: Container | None = None) -> list[dict[str, Any]]:
        """Return `ip -d link` of the host, or of a container."""
        where = f"-n {container.name} " if container else ""
        found: list[dict[str, Any]] = json.loads(self.ip(f"{where}-j -d link show"))
        return found

    def link_names(self, container: Container | None = None) -> set[str]:
        """Return the names of the links of the host, or of a container."""
        return {link["ifname"] for link in self.links(container)}

    # -- containers -----------------------------------------------------------------------------

    def new_container(self, name: str = "") -> Container:
        """Create a namespace under /run/netns, with lo down, as runtimes hand them over."""
        self._served += 1
        name = name or f"pod{self._served}"
        path = f"/run/netns/{name}"
        fd = nsutil.new_netns()
        Path(path).touch()
        nsutil.mount(f"/proc/self/fd/{fd}", path, None, nsutil.MS_BIND)
        container = self.containers[name] = Container(name, path, fd)
        return container

    def remove_container(self, container: Container) -> None:
        """Take a namespace away, as a runtime does that deletes it before DEL.

        Returns when the kernel has taken its links away too.

        Raises:
            AssertionError: after 10 s something still holds the namespace.
        """
        mine = {link.get("link_index") for link in self.links(container)}
        peers = {
            link["ifname"]
            for link in self.links()
            if link["ifindex"] in mine and "link_netnsid" in link
        }
        nsutil.umount(container.path)
        Path(container.path).unlink()
        os.close(container.fd)
        del self.containers[container.name]
        deadline = time.monotonic() + 10
        while peers & self.link_names():
            if time.monotonic() > deadline:
                raise AssertionError(f"{container.name} is held by something: {peers} remain")

    @contextmanager
    def inside(self, container: Container) -> Iterator[None]:
        """Run a block in a container's network namespace."""
        with nsutil.inside(container.fd):
            yield

    # -- what is left ---------------------------------------------------------------------------

    def processes(self) -> list[int]:
        """Return the processes that are in the node's host or container namespaces, but not us."""
        ours = {nsutil.netns_id(self._fd)}
        ours.update(nsutil.netns_id(container.fd) for container in self.containers.values())
        found = []
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                status = Path(f"/proc/{entry.name}/ns/net").stat()
            except OSError:
                continue
            if (status.st_dev, status.st_ino) in ours:
                found.append(int(entry.name))
        return found

    def kill_processes(self) -> None:
        """Kill every process on the node and wait until the last one is gone."""
        deadline = time.monotonic() + 10
        while pids := self.processes():
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            for pid in pids:
                _await_end(pid, deadline)

    def strays(self) -> list[str]:
        """Return the links of the host that are neither lo nor a bridge, which may stay."""
        return sorted(
            link["ifname"]
            for link in self.links()
            if link["ifname"] not in FALLBACK_DEVICES
            and link.get("linkinfo", {}).get("info_kind") != "bridge"
        )


def open_node() -> Node:
    """Return an open node, or skip the test with the reason why there is none."""
    try:
        Machine.enter()
    except UnavailableError as reason:
        pytest.skip(str(reason))
    node = Node()
    node.open()
    return node


def need_tools(*names: str) -> None:
    """Skip the test when a program it needs is not installed."""
    for name in names:
        if shutil.which(name, path=TOOLS_PATH) is None:
            pytest.skip(f"needs the program {name}")


def _await_end(pid: int, deadline: float) -> None:
    """Wait until a killed process has left its namespaces, reaping it if it is our child."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        pidfd = -1
    if pidfd >= 0:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        poller.poll(max(0.0, deadline - time.monotonic()) * 1000)
        os.close(pidfd)
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
