"""VLANs of a bridge's ports, as `bridge vlan` shows them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .node import Node

BRIDGE = "cni0"


def shown(node: Node) -> dict[str, dict[int, str]]:
    """Return by link, VLAN: "pvid untagged", "untagged" or "tagged"."""
    found: dict[str, dict[int, str]] = {}
    for link in json.loads(node.run("bridge -j vlan show") or "[]"):
        vlans = found.setdefault(link["ifname"], {})
        for entry in link.get("vlans", ()):
            flags = entry.get("flags", ())
            words = [
                word
                for word, flag in (("pvid", "PVID"), ("untagged", "Egress Untagged"))
                if flag in flags
            ]
            for vlan in range(entry["vlan"], entry.get("vlanEnd", entry["vlan"]) + 1):
                vlans[vlan] = " ".join(words) or "tagged"
    return found


def by_role(node: Node, pods: set[str] | None = None) -> list[tuple[str, dict[int, str]]]:
    """Return what each port of the bridge is for, and its VLANs: `shown` without random names.

    ``pods`` are the ports that lead to containers, None stands for all that leave the host.
    """
    links: dict[str, dict[str, Any]] = {link["ifname"]: link for link in node.links()}
    found = []
    for name, vlans in shown(node).items():
        link = links[name]
        if name == BRIDGE:
            role = "the bridge"
        elif name in pods if pods is not None else "link_netnsid" in link:
            role = "a container's"
        else:
            role = f"of {link.get('link')}"
        found.append((role, vlans))
    return sorted(found, key=str)
