"""What CHECK compares: addresses and routes of a previous result with what the kernel has.

As strict as the reference: each address must be on the interface, its network and each route
must be in the routing table; a default route may have been given another gateway meanwhile.
Only that they may have moved to another table: with the interface to a VRF, or by its addresses,
as the plugins vrf and sbr do that come later in a chain.
"""

from __future__ import annotations

from cnifast.kernel.address import parse_address, parse_prefix
from cnifast.protocol import ip as _ip
from cnifast.protocol.errors import INTERNAL, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cnifast.kernel import Link
    from cnifast.kernel.handle import Handle
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import IPConfig, Result, Route

_MAIN, _LOCAL = 254, 255


def check_container_link(handle: Handle, req: Request, result: Result, kind: str = "") -> Link:
    """Return the container's link: the one of the result, of a kind unless that is empty.

    Raises:
        CNIError: the result or the container has none, or it is of another kind or MAC.
    """
    claimed = [i for i in result.interfaces if (i.name, i.sandbox) == (req.ifname, req.netns)]
    if not claimed:
        raise CNIError(
            INTERNAL,
            f"interface {req.ifname} in prevResult does not match configured netns: {req.netns}",
        )
    try:
        link = handle.link(req.ifname)
    except FileNotFoundError:
        raise CNIError(INTERNAL, f"container interface {req.ifname} not found") from None
    if kind and link.kind != kind:
        raise CNIError(INTERNAL, f"container interface {req.ifname} is not a {kind}")
    mac = claimed[-1].mac
    if mac and mac != link.mac:
        raise CNIError(
            INTERNAL,
            f"interface {req.ifname}: MAC {mac} in prevResult does not match {link.mac}",
        )
    return link


def check_addresses(handle: Handle, ifname: str, index: int, ips: Sequence[IPConfig]) -> None:
    """Compare the addresses of a link, given by index, with a result's.

    Raises:
        CNIError: one is missing, or the route to its network is.
    """
    present = {(a.packed, a.prefixlen) for a in handle.addresses(index=index)}
    routes = {(r.dst, r.prefixlen) for r in handle.routes(table=_MAIN)} if ips else set()
    for config in ips:
        _, packed, prefixlen = parse_prefix(config.address)
        if (packed, prefixlen) not in present:
            raise CNIError(INTERNAL, f"address {config.address} is not on interface {ifname}")
        if prefixlen == len(packed) * 8:
            continue  # it is its own network
        family, value, _ = _ip.parse_cidr(config.address)
        base = _ip.packed(family, _ip.network(family, value, prefixlen))
        if (base, prefixlen) not in routes and not _is_elsewhere(handle, base, prefixlen, index):
            raise CNIError(
                INTERNAL, f"no route to the network of address {config.address} on {ifname}"
            )


def check_routes(handle: Handle, wanted: Sequence[Route]) -> None:
    """Compare the routing tables with a result's routes.

    Raises:
        CNIError: one is missing.
    """
    tables = {route.table or _MAIN for route in wanted}
    present = {
        (route.table, route.dst, route.prefixlen, route.gateway)
        for table in tables
        for route in handle.routes(table=table)
    }
    without_gateway = {key[:3] for key in present}
    for route in wanted:
        _, packed, prefixlen = parse_prefix(route.dst)
        key = (route.table or _MAIN, packed, prefixlen)
        if route.gw and prefixlen and not _ip.is_unspecified(route.gw):
            found = (*key, parse_address(route.gw)[1]) in present
        else:
            found = key in without_gateway
        if not found and route.table is None:
            gateway = parse_address(route.gw)[1] if route.gw and prefixlen else None
            found = _is_elsewhere(handle, packed, prefixlen, 0, gateway)
        if not found:
            via = f" via {route.gw}" if route.gw else ""
            raise CNIError(INTERNAL, f"route to {route.dst}{via} is missing")


def _is_elsewhere(
    handle: Handle, dst: bytes, prefixlen: int, oif: int, gateway: bytes | None = None
) -> bool:
    """Tell whether another table than the main one has a route, by a link (0: any) and gateway."""
    return any(
        (route.dst, route.prefixlen) == (dst, prefixlen)
        and gateway in (None, route.gateway)
        and route.table not in (_MAIN, _LOCAL)
        for route in handle.routes(oif=oif)
    )
