"""Pods on a bridge whose host ports are made by the portmap plugin, called as a runtime does."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from cnifast import plugins

from .routed import Routed, pod_prefix

if TYPE_CHECKING:
    from .node import Container, Node

VERSION = "1.1.0"


def mapping(
    host_port: int, container_port: int = 80, protocol: str = "tcp", host_ip: str = ""
) -> dict[str, Any]:
    """Return a port mapping as podman sends it."""
    found = {"hostPort": host_port, "containerPort": container_port, "protocol": protocol}
    return {**found, "hostIP": host_ip} if host_ip else found


class Pod:
    """A pod that is attached already, and its ports."""

    def __init__(self, number: int, container: Container | None = None) -> None:
        self.number = number
        self.name = f"c{number}"
        self.container = container
        self.conf: dict[str, Any] = {}

    @property
    def fd(self) -> int:
        """Its namespace."""
        if self.container is None:
            raise AssertionError("it has no namespace")
        return self.container.fd

    def result(self, families: tuple[int, ...] = (4, 6)) -> dict[str, Any]:
        """Return what the bridge plugin says of it."""
        return {
            "cniVersion": VERSION,
            "interfaces": [
                {"name": "br0"},
                {"name": f"port{self.number}"},
                {"name": "eth0", "sandbox": f"/run/netns/{self.name}"},
            ],
            "ips": [
                {"address": pod_prefix(self.number, family), "interface": 2} for family in families
            ],
        }

    def add(self, *mappings: dict[str, Any], network: str = "net", **conf: Any) -> Any:
        """ADD with these port mappings; keep the configuration for the other commands."""
        self.conf = {
            "cniVersion": VERSION,
            "name": network,
            "type": "portmap",
            "prevResult": self.result(),
            "runtimeConfig": {"portMappings": list(mappings)},
            **conf,
        }
        return plugins.add("portmap", self.conf, **self._who())

    def check(self, **conf: Any) -> None:
        """CHECK with what ADD was given."""
        plugins.check("portmap", {**self.conf, **conf}, **self._who())

    def delete(self, *without: str, **conf: Any) -> None:
        """DEL with what ADD was given but for the keys in ``without``; "netns" is one of them."""
        sent = {key: value for key, value in {**self.conf, **conf}.items() if key not in without}
        who = self._who()
        if "netns" in without:
            who["netns"] = ""
        plugins.delete("portmap", sent, **who)

    def _who(self) -> dict[str, str]:
        return {
            "container_id": self.name,
            "netns": f"/run/netns/{self.name}",
            "ifname": "eth0",
        }


class Portmapped(Routed):
    """Two pods with host ports, c5 and c6, and a neighbour who asks for them."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.node = node
        for number in (5, 6):
            # As hairpinMode of the bridge plugin does: with br_netfilter a pod's question to
            # itself is turned round within the bridge.
            node.ip(f"link set port{number} type bridge_slave hairpin on")
        self.first, self.second = (
            Pod(number, container) for number, container in zip((5, 6), self.pods, strict=True)
        )

    def elements(self) -> list[str]:
        """Return every element of every set and map, as (set, comment) in one line, sorted."""
        listed = json.loads(self.node.run("nft -j list ruleset"))["nftables"]
        found = []
        for entry in listed:
            for kind in ("set", "map"):
                owner = entry.get(kind, {})
                for element in owner.get("elem", ()):
                    body = element[0] if isinstance(element, list) else element
                    found.append(f"{owner['name']} {body['elem'].get('comment', '')}")
        return sorted(found)

    def owners(self) -> set[str]:
        """Return whose elements there are: container IDs."""
        return {line.split()[-3] for line in self.elements()}

    def counter(self, chain: str) -> int:
        """Return how many packets the counter in a chain has seen."""
        listed = self.node.run(f"nft list chain inet cnifast-hostport {chain}")
        found = re.search(r"counter packets (\d+)", listed)
        if found is None:
            raise AssertionError(f"no counter in {listed}")
        return int(found[1])

    def rules(self) -> list[str]:
        """Return all rules of the table, each with its chain."""
        found, chain = [], ""
        for line in self.node.run("nft list table inet cnifast-hostport").splitlines():
            words = line.split()
            if words[:1] == ["chain"]:
                chain = words[1]
            elif line.startswith("\t\t") and chain and words[0] != "type":
                found.append(f"{chain}: {line.strip()}")
            elif line == "\t}":
                chain = ""
        return found
