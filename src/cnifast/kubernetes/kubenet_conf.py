"""The networks that kubenet makes of a node's pod CIDRs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnifast.kubernetes.cbr0 import BRIDGE
from cnifast.kubernetes.network_plugin import NetworkPluginError
from cnifast.libcni import conf_list_from_bytes
from cnifast.plugins import MODULES
from cnifast.protocol import ip
from cnifast.protocol.codec import DecodeError, dumps, quote

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from cnifast.libcni import NetworkConfigList

NAME = "kubenet"

_DEFAULT_ROUTE = {4: "0.0.0.0/0", 6: "::/0"}
_LONGEST = {4: 30, 6: 126}  # a subnet with a gateway and a pod

# What follows the bridge plugin for pods that need it, by its capability.
_FOLLOWING: dict[str, dict[str, Any]] = {
    "portMappings": {"type": "portmap", "snat": True},
    "bandwidth": {"type": "bandwidth"},
}


class PodNetwork:
    """The network of a node's pod CIDRs.

    Attributes:
        cidrs: the pods' subnets, such as "10.244.1.0/24".
        gateways: the bridge's address in each, such as "10.244.1.1/24".
    """

    def __init__(
        self, cidrs: Sequence[str], *, mtu: int, hairpin: bool, promisc: bool, data_dir: str
    ) -> None:
        self.cidrs = tuple(cidrs)
        self.gateways = tuple(_first(cidr) for cidr in cidrs)
        ipam: dict[str, Any] = {
            "type": "host-local",
            "ranges": [[{"subnet": cidr}] for cidr in cidrs],
            "routes": [{"dst": _DEFAULT_ROUTE[_family(cidr)]} for cidr in cidrs],
        }
        if data_dir:
            ipam["dataDir"] = data_dir
        self._bridge = {
            "type": "bridge",
            "bridge": BRIDGE,
            "mtu": mtu,
            "isGateway": True,
            "ipMasq": False,
            "hairpinMode": hairpin,
            "promiscMode": promisc,
            "ipam": ipam,
        }
        self._lists: dict[frozenset[str], NetworkConfigList] = {}

    def conf_list(self, capabilities: Collection[str] = ()) -> NetworkConfigList:
        """Return the network for pods that need these capabilities: "portMappings", "bandwidth".

        Raises:
            NetworkPluginError: there is no plugin for one.
        """
        key = frozenset(capabilities)
        found = self._lists.get(key)
        if found is None:
            found = self._lists[key] = self._make(key)
        return found

    def whole(self) -> NetworkConfigList:
        """Return the network with everything that any of its pods may have needed."""
        known = [name for name, plugin in _FOLLOWING.items() if plugin["type"] in MODULES]
        return self.conf_list(known)

    def _make(self, capabilities: frozenset[str]) -> NetworkConfigList:
        """Return the network for a set of capabilities."""
        plugins = [self._bridge]
        for capability, plugin in _FOLLOWING.items():
            if capability not in capabilities:
                continue
            if plugin["type"] not in MODULES:
                raise NetworkPluginError(f"there is no plugin {plugin['type']} for {capability}")
            plugins.append({**plugin, "capabilities": {capability: True}})
        return conf_list_from_bytes(
            dumps({"cniVersion": "1.1.0", "name": NAME, "plugins": plugins})
        )


def parse_cidrs(text: str, what: str) -> tuple[str, ...]:
    """Return the subnets in a text: one, or one of each family with a comma between.

    Raises:
        NetworkPluginError: they are something else.
    """
    found: dict[int, str] = {}
    for part in text.split(","):
        try:
            family, value, prefixlen = ip.parse_cidr(part.strip())
        except DecodeError:
            raise NetworkPluginError(f"{what} {quote(part)} is not a subnet") from None
        if family in found:
            raise NetworkPluginError(f"{what} {quote(text)} names two subnets of a family")
        found[family] = ip.format_cidr(family, ip.network(family, value, prefixlen), prefixlen)
    return tuple(found.values())


def parse_pod_cidrs(text: str) -> tuple[str, ...]:
    """Return the subnets that a node's pods are from.

    Raises:
        NetworkPluginError: they are not subnets, or have no room for pods.
    """
    found = parse_cidrs(text, "pod CIDR")
    for cidr in found:
        family, _, prefixlen = ip.parse_cidr(cidr)
        if prefixlen > _LONGEST[family]:
            raise NetworkPluginError(f"pod CIDR {cidr} has no room for pods")
    return found


def subnet_of(address: str) -> str:
    """Return the subnet of an address such as "10.244.1.1/24"."""
    family, value, prefixlen = ip.parse_cidr(address)
    return ip.format_cidr(family, ip.network(family, value, prefixlen), prefixlen)


def _family(cidr: str) -> int:
    """Return the family of a subnet."""
    return ip.parse_cidr(cidr)[0]


def _first(cidr: str) -> str:
    """Return the first address in a subnet, with the prefix length."""
    family, value, prefixlen = ip.parse_cidr(cidr)
    return ip.format_cidr(family, value + 1, prefixlen)
