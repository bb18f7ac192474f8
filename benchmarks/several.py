"""Pods with more than one network as work: a bridge and, for the second interface, macvlan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from benchmarks.harness import require
from benchmarks.workloads import STORE, Network, Pod, prepare

if TYPE_CHECKING:
    from benchmarks.node import Node


class Second(Network):
    """A macvlan network without a default route: the pod has one by its first network."""

    def conf(self, version: str = "1.0.0") -> dict[str, Any]:
        """Return the CNI configuration."""
        conf = super().conf(version)
        del conf["ipam"]["routes"]
        return conf


SECOND = Second(kind="macvlan", name="second", prefix="10.33")


class Several(Network):
    """The bridge network, and the second one behind it."""

    @property
    def networks(self) -> tuple[Network, ...]:
        """Return both."""
        return Network(self.kind, self.ip_masq, self.name, self.prefix), SECOND

    def look(self, node: Node, pod: Pod, address: str, *, attached: bool) -> None:  # noqa: ARG002
        """Check that the pod has an address of the second network, or that it was given back.

        Raises:
            WrongResultError: it is not so.
        """
        links = [link for link in node.links(pod.netns) if link["ifname"] not in ("lo", "eth0")]
        found = [(link["operstate"], a["local"]) for link in links for a in link["addr_info"]]
        states = [state for state, local in found if local.startswith(f"{SECOND.prefix}.")]
        kept = [*node.path(f"{STORE}/{SECOND.name}").glob("10.*")]
        where = f"{node.name}, {pod.container_id}"
        require(states == ["UP"] * attached, f"{where}: second interface is {found}")
        require(attached or not kept, f"{where}: addresses of the second network kept: {kept}")


def furnish(node: Node) -> None:
    """Give a node what the second network needs to be there."""
    prepare(node, SECOND)
