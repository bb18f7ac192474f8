"""Whole commands that attach to a network by name, with what runtimes do around plugins."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from benchmarks.harness import debian_version, require
from benchmarks.node import BUILD
from benchmarks.targets import Attached
from benchmarks.targets.reference import DIRECTORY as REFERENCE
from benchmarks.targets.reference import Reference
from benchmarks.targets.service import DIRECTORY, Service, cnifast
from benchmarks.workloads import address_of, conf_list

if TYPE_CHECKING:
    from benchmarks.node import Node, Outcome
    from benchmarks.workloads import Network, Pod

NETDIR = "/etc/cni/net.d"
GO_BUILD = Path(__file__).resolve().parents[2] / "tests" / "interop" / "build.sh"
GO_PROGRAM = BUILD / "golibcni"


class Command:
    """A program that is given the command, the network's name, the container and its namespace."""

    name: ClassVar[str] = ""
    plugins: ClassVar[str] = ""

    def __init__(self, node: Node) -> None:
        self.node = node

    def words(self, command: str, network: Network, pod: Pod) -> list[str]:
        """Return the command line."""
        raise NotImplementedError

    def open(self, network: Network) -> None:
        """Write the configurations."""
        for number, one in enumerate(network.networks):
            file = self.node.path(f"{NETDIR}/1{number}-{one.name}.conflist")
            file.write_text(json.dumps(conf_list(one)))

    def attach(self, pod: Pod, network: Network) -> Attached:
        """Attach, and print the result."""
        done = self._call("add", network, pod)
        return Attached(done.ns, done.cpu_ns, address_of(done.out), done.out)

    def detach(self, pod: Pod, network: Network, attached: Attached) -> int:  # noqa: ARG002
        """Detach."""
        return self._call("del", network, pod).ns

    def _call(self, command: str, network: Network, pod: Pod) -> Outcome:
        """Run the program, and insist on success."""
        env = {"CNI_PATH": self.plugins}
        done = self.node.call(self.words(command, network, pod), env)
        text = (done.out or done.err).decode(errors="replace").strip()
        require(done.exit_code == 0, f"{self.name}: {command}: {text}")
        return done

    def close(self) -> None:
        """End what was started: nothing."""


class GoCommand(Command):
    """What cnitool is: a small program on Go's libcni, which executes the reference's plugins."""

    name: ClassVar[str] = "Go libcni"
    plugins: ClassVar[str] = REFERENCE

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None; the program is built if need be."""
        BUILD.mkdir(parents=True, exist_ok=True)
        done = subprocess.run([str(GO_BUILD), str(GO_PROGRAM)], check=False)
        if done.returncode != 0:
            return "no Go libcni (Debian: golang-go, golang-github-appc-cni-dev)"
        return Reference.missing()

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        libcni = debian_version("golang-github-appc-cni-dev")
        return f"libcni {libcni} with {Reference.version()}"

    def words(self, command: str, network: Network, pod: Pod) -> list[str]:
        """Return the command line."""
        return [str(GO_PROGRAM), command, NETDIR, network.name, pod.container_id, pod.netns]


class OurCommand(Command):
    """`cnifast add` and `cnifast del`, with the service running."""

    name: ClassVar[str] = "cnifast"
    plugins: ClassVar[str] = DIRECTORY

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self._service = Service(node)

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        return Service.missing()

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return Service.version()

    def words(self, command: str, network: Network, pod: Pod) -> list[str]:
        """Return the command line."""
        options = ["--container-id", pod.container_id]
        return [cnifast(), command, network.name, pod.netns, *options]

    def close(self) -> None:
        """Stop the service."""
        self._service.close()
