"""Kubelets: the demonstration of cnifast.kubernetes, with kubenet or with the reference's plugins.

Both run in one process with as many threads as there are workers, and do the same for a pod: lo,
then eth0 on a bridge, with an address of each family, and back.  kubenet's plugins are called in
that process; the reference's are executed by the network plugin cni.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, ClassVar

import cnifast
from benchmarks.harness import debian_version, require
from benchmarks.targets.reference import DIRECTORY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.node import Node

CONF_DIR = "/etc/cni/net.d"
CIDRS = ("10.244.0.0/16", "fd00:10:244::/64")
MTU = 1460  # kubenet's, on a node without another interface
FAMILIES = len(CIDRS)
_MODULE = (sys.executable, "-m", "cnifast.kubernetes.demo", "--here", "--json")


class Kubelet:
    """kubenet of cnifast."""

    name: ClassVar[str] = "cnifast"
    options: ClassVar[Sequence[str]] = ("--network-plugin", "kubenet")

    def __init__(self, node: Node) -> None:
        self.node = node

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        return None

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return f"cnifast {cnifast.__version__}"

    def run(self, pods: int, at_a_time: int, workers: int) -> dict[str, float]:
        """Have pods come and go; return how many per second, by what was done to them."""
        numbers = {"--pods": pods, "--at-a-time": at_a_time, "--workers": workers}
        words = [str(word) for pair in numbers.items() for word in pair]
        cidrs = ("--pod-cidr", ",".join(CIDRS))
        done = self.node.call([*_MODULE, *self.options, *cidrs, *words])
        text = (done.err or done.out).decode(errors="replace").strip()
        require(done.exit_code == 0, f"{self.name}: {text}")
        figures: dict[str, Any] = json.loads(done.out)
        require(figures["addresses"] == FAMILIES * pods, f"{self.name}: {text}")
        require(not figures["faults"] and not figures["left"], f"{self.name}: {text}")
        rates: dict[str, float] = figures["rates"]
        return rates


class ReferenceKubelet(Kubelet):
    """The reference's plugins, executed one after the other."""

    name: ClassVar[str] = "reference"
    options: ClassVar[Sequence[str]] = ("--network-plugin", "cni", "--bin-dir", DIRECTORY)

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        bridge = {
            "type": "bridge",
            "bridge": "cbr0",
            "mtu": MTU,
            "isGateway": True,
            "ipMasq": False,
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": cidr}] for cidr in CIDRS],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
            },
        }
        conf = {"cniVersion": "1.0.0", "name": "kubenet", "plugins": [bridge]}
        node.path(f"{CONF_DIR}/10-kubenet.conflist").write_text(json.dumps(conf))

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        for plugin in ("bridge", "host-local", "loopback"):
            if not os.access(f"{DIRECTORY}/{plugin}", os.X_OK):
                return f"no {plugin} in {DIRECTORY} (Debian: containernetworking-plugins)"
        return None

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return f"containernetworking-plugins {debian_version('containernetworking-plugins')}"
