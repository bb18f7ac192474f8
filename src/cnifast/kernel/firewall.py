"""What lets pods through the packet filter: rules over netlink, and the record of whose they are.

    with NftSocket() as nft:
        let = Firewall("iptables", IPTABLES, admin="CNI-ADMIN", bridge="cni0", isolated=True)
        add(nft, let, ["10.1.0.5"], Owner("container-1", "eth0", "mynet"))
        delete(nft, let, ["10.1.0.5"], Owner("container-1", "eth0", "mynet"))

Whatever lets an address through, by netlink or by others, an element of an nftables set says whose
the address is; so what an attachment has is found when nobody knows its addresses any more.
"""

from __future__ import annotations

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import check as check_rc
from cnifast._native.errors import new_error
from cnifast.kernel.address import format_address
from cnifast.kernel.foreign import Strings
from cnifast.kernel.nft import ip_array

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from typing import Any

    from cnifast.kernel.nft import NftSocket, Owner

# Where the rules are: somebody else's business, a table of our own, iptables-nft's filter tables.
ELSEWHERE, OWN_TABLE, IPTABLES = range(3)


class Firewall:
    """How addresses are let through, in the form C takes; it keeps its strings alive.

    ``means`` is what the records are kept under.  In iptables an address is let through unless
    ``admin``, the chain that is asked before, is empty.  ``bridge`` has an ingress policy unless
    it is empty: other such bridges do not reach it, nor its own pods each other if ``isolated``.
    """

    __slots__ = ("_kept", "raw")

    def __init__(
        self, means: str, rules: int, *, admin: str = "", bridge: str = "", isolated: bool = False
    ) -> None:
        self._kept = [
            ffi.new("char []", c_text(text)) if text else ffi.NULL
            for text in (means, admin, bridge)
        ]
        self.raw = ffi.new("struct cnif_firewall *")
        self.raw.means, self.raw.admin, self.raw.bridge = self._kept
        self.raw.rules, self.raw.isolated = rules, isolated


class Record:
    """An address that is let through, by which means, and the comment that names its owner."""

    __slots__ = ("address", "means", "owner")

    def __init__(self, means: str, address: str, owner: str) -> None:
        self.means = means
        self.address = address
        self.owner = owner

    def __repr__(self) -> str:
        return f"<Record {self.means} {self.address} {self.owner!r}>"


def add(nft: NftSocket, firewall: Firewall, addresses: Collection[str], owner: Owner) -> None:
    """Let addresses such as "10.1.0.5" through, and set the policy of the bridge.

    Done again, it changes nothing; an address that another container left behind is taken over.

    Raises:
        ValueError: a text is not an address.
        KernelError: the kernel refused; of the first four addresses none is let through then.
    """
    err = new_error()
    ips = ip_array(addresses)
    check_rc(lib.cnif_firewall_add(nft.raw, firewall.raw, ips, len(ips), owner.raw, err), err)


def delete(nft: NftSocket, firewall: Firewall, addresses: Collection[str], owner: Owner) -> None:
    """Undo `add` but for the policy; an address that is somebody else's by now is left alone.

    Of an address that is not recorded by these means the rules go nevertheless.

    Raises:
        ValueError: a text is not an address.
        KernelError: the kernel refused.
    """
    err = new_error()
    ips = ip_array(addresses)
    check_rc(lib.cnif_firewall_delete(nft.raw, firewall.raw, ips, len(ips), owner.raw, err), err)


def see(nft: NftSocket, firewall: Firewall, addresses: Collection[str], owner: Owner) -> None:
    """See that rules are as `add` leaves them.

    Raises:
        ValueError: a text is not an address.
        FileNotFoundError: something is missing.
    """
    err = new_error()
    ips = ip_array(addresses)
    check_rc(lib.cnif_firewall_check(nft.raw, firewall.raw, ips, len(ips), owner.raw, err), err)


def recorded(nft: NftSocket, means: str, owner: Owner | None = None) -> list[Record]:
    """Return what is let through by one of the means, all or one owner's.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    entries = ffi.new("struct cnif_masq_entry **")
    count = ffi.new("size_t *")
    whose = ffi.NULL if owner is None else owner.raw
    check_rc(lib.cnif_firewall_list(nft.raw, c_text(means), whose, entries, count, err), err)
    try:
        # A dump that was interrupted by a change may have reported an element twice.
        found = {_key(entry): None for entry in entries[0][0 : count[0]]}
    finally:
        lib.cnif_free(entries[0])
    return [Record(means, *key) for key in found]


def who(nft: NftSocket, means: Sequence[str], addresses: Collection[str]) -> list[Record]:
    """Return who is recorded for addresses, by any of the means.

    Raises:
        ValueError: a text is not an address.
        KernelError: the kernel refused.
    """
    err = new_error()
    names = Strings(means)
    ips = ip_array(addresses)
    entries = ffi.new("struct cnif_masq_entry []", len(ips) * names.count)
    check_rc(
        lib.cnif_firewall_find(nft.raw, names.array, names.count, ips, len(ips), entries, err), err
    )
    return [
        Record(means[at % names.count], *_key(entry))
        for at, entry in enumerate(entries)
        if entry.owner[0] != b"\0"
    ]


def _key(entry: Any) -> tuple[str, str]:
    """Return address and owner of a ``struct cnif_masq_entry``."""
    size = 4 if entry.ip.family == 2 else 16
    owner: bytes = ffi.string(entry.owner)
    return format_address(bytes(entry.ip.bytes[0:size])), owner.decode(errors="replace")
