"""What a network plugin is to a kubelet, and the choice of one by name.

The protocol is the one that kubelets up to version 1.23 had: a plugin is initialised once, hears
of events such as the node's pod CIDR, and sets up, tears down and reports the network of pods.  A
pod is known by namespace, name and the ID of its sandbox, which is the container ID of CNI.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cnifast.kubernetes.host import Host

NET_PLUGIN_EVENT_POD_CIDR_CHANGE = "pod-cidr-change"
NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR = "pod-cidr"
"""The detail with the node's pod CIDRs: one, or one of each family with a comma between."""

NET_PLUGIN_CAPABILITY_SHAPER = 1
"""The plugin limits a pod's bandwidth as its annotations ask for."""

USE_DEFAULT_MTU = 0


class HairpinMode(StrEnum):
    """How a pod reaches itself by way of a service's address."""

    PROMISCUOUS_BRIDGE = "promiscuous-bridge"
    HAIRPIN_VETH = "hairpin-veth"
    NONE = "none"


class NetworkPluginError(Exception):
    """A network plugin cannot do what it was asked to; the text says why."""


class PodNetworkStatus:
    """The addresses of a pod, such as "10.1.0.5".

    Attributes:
        ip: the first of them, which the pod is known by.
        ips: all of them, in both families.
    """

    __slots__ = ("ips",)

    def __init__(self, ips: Iterable[str]) -> None:
        self.ips = tuple(ips)

    @property
    def ip(self) -> str:
        """The first address."""
        return self.ips[0]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PodNetworkStatus) and other.ips == self.ips

    def __hash__(self) -> int:
        return hash(self.ips)

    def __repr__(self) -> str:
        return f"PodNetworkStatus({self.ips!r})"


class NetworkPlugin(Protocol):
    """A network plugin; every method but ``init`` may be called by several threads at a time."""

    def init(self, host: Host, hairpin_mode: str, non_masquerade_cidr: str, mtu: int) -> None:
        """Get ready; called once, before anything else.

        Args:
            host: where the plugin asks for pods.
            hairpin_mode: a `HairpinMode`.
            non_masquerade_cidr: pods appear under their own addresses inside of it.
            mtu: of the pods' interfaces; USE_DEFAULT_MTU leaves it to the plugin.

        Raises:
            NetworkPluginError: the plugin cannot be used.
        """

    def event(self, name: str, details: Mapping[str, object]) -> None:
        """Take note of an event, such as NET_PLUGIN_EVENT_POD_CIDR_CHANGE."""

    def name(self) -> str:
        """Return the name that the plugin is chosen by."""

    def capabilities(self) -> frozenset[int]:
        """Return which NET_PLUGIN_CAPABILITY_* the plugin has."""

    def set_up_pod(
        self,
        namespace: str,
        name: str,
        id: str,  # noqa: A002 - what a kubelet calls it
        annotations: Mapping[str, str],
    ) -> None:
        """Give a new sandbox its network.

        Raises:
            NetworkPluginError: it has none; nothing is left behind.
        """

    def tear_down_pod(self, namespace: str, name: str, id: str) -> None:  # noqa: A002
        """Take a sandbox's network away; called as often as it takes, also for what has none.

        Raises:
            NetworkPluginError: something is left; the rest is gone.
        """

    def get_pod_network_status(
        self,
        namespace: str,
        name: str,
        id: str,  # noqa: A002
    ) -> PodNetworkStatus | None:
        """Return the addresses of a sandbox, None from a plugin that does not know of any.

        Raises:
            NetworkPluginError: it has none, or they cannot be read.
        """

    def status(self) -> None:
        """Raise while no pod can be set up.

        Raises:
            NetworkPluginError: why not.
        """
