"""The bridge that kubenet's pods hang on, beyond what the bridge plugin does for a single pod."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnifast.kernel.cluster import drop_repeats, masquerade_leaving
from cnifast.kernel.handle import IFF_PROMISC, Handle
from cnifast.kernel.nft import NftSocket
from cnifast.kubernetes.filtered import (
    are_bridged_packets_filtered,
    filter_bridged_packets,
)
from cnifast.protocol import ip

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from cnifast.kernel import Link

BRIDGE = "cbr0"
FALLBACK_MTU = 1460
MTU_MIN, MTU_MAX = 576, 65535

_IFF_UP, _IFF_LOOPBACK, _IFF_POINTOPOINT = 0x1, 0x8, 0x10
_SCOPE_UNIVERSE = 0


class Cbr0:
    """The bridge, on the network namespace of the calling thread; it need not be there yet."""

    def filter_packets(self) -> None:
        """Have bridged packets pass the rules for routed ones, as far as the kernel can."""
        filter_bridged_packets()

    def least_mtu(self) -> int:
        """Return the smallest MTU of the host's interfaces that are up, to and from which pods go.

        Loopback, point-to-point links, the bridge and its ports do not count.
        """
        with Handle() as host:
            links = host.links()
        ours = {link.index for link in links if link.name == BRIDGE}
        found = [
            link.mtu
            for link in links
            if link.flags & (_IFF_UP | _IFF_LOOPBACK | _IFF_POINTOPOINT) == _IFF_UP
            and link.index not in ours
            and link.master not in ours
        ]
        least = min(found, default=0)
        return least if MTU_MIN <= least <= MTU_MAX else FALLBACK_MTU

    def readdress(self, gateways: Sequence[str], in_use: Collection[tuple[int, int]]) -> list[str]:
        """Have the bridge keep the addresses it needs: these, and those of pods that are left.

        Args:
            gateways: with prefix lengths, of the subnets that new pods are from.
            in_use: addresses of pods.

        Returns:
            The other addresses that are kept, for pods that are left.
        """
        kept = []
        with Handle() as host:
            link = _find(host)
            if link is None:
                return []
            for address in host.addresses(index=link.index):
                family, value = ip.unpacked(address.packed)
                text = ip.format_cidr(family, value, address.prefixlen)
                if address.scope != _SCOPE_UNIVERSE or text in gateways:
                    continue
                base = ip.network(family, value, address.prefixlen)
                if any(
                    f == family and ip.contains(family, base, address.prefixlen, v)
                    for f, v in in_use
                ):
                    kept.append(text)
                else:
                    host.delete_address(link.index, text)
            if kept:
                # The bridge plugin refuses to add an address to a bridge that has others.
                for gateway in gateways:
                    if not host.has_address(link.index, gateway):
                        host.add_address(link.index, gateway, nodad=True)
        return kept

    def masquerade(self, pods: Collection[str], cluster: Collection[str]) -> None:
        """Masquerade what comes from the pods' subnets and leaves the cluster, and nothing else."""
        with NftSocket() as nft:
            masquerade_leaving(nft, pods, cluster)

    def guard(self, mac: str, gateways: Collection[str]) -> None:
        """Keep what a promiscuous bridge with that MAC receives from being delivered twice.

        Nothing is, and a rule against it would do harm, where bridged packets are not filtered.
        """
        filtered = {family: are_bridged_packets_filtered(family) for family in (4, 6)}
        needed = [gateway for gateway in gateways if filtered[ip.parse_cidr(gateway)[0]]]
        with NftSocket() as nft:
            drop_repeats(nft, mac, needed)

    def leave_promiscuous(self) -> None:
        """Undo what an earlier use of the promiscuous mode has left."""
        with Handle() as host:
            link = _find(host)
            if link is not None and link.flags & IFF_PROMISC:
                host.set_link(link.index, promisc=False)
        self.guard("", ())


def _find(host: Handle) -> Link | None:
    """Return the bridge, None if there is none."""
    try:
        return host.link(BRIDGE)
    except FileNotFoundError:
        return None
