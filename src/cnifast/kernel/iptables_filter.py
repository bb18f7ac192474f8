"""The chains that let pods through and keep their bridges apart, by the programs of iptables.

For a node whose iptables is not the one in nf_tables, whose rules netlink makes, see
`cnifast.kernel.firewall`: the chains and rules are the same, the reference's.  iptables-save says
what is there; what is missing, or is to go, goes through one iptables-restore per protocol.
"""

from __future__ import annotations

from os import readlink

from cnifast._native.errors import KernelError, NoSuchObjectError
from cnifast.kernel import program
from cnifast.kernel.iptables import COMMANDS, quote, restore

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_ACCEPT = "CNI-FORWARD"
_STAGES = ("CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2")
_SAID = "CNI firewall plugin rules"
_LENGTH = {4: 32, 6: 128}
_TABLE = "filter"
_ATTEMPTS = 3
_LINKS_MAX = 8
_ENOENT = 2
_EIO = 5


def by_netlink() -> bool:
    """Tell whether the iptables of this node is the one in nf_tables.

    Raises:
        FileNotFoundError: there is none.
    """
    path = program.find(("iptables",))
    for _ in range(_LINKS_MAX):
        name = path.rpartition("/")[2]
        if "nft" in name or "legacy" in name:
            return "nft" in name
        try:
            target = readlink(path)  # noqa: PTH115 - pathlib is dear to import
        except OSError:
            return False
        path = target if target.startswith("/") else f"{path.rpartition('/')[0]}/{target}"
    return False


class Rules:
    """What shall be in the filter tables: see `cnifast.kernel.firewall.Firewall`."""

    __slots__ = ("addresses", "admin", "bridge", "isolated")

    def __init__(
        self,
        addresses: Collection[str],
        *,
        admin: str = "",
        bridge: str = "",
        isolated: bool = False,
    ) -> None:
        self.addresses = addresses
        self.admin = admin
        self.bridge = bridge
        self.isolated = isolated

    @property
    def families(self) -> list[int]:
        """The families of the addresses."""
        return sorted({6 if ":" in address else 4 for address in self.addresses})

    def of(self, family: int) -> list[tuple[str, bool, str]]:
        """Return each rule: its chain, whether it stands first there, and iptables' words."""
        found = []
        if self.admin:
            found += [
                ("FORWARD", True, _said(_SAID, _ACCEPT)),
                (_ACCEPT, True, _said(f"{_SAID[:-6]} admin overrides", self.admin)),
                *((_ACCEPT, False, rule) for rule in self.of_addresses(family)),
            ]
        if self.bridge:
            found += self._policy()
        return found

    def of_addresses(self, family: int) -> list[str]:
        """Return the rules that are about addresses, in iptables' words."""
        found = []
        for address in self.addresses:
            if (":" in address) == (family == 6):
                whole = f"{address}/{_LENGTH[family]}"
                found += [
                    f"-d {whole} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
                    f"-s {whole} -j ACCEPT",
                ]
        return found

    def _policy(self) -> list[tuple[str, bool, str]]:
        first, second = _STAGES
        both = f"{_SAID} (ingressPolicy: same-bridge|isolated)"
        one = f"{_SAID} (ingressPolicy: {'isolated' if self.isolated else 'same-bridge'})"
        bridge = quote(self.bridge)
        inside = (first, True, f"-i {bridge} -o {bridge} {_said(one, 'DROP')}")
        return [
            ("FORWARD", True, _said(both, first)),
            (first, True, f"-i {bridge} ! -o {bridge} {_said(one, second)}"),
            *([inside] if self.isolated else []),
            (first, False, _said(both, "RETURN")),
            (second, True, f"-o {bridge} {_said(both, 'DROP')}"),
            (second, False, _said(both, "RETURN")),
        ]


def _said(comment: str, target: str) -> str:
    """Return the end of a rule with a comment."""
    return f"-m comment --comment {quote(comment)} -j {quote(target)}"


def add(netns: int, rules: Rules) -> None:
    """Add what is missing of rules, and the chains for them.

    Somebody may make a chain between the look and the change; then both are repeated.

    Raises:
        KernelError: a program is missing or failed; its words are in the message.
    """
    for family in rules.families:
        for attempt in range(_ATTEMPTS):
            lines = _missing(netns, family, rules)
            try:
                if lines:
                    restore(netns, (f"{COMMANDS[family]}-restore",), lines, _TABLE)
            except KernelError:
                if attempt == _ATTEMPTS - 1 or _missing(netns, family, rules) == lines:
                    raise
            else:
                break


def _missing(netns: int, family: int, rules: Rules) -> list[str]:
    """Return the lines for iptables-restore that add what is missing."""
    there = _saved(netns, (f"{COMMANDS[family]}-save",))
    chains = [_ACCEPT, rules.admin] if rules.admin else []
    chains += _STAGES if rules.bridge else ()
    lines = [
        f"-N {quote(chain)}"
        for chain in chains
        if not any(line.startswith(f":{chain} ") for line in there)
    ]
    lines += [
        f"{'-I' if first else '-A'} {chain} {rule}"
        for chain, first, rule in rules.of(family)
        if f"-A {chain} {rule}" not in there
    ]
    return lines


def delete(netns: int, addresses: Collection[str]) -> None:
    """Remove the rules about addresses; none there is success.

    Raises:
        KernelError: a program failed; its words are in the message.
    """
    rules = Rules(addresses)
    for family in rules.families:
        command = COMMANDS[family]
        programs = [f"{command}-legacy", command]
        try:
            there = _saved(netns, [f"{name}-save" for name in programs])
        except FileNotFoundError:
            continue
        wanted = {f"-A {_ACCEPT} {rule}" for rule in rules.of_addresses(family)}
        lines = [f"-D{line[2:]}" for line in there if line in wanted]
        if lines:
            restore(netns, [f"{name}-restore" for name in programs], lines, _TABLE)


def see(netns: int, rules: Rules) -> None:
    """See that all rules are there.

    Raises:
        FileNotFoundError: one is not.
        KernelError: a program failed; its words are in the message.
    """
    for family in rules.families:
        there = _saved(netns, (f"{COMMANDS[family]}-save",))
        for chain, _, rule in rules.of(family):
            if f"-A {chain} {rule}" not in there:
                raise NoSuchObjectError(_ENOENT, f"iptables lacks the rule -A {chain} {rule}")


def _saved(netns: int, programs: Sequence[str]) -> list[str]:
    """Return the lines of iptables-save for the filter table.

    Raises:
        FileNotFoundError: it is not installed.
        KernelError: it failed; its words are in the message.
    """
    path = program.find(programs)
    status, said = program.output(netns, [path, "-t", _TABLE])
    if status != 0:
        raise KernelError(_EIO, f"{path} failed with exit code {status}: {said}")
    return said.splitlines()
