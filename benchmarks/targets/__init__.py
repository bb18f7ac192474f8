"""The competitors. Each module holds one, and says what it does and does not do.

A competitor is made for one node. ``missing()`` tells why it cannot run on this machine,
``attach`` and ``detach`` do the work of a bridge or macvlan ADD and DEL and return what they
took; the caller checks the end state.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from benchmarks.harness import require
from benchmarks.workloads import Pod, address_of, cni_env, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.node import Churn, Node, Outcome
    from benchmarks.workloads import Network


@dataclass(slots=True, frozen=True)
class Attached:
    """What an attach took, in nanoseconds, and the address the pod got; the CNI result if any."""

    ns: int
    cpu_ns: int
    address: str
    result: bytes = b""


class Attacher(Protocol):
    """A competitor that attaches and detaches pods."""

    name: ClassVar[str]
    node: Node

    def __init__(self, node: Node) -> None:
        """Start what has to run in the node."""

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""

    def open(self, network: Network) -> None:
        """Make what has to be there before the first pod, where the competitor does not."""

    def attach(self, pod: Pod, network: Network) -> Attached:
        """Attach a pod."""

    def detach(self, pod: Pod, network: Network, attached: Attached) -> int:
        """Detach a pod; return the nanoseconds."""

    def close(self) -> None:
        """End what was started."""


class Plugins:
    """CNI plugin binaries in a directory, executed as a container runtime does."""

    name: ClassVar[str] = ""
    directory: ClassVar[str] = ""
    env: ClassVar[Mapping[str, str]] = {}

    def __init__(self, node: Node) -> None:
        self.node = node

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        raise NotImplementedError

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        raise NotImplementedError

    def open(self, network: Network) -> None:
        """Make what has to be there before the first pod: plugins do so themselves."""

    def call(self, plugin: str, command: str, pod: Pod, conf: Mapping[str, Any]) -> Outcome:
        """Execute a plugin, and insist on success."""
        env = {**cni_env(command, pod, self.directory), **self.env}
        done = self.node.call([f"{self.directory}/{plugin}"], env, encode(conf))
        text = (done.out or done.err).decode(errors="replace").strip()
        require(done.exit_code == 0, f"{self.name}: {plugin} {command}: {text}")
        return done

    def attach(self, pod: Pod, network: Network) -> Attached:
        """ADD."""
        done = self.call(network.kind, "ADD", pod, network.conf())
        return Attached(done.ns, done.cpu_ns, address_of(done.out), done.out)

    def detach(self, pod: Pod, network: Network, attached: Attached) -> int:
        """DEL with the ADD's result, as a runtime passes it from its cache."""
        conf = {**network.conf(), "prevResult": json.loads(attached.result)}
        return self.call(network.kind, "DEL", pod, conf).ns

    def churn(
        self,
        network: Network,
        *,
        clients: int,
        pods: int,
        loops: int = 1,
        ops: str = "AD",
        prefix: str = "pod",
    ) -> Churn:
        """Let several clients at once ADD and DEL pods; insist on success."""
        conf = encode(network.conf())
        with_result = conf[:-1] + b',"prevResult":@PREV@}'
        every_pod = Pod(f"/run/netns/{prefix}@POD@", f"{prefix}@POD@")
        requests = []
        for command, stdin in (("ADD", conf), ("DEL", with_result if "A" in ops else conf)):
            env = {**cni_env(command, every_pod, self.directory), **self.env}
            requests.append((env, stdin))
        done = self.node.churn(
            [f"{self.directory}/{network.kind}"],
            requests[0],
            requests[1],
            clients=clients,
            pods=pods,
            loops=loops,
            ops=ops,
        )
        require(not any(sample.exit_code for sample in done.samples), f"{self.name}: {done.error}")
        return done

    def close(self) -> None:
        """End what was started: nothing."""
