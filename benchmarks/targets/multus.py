"""Multus, which attaches a pod to several networks by the plugins of each.

It is given the networks in its own configuration and asks no Kubernetes for more.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, ClassVar

from benchmarks.harness import require
from benchmarks.targets import Attached, Plugins
from benchmarks.targets.commands import OurCommand
from benchmarks.targets.reference import Reference
from benchmarks.targets.service import Service, cnifast
from benchmarks.workloads import address_of, cni_env, conf_list, encode

if TYPE_CHECKING:
    from benchmarks.node import Outcome
    from benchmarks.workloads import Network, Pod

PROGRAM = os.environ.get("CNIFAST_BENCH_MULTUS", "/opt/cni/bin/multus")


def _why_missing() -> str | None:
    """Return why there is no Multus here, or None."""
    return None if os.access(PROGRAM, os.X_OK) else f"no {PROGRAM} (CNIFAST_BENCH_MULTUS names it)"


def _version() -> str:
    """Return the version that Multus says it has."""
    done = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()


class _Multus(Plugins):
    """Executes Multus, which executes the plugins."""

    def attach(self, pod: Pod, network: Network) -> Attached:
        """ADD; the result is that of the first network alone."""
        done = self._ask("ADD", pod, network)
        return Attached(done.ns, done.cpu_ns, address_of(done.out))

    def detach(self, pod: Pod, network: Network, attached: Attached) -> int:  # noqa: ARG002
        """DEL."""
        return self._ask("DEL", pod, network).ns

    def _ask(self, command: str, pod: Pod, network: Network) -> Outcome:
        """Execute it for all networks of a pod, and insist on success."""
        conf = {
            "cniVersion": "1.0.0",
            "name": "multus",
            "type": "multus",
            "binDir": self.directory,
            "delegates": [conf_list(one) for one in network.networks],
        }
        env = {**cni_env(command, pod, self.directory), **self.env}
        done = self.node.call([PROGRAM], env, encode(conf))
        text = (done.out or done.err).decode(errors="replace").strip()
        require(done.exit_code == 0, f"{self.name}: {command}: {text}")
        return done


class TheirMultus(_Multus, Reference):
    """Multus with the Go plugins."""

    name: ClassVar[str] = "multus"

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        return _why_missing() or Reference.missing()

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return f"{_version()} with {Reference.version()}"


class OurMultus(_Multus, Service):
    """Multus with cnifast's plugins, and the service running."""

    name: ClassVar[str] = "multus, cnifast"

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        return _why_missing() or Service.missing()

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return f"{_version()} with {Service.version()}"


class OurSeveral(OurCommand):
    """One `cnifast add --all`, with the service running."""

    def attach(self, pod: Pod, network: Network) -> Attached:
        """Attach; the results are printed one after the other."""
        done = self._call("add", network, pod)
        first, _ = json.JSONDecoder().raw_decode(done.out.decode())
        return Attached(done.ns, done.cpu_ns, address_of(encode(first)))

    def words(self, command: str, network: Network, pod: Pod) -> list[str]:  # noqa: ARG002
        """Return the command line."""
        return [cnifast(), command, "--all", pod.netns, "--container-id", pod.container_id]
