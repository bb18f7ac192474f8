"""More whole attachments: routed veth pairs, links made in the container, and links that are there.

The C calls behind these functions release the interpreter lock for their whole duration.
"""

from __future__ import annotations

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.kernel.address import fill_hop, fill_ip, parse_address, parse_prefix
from cnifast.kernel.attach import Attached, Endpoint, HostEnd
from cnifast.protocol import ip as _ip
from cnifast.protocol.result import Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from cnifast.kernel.handle import Handle

MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
_NO_PREFIX_ROUTE = 0x200  # IFA_F_NOPREFIXROUTE
_SCOPE_LINK, _SCOPE_HOST = 253, 254  # RT_SCOPE_*


class RoutedEnd(HostEnd):
    """The host's end of a veth pair that is no bridge's port: it has addresses and routes."""

    __slots__ = ("_routed",)

    def __init__(self, *, name: str, alias: str, host_netns: int = -1) -> None:
        super().__init__(name=name, alias=alias, bridge=0, host_netns=host_netns)
        self._routed: tuple[Any, ...] = ()

    def lead_to(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Have it be each gateway, and lead to each address, of (address, gateway).

        To be said before the pair is attached.

        Raises:
            ValueError: a text is not an address.
        """
        gateways = dict.fromkeys(gateway for _, gateway in pairs)
        ips = ffi.new("struct cnif_ip []", len(gateways))
        for i, gateway in enumerate(gateways):
            fill_ip(ips[i], *parse_address(gateway))
        routes = ffi.new("struct cnif_route []", len(pairs))
        for i, (address, _) in enumerate(pairs):
            fill_hop(routes[i], _alone(address), None)
            routes[i].scope = _SCOPE_HOST
        self.struct.addresses, self.struct.n_addresses = ips, len(ips)
        self.struct.routes, self.struct.n_routes = routes, len(routes)
        self._routed = (ips, routes)


class RoutedEndpoint(Endpoint):
    """The container's side of such a pair: everything goes by way of the gateways.

    ``pairs`` are (address, gateway), such as ("10.1.0.5/16", "10.1.0.1"): no address brings the
    route to its network along, which leads through the gateway instead.  ``routes`` may lead
    through any other neighbour in these networks, as if they had such routes.

    Raises:
        ValueError: an address or a route is malformed.
    """

    __slots__ = ()

    def __init__(
        self,
        netns: int,
        ifname: str,
        pairs: Sequence[tuple[str, str]],
        *,
        mtu: int = 0,
        sysctls: tuple[tuple[str, str, bool], ...] = (),
        routes: Sequence[Route] = (),
    ) -> None:
        first: dict[str, tuple[Route, str]] = {}
        for address, gateway in pairs:
            for route in _routes_by(address, gateway):
                first.setdefault(route.dst, (route, address))
        own = sorted(first.values(), key=lambda found: found[0].gw is not None)
        super().__init__(
            netns,
            ifname,
            mtu=mtu,
            sysctls=sysctls,
            addresses=[address for address, _ in pairs],
            routes=[*(route for route, _ in own), *routes],
        )
        self.struct.address_flags = _NO_PREFIX_ROUTE
        _, _, _, hops = self._kept
        for i, (_, address) in enumerate(own):
            family, packed, _ = parse_prefix(address)
            fill_ip(hops[i].source, family, packed, len(packed) * 8)
        for i, route in enumerate(routes, len(own)):
            hops[i].onlink = _is_neighbour(route.gw, pairs)


def _is_neighbour(text: str | None, pairs: Sequence[tuple[str, str]]) -> bool:
    """Tell whether an address is in a network of (address, gateway), and none of the two."""
    wanted = _ip.parse_ip(text) if text else (0, 0)
    inside = False
    for address, gateway in pairs:
        family, value, prefixlen = _ip.parse_cidr(address)
        if wanted in ((family, value), _ip.parse_ip(gateway)):
            return False
        if wanted[0] == family and _ip.contains(family, value, prefixlen, wanted[1]):
            inside = True
    return inside


def _routes_by(address: str, gateway: str) -> list[Route]:
    """Return the routes to a gateway, and by it to the network of an address."""
    bits = 128 if ":" in gateway else 32
    found = [Route(f"{gateway}/{bits}", scope=_SCOPE_LINK)]
    if int(address.rpartition("/")[2]) < bits:
        found.append(Route(_network(address), gateway))
    return found


def _network(address: str) -> str:
    """Return the network of "10.1.0.5/16"."""
    family, value, prefixlen = _ip.parse_cidr(address)
    return _ip.format_cidr(family, _ip.network(family, value, prefixlen), prefixlen)


def _alone(address: str) -> str:
    """Return "10.1.0.5/32" of "10.1.0.5/16"."""
    text = address.rpartition("/")[0]
    return f"{text}/{128 if ':' in text else 32}"


class Inner:
    """A link that is made in the container: its kind, what is below it, and its kind's options.

    ``parent`` is an index, in the container with ``parent_in_container``; ``options`` are set by
    name: ``macvlan_mode`` and ``bcqueuelen``, ``ipvlan_mode``, ``vlan_id``.
    """

    __slots__ = ("_kind", "from_host", "struct")

    def __init__(
        self,
        kind: str,
        *,
        parent: int = 0,
        parent_in_container: bool = False,
        macvlan_mode: int = 0,
        bcqueuelen: int = 0,
        ipvlan_mode: int = 0,
        vlan_id: int = 0,
    ) -> None:
        spec = ffi.new("struct cnif_link_spec *")
        self._kind = ffi.new("char []", c_text(kind))
        spec.kind, spec.parent, spec.peer.netns_fd = self._kind, parent, -1
        spec.macvlan.mode, spec.macvlan.bcqueuelen = macvlan_mode, bcqueuelen
        spec.ipvlan_mode, spec.vlan_id = ipvlan_mode, vlan_id
        self.from_host = bool(parent) and not parent_in_container
        self.struct = spec


def attach_link(host: Handle, endpoint: Endpoint, inner: Inner, *, exits: bool = False) -> Attached:
    """Give a container a link; ``exits`` as in `attach_veth`.

    Raises:
        FileExistsError: the container has a link of that name.
        KernelError: a step failed; nothing is left.
    """
    err = new_error()
    attached = ffi.new("struct cnif_attached *")
    sock = host.raw if inner.from_host else ffi.NULL
    linger = lib.CNIF_LINGER_PROCESS if exits else lib.CNIF_LINGER_THREAD
    rc = lib.cnif_attach_link(sock, inner.struct, endpoint.struct, linger, attached, err)
    check(rc, err)
    return _attached(attached)


def attach_existing(endpoint: Endpoint) -> Attached:
    """Configure the link of the endpoint's name, which the container has already.

    Its MTU and MAC stay as they are.

    Raises:
        FileNotFoundError: the container has none.
        KernelError: a step failed; what was done before stays.
    """
    err = new_error()
    attached = ffi.new("struct cnif_attached *")
    check(lib.cnif_attach_existing(endpoint.struct, attached, err), err)
    return _attached(attached)


def _attached(struct: Any) -> Attached:
    """Return what C says of an attachment."""
    return Attached(struct.index, bytes(struct.mac).hex(":"))
