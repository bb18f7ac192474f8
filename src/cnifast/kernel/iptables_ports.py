"""Host ports by iptables, for networks that ask for it: the chains and rules of the reference.

    PREROUTING, OUTPUT    --dst-type LOCAL -j CNI-HOSTPORT-DNAT
    CNI-HOSTPORT-DNAT     -p tcp --destination-ports 8080,8081 -j CNI-DN-0123456789
    CNI-DN-0123456789     -p tcp --dport 8080 -s 10.1.0.0/16 -j CNI-HOSTPORT-SETMARK
    CNI-DN-0123456789     -p tcp --dport 8080 -s 127.0.0.1 -j CNI-HOSTPORT-SETMARK
    CNI-DN-0123456789     -p tcp --dport 8080 -j DNAT --to-destination 10.1.0.5:80
    POSTROUTING           -j CNI-HOSTPORT-MASQ, the first rule

The rule in PREROUTING is the last one, behind those of kube-proxy.  Each implementation can remove
what the other made.  iptables-restore is executed once per protocol to add rules; what iptables-nft
made is removed by netlink, and programs are executed for what is in legacy iptables.
"""

from __future__ import annotations

from os.path import realpath

from cnifast._native.errors import KernelError, NoSuchObjectError
from cnifast.kernel import foreign, iptables, program
from cnifast.protocol.ip import format_ip, is_unspecified, parse_cidr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cnifast.kernel.hostports import HostPort
    from cnifast.kernel.nft import NftSocket

_DNAT = "CNI-HOSTPORT-DNAT"
_SETMARK = "CNI-HOSTPORT-SETMARK"
_MASQ = "CNI-HOSTPORT-MASQ"
_LOCAL = ("-m", "addrtype", "--dst-type", "LOCAL")
_REQUIRED = ("-m", "comment", "--comment", "CNI portfwd requiring masquerade")
_MULTIPORT_MAX = 15  # ports that one rule can name
_ATTEMPTS = 3
_ANY = {4: "0.0.0.0/0", 6: "::/0"}
_ENOENT = 2


class Wanted:
    """What an attachment's ports come to.

    ``mark_chain`` is the chain that marks connections which are to be masqueraded, None for our
    own, which sets the bit ``mark_bit``; -1 masquerades nothing.  ``conditions`` are words of
    iptables by family.
    """

    __slots__ = ("conditions", "mark_bit", "mark_chain", "masq_all", "ports")

    def __init__(
        self,
        ports: Sequence[HostPort],
        *,
        mark_bit: int,
        mark_chain: str | None,
        masq_all: bool,
        conditions: Mapping[int, Sequence[str]],
    ) -> None:
        self.ports = ports
        self.mark_bit = mark_bit
        self.mark_chain = mark_chain
        self.masq_all = masq_all
        self.conditions = conditions


def add(nft: NftSocket, network: str, container_id: str, pods: Iterable[str], want: Wanted) -> None:
    """Have ports lead to pods, addresses such as "10.1.0.5/16", one of a family.

    Raises:
        ValueError: a text is not an address with a prefix length.
        KernelError: iptables-restore is missing or failed; its words are in the message.
    """
    chain = foreign.ports_chain(network, container_id)
    if families(nft, network, container_id):
        delete(nft, network, container_id)
    for pod in pods:
        family = parse_cidr(pod)[0]
        own = [
            f":{chain} - [0:0]",
            *(_append(chain, rule) for rule in _leading(family, pod, want)),
            *(
                _append(_DNAT, [*rule, "-j", chain])
                for rule in _entries(family, foreign.ports_comment(network, container_id), want)
            ),
        ]
        _restore(nft, family, own, want)


def _restore(nft: NftSocket, family: int, own: list[str], want: Wanted) -> None:
    """Add a container's rules, and the common ones where they are missing.

    Somebody may make the common chain between the look and the change; then both are repeated.
    """
    for attempt in range(_ATTEMPTS):
        lines = [*_common(nft, family, want), *own]
        try:
            iptables.restore(nft.netns, (f"{iptables.COMMANDS[family]}-restore",), lines)
        except KernelError:
            if attempt == _ATTEMPTS - 1 or [*_common(nft, family, want), *own] == lines:
                raise
        else:
            return


def _common(nft: NftSocket, family: int, want: Wanted) -> list[str]:
    """Return what is missing of the chains that all containers share."""
    state = _State(nft, family)
    lines = []
    if want.mark_bit >= 0 and want.mark_chain is None:
        bits = hex(1 << want.mark_bit)
        said = ["-m", "comment", "--comment", "CNI portfwd masquerade mark"]
        lines += [
            f":{_SETMARK} - [0:0]",
            _append(_SETMARK, [*said, "-j", "MARK", "--set-xmark", f"{bits}/{bits}"]),
            f":{_MASQ} - [0:0]",
            _append(_MASQ, ["-m", "mark", "--mark", f"{bits}/{bits}", "-j", "MASQUERADE"]),
        ]
        if state.lacking(_MASQ, ("POSTROUTING",), _REQUIRED):
            # Before what the plugins for interfaces put there: that ends with ACCEPT.
            lines.append(f"-I POSTROUTING {_words([*_REQUIRED, '-j', _MASQ])}")
    lacking = state.lacking(_DNAT, ("PREROUTING", "OUTPUT"), _LOCAL)
    if lacking and not state.has(_DNAT):
        lines.append(f"-N {_DNAT}")
    lines += [_append(base, [*_LOCAL, "-j", _DNAT]) for base in lacking]
    return lines


class _State:
    """What the nat table of the iptables that would be executed has."""

    def __init__(self, nft: NftSocket, family: int) -> None:
        self._nft = nft
        self._family = family
        self._command = iptables.COMMANDS[family]
        self._kind = realpath(program.find((f"{self._command}-restore",)))

    def has(self, chain: str) -> bool:
        """Tell whether there is a chain."""
        if "nft" in self._kind:
            return foreign.has_iptables_chain(self._nft, chain)[self._family == 6]
        if "legacy" in self._kind:
            return self._family in iptables.find_legacy(self._nft.netns, chain)[0]
        return iptables.accepts(self._nft.netns, self._family, ["-S", chain])

    def lacking(self, chain: str, bases: Sequence[str], rule: Sequence[str]) -> list[str]:
        """Return the base chains in which no rule leads to a chain."""
        if "nft" in self._kind:
            nft, family = self._nft, self._family
            return [base for base in bases if not foreign.iptables_jumps(nft, family, base, chain)]
        if "legacy" in self._kind:
            families, jumps = iptables.find_legacy(self._nft.netns, chain)
            if self._family not in families:
                return list(bases)
            if len([jump for jump in jumps if jump.family == self._family]) == len(bases):
                return []
        return [base for base in bases if not self._accepts(["-C", base, *rule, "-j", chain])]

    def _accepts(self, words: Sequence[str]) -> bool:
        return iptables.accepts(self._nft.netns, self._family, words)


def _leading(family: int, pod: str, want: Wanted) -> Iterable[list[str]]:
    """Yield the rules of a container's chain: what is to be masqueraded, then where it leads."""
    _, value, _ = parse_cidr(pod)
    address = format_ip(family, value)
    mark = ["-j", want.mark_chain or _SETMARK]
    for port in want.ports:
        if port.host_ip and (":" in port.host_ip) != (family == 6):
            continue
        rule = ["-p", port.protocol, "--dport", str(port.host_port)]
        if port.host_ip and not is_unspecified(port.host_ip):
            rule += ["-d", port.host_ip]
        if want.mark_bit >= 0:
            yield [*rule, "-s", _ANY[family] if want.masq_all else pod, *mark]
            if family == 4 and not want.masq_all:
                yield [*rule, "-s", "127.0.0.1", *mark]
        target = f"[{address}]" if family == 6 else address
        yield [*rule, "-j", "DNAT", "--to-destination", f"{target}:{port.container_port}"]


def _entries(family: int, comment: str, want: Wanted) -> Iterable[list[str]]:
    """Yield the rules that lead to a container's chain, but for the jump."""
    for protocol in sorted({port.protocol for port in want.ports}):
        ports = [str(port.host_port) for port in want.ports if port.protocol == protocol]
        for first in range(0, len(ports), _MULTIPORT_MAX):
            yield [
                *("-m", "comment", "--comment", comment, "-m", "multiport", "-p", protocol),
                *("--destination-ports", ",".join(ports[first : first + _MULTIPORT_MAX])),
                *want.conditions.get(family, ()),
            ]


def families(nft: NftSocket, network: str, container_id: str) -> set[int]:
    """Return the families, 4 and 6, in which either kind of iptables has a container's chain.

    Raises:
        KernelError: the kernel refused.
    """
    found, _ = foreign.find_ports(nft, network, container_id)
    chain = foreign.ports_chain(network, container_id)
    return found | set(iptables.find_legacy(nft.netns, chain)[0])


def see(nft: NftSocket, network: str, container_id: str, pods: Iterable[str], want: Wanted) -> None:
    """See that ports lead to pods, addresses such as "10.1.0.5/16", by the rules that `add` makes.

    Raises:
        FileNotFoundError: a rule is missing, or the program that knows.
    """
    chain = foreign.ports_chain(network, container_id)
    comment = foreign.ports_comment(network, container_id)
    jumps = iptables.find_legacy(nft.netns, chain)[1]
    for pod in pods:
        family = parse_cidr(pod)[0]
        legacy = any(jump.family == family for jump in jumps)
        if not legacy and not foreign.iptables_jumps(nft, family, _DNAT, chain):
            raise NoSuchObjectError(
                _ENOENT, f"no host port leads to {pod}: nothing leads to iptables chain {chain}"
            )
        rules = [[chain, *rule] for rule in _leading(family, pod, want)]
        rules += [[_DNAT, *rule, "-j", chain] for rule in _entries(family, comment, want)]
        kind = "legacy" if legacy else "nft"
        for rule in rules:
            if not iptables.accepts(nft.netns, family, ["-C", *rule], kind):
                raise NoSuchObjectError(
                    _ENOENT,
                    f"no host port leads to {pod} as it should: there is no rule {_words(rule)}",
                )


def delete(nft: NftSocket, network: str, container_id: str) -> None:
    """Remove a container's chain and what leads to it, from either kind of iptables.

    Rules that the reference has in its own nftables tables go as well.

    Raises:
        KernelError: the kernel refused, or a program is missing or failed.
    """
    foreign.delete_ports(nft, network, container_id)
    _delete_legacy(nft.netns, foreign.ports_chain(network, container_id))


def collect(nft: NftSocket, network: str, valid: Iterable[str]) -> None:
    """Remove a network's chains from either kind of iptables but those of container IDs.

    Raises:
        KernelError: the kernel refused, or a program is missing or failed.
    """
    valid = list(valid)
    foreign.collect_ports(nft, network, valid)
    keep = [foreign.ports_comment(network, container_id) for container_id in valid]
    iptables.collect_legacy_chains(nft.netns, foreign.ports_prefix(network), keep, _delete_legacy)


def _delete_legacy(netns: int, chain: str) -> None:
    """Remove a chain and the rules that lead to it from legacy iptables.

    The rules are asked for in iptables' own words: nobody else knows what conditions mean there.
    """
    for family in iptables.find_legacy(netns, chain)[0]:
        command = iptables.COMMANDS[family]
        path = program.find((f"{command}-legacy", command))
        # It fails where nothing leads to the chain, because there is no chain for all of them.
        _, said = program.output(netns, [path, "--wait", "-t", "nat", "-S", _DNAT])
        jumps = [
            line.removeprefix("-A ") for line in said.splitlines() if line.endswith(f" -j {chain}")
        ]
        iptables.delete_legacy_chain(netns, family, chain, jumps)


def _append(chain: str, rule: Iterable[str]) -> str:
    """Return the line that appends a rule to a chain."""
    return f"-A {chain} {_words(rule)}"


def _words(rule: Iterable[str]) -> str:
    """Return a rule as iptables-restore reads it."""
    return " ".join(map(iptables.quote, rule))
