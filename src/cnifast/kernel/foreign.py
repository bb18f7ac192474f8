"""What the reference plugins leave on the host for an attachment, found by its names.

The reference masquerades with iptables (a chain per container) or with rules in an nftables table
of its own, and guards bridge ports with nftables chains.  All of it is removed here by netlink,
without any of its programs; costs one round trip when there is nothing.  Only what lives in legacy
iptables needs iptables-restore, see `cnifast.kernel.iptables`.
"""

from __future__ import annotations

from cnifast._native import ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.kernel.address import AF_INET, AF_INET6

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from cnifast.kernel.nft import NftSocket

_CHAIN_LENGTH = 28
_HASH_LENGTH = 16
_IFNAME_LENGTH = 15
_COMMENT_LENGTH = 255


def _load_sha512() -> Callable[[bytes], Any]:
    """Return the hash function, from Python's own C module where there is one.

    That is called _sha2 since Python 3.12; some distributions leave it out.  hashlib loads
    OpenSSL, which takes 5 to 10 ms.
    """
    for name in ("_sha2", "_sha512"):
        try:
            function: Callable[[bytes], Any] = __import__(name).sha512
        except ImportError:
            continue
        return function
    from hashlib import sha512  # noqa: PLC0415 - see above

    return sha512


_sha512 = _load_sha512()


def _digest(text: str) -> str:
    """Return SHA-512 in hexadecimal digits."""
    digits: str = _sha512(text.encode()).hexdigest()
    return digits


def iptables_chain(network: str, container_id: str) -> str:
    """Return the name of the iptables chain of a container's addresses in a network."""
    return ("CNI-" + _digest(network + container_id))[:_CHAIN_LENGTH]


def ifb_name(network: str, container_id: str) -> str:
    """Return the name of the device that what a container sends waits at."""
    return ("bwp" + _digest(network + container_id))[:_IFNAME_LENGTH]


def iptables_comment(network: str, container_id: str) -> str:
    """Return the comment of each rule that belongs to such a chain."""
    return f'{comment_prefix(network)}{container_id}"'


def comment_prefix(network: str) -> str:
    """Return what the comments of all iptables rules of a network begin with."""
    return f'name: "{network}" id: "'


def masquerade_prefix(network: str, container_id: str, ifname: str) -> str:
    """Return what the comments of an attachment's nftables masquerade rules begin with."""
    return f"{network_prefix(network)}{_digest(f'{ifname}:{container_id}')[:_HASH_LENGTH]}"


def network_prefix(network: str) -> str:
    """Return what the comments of all nftables masquerade rules of a network begin with."""
    return f"{_digest(network)[:_HASH_LENGTH]}-"


def spoofcheck_id(container_id: str, ifname: str) -> str:
    """Return the part of the names of an attachment's anti-spoofing chains that identifies it."""
    return f"{container_id}-{ifname}"


class Strings:
    """Texts in the form C takes; it keeps them alive."""

    __slots__ = ("_kept", "array", "count")

    def __init__(self, texts: Iterable[str]) -> None:
        self._kept = [ffi.new("char []", text.encode()) for text in texts]
        self.array = ffi.new("char *[]", self._kept)
        self.count = len(self._kept)


class _Foreign:
    """The names to look for, in the form C takes; it keeps its strings alive."""

    __slots__ = ("_kept", "raw")

    def __init__(self, masquerade: str, chain: str, spoofcheck: str) -> None:
        self._kept = [
            ffi.new("char []", text.encode()) if text else ffi.NULL
            for text in (masquerade, chain, spoofcheck)
        ]
        self.raw = ffi.new("struct cnif_foreign *", self._kept)


def delete_masquerade(nft: NftSocket, network: str, container_id: str, ifname: str) -> None:
    """Remove an attachment's masquerade rules, of nftables and of iptables-nft.

    The iptables chain is one for all interfaces of a container, as the reference has it.

    Raises:
        KernelError: the kernel refused.
    """
    _delete(
        nft,
        _Foreign(
            masquerade_prefix(network, container_id, ifname),
            iptables_chain(network, container_id),
            "",
        ),
    )


def delete_spoofcheck(nft: NftSocket, container_id: str, ifname: str) -> None:
    """Remove an attachment's anti-spoofing chains and the rule that leads to them.

    Raises:
        KernelError: the kernel refused.
    """
    _delete(nft, _Foreign("", "", spoofcheck_id(container_id, ifname)))


def has_masquerade(nft: NftSocket, network: str, container_id: str, ifname: str) -> bool:
    """Tell whether the reference's nftables table has rules of an attachment.

    Raises:
        KernelError: the kernel refused.
    """
    prefix = masquerade_prefix(network, container_id, ifname)
    return bool(_find(nft, _Foreign(prefix, "", "")) & lib.CNIF_FOREIGN_MASQ)


def has_iptables_chain(nft: NftSocket, chain: str) -> tuple[bool, bool]:
    """Tell whether the nat table of iptables-nft has a chain: (for IPv4, for IPv6).

    Raises:
        KernelError: the kernel refused.
    """
    found = _find(nft, _Foreign("", chain, ""))
    return bool(found & lib.CNIF_FOREIGN_IPTABLES), bool(found & lib.CNIF_FOREIGN_IP6TABLES)


def collect_masquerade(nft: NftSocket, network: str, valid: Iterable[tuple[str, str]]) -> None:
    """Remove a network's nftables masquerade rules but those of (container ID, ifname) pairs.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    keep = Strings(
        masquerade_prefix(network, container_id, ifname) for container_id, ifname in valid
    )
    prefix = network_prefix(network).encode()
    check(lib.cnif_foreign_masq_gc(nft.raw, prefix, keep.array, keep.count, err), err)


def collect_iptables(nft: NftSocket, network: str, valid: Iterable[str]) -> None:
    """Remove a network's chains in iptables-nft but those of container IDs.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    keep = Strings(iptables_comment(network, container_id) for container_id in valid)
    prefix = comment_prefix(network).encode()
    check(lib.cnif_iptables_gc(nft.raw, prefix, keep.array, keep.count, err), err)


def ports_chain(network: str, container_id: str) -> str:
    """Return the name of the iptables chain of a container's host ports in a network."""
    return ("CNI-DN-" + _digest(network + container_id))[:_CHAIN_LENGTH]


def ports_comment(network: str, container_id: str) -> str:
    """Return the comment of the iptables rules that lead to such a chain."""
    comment = f'{ports_prefix(network)}{container_id}"'
    return comment if len(comment) <= _COMMENT_LENGTH else f"{comment[: _COMMENT_LENGTH - 2]}..."


def ports_prefix(network: str) -> str:
    """Return what the comments of all such rules of a network begin with."""
    return f'dnat name: "{network}" id: "'


class _ForeignPorts:
    """A container's names, in the form C takes; it keeps its strings alive."""

    __slots__ = ("_kept", "raw")

    def __init__(self, network: str, container_id: str) -> None:
        texts = (ports_chain(network, container_id), container_id)
        self._kept = [ffi.new("char []", text.encode()) for text in texts]
        self.raw = ffi.new("struct cnif_foreign_ports *", self._kept)


def find_ports(nft: NftSocket, network: str, container_id: str) -> tuple[set[int], bool]:
    """Return the families, 4 and 6, with a chain in iptables-nft, and whether there are rules.

    The rules are those in the reference's own nftables tables.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    found = ffi.new("unsigned *")
    names = _ForeignPorts(network, container_id)
    check(lib.cnif_foreign_ports_find(nft.raw, names.raw, found, err), err)
    bits = ((lib.CNIF_FOREIGN_IPTABLES, 4), (lib.CNIF_FOREIGN_IP6TABLES, 6))
    families = {family for bit, family in bits if found[0] & bit}
    return families, bool(found[0] & lib.CNIF_FOREIGN_MASQ)


def delete_ports(nft: NftSocket, network: str, container_id: str) -> None:
    """Remove a container's host ports from iptables-nft and the reference's nftables tables.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    names = _ForeignPorts(network, container_id)
    check(lib.cnif_foreign_ports_delete(nft.raw, names.raw, err), err)


def collect_ports(nft: NftSocket, network: str, valid: Iterable[str]) -> None:
    """Remove a network's chains of host ports in iptables-nft but those of container IDs.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    keep = Strings(ports_comment(network, container_id) for container_id in valid)
    prefix = ports_prefix(network).encode()
    check(lib.cnif_iptables_ports_gc(nft.raw, prefix, keep.array, keep.count, err), err)


def iptables_jumps(nft: NftSocket, family: int, base: str, chain: str) -> int:
    """Count the rules of a chain in the nat table of iptables-nft that jump to another.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    count = ffi.new("unsigned *")
    check(
        lib.cnif_iptables_jumps(
            nft.raw, AF_INET6 if family == 6 else AF_INET, base.encode(), chain.encode(), count, err
        ),
        err,
    )
    return int(count[0])


def _find(nft: NftSocket, foreign: Any) -> int:
    """Return what is there by the names, as CNIF_FOREIGN_* bits."""
    err = new_error()
    found = ffi.new("unsigned *")
    check(lib.cnif_foreign_find(nft.raw, foreign.raw, found, err), err)
    return int(found[0])


def _delete(nft: NftSocket, foreign: Any) -> None:
    """Remove what is found by the names."""
    err = new_error()
    check(lib.cnif_foreign_delete(nft.raw, foreign.raw, err), err)
