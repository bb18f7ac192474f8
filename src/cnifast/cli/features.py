"""What the kernel can do, tried out in a network namespace of its own."""

from __future__ import annotations

import os
import tempfile

from cnifast.kernel import Handle, KernelError, NetNS, hostports
from cnifast.kernel import netns as namespaces
from cnifast.kernel.nft import NftSocket, Owner
from cnifast.kernel.routing import RoutingChange
from cnifast.kernel.shaping import Bucket, Limits, add_limits
from cnifast.kernel.tap import Tap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Trial = Callable[[Handle, NetNS], None]


def missing() -> Iterator[str]:
    """Yield the names of what the kernel cannot do, with its reason.

    Raises:
        KernelError: no namespace can be made to try it in.
    """
    with tempfile.TemporaryDirectory(prefix="cnifast-") as directory:
        path = os.path.join(directory, "net")
        namespaces.create(path)
        try:
            with NetNS(path) as netns, Handle(netns) as handle:
                for name, trial in TRIALS.items():
                    try:
                        trial(handle, netns)
                    except KernelError as e:
                        yield f"{name} ({e})"
        finally:
            namespaces.remove(path)


def _bridge(handle: Handle, _: NetNS) -> None:
    handle.add_link("bridge", "bridge")


def _filtering(handle: Handle, _: NetNS) -> None:
    handle.add_link("bridge", "filtering", vlan_filtering=True)


def _veth(handle: Handle, _: NetNS) -> None:
    handle.add_link("veth", "veth", peer="peer", peer_netns=-1)


def _macvlan(handle: Handle, _: NetNS) -> None:
    handle.add_link("macvlan", "macvlan", parent=handle.link("veth").index)


def _ipvlan(handle: Handle, _: NetNS) -> None:
    handle.add_link("ipvlan", "ipvlan", parent=handle.link("bridge").index)


def _vlan(handle: Handle, _: NetNS) -> None:
    handle.add_link("vlan", "vlan", parent=handle.link("bridge").index)


def _dummy(handle: Handle, _: NetNS) -> None:
    handle.add_link("dummy", "dummy")


def _vrf(handle: Handle, _: NetNS) -> None:
    handle.add_link("vrf", "vrf", vrf_table=1)


def _rules(handle: Handle, _: NetNS) -> None:
    change = RoutingChange()
    change.add_rule("192.0.2.1/32", 1)
    change.apply(handle)


def _tap(_: Handle, netns: NetNS) -> None:
    Tap(None, None, multi_queue=False).create(netns.fileno(), "tap")


def _nftables(_: Handle, netns: NetNS) -> None:
    with NftSocket(netns) as nft:
        nft.add_masquerade(["192.0.2.1/24"], Owner("container", "eth0", "network"))


def _limits(handle: Handle, _: NetNS) -> None:
    for ifb, subnets in (("ifb-a", ()), ("ifb-b", ("192.0.2.0/24",))):
        handle.add_link("veth", f"{ifb}-end", peer=f"{ifb}-peer", peer_netns=-1)
        end = handle.link(f"{ifb}-end")
        limits = Limits(Bucket.of(10**6), Bucket.of(10**6), subnets)
        add_limits(handle, end, limits, ifb=ifb, alias="trial", mac="02:00:00:00:00:01")


def _hostports(_: Handle, netns: NetNS) -> None:
    ports = [hostports.HostPort("tcp", 8080, 80, "192.0.2.1")]
    wanted = hostports.HostPorts(ports, ["192.0.2.2/24"], mark_bit=13)
    with NftSocket(netns) as nft:
        hostports.add(nft, wanted, Owner("container", "eth0", "network"))


TRIALS: dict[str, Trial] = {
    "bridge": _bridge,
    "VLAN filtering of bridges": _filtering,
    "veth": _veth,
    "macvlan": _macvlan,
    "ipvlan": _ipvlan,
    "vlan": _vlan,
    "dummy": _dummy,
    "tap": _tap,
    "vrf": _vrf,
    "routing by source": _rules,
    "masquerading by nftables": _nftables,
    "bandwidth limits": _limits,
    "host ports by nftables": _hostports,
}
