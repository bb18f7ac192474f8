"""The `ip` command: what a careful script does for one pod.

It does less than a plugin: no IPAM (the address is given), no wait for the port to forward, no
masquerading, no result. Each command is a process, as in a script; only they are timed, not the
shell that would start them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from benchmarks.harness import debian_version, require
from benchmarks.targets import Attached
from benchmarks.workloads import BRIDGE, make_bridge

if TYPE_CHECKING:
    from benchmarks.node import Node
    from benchmarks.workloads import Network, Pod


class Ip:
    """Executes `ip` four times to attach, once to detach."""

    name: ClassVar[str] = "ip"

    def __init__(self, node: Node) -> None:
        self.node = node

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        return None if shutil.which("ip") else "no ip command (Debian: iproute2)"

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return f"iproute2 {debian_version('iproute2')}"

    def open(self, network: Network) -> None:
        """Make the bridge."""
        make_bridge(self.node, network)

    def attach(self, pod: Pod, network: Network) -> Attached:
        """Make the pair with one end in the pod; address, link up, default route."""
        name, address = Path(pod.netns).name, network.address(pod.number)
        commands = (
            f"link add v{pod.number} up master {BRIDGE} type veth peer name eth0 netns {name}",
            f"-n {name} addr add {address}/16 dev eth0",
            f"-n {name} link set eth0 up",
            f"-n {name} route add default via {network.gateway}",
        )
        took = [self._run(command) for command in commands]
        return Attached(sum(ns for ns, _ in took), sum(cpu for _, cpu in took), address)

    def detach(self, pod: Pod, network: Network, attached: Attached) -> int:
        """Delete the pair."""
        del network, attached
        return self._run(f"link del v{pod.number}")[0]

    def close(self) -> None:
        """End what was started: nothing."""

    def _run(self, command: str) -> tuple[int, int]:
        done = self.node.call([shutil.which("ip") or "ip", *command.split()])
        require(done.exit_code == 0, f"ip {command}: {done.err.decode().strip()}")
        return done.ns, done.cpu_ns
