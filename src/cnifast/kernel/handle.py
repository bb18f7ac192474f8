"""A rtnetlink handle: links, addresses and routes of one network namespace.

    with NetNS("/run/netns/blue") as blue, Handle(blue) as handle:
        eth0 = handle.link("eth0")
        handle.add_address(eth0.index, "10.1.0.5/16")
        handle.set_link(eth0.index, up=True)

Every request is acknowledged by the kernel before a method returns.  A handle is used by one
thread at a time.
"""

from __future__ import annotations

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.kernel.address import fill_hop, fill_ip, mac_bytes, parse_address, parse_prefix
from cnifast.kernel.socket import NetlinkSocket
from cnifast.kernel.views import Address, LinkView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from cnifast._native._dump import Link, Route

    T = TypeVar("T")

IFF_UP = 0x1
IFF_PROMISC = 0x100
IFF_ALLMULTI = 0x200
IFA_F_NODAD = 0x02
NETLINK_ROUTE = 0
_FAMILY = {0: 0, 4: 2, 6: 10}


class Handle(NetlinkSocket):
    """An open rtnetlink socket; a context manager that closes it, as dropping it does."""

    __slots__ = ()

    PROTOCOL = NETLINK_ROUTE

    def link(self, which: str | int) -> Link:
        """Return the link of a name or index.

        Raises:
            FileNotFoundError: there is none.
        """
        err = new_error()
        found = ffi.new("struct cnif_link *")
        name, index = (c_text(which), 0) if isinstance(which, str) else (ffi.NULL, which)
        check(lib.cnif_link_get(self.raw, name, index, found, err), err)
        view: Any = LinkView(found)
        link: Link = view
        return link

    def links(self, *, master: int = 0, kind: str = "") -> list[Link]:
        """Return all links, or those of a master's index and a kind; the kernel filters.

        Raises:
            KernelError: the dump was interrupted by changes again and again.
        """
        from cnifast._native._dump import links  # noqa: PLC0415 - Cython's start-up costs 15 ms

        wanted = c_text(kind) if kind else ffi.NULL
        return self._dump("cnif_link", lib.cnif_link_dump, links, master, wanted)

    def link_towards(self, address: str) -> int:
        """Return the index of the link that packets to an address leave by.

        Raises:
            UnreachableError: no route leads there.
            ValueError: the text is not an address.
        """
        err = new_error()
        index = ffi.new("int32_t *")
        to = fill_ip(ffi.new("struct cnif_ip *"), *parse_address(address))
        check(lib.cnif_route_find(self.raw, to, index, err), err)
        return int(index[0])

    def add_link(
        self,
        kind: str,
        name: str,
        *,
        mtu: int = 0,
        mac: str = "",
        master: int = 0,
        parent: int = 0,
        netns: int = -1,
        up: bool = False,
        peer: str = "",
        peer_netns: int = -1,
        macvlan_mode: int = 0,
        vlan_filtering: bool = False,
        vrf_table: int = 0,
    ) -> int:
        """Create a link, in another namespace if ``netns`` is the file descriptor of one.

        Return its index, 0 for one in another namespace and, before Linux 6.2, for one whose name
        the kernel has chosen.

        ``parent`` is the index of the lower device (macvlan); ``peer`` and ``peer_netns`` are
        name and namespace of the other end (veth), which has the same MTU.  0 and "" leave a
        value to the kernel.

        Raises:
            FileExistsError: the name is taken.
            KernelError: the kernel refused.
        """
        err = new_error()
        kept = [ffi.new("char []", c_text(text)) for text in (kind, name, peer)]
        spec = ffi.new("struct cnif_link_spec *")
        spec.kind, spec.name = kept[0], kept[1]
        spec.mtu, spec.master, spec.parent, spec.netns_fd, spec.up = mtu, master, parent, netns, up
        if mac:
            spec.has_mac, spec.mac = True, mac_bytes(mac)
        if peer:
            spec.peer.name, spec.peer.mtu = kept[2], mtu
        spec.peer.netns_fd = peer_netns
        spec.macvlan.mode = macvlan_mode
        spec.bridge.vlan_filtering = vlan_filtering
        spec.vrf_table = vrf_table
        index = ffi.new("int32_t *")
        check(lib.cnif_link_add(self.raw, spec, index, err), err)
        return int(index[0])

    def set_link(
        self,
        index: int,
        *,
        up: bool | None = None,
        promisc: bool | None = None,
        allmulti: bool | None = None,
        mtu: int = 0,
        txqlen: int = -1,
        master: int = -1,
        netns: int = -1,
        name: str = "",
        mac: str = "",
        alias: str | None = None,
    ) -> None:
        """Change what is given of a link; ``master`` 0 takes it out of its bridge or VRF.

        Raises:
            FileNotFoundError: there is no such link.
            KernelError: the kernel refused.
        """
        err = new_error()
        kept = ffi.new("char []", c_text(name)), ffi.new("char []", c_text(alias or ""))
        change = ffi.new("struct cnif_link_change *")
        for wanted, bit in ((up, IFF_UP), (promisc, IFF_PROMISC), (allmulti, IFF_ALLMULTI)):
            if wanted is not None:
                change.flags_mask |= bit
                change.flags |= bit if wanted else 0
        change.mtu, change.master, change.netns_fd = mtu, master, netns
        if txqlen >= 0:
            change.has_txqlen, change.txqlen = True, txqlen
        if name:
            change.name = kept[0]
        if alias is not None:
            change.alias = kept[1]
        if mac:
            change.has_mac, change.mac = True, mac_bytes(mac)
        check(lib.cnif_link_change(self.raw, index, change, err), err)

    def delete_link(self, index: int) -> None:
        """Delete a link; returns when the kernel is through with it, some 20 ms later.

        Raises:
            FileNotFoundError: there is no such link.
        """
        err = new_error()
        check(lib.cnif_link_delete(self.raw, index, err), err)

    def set_port(
        self, index: int, *, hairpin: bool | None = None, isolated: bool | None = None
    ) -> None:
        """Set options of a bridge port (IFLA_BRPORT_MODE, IFLA_BRPORT_ISOLATED).

        Raises:
            KernelError: the link is not a bridge port.
        """
        err = new_error()
        wanted = [-1 if value is None else int(value) for value in (hairpin, isolated)]
        check(lib.cnif_port_set(self.raw, index, *wanted, err), err)

    def port_vlans(self, index: int) -> list[int]:
        """Return the VLANs of a bridge port, in order.

        Raises:
            FileNotFoundError: there is no such link.
            KernelError: the dump was interrupted by changes.
        """
        err = new_error()
        bits = ffi.new("uint8_t [512]")
        check(lib.cnif_port_vlans(self.raw, index, bits, err), err)
        found = int.from_bytes(bytes(bits), "little")
        return [vid for vid in range(1, 4095) if found >> vid & 1]

    def add_port_vlan(
        self, index: int, first: int, last: int = 0, *, pvid_untagged: bool = False
    ) -> None:
        """Add VLANs first..last (1..4094) to a bridge port.

        Raises:
            KernelError: the link is not a port of a bridge that filters VLANs.
        """
        err = new_error()
        rc = lib.cnif_port_vlan(self.raw, index, True, first, last or first, pvid_untagged, err)
        check(rc, err)

    def delete_port_vlan(self, index: int, first: int, last: int = 0) -> None:
        """Remove VLANs first..last from a bridge port.

        Raises:
            KernelError: the link is not a port of a bridge that filters VLANs.
        """
        err = new_error()
        check(lib.cnif_port_vlan(self.raw, index, False, first, last or first, False, err), err)

    def addresses(self, *, index: int = 0, family: int = 0) -> list[Address]:
        """Return the addresses of a link (0: of all), of family 4, 6 or (0) both.

        Raises:
            FileNotFoundError: there is no such link.
            KernelError: the dump was interrupted by changes again and again.
            ValueError: there is no such family.
        """
        err = new_error()
        array = ffi.new("struct cnif_address **")
        count = ffi.new("size_t *")
        rc = lib.cnif_addr_dump(self.raw, index, family_of(family), array, count, err)
        check(rc, err)
        try:
            return [Address(array[0][i]) for i in range(count[0])]
        finally:
            lib.cnif_free(array[0])

    def has_address(self, index: int, address: str) -> bool:
        """Tell whether a link has an address such as "10.1.0.1/16", prefix length included.

        Raises:
            FileNotFoundError: there is no such link.
            ValueError: the text is not an address with a prefix length.
            KernelError: the dump was interrupted by changes again and again.
        """
        err = new_error()
        ip = fill_ip(ffi.new("struct cnif_ip *"), *parse_prefix(address))
        found = ffi.new("bool *")
        check(lib.cnif_addr_find(self.raw, index, ip, found, err), err)
        return bool(found[0])

    def add_address(self, index: int, address: str, *, nodad: bool = False) -> None:
        """Add an address such as "10.1.0.5/16".

        ``nodad`` skips duplicate address detection; packets to the address are taken then from
        the moment this returns.

        Raises:
            FileExistsError: the link has it already.
            ValueError: the text is not an address with a prefix length.
        """
        err = new_error()
        ip = fill_ip(ffi.new("struct cnif_ip *"), *parse_prefix(address))
        flags = IFA_F_NODAD if nodad and ip.family != _FAMILY[4] else 0
        check(lib.cnif_addr_add(self.raw, index, ip, flags, err), err)
        if flags:
            check(lib.cnif_addr_settle(self.raw, ip, err), err)

    def delete_address(self, index: int, address: str) -> None:
        """Remove an address.

        Raises:
            FileNotFoundError: the link does not have it.
            ValueError: the text is not an address with a prefix length.
        """
        err = new_error()
        ip = fill_ip(ffi.new("struct cnif_ip *"), *parse_prefix(address))
        check(lib.cnif_addr_delete(self.raw, index, ip, err), err)

    def routes(self, *, oif: int = 0, family: int = 0, table: int = 0) -> list[Route]:
        """Return the routes through a link (0: any), of a family and a table (0: all).

        Raises:
            FileNotFoundError: there is no such link.
            KernelError: the dump was interrupted by changes again and again.
            ValueError: there is no such family.
        """
        from cnifast._native._dump import routes  # noqa: PLC0415 - Cython's start-up costs 15 ms

        return self._dump("cnif_route", lib.cnif_route_dump, routes, oif, family_of(family), table)

    def add_route(
        self,
        dst: str,
        *,
        gateway: str = "",
        oif: int = 0,
        table: int = 0,
        priority: int = 0,
        mtu: int = 0,
        advmss: int = 0,
        scope: int = -1,
    ) -> None:
        """Add a route to ``dst``, such as "0.0.0.0/0".

        Raises:
            FileExistsError: there is one to that destination.
            ValueError: a text is not an address, or the two are of different families.
            KernelError: the kernel refused.
        """
        err = new_error()
        route = _route(dst, gateway, oif, table, priority, scope)
        route.mtu, route.advmss = mtu, advmss
        check(lib.cnif_route_add(self.raw, route, True, err), err)

    def delete_route(
        self,
        dst: str,
        *,
        gateway: str = "",
        oif: int = 0,
        table: int = 0,
        priority: int = 0,
        scope: int = -1,
    ) -> None:
        """Remove the route to ``dst`` that matches what is given.

        Raises:
            FileNotFoundError: there is none.
            ValueError: a text is not an address, or the two are of different families.
        """
        err = new_error()
        route = _route(dst, gateway, oif, table, priority, scope)
        check(lib.cnif_route_delete(self.raw, route, err), err)

    def _dump(
        self, struct: str, dump: Any, decode: Callable[[int, int], list[T]], *filters: Any
    ) -> list[T]:
        """Run a filtered dump and return its objects."""
        err = new_error()
        array = ffi.new(f"struct {struct} **")
        count = ffi.new("size_t *")
        check(dump(self.raw, *filters, array, count, err), err)
        try:
            return decode(_at(array[0]), count[0])
        finally:
            lib.cnif_free(array[0])


def family_of(family: int) -> int:
    """Return AF_* of 4, 6 or 0."""
    try:
        return _FAMILY[family]
    except KeyError:
        raise ValueError(f"address family {family}: not 4, 6 or 0") from None


def _at(pointer: Any) -> int:
    """Return a pointer as the number that Cython code takes."""
    return int(ffi.cast("uintptr_t", pointer))


def _route(dst: str, gateway: str, oif: int, table: int, priority: int, scope: int) -> Any:
    """Return a ``struct cnif_route *`` with what identifies a route."""
    route = ffi.new("struct cnif_route *")
    fill_hop(route, dst, gateway)
    route.oif, route.table, route.priority, route.scope = oif, table, priority, scope
    return route
