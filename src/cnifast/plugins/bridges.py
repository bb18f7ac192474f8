"""The bridge itself: made when it is missing, given its gateway addresses, and reused.

A failed ADD takes back what it did here, unless another attachment uses it, or another ADD is
under way that may be about to.
"""

from __future__ import annotations

from cnifast.kernel.address import parse_prefix
from cnifast.kernel.handle import IFF_PROMISC, IFF_UP
from cnifast.kernel.netns import read_sysctl, write_sysctls
from cnifast.plugins.base import random_mac
from cnifast.plugins.forwarding import not_forwarding, set_forwarding
from cnifast.protocol import ip as _ip
from cnifast.protocol.errors import INTERNAL, TRY_AGAIN_LATER, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cnifast.kernel import Address, Handle, Link
    from cnifast.plugins.base import Session

__all__ = [
    "StaleBridgeError",
    "confirm",
    "ensure_bridge",
    "ensure_gateway",
    "ensure_vlan_interface",
    "expected_mac",
    "not_forwarding",
    "require_bridge",
    "set_forwarding",
    "suspect",
]

_NO_MAC = "00:00:00:00:00:00"


def require_bridge(host: Handle, name: str) -> Link:
    """Return the bridge of a name.

    Raises:
        CNIError: the name belongs to a link of another kind.
        FileNotFoundError: there is no link of that name.
    """
    link = host.link(name)
    if link.kind != "bridge":
        raise CNIError(INTERNAL, f'"{name}" already exists but is not a bridge')
    return link


class StaleBridgeError(CNIError):
    """What a thread remembered of a bridge is not true any more; nothing of it is kept."""

    def __init__(self, name: str) -> None:
        super().__init__(TRY_AGAIN_LATER, f"bridge {name} is being changed by somebody else")


def ensure_bridge(
    session: Session, name: str, *, mtu: int, promisc: bool, vlan_filtering: bool
) -> tuple[int, str]:
    """Return index and MAC of the bridge, which exists and is up from then on.

    The service's threads remember the bridges they have seen and do not ask again, not even
    for the MAC, which is empty then; whoever uses the index calls ``confirm`` with what the
    kernel said of it since.

    Raises:
        CNIError: the name belongs to a link of another kind.
        KernelError: it cannot be made.
    """
    session.join()
    remembered = _remembered(session).get((name, promisc))
    if remembered is not None:
        return remembered[0], ""
    host = session.host
    try:
        link = require_bridge(host, name)
    except FileNotFoundError:
        link = _create(session, name, mtu, vlan_filtering)
    missing = (IFF_UP | (IFF_PROMISC if promisc else 0)) & ~link.flags
    if missing:
        session.on_error(_setting_back(session, link, missing))
    # The routes of this interface are ours: no router advertisement may add any.
    write_sysctls(((f"net/ipv6/conf/{name}/accept_ra", "0", True),), session.host_netns)
    if missing:
        host.set_link(link.index, up=True, promisc=True if missing & IFF_PROMISC else None)
    return link.index, link.mac


def expected_mac(session: Session, name: str, *, promisc: bool) -> str:
    """Return the MAC that a remembered bridge has had, empty for others."""
    return _remembered(session).get((name, promisc), (0, ""))[1]


def confirm(session: Session, name: str, link: Link, *, promisc: bool) -> None:
    """Compare the bridge as the kernel has it now with what ``ensure_bridge`` left; remember it.

    Raises:
        StaleBridgeError: it is another one, or was changed by somebody.
    """
    known = _remembered(session)
    wanted = IFF_UP | (IFF_PROMISC if promisc else 0)
    if link.name != name or link.kind != "bridge" or wanted & ~link.flags:
        known.clear()
        raise StaleBridgeError(name)
    known[name, promisc] = link.index, link.mac


def suspect(session: Session) -> bool:
    """Forget all bridges; True if there were any, so that trying again may help."""
    known = _remembered(session)
    found = bool(known)
    known.clear()
    return found


def _remembered(session: Session) -> dict[tuple[str, bool], tuple[int, str]]:
    """Return by name and promiscuity index and MAC of bridges that this thread has confirmed."""
    warm: Any = session.req.place.warm
    if warm is None or session.host_netns >= 0:
        return {}
    known: dict[tuple[str, bool], tuple[int, str]] = warm.kept.setdefault("bridges", {})
    return known


def _create(session: Session, name: str, mtu: int, vlan_filtering: bool) -> Link:
    """Create a bridge, or find that somebody else just did.

    It has a MAC of its own from the start, or it would take that of a port while another ADD
    reads it.
    """
    host, mac = session.host, random_mac()
    try:
        session.step(
            lambda: host.add_link("bridge", name, mtu=mtu, mac=mac, vlan_filtering=vlan_filtering),
            lambda: _remove_unused(session, name),
        )
    except FileExistsError:
        pass
    except OSError as e:
        raise CNIError(INTERNAL, f'failed to create bridge "{name}": {e}') from e
    return require_bridge(host, name)


def _is_ours(session: Session, index: int) -> bool:
    """Tell whether nobody else uses a bridge, or may be about to."""
    return session.alone() and not session.host.links(master=index)


def _remove_unused(session: Session, name: str) -> None:
    """Delete a bridge that nobody has joined meanwhile."""
    link = require_bridge(session.host, name)
    if _is_ours(session, link.index):
        session.host.delete_link(link.index)


def _setting_back(session: Session, link: Link, flags: int) -> Callable[[], object]:
    """Return what takes flags from a bridge again that nobody has joined meanwhile."""
    host = session.host
    sysctl = f"net/ipv6/conf/{link.name}/accept_ra"
    try:
        was = read_sysctl(sysctl, session.host_netns)
    except FileNotFoundError:  # a kernel without IPv6
        was = ""

    def set_back() -> None:
        if not _is_ours(session, link.index):
            return
        up, promisc = (False if flags & flag else None for flag in (IFF_UP, IFF_PROMISC))
        host.set_link(link.index, up=up, promisc=promisc)
        if was:
            write_sysctls(((sysctl, was, True),), session.host_netns)

    return set_back


def ensure_gateway(
    session: Session, index: int, name: str, gateway: str, mac: str, *, force: bool, dad: bool
) -> None:
    """Give a link its gateway address, such as "10.1.0.1/16", unless it has it.

    A link with another IPv4 address, or with an IPv6 one of an overlapping network, is refused;
    with ``force`` that address goes.  Without ``dad`` an IPv6 address is valid at once, so that
    the first packet of a container is answered.

    Raises:
        CNIError: the link has a conflicting address.
        KernelError: the address cannot be added.
    """
    host = session.host
    if host.has_address(index, gateway):
        return
    present = host.addresses(index=index, family=_ip.parse_cidr(gateway)[0])
    conflicting = [
        _ip.format_cidr(*_ip.unpacked(other.packed), other.prefixlen)
        for other in present
        if _conflicts(other, gateway)
    ]
    if conflicting and not force:
        raise CNIError(
            INTERNAL,
            f'"{name}" already has an IP address different from {gateway}: {conflicting[0]}',
        )
    # The last ones first: others of a subnet go with the first one of it.
    for other in reversed(conflicting):
        _take_address(session, index, other, dad=dad)
    try:
        session.step(
            lambda: host.add_address(index, gateway, nodad=not dad),
            lambda: _remove_gateway(session, index, gateway),
        )
    except FileExistsError:
        if not host.has_address(index, gateway):
            raise
        return  # by somebody else, meanwhile
    # A bridge takes the lowest MAC of its ports as long as it was not given one: ``mac`` is what
    # it had before a port joined it.  One that has lost all its ports has none.
    mac = mac or host.link(index).mac
    host.set_link(index, mac=mac if mac != _NO_MAC else random_mac())


def _take_address(session: Session, index: int, address: str, *, dad: bool) -> None:
    """Take an address from a link, until an error gives it back."""
    host = session.host
    try:
        session.step(
            lambda: host.delete_address(index, address),
            lambda: host.add_address(index, address, nodad=not dad),
        )
    except FileNotFoundError:
        return  # somebody else has taken it


def _remove_gateway(session: Session, index: int, gateway: str) -> None:
    """Take a gateway address off a link that nobody has joined meanwhile."""
    if _is_ours(session, index):
        session.host.delete_address(index, gateway)


def _conflicts(other: Address, gateway: str) -> bool:
    """Tell whether an address on the link stands against the gateway's."""
    _, packed, prefixlen = parse_prefix(gateway)
    if (other.packed, other.prefixlen) == (packed, prefixlen):
        return False
    bits, value, _ = _ip.parse_cidr(gateway)
    if bits == 4:
        return True
    _, theirs = _ip.unpacked(other.packed)
    return _ip.contains(
        bits, _ip.network(bits, theirs, other.prefixlen), other.prefixlen, value
    ) or (_ip.contains(bits, _ip.network(bits, value, prefixlen), prefixlen, theirs))


def ensure_vlan_interface(
    session: Session, bridge: int, name: str, vlan: int, mtu: int, *, keep_default_vlan: bool
) -> Link:
    """Return the host's own interface in a VLAN of the bridge: the far end of a veth pair.

    It has its name only once it is in the VLAN, so that whoever finds it can use it.

    Raises:
        KernelError: it cannot be made.
    """
    host = session.host
    try:
        link = host.link(name)
    except FileNotFoundError:
        link = _make_vlan_interface(
            session, bridge, name, vlan, mtu, keep_default_vlan=keep_default_vlan
        )
    if link.flags & IFF_UP:
        return link
    host.set_link(link.index, up=True)
    return host.link(link.index)


def _make_vlan_interface(
    session: Session, bridge: int, name: str, vlan: int, mtu: int, *, keep_default_vlan: bool
) -> Link:
    """Make the pair, or find that somebody else just did; return the end that is the host's."""
    host = session.host
    draft, port_name = (f"veth{random_mac().replace(':', '')[:8]}" for _ in range(2))

    def undo() -> None:
        port = host.link(port_name)
        if session.alone() and not any(
            _has_vlan(host, user.index, vlan)
            for user in host.links(master=bridge)
            if user.index != port.index
        ):
            host.delete_link(port.index)

    session.step(
        lambda: host.add_link("veth", port_name, peer=draft, mtu=mtu, mac=random_mac()), undo
    )
    port = host.link(port_name)
    host.set_link(port.index, master=bridge)
    if not keep_default_vlan:
        for present in host.port_vlans(port.index):
            host.delete_port_vlan(port.index, present)
    host.add_port_vlan(port.index, vlan, pvid_untagged=True)
    host.set_link(port.index, up=True)
    try:
        host.set_link(host.link(draft).index, name=name)
    except FileExistsError:
        host.delete_link(port.index)
    return host.link(name)


def _has_vlan(host: Handle, port: int, vlan: int) -> bool:
    """Tell whether a port is in a VLAN; one that is gone by now is in none."""
    try:
        return vlan in host.port_vlans(port)
    except FileNotFoundError:
        return False
