"""What the pods of a cluster's node have in common of nftables: rules that no pod changes.

    with NftSocket() as nft:
        masquerade_leaving(nft, ["10.244.1.0/24"], ["10.0.0.0/8"])

Each function has its rules be as they are asked for, whatever they were before.
"""

from __future__ import annotations

from cnifast._native import ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.kernel.address import mac_bytes
from cnifast.kernel.nft import ip_array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from cnifast.kernel.nft import NftSocket


def masquerade_leaving(nft: NftSocket, pods: Collection[str], cluster: Collection[str]) -> None:
    """Masquerade what comes from subnets of pods and leaves the cluster.

    Args:
        nft: a socket on the host's namespace.
        pods: the subnets; without any, nothing is masqueraded.
        cluster: one subnet of each family; a family without one, or whose one is everything, is
            not masqueraded.

    Raises:
        ValueError: a text is not a subnet.
        KernelError: the kernel refused.
    """
    err = new_error()
    inside, outside = ip_array(pods), ip_array(cluster)
    check(lib.cnif_cluster_masq(nft.raw, inside, len(inside), outside, len(outside), err), err)


def drop_repeats(nft: NftSocket, mac: str, gateways: Collection[str]) -> None:
    """Drop what a promiscuous bridge sends to pods that they have got from each other already.

    Args:
        nft: a socket on the host's namespace.
        mac: the bridge's.
        gateways: its addresses with the prefix lengths of the pods' subnets ("10.244.1.1/24"),
            from which it may send; without any, nothing is dropped.

    Raises:
        ValueError: a text is not an address, or ``mac`` not a MAC address.
        KernelError: the kernel refused.
    """
    err = new_error()
    ips = ip_array(gateways)
    octets = mac_bytes(mac) if gateways else ffi.NULL
    check(lib.cnif_cluster_guard(nft.raw, octets, ips, len(ips), err), err)
