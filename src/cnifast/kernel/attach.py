"""Whole attachments: one call creates, configures and waits, or leaves nothing behind.

The C calls behind these functions release the interpreter lock for their whole duration.
"""

from __future__ import annotations

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.kernel.address import fill_hop, fill_ip, mac_bytes, parse_prefix
from cnifast.kernel.netns import Sysctls
from cnifast.kernel.views import LinkView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from cnifast._native._dump import Link
    from cnifast.kernel.handle import Handle
    from cnifast.protocol.result import Route


class Endpoint:
    """The container's side of an attachment, in the form C takes.

    ``netns`` is the file descriptor of its namespace; ``addresses`` are texts such as
    "10.1.0.5/16"; ``sysctls`` are (path, value, optional), set before the link is up, and so is
    ``arp_notify``, which tells the neighbours of a new address (net/ipv4/conf/*/arp_notify).  With
    ``wait_dad`` IPv6 addresses go through duplicate address detection and its end is waited
    for; otherwise they are valid at once.

    Raises:
        ValueError: an address, a route or the MAC is malformed.
    """

    __slots__ = ("_kept", "struct")

    def __init__(
        self,
        netns: int,
        ifname: str,
        *,
        mtu: int = 0,
        mac: str = "",
        up: bool = True,
        wait_dad: bool = False,
        arp_notify: bool = False,
        sysctls: Iterable[tuple[str, str, bool]] = (),
        addresses: Sequence[str] = (),
        routes: Sequence[Route] = (),
    ) -> None:
        name = ffi.new("char []", c_text(ifname))
        wanted = Sysctls.shared(tuple(sysctls))
        ips = ffi.new("struct cnif_ip []", len(addresses))
        for i, address in enumerate(addresses):
            fill_ip(ips[i], *parse_prefix(address))
        hops = ffi.new("struct cnif_route []", len(routes))
        for i, route in enumerate(routes):
            _fill_route(hops[i], route)
        struct = ffi.new("struct cnif_endpoint *")
        struct.netns_fd, struct.ifname, struct.mtu = netns, name, mtu
        struct.up, struct.wait_dad, struct.arp_notify = up, wait_dad, arp_notify
        if mac:
            struct.has_mac, struct.mac = True, mac_bytes(mac)
        struct.sysctls, struct.n_sysctls = wanted.array, wanted.count
        struct.addresses, struct.n_addresses = ips, len(addresses)
        struct.routes, struct.n_routes = hops, len(routes)
        self.struct = struct
        self._kept = (name, wanted, ips, hops)


class Attached:
    """What an attachment came to: the container's link."""

    __slots__ = ("index", "mac")

    def __init__(self, index: int, mac: str) -> None:
        self.index = index
        self.mac = mac


class AttachedVeth(Attached):
    """The container's link, the host's end, and the bridge as it is now."""

    __slots__ = ("bridge", "host_index", "host_mac")

    def __init__(self, index: int, mac: str, host_index: int, host_mac: str, bridge: Link) -> None:
        super().__init__(index, mac)
        self.host_index = host_index
        self.host_mac = host_mac
        self.bridge = bridge


class HostEnd:
    """The host's end of a veth pair, in the form C takes.

    ``name``, ``alias`` and ``mac`` (one is made where it is empty) are its own, ``bridge`` is an
    index, ``host_netns`` the bridge's namespace (-1: here); ``trunk`` lists VLAN ranges (first,
    last).

    Raises:
        ValueError: the MAC is malformed.
    """

    __slots__ = ("_kept", "struct")

    def __init__(
        self,
        *,
        name: str,
        alias: str,
        bridge: int,
        mac: str = "",
        host_netns: int = -1,
        hairpin: bool = False,
        isolated: bool = False,
        vlan: int = 0,
        trunk: Sequence[tuple[int, int]] = (),
        keep_default_vlan: bool = False,
    ) -> None:
        names = ffi.new("char []", c_text(name)), ffi.new("char []", c_text(alias))
        veth = ffi.new("struct cnif_veth_host *")
        veth.netns_fd, veth.bridge, (veth.name, veth.alias) = host_netns, bridge, names
        if mac:
            veth.has_mac, veth.mac = True, mac_bytes(mac)
        veth.hairpin, veth.isolated = hairpin, isolated
        ranges = None
        if vlan or trunk:
            ranges = ffi.new("struct cnif_vlan_range []", list(trunk))
            veth.vlan, veth.keep_default_vlan = vlan, keep_default_vlan
            veth.trunk, veth.n_trunk = ranges, len(trunk)
        self.struct = veth
        self._kept = (names, ranges)


def attach_veth(
    host: Handle, endpoint: Endpoint, *, exits: bool = False, **host_end: Any
) -> AttachedVeth:
    """Join a container to a bridge by a veth pair and wait until its port forwards.

    ``host_end`` are the arguments of `HostEnd`.  ``exits``: this process is about to exit, so
    that whatever the kernel takes long for is left to a child.

    Raises:
        FileExistsError: a link of either name is there already.
        KernelError: a step failed; nothing is left.
    """
    err = new_error()
    veth = HostEnd(**host_end)
    attached = ffi.new("struct cnif_attached *")
    rc = lib.cnif_attach_veth(host.raw, veth.struct, endpoint.struct, _linger(exits), attached, err)
    check(rc, err)
    return _attached_veth(attached)


class Pair:
    """A veth pair that another thread makes while its user finds out what it shall have.

    That thread configures the host's end, too.  It ends with ``attach``, or with ``cancel``;
    until then the handle is not to be used for anything else.
    """

    __slots__ = ("_first", "_kept", "_linger", "_raw")

    def __init__(
        self,
        handle: Handle,
        host_end: HostEnd,
        netns: int,
        ifname: str,
        *,
        mtu: int,
        mac: str,
        exits: bool,
    ) -> None:
        """Begin: ``netns``, ``ifname`` and ``mtu`` are those of the later `Endpoint`.

        ``handle`` is one on the bridge's namespace; a ``mac`` that is empty is made.

        Raises:
            KernelError: no thread can be had.
        """
        err = new_error()
        raw = ffi.new("struct cnif_pair **")
        first = ffi.new("struct cnif_endpoint *")
        name = ffi.new("char []", c_text(ifname))
        first.netns_fd, first.ifname, first.mtu = netns, name, mtu
        if mac:
            first.has_mac, first.mac = True, mac_bytes(mac)
        check(lib.cnif_pair_begin(handle.raw, host_end.struct, first, raw, err), err)
        self._raw = raw[0]
        self._first = first
        self._kept = (handle, host_end, name)
        self._linger = _linger(exits)

    @property
    def mac(self) -> str:
        """The MAC of the container's end."""
        return _mac(self._first)

    @property
    def host_mac(self) -> str:
        """The MAC of the host's end."""
        return _mac(self._kept[1].struct)

    def wait(self) -> None:
        """Wait until the pair is there.

        Raises:
            FileExistsError: a link of either name was there already.
            KernelError: it cannot be made.
        """
        err = new_error()
        check(lib.cnif_pair_wait(self._raw, err), err)

    def attach(self, endpoint: Endpoint) -> AttachedVeth:
        """Configure the container's end and wait until the bridge's port forwards.

        Raises:
            FileExistsError: a link of either name was there already.
            KernelError: a step failed; nothing is left.
        """
        err = new_error()
        attached = ffi.new("struct cnif_attached *")
        raw, self._raw = self._raw, ffi.NULL
        check(lib.cnif_pair_attach(raw, endpoint.struct, self._linger, attached, err), err)
        return _attached_veth(attached)

    def cancel(self) -> None:
        """Take the pair back; nothing is done after ``attach``."""
        raw, self._raw = self._raw, ffi.NULL
        lib.cnif_pair_cancel(raw, self._linger)


def _attached_veth(attached: Any) -> AttachedVeth:
    """Return what C says of an attachment."""
    now: Any = LinkView(ffi.new("struct cnif_link *", attached.bridge))
    host_mac = bytes(attached.host_mac).hex(":")
    return AttachedVeth(attached.index, _mac(attached), attached.host_index, host_mac, now)


def detach(name: str, *, netns: int = -1, alias: str = "", exits: bool = False) -> bool:
    """Delete a link of a namespace (-1: here); False if there was none.

    Returns as soon as name and addresses are free.  With ``alias`` only a link that has it, or
    has none, is deleted.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    found = ffi.new("bool *")
    wanted = c_text(alias) if alias else ffi.NULL
    check(lib.cnif_detach(netns, c_text(name), wanted, _linger(exits), found, err), err)
    return bool(found[0])


def _linger(exits: bool) -> Any:
    """Return who waits for the kernel after a deletion."""
    return lib.CNIF_LINGER_PROCESS if exits else lib.CNIF_LINGER_THREAD


def _mac(struct: Any) -> str:
    """Return the MAC of a struct as text."""
    return bytes(struct.mac).hex(":")


def _fill_route(struct: Any, route: Route) -> None:
    """Fill a ``struct cnif_route`` from a route of a result."""
    fill_hop(struct, route.dst, route.gw)
    struct.table = route.table or 0
    struct.priority, struct.mtu, struct.advmss = route.priority, route.mtu, route.advmss
    struct.scope = -1 if route.scope is None else route.scope
