"""netavark, podman's network tool, for the part of its work that compares.

It is given the address (podman allocates it), so there is no IPAM in it. With masquerading it
loads rules per network, not per pod, plus its host port chains. On an internal network it makes
no default route, so `attach` adds one afterwards, outside of the measured time, for the checks
to hold. It does not wait for the bridge port to forward. One more pod stays attached the whole
time, or else each teardown would delete the bridge, too.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from benchmarks.harness import debian_version, require
from benchmarks.targets import Attached
from benchmarks.workloads import BRIDGE, Pod

if TYPE_CHECKING:
    from benchmarks.node import Node, Outcome
    from benchmarks.workloads import Network

PROGRAM = shutil.which("netavark", path="/usr/lib/podman:/usr/libexec/podman:/usr/bin") or ""
RESIDENT = 20_000


class Netavark:
    """Executes `netavark setup` and `netavark teardown`."""

    name: ClassVar[str] = "netavark"

    def __init__(self, node: Node) -> None:
        self.node = node

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        return None if PROGRAM else "no netavark (Debian: netavark)"

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return f"netavark {debian_version('netavark')}"

    def open(self, network: Network) -> None:
        """Attach the pod that stays."""
        (netns,) = self.node.make_pods(1, "keep")
        self._run("setup", Pod(netns, "keep", RESIDENT), network)

    def attach(self, pod: Pod, network: Network) -> Attached:
        """Set a container up."""
        done = self._run("setup", pod, network)
        if not network.ip_masq:
            via = ("default", "via", network.gateway)
            self.node.do("ip", "-n", Path(pod.netns).name, "route", "add", *via)
        return Attached(done.ns, done.cpu_ns, network.address(pod.number))

    def detach(self, pod: Pod, network: Network, attached: Attached) -> int:
        """Tear a container down."""
        del attached
        return self._run("teardown", pod, network).ns

    def close(self) -> None:
        """End what was started: nothing."""

    def _run(self, verb: str, pod: Pod, network: Network) -> Outcome:
        options = json.dumps(_options(pod, network)).encode()
        env = {"NETAVARK_FW": "iptables"}
        done = self.node.call([PROGRAM, verb, pod.netns], env, options)
        require(done.exit_code == 0, f"netavark {verb}: {(done.out + done.err).decode().strip()}")
        return done


def _options(pod: Pod, network: Network) -> dict[str, Any]:
    """Return what podman would hand over."""
    return {
        "container_id": pod.container_id,
        "container_name": pod.container_id,
        "networks": {
            network.name: {
                "static_ips": [network.address(pod.number)],
                "interface_name": "eth0",
            }
        },
        "network_info": {
            network.name: {
                "name": network.name,
                "id": "0" * 64,
                "driver": "bridge",
                "network_interface": BRIDGE,
                "subnets": [{"subnet": network.subnet, "gateway": network.gateway}],
                "ipv6_enabled": False,
                "internal": not network.ip_masq,
                "dns_enabled": False,
                "ipam_options": {"driver": "host-local"},
            }
        },
    }
