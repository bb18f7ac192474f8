"""A container on a bridge whose bandwidth is limited: the two plugins in a chain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .node import need_tools
from .plugin import Attachment

if TYPE_CHECKING:
    from .node import Node
    from .plugin import Outcome, Runner

MBIT = 10**6
BOTH = {
    "ingressRate": 8 * MBIT,
    "ingressBurst": 800_000,
    "egressRate": 16 * MBIT,
    "egressBurst": 1_600_000,
}
BRIDGE = {
    "cniVersion": "1.1.0",
    "name": "net",
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": True,
    "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"},
}


class Chain:
    """One container on a bridge, and the bandwidth plugin after that."""

    def __init__(self, node: Node, runner: Runner, ifname: str = "eth0", **conf: Any) -> None:
        need_tools("tc")
        self.node = node
        if "pod1" not in node.containers:
            node.new_container("pod1")
        self.pod = node.containers["pod1"]
        self.bridge = Attachment(runner, BRIDGE, self.pod, ifname=ifname)
        outcome = self.bridge.add()
        assert outcome.ok, outcome
        base = {"cniVersion": "1.1.0", "name": "net", "type": "bandwidth"}
        behind = {**base, **conf, "prevResult": self.bridge.result}
        self.limits = Attachment(runner, behind, self.pod, ifname=ifname)

    @property
    def host_end(self) -> str:
        """The name of the host's end of the pair."""
        name: str = self.bridge.result["interfaces"][1]["name"]
        return name

    @property
    def device(self) -> str:
        """The name of the ifb device, as the result has it."""
        name: str = self.limits.result["interfaces"][3]["name"]
        return name

    def add(self) -> Any:
        """Limit; return the result."""
        outcome = self.limits.add()
        assert outcome.ok, outcome
        return outcome.json

    def check(self) -> Outcome:
        """CHECK with what ADD returned."""
        return self.limits.call("CHECK", prevResult=self.limits.result)

    def delete(self, **conf: Any) -> None:
        """DEL of the whole chain, in its order."""
        for outcome in (self.limits.call("DEL", **conf), self.bridge.delete()):
            assert outcome.ok, outcome


def ifbs(node: Node) -> set[str]:
    """Return the names of the ifb devices that somebody made."""
    return {link["ifname"] for link in node.links() if link["ifname"].startswith("bwp")}
