"""Chains of plugins that run in the process of a runtime."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.harness import require
from benchmarks.node import PATH
from benchmarks.targets import Attached
from benchmarks.targets.service import installed_version, why_missing
from benchmarks.workloads import address_of, conf_list

if TYPE_CHECKING:
    from benchmarks.node import Node
    from benchmarks.workloads import Network, Pod

NOWHERE = "/nowhere"  # a CNI_PATH in which there is no program at all
START_SECONDS = 20


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
        self._ask(conf_list(network))

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
