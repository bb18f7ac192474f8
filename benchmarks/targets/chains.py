"""Chains of plugins: executed one after the other, or run in the process of a runtime.

``chain_of`` says which plugins follow the network's own one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.harness import require
from benchmarks.node import PATH
from benchmarks.targets import Attached, Plugins
from benchmarks.targets.reference import Reference
from benchmarks.targets.service import Service, installed_version, why_missing
from benchmarks.workloads import address_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.node import Node, Outcome
    from benchmarks.workloads import Network, Pod

NOWHERE = "/nowhere"  # a CNI_PATH in which there is no program at all
START_SECONDS = 20


def chain_of(network: Network) -> list[dict[str, Any]]:
    """Return the plugins of the chain: the network's, port mappings of none, limits of none."""
    conf = {key: v for key, v in network.conf().items() if key not in ("cniVersion", "name")}
    portmap = {"type": "portmap", "capabilities": {"portMappings": True}}
    bandwidth = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
    return [conf, portmap, bandwidth]


class Executed(Plugins):
    """A chain of programs, without anything that a runtime does in between."""

    def attach(self, pod: Pod, network: Network) -> Attached:
        """ADD of each plugin with the result of the one before it."""
        ns = cpu_ns = 0
        result: Any = None
        for conf in chain_of(network):
            done = self._call("ADD", pod, network, conf, result)
            ns, cpu_ns, result = ns + done.ns, cpu_ns + done.cpu_ns, json.loads(done.out)
        out = json.dumps(result).encode()
        return Attached(ns, cpu_ns, address_of(out), out)

    def detach(self, pod: Pod, network: Network, attached: Attached) -> int:
        """DEL of each plugin with the last result, from the last one to the first."""
        result = json.loads(attached.result)
        return sum(
            self._call("DEL", pod, network, conf, result).ns for conf in reversed(chain_of(network))
        )

    def _call(
        self, command: str, pod: Pod, network: Network, conf: Mapping[str, Any], result: Any
    ) -> Outcome:
        """Execute one plugin of the chain."""
        whole = {"cniVersion": "1.0.0", "name": network.name, **conf}
        if result is not None:
            whole["prevResult"] = result
        return self.call(conf["type"], command, pod, whole)


class ReferenceChain(Executed, Reference):
    """The Go plugins."""


class ServiceChain(Executed, Service):
    """cnifast's plugin binaries, with the service running."""


class InProcess:
    """A Python program on `cnifast.libcni` that runs plugins in its own process.

    What is measured is the call of the library: its cache of results is written and read.
    """

    name: ClassVar[str] = "in process"

    def __init__(self, node: Node) -> None:
        self.node = node
        self._program = node.popen(
            [sys.executable, __file__],
            env={"PATH": PATH, "PYTHONNOUSERSITE": "1", "PYTHONPATH": ":".join(sys.path)},
            stderr=subprocess.PIPE,
        )

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        return why_missing()

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return f"{installed_version()}, InProcessExec"

    def open(self, network: Network) -> None:
        """Tell the program which network it is about."""
        chain = {"cniVersion": "1.0.0", "name": network.name, "plugins": chain_of(network)}
        self._ask(chain)

    def attach(self, pod: Pod, network: Network) -> Attached:  # noqa: ARG002 - see Attacher
        """ADD of the whole chain."""
        ns, result = self._ask(["add", pod.container_id, pod.netns])
        out = json.dumps(result).encode()
        return Attached(ns, 0, address_of(out), out)

    def detach(self, pod: Pod, network: Network, attached: Attached) -> int:  # noqa: ARG002
        """DEL of the whole chain."""
        ns, _ = self._ask(["del", pod.container_id, pod.netns])
        took: int = ns
        return took

    def close(self) -> None:
        """End the program."""
        self._program.kill()
        self._program.wait()

    def _ask(self, request: Any) -> Any:
        """Send the program a request and return its answer."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(json.dumps(request).encode() + b"\n")
        self._program.stdin.flush()
        line = self._program.stdout.readline()
        if not line and self._program.stderr is not None:
            require(line, self._program.stderr.read().decode())
        return json.loads(line)


def serve() -> None:
    """Be the program."""
    from cnifast.libcni import (  # noqa: PLC0415 - in the program alone
        CNIConfig,
        InProcessExec,
        RuntimeConf,
        conf_list_from_bytes,
    )

    cni = CNIConfig(NOWHERE, InProcessExec())
    net = conf_list_from_bytes(sys.stdin.readline().encode())
    print("null", flush=True)
    for line in sys.stdin:
        command, container_id, netns = json.loads(line)
        rt = RuntimeConf(container_id, netns)
        act = cni.add_network_list if command == "add" else cni.del_network_list
        start = time.perf_counter_ns()
        result = act(net, rt)
        took = time.perf_counter_ns() - start
        shown = None if result is None else result.to_json(result.cni_version)
        print(json.dumps([took, shown]), flush=True)


if __name__ == "__main__":
    serve()
