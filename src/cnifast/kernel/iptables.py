"""Masquerading by iptables, for networks that ask for it: the chains and rules of the reference.

Each implementation can remove what the other made.  Programs are executed where nothing else
will do: iptables-restore once per protocol to add rules, and once to remove what is in legacy
iptables.  What iptables-nft made is removed by netlink, see `cnifast.kernel.foreign`.
"""

from __future__ import annotations

from os.path import realpath

from cnifast._native import ffi, lib
from cnifast._native.errors import KernelError, NoSuchObjectError, check, new_error
from cnifast.kernel import program
from cnifast.kernel.address import format_address
from cnifast.kernel.foreign import (
    Strings,
    comment_prefix,
    has_iptables_chain,
    iptables_chain,
    iptables_comment,
)
from cnifast.protocol.ip import format_cidr, format_ip, parse_cidr
from cnifast.protocol.ip import network as network_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    from cnifast.kernel.nft import NftSocket

    Rule = list[str]  # the chain, then the words that iptables takes

_WAIT_SECONDS = 10  # for the lock of legacy iptables
_JUMPS_MAX = 64
_CHAIN_MAX = 32
COMMANDS = {4: "iptables", 6: "ip6tables"}
_MULTICAST = {4: "224.0.0.0/4", 6: "ff00::/8"}
_PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-/:!"  # needs no quotes
_ENOENT = 2
_EIO = 5


class LegacyJump:
    """A rule of legacy iptables that leads to a chain: family 4 or 6, source and comment."""

    __slots__ = ("comment", "family", "source")

    def __init__(self, family: int, source: str, comment: str) -> None:
        self.family = family
        self.source = source
        self.comment = comment


def add_masquerade(
    nft: NftSocket, network: str, container_id: str, addresses: Iterable[str]
) -> None:
    """Masquerade what comes from addresses such as "10.1.0.5/16" and leaves their subnets.

    The chain is one for all interfaces of a container, as the reference has it; rules that are
    there already are not added again.

    Raises:
        ValueError: a text is not an address with a prefix length.
        KernelError: iptables-restore is missing or failed; its words are in the message.
    """
    chain = iptables_chain(network, container_id)
    there = _families_with(nft, chain)
    by_family: dict[int, list[str]] = {}
    for address in addresses:
        by_family.setdefault(parse_cidr(address)[0], []).append(address)
    for family, group in by_family.items():
        rules = _rules(chain, iptables_comment(network, container_id), family, group)
        lines = [f":{chain} - [0:0]"]
        # The chain may be in the other kind of iptables than the one that is going to be used.
        if family in there and accepts(nft.netns, family, ["-S", chain]):
            rules = [rule for rule in rules if not accepts(nft.netns, family, ["-C", *rule])]
            lines = []
        lines += ["-A " + " ".join(map(quote, rule)) for rule in rules]
        if lines:
            restore(nft.netns, (f"{COMMANDS[family]}-restore",), lines)


def delete_legacy(netns: int, network: str, container_id: str) -> None:
    """Remove a container's chain from legacy iptables; nothing is executed if there is none.

    Raises:
        KernelError: iptables-restore is missing or failed; its words are in the message.
    """
    _delete_legacy_chain(netns, iptables_chain(network, container_id))


def collect_legacy(netns: int, network: str, valid: Iterable[str]) -> None:
    """Remove a network's chains from legacy iptables but those of container IDs.

    Raises:
        KernelError: iptables-restore is missing or failed; its words are in the message.
    """
    keep = [iptables_comment(network, container_id) for container_id in valid]
    collect_legacy_chains(netns, comment_prefix(network), keep, _delete_legacy_chain)


def collect_legacy_chains(
    netns: int, prefix: str, keep: Iterable[str], delete: Callable[[int, str], None]
) -> None:
    """Have each chain deleted that legacy rules jump to whose comments begin with ``prefix``.

    Those that begin with one of ``keep`` are spared.  ``delete`` gets ``netns`` and the chain.

    Raises:
        KernelError: the kernel refused.
    """
    kept = Strings(keep)
    chain = ffi.new("char []", _CHAIN_MAX)
    found = ffi.new("bool *", True)
    while True:
        err = new_error()
        check(
            lib.cnif_legacy_find_stale(
                netns, prefix.encode(), kept.array, kept.count, chain, _CHAIN_MAX, found, err
            ),
            err,
        )
        if not found[0]:
            return
        name: bytes = ffi.string(chain)
        delete(netns, name.decode())


def _delete_legacy_chain(netns: int, chain: str) -> None:
    """Remove a chain and the jumps to it, by one iptables-restore per family that has it."""
    families, jumps = find_legacy(netns, chain)
    for family in families:
        delete_legacy_chain(
            netns,
            family,
            chain,
            [
                " ".join(map(quote, _jump("POSTROUTING", jump.source, jump.comment, chain)))
                for jump in jumps
                if jump.family == family
            ],
        )


def delete_legacy_chain(netns: int, family: int, chain: str, jumps: Iterable[str]) -> None:
    """Remove a chain of legacy iptables after the rules that jump to it, as iptables words them.

    Raises:
        KernelError: iptables-restore is missing or failed; its words are in the message.
    """
    command = COMMANDS[family]
    restore(
        netns,
        (f"{command}-legacy-restore", f"{command}-restore"),
        [*(f"-D {rule}" for rule in jumps), f"-F {chain}", f"-X {chain}"],
    )


def check_masquerade(
    nft: NftSocket, network: str, container_id: str, addresses: Iterable[str]
) -> None:
    """See that the chain for addresses such as "10.1.0.5/16" exists.

    Raises:
        ValueError: a text is not an address with a prefix length.
        FileNotFoundError: it does not.
    """
    chain = iptables_chain(network, container_id)
    there = _families_with(nft, chain)
    for address in addresses:
        if parse_cidr(address)[0] not in there:
            raise NoSuchObjectError(
                _ENOENT, f"{address} is not masqueraded: there is no iptables chain {chain}"
            )


def find_legacy(netns: int, chain: str) -> tuple[list[int], list[LegacyJump]]:
    """Return the families, 4 and 6, whose legacy nat table has a chain, and the jumps to it.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    jumps = ffi.new("struct cnif_legacy_jump []", _JUMPS_MAX)
    count = ffi.new("size_t *")
    found = ffi.new("unsigned *")
    check(lib.cnif_legacy_find(netns, chain.encode(), jumps, _JUMPS_MAX, count, found, err), err)
    families = [family for bit, family in ((1, 4), (2, 6)) if found[0] & bit]
    return families, [_legacy_jump(jump) for jump in jumps[0 : count[0]]]


def _legacy_jump(jump: Any) -> LegacyJump:
    """Return the Python form of a ``struct cnif_legacy_jump``."""
    source = jump.source
    family, size = (4, 4) if source.family == 2 else (6, 16)
    address = format_address(bytes(source.bytes[0:size]))
    comment: bytes = ffi.string(jump.comment)
    return LegacyJump(family, f"{address}/{source.prefix}", comment.decode(errors="replace"))


def _jump(base: str, source: str, comment: str, chain: str) -> Rule:
    """Return the rule that sends what comes from a source to a chain."""
    said = ["-m", "comment", "--comment", comment] if comment else []
    return [base, "-s", source, *said, "-j", chain]


def _rules(chain: str, comment: str, family: int, addresses: Iterable[str]) -> list[Rule]:
    """Return the rules for addresses of one family, in order."""
    said = ["-m", "comment", "--comment", comment]
    inside: dict[str, Rule] = {}
    jumps = []
    for address in addresses:
        _, value, prefixlen = parse_cidr(address)
        subnet = format_cidr(family, network_of(family, value, prefixlen), prefixlen)
        inside[subnet] = [chain, "-d", subnet, *said, "-j", "ACCEPT"]
        jumps.append(_jump("POSTROUTING", format_ip(family, value), comment, chain))
    outside = [chain, "!", "-d", _MULTICAST[family], *said, "-j", "MASQUERADE"]
    return [*inside.values(), outside, *jumps]


def _families_with(nft: NftSocket, chain: str) -> set[int]:
    """Return the families, 4 and 6, that have a chain in either kind of iptables."""
    by_nft = has_iptables_chain(nft, chain)
    families, _ = find_legacy(nft.netns, chain)
    return {family for family, has in zip((4, 6), by_nft, strict=True) if has} | set(families)


def has_same_tables(root: str) -> bool:
    """Tell whether the iptables below a root directory changes what ours does, nftables or not.

    Whoever has none there misses no rules.
    """
    name = f"{COMMANDS[4]}-restore"
    theirs = program.find_below(root, name)
    if not theirs:
        return True
    try:
        return _tables(realpath(program.find((name,)))) == _tables(theirs)
    except FileNotFoundError:
        return False


def _tables(path: str) -> str:
    """Return which tables a program changes, by its name; its path where that does not tell."""
    name = path.rpartition("/")[2]
    return next((kind for kind in ("nft", "legacy") if kind in name), path)


def quote(word: str) -> str:
    """Return a word as iptables-restore reads it."""
    if word and not word.strip(_PLAIN):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def accepts(netns: int, family: int, words: Sequence[str], kind: str = "") -> bool:
    """Tell whether iptables, or one of a kind ("nft", "legacy"), says yes about the nat table."""
    command = COMMANDS[family]
    path = program.find((f"{command}-{kind}", command) if kind else (command,))
    status, _ = program.run(netns, [path, "--wait", str(_WAIT_SECONDS), "-t", "nat", *words])
    return status == 0


def restore(netns: int, programs: Sequence[str], lines: Iterable[str], table: str = "nat") -> None:
    """Change a table by one run of iptables-restore, all lines or none.

    Raises:
        KernelError: it is missing, failed, or did not end in time.
    """
    text = "\n".join([f"*{table}", *lines, "COMMIT", ""])
    path = program.find(programs)
    status, said = program.run(netns, [path, "--noflush", f"--wait={_WAIT_SECONDS}"], text)
    if status != 0:
        raise KernelError(_EIO, f"{path} failed with exit code {status}: {said}")
