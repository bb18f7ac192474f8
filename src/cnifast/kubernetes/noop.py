"""The network plugin that does nothing: the runtime gives its containers a network by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnifast.kubernetes.filtered import filter_bridged_packets

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnifast.kubernetes.host import Host

NOOP_NAME = "kubernetes.io/no-op"


class NoopNetworkPlugin:
    """See `cnifast.kubernetes.NetworkPlugin`."""

    def init(self, host: Host, hairpin_mode: str, non_masquerade_cidr: str, mtu: int) -> None:  # noqa: ARG002
        """Have bridged packets pass the rules of kube-proxy, whoever makes the bridge."""
        filter_bridged_packets()

    def event(self, name: str, details: Mapping[str, object]) -> None:
        """Do nothing."""

    def name(self) -> str:
        """Return the name, which is not meant to be chosen by."""
        return NOOP_NAME

    def capabilities(self) -> frozenset[int]:
        """Return that there are none."""
        return frozenset()

    def set_up_pod(
        self,
        namespace: str,
        name: str,
        id: str,  # noqa: A002
        annotations: Mapping[str, str],
    ) -> None:
        """Do nothing."""

    def tear_down_pod(self, namespace: str, name: str, id: str) -> None:  # noqa: A002
        """Do nothing."""

    def get_pod_network_status(self, namespace: str, name: str, id: str) -> None:  # noqa: A002, ARG002
        """Return that the runtime knows."""
        return

    def status(self) -> None:
        """Do nothing: nothing can be missing."""
