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
from benchmarks.node import Request
from benchmarks.workloads import address_of, cni_env, encode, every_pod, template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.node import Churn, Node, Outcome
    from benchmarks.workloads import Network, Pod

PREVIOUS = "@PREV@"  # of a pod of a churn


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
        """ADD of each plugin with the result of the one before it."""
        ns = cpu_ns = 0
        out = b""
        for plugin in network.plugins(pod):
            conf = network.whole(plugin, out and json.loads(out))
            done = self.call(plugin["type"], "ADD", pod, conf)
            ns, cpu_ns, out = ns + done.ns, cpu_ns + done.cpu_ns, done.out
        return Attached(ns, cpu_ns, address_of(out), out)

    def detach(self, pod: Pod, network: Network, attached: Attached) -> int:
        """DEL, the last plugin first, with the ADD's result, as a runtime has it in its cache."""
        result = json.loads(attached.result)
        return sum(
            self.call(plugin["type"], "DEL", pod, network.whole(plugin, result)).ns
            for plugin in reversed(network.plugins(pod))
        )

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
        pod = every_pod(prefix)
        first, *others = network.plugins(pod)
        done = self.node.churn(
            [
                self._request("ADD", pod, network.whole(first)),
                *(self._request("ADD", pod, network.whole(each, PREVIOUS)) for each in others),
            ],
            [
                self._request("DEL", pod, network.whole(each, PREVIOUS))
                for each in (*reversed(others), first)
            ],
            clients=clients,
            pods=pods,
            loops=loops,
            ops=ops,
        )
        require(not any(sample.exit_code for sample in done.samples), f"{self.name}: {done.error}")
        return done

    def _request(self, command: str, pod: Pod, conf: Mapping[str, Any]) -> Request:
        """Return one call of a churn."""
        env = {**cni_env(command, pod, self.directory), **self.env}
        return Request([f"{self.directory}/{conf['type']}"], env, template(conf))

    def close(self) -> None:
        """End what was started: nothing."""
