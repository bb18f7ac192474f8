"""Masquerading and anti-spoofing by nftables: one element per container, changed in one batch.

    with NftSocket() as nft:
        owner = Owner("container-1", "eth0", "mynet")
        nft.add_masquerade(["10.1.0.5/16"], owner)
        nft.delete_masquerade(["10.1.0.5/16"], owner)

The rules are made when the first element of a subnet needs them, and stay.  Tables of others are
never touched.  A socket is used by one thread at a time.
"""

from __future__ import annotations

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.kernel.address import (
    fill_ip,
    format_address,
    format_mac,
    mac_bytes,
    parse_address,
    parse_prefix,
)
from cnifast.kernel.socket import NetlinkSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection
    from typing import Any, Self

NETLINK_NETFILTER = 12


class Owner:
    """Whose an element is: container ID, interface and network, kept as the element's comment."""

    __slots__ = ("_kept", "raw")

    def __init__(self, container_id: str, ifname: str, network: str) -> None:
        self._kept = [ffi.new("char []", c_text(text)) for text in (container_id, ifname, network)]
        self.raw = ffi.new("struct cnif_owner *", self._kept)

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Return the owner whose `text` is the given one, as far as there are three fields."""
        container_id, _, rest = text.partition(" ")
        ifname, _, network = rest.partition(" ")
        return cls(container_id, ifname, network)

    @property
    def text(self) -> str:
        """The comment: the three with blanks between, shortened where one is very long."""
        text = ffi.new("char [256]")
        lib.cnif_owner_text(self.raw, text)
        return _string(text)


class MasqueradeElement:
    """A masqueraded address such as "10.1.0.5/16", and the comment that names its owner."""

    __slots__ = ("address", "owner")

    def __init__(self, address: str, owner: str) -> None:
        self.address = address
        self.owner = owner

    def __repr__(self) -> str:
        return f"<MasqueradeElement {self.address} {self.owner!r}>"


class GuardedPort:
    """A bridge port, the MAC address it may send from, and the comment that names its owner."""

    __slots__ = ("mac", "owner", "port")

    def __init__(self, port: str, mac: str, owner: str) -> None:
        self.port = port
        self.mac = mac
        self.owner = owner

    def __repr__(self) -> str:
        return f"<GuardedPort {self.port} {self.mac} {self.owner!r}>"


class NftSocket(NetlinkSocket):
    """An open nftables socket; a context manager that closes it, as dropping it does."""

    __slots__ = ()

    PROTOCOL = NETLINK_NETFILTER

    def add_masquerade(self, addresses: Collection[str], owner: Owner) -> None:
        """Masquerade what comes from addresses such as "10.1.0.5/16" and leaves their subnets.

        Multicast is left alone.  Done again, it changes nothing; an address that another
        container of the same network left behind is taken over.

        Raises:
            ValueError: a text is not an address.
            KernelError: an address without a prefix length (EINVAL), or the kernel refused; of
                the first eight addresses none is added then.
        """
        err = new_error()
        ips = ip_array(addresses)
        check(lib.cnif_masq_add(self.raw, ips, len(ips), owner.raw, err), err)

    def delete_masquerade(self, addresses: Collection[str] | None, owner: Owner) -> None:
        """Undo `add_masquerade`; what is not there, or is somebody else's by now, is left alone.

        Addresses without a prefix length are looked for in all subnets of the network; None
        deletes everything of the owner, at the cost of reading the network's elements.

        Raises:
            ValueError: a text is not an address.
            KernelError: the kernel refused.
        """
        if addresses is not None and not addresses:
            return
        err = new_error()
        ips = ip_array(addresses or ())
        check(lib.cnif_masq_delete(self.raw, ips, len(ips), owner.raw, err), err)

    def check_masquerade(self, addresses: Collection[str], owner: Owner) -> None:
        """See that each address is masqueraded for the owner, and that the rules are there.

        Raises:
            ValueError: a text is not an address.
            FileNotFoundError: an element or the rules are gone.
        """
        err = new_error()
        ips = ip_array(addresses)
        check(lib.cnif_masq_check(self.raw, ips, len(ips), owner.raw, err), err)

    def masquerades(self, network: str) -> list[MasqueradeElement]:
        """Return the elements of a network.

        Raises:
            KernelError: the kernel refused.
        """
        err = new_error()
        entries = ffi.new("struct cnif_masq_entry **")
        count = ffi.new("size_t *")
        check(lib.cnif_masq_list(self.raw, c_text(network), entries, count, err), err)
        try:
            # a dump that was interrupted by a change may report an element twice
            found = {
                (_format(entry.ip), _string(entry.owner)): None
                for entry in entries[0][0 : count[0]]
            }
        finally:
            lib.cnif_free(entries[0])
        return [MasqueradeElement(*pair) for pair in found]

    def guard_port(self, port: str, mac: str, owner: Owner) -> None:
        """Let a bridge port send frames from one MAC address only.

        What was set for that port before is replaced.

        Raises:
            ValueError: ``mac`` is not an Ethernet address.
            KernelError: the kernel refused.
        """
        err = new_error()
        check(lib.cnif_spoof_add(self.raw, c_text(port), mac_bytes(mac), owner.raw, err), err)

    def unguard_port(self, port: str, owner: Owner) -> None:
        """Undo `guard_port`; a port that is not guarded for the owner is left alone.

        Raises:
            KernelError: the kernel refused.
        """
        err = new_error()
        check(lib.cnif_spoof_delete(self.raw, c_text(port), owner.raw, err), err)

    def check_port(self, port: str, mac: str, owner: Owner) -> None:
        """See that a port is guarded as `guard_port` does it.

        Raises:
            ValueError: ``mac`` is not an Ethernet address.
            FileNotFoundError: it is not, or the rules are gone.
        """
        err = new_error()
        check(lib.cnif_spoof_check(self.raw, c_text(port), mac_bytes(mac), owner.raw, err), err)

    def guarded_ports(self) -> list[GuardedPort]:
        """Return all guarded ports, of whatever network.

        Raises:
            KernelError: the kernel refused.
        """
        err = new_error()
        entries = ffi.new("struct cnif_spoof_entry **")
        count = ffi.new("size_t *")
        check(lib.cnif_spoof_list(self.raw, entries, count, err), err)
        try:
            found = {
                (_string(entry.port), format_mac(bytes(entry.mac)), _string(entry.owner)): None
                for entry in entries[0][0 : count[0]]
            }
        finally:
            lib.cnif_free(entries[0])
        return [GuardedPort(*fields) for fields in found]


def _string(chars: Any) -> str:
    """Return the text of a C string."""
    text: bytes = ffi.string(chars)
    return text.decode(errors="replace")


def ip_array(addresses: Collection[str]) -> Any:
    """Return an array of ``struct cnif_ip``; an address without a prefix length has prefix 0."""
    ips = ffi.new("struct cnif_ip []", len(addresses))
    for struct, text in zip(ips, addresses, strict=True):
        if "/" in text:
            fill_ip(struct, *parse_prefix(text))
        else:
            family, packed, _ = parse_address(text)
            fill_ip(struct, family, packed, 0)
    return ips


def _format(ip: Any) -> str:
    """Return "10.1.0.5/16" for a ``struct cnif_ip``."""
    size = 4 if ip.family == 2 else 16
    return f"{format_address(bytes(ip.bytes[0:size]))}/{ip.prefix}"
