"""Letting attachments through the packet filter: setting up, removing, checking, collecting.

Where rules are made is a matter of what the node has: firewalld, an iptables, or nftables alone.
An element of an nftables set records whose each address is and by which of these it is let
through, so removing does not ask what was configured.  Addresses without a record may be the
reference's: what it makes is removed as well.
"""

from __future__ import annotations

from os import environ

from cnifast.kernel import firewall, firewalld, iptables_filter
from cnifast.kernel.dbus import DEFAULT_ADDRESS
from cnifast.kernel.nft import Owner
from cnifast.plugins.filters import HostFilter, attempt_all, require_iptables
from cnifast.plugins.firewall_conf import (
    ADMIN_CHAIN,
    BACKENDS,
    FIREWALLD,
    IPTABLES,
    ISOLATED,
    NFTABLES,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import Self

    from cnifast.kernel.nft import NftSocket
    from cnifast.plugins.base import Session
    from cnifast.plugins.firewall_conf import FirewallConf
    from cnifast.protocol.request import Request

_LEGACY = "legacy"  # iptables by its programs
# What addresses are let through by, as records name it.
_MEANS = (IPTABLES, NFTABLES, FIREWALLD, _LEGACY)


class Plan:
    """What one attachment's addresses are let through by, and the policy that comes with it."""

    __slots__ = ("admin", "bridge", "isolated", "means", "zone")

    def __init__(self, means: str, zone: str, admin: str = ADMIN_CHAIN) -> None:
        self.means = means
        self.zone = zone
        self.admin = admin
        self.bridge = ""
        self.isolated = False

    @classmethod
    def of(cls, conf: FirewallConf, means: str, bridge: str) -> Self:
        """Return what a configuration comes to."""
        plan = cls(means, conf.sources_zone, conf.admin)
        plan.bridge = bridge
        plan.isolated = conf.ingress_policy == ISOLATED
        return plan

    def record(self) -> firewall.Firewall:
        """Return what is written by netlink: the records, and rules where those are in nftables.

        Policies are iptables' business for firewalld as well.
        """
        if self.means == NFTABLES:
            return self._firewall(firewall.OWN_TABLE)
        if self.means == IPTABLES:
            return self._firewall(firewall.IPTABLES, admin=self.admin)
        if self.means == FIREWALLD and self.bridge and iptables_filter.by_netlink():
            return self._firewall(firewall.IPTABLES)
        return firewall.Firewall(self.means, firewall.ELSEWHERE)

    def _firewall(self, rules: int, admin: str = "") -> firewall.Firewall:
        return firewall.Firewall(
            self.means, rules, admin=admin, bridge=self.bridge, isolated=self.isolated
        )

    def by_programs(self, addresses: Sequence[str]) -> iptables_filter.Rules | None:
        """Return what programs of iptables are to see to; None for nothing."""
        if self.means == _LEGACY:
            admin = self.admin
        elif self.means == FIREWALLD and self.bridge and not iptables_filter.by_netlink():
            admin = ""
        else:
            return None
        return iptables_filter.Rules(
            addresses, admin=admin, bridge=self.bridge, isolated=self.isolated
        )


def require_place(req: Request, conf: FirewallConf) -> None:
    """See, before anything is done, that firewalld and iptables here are those of the caller.

    Raises:
        RunCold: they are not.
    """
    if conf.backend == NFTABLES:
        return
    bus = _bus().partition("path=")[2].partition(",")[0]
    req.place.require_paths("firewall", "" if conf.backend == IPTABLES else bus)
    if conf.backend != FIREWALLD:
        require_iptables(req)


def choose(conf: FirewallConf) -> str:
    """Return what lets addresses through on this node.

    Raises:
        FileNotFoundError: iptables is asked for and is not installed.
    """
    if conf.backend in (NFTABLES, FIREWALLD):
        return conf.backend
    if not conf.backend and firewalld.runs(_bus()):
        return FIREWALLD
    try:
        return IPTABLES if iptables_filter.by_netlink() else _LEGACY
    except FileNotFoundError:
        if conf.backend:
            raise
        return NFTABLES


def setup(session: Session, plan: Plan, addresses: Sequence[str]) -> None:
    """Let addresses such as "10.1.0.5" through; all is undone if the session ends with an error.

    Raises:
        OSError: the kernel, firewalld or a program refused.
    """
    req = session.req
    session.on_error(lambda: _remove(req, plan, addresses))
    with HostFilter(req) as nft:
        firewall.add(nft, plan.record(), addresses, _owner(req))
        rules = plan.by_programs(addresses)
        if rules is not None:
            iptables_filter.add(nft.netns, rules)
    if plan.means == FIREWALLD:
        firewalld.add_sources(_bus(), plan.zone, _sources(addresses))


def _remove(req: Request, plan: Plan, addresses: Sequence[str]) -> None:
    """Undo `setup` of a failed ADD."""
    with HostFilter(req) as nft:
        _delete(nft, plan, addresses, _owner(req))


def teardown(req: Request, conf: FirewallConf, addresses: Sequence[str] | None) -> None:
    """Undo `setup`, whoever made it; nothing there is success.

    Addresses save looking for them in all records; None: they are not known.

    Raises:
        OSError: the first failure; the other steps were taken nevertheless.
    """
    owner = _owner(req)
    with HostFilter(req) as nft:
        if addresses:
            records = firewall.who(nft, _MEANS, addresses)
        else:
            records = [r for means in _MEANS for r in firewall.recorded(nft, means, owner)]
        held = {record.address for record in records}
        strays = [address for address in addresses or () if address not in held]
        attempt_all(
            (
                *_deletions(nft, conf, [r for r in records if r.owner == owner.text]),
                *([(_delete_strays, req, nft, conf, strays)] if strays else []),
            )
        )


def _deletions(
    nft: NftSocket, conf: FirewallConf, records: Iterable[firewall.Record]
) -> list[tuple[object, ...]]:
    """Return the steps that remove what is recorded, for `attempt_all`."""
    groups: dict[tuple[str, str], list[str]] = {}
    for record in records:
        groups.setdefault((record.owner, record.means), []).append(record.address)
    return [
        (_delete, nft, Plan(means, conf.sources_zone), addresses, Owner.of_text(owner))
        for (owner, means), addresses in groups.items()
    ]


def _delete(nft: NftSocket, plan: Plan, addresses: Sequence[str], owner: Owner) -> None:
    """Stop letting addresses through; the record goes last."""
    if plan.means == FIREWALLD:
        firewalld.remove_sources(_bus(), plan.zone, _sources(addresses))
    elif plan.means == _LEGACY:
        iptables_filter.delete(nft.netns, addresses)
    firewall.delete(nft, plan.record(), addresses, owner)


def _delete_strays(
    req: Request, nft: NftSocket, conf: FirewallConf, addresses: Sequence[str]
) -> None:
    """Remove what the reference has made for addresses; nothing of that is recorded."""
    means = conf.backend if conf.backend in BACKENDS else ""
    means = means or (FIREWALLD if firewalld.runs(_bus()) else IPTABLES)
    try:
        legacy = means == IPTABLES and not iptables_filter.by_netlink()
    except FileNotFoundError:  # no iptables, no rules of its programs
        legacy = False
    if legacy:
        means = _LEGACY
    _delete(nft, Plan(means, conf.sources_zone), addresses, _owner(req))


def check(req: Request, conf: FirewallConf, addresses: Sequence[str], bridge: str) -> None:
    """See that addresses are let through, by what they are recorded for, or else by the backend.

    Raises:
        FileNotFoundError: one is not.
        OSError: somebody does not answer.
    """
    owner = _owner(req)
    with HostFilter(req) as nft:
        by = {r.address: r.means for r in firewall.who(nft, _MEANS, addresses)}
        groups: dict[tuple[str, str], list[str]] = {}
        for address in addresses:
            # Policies of older releases of the reference have other comments.
            key = (by[address], bridge) if address in by else (choose(conf), "")
            groups.setdefault(key, []).append(address)
        for (means, policed), group in groups.items():
            _see(nft, Plan.of(conf, means, policed), group, owner)


def _see(nft: NftSocket, plan: Plan, addresses: Sequence[str], owner: Owner) -> None:
    """See that addresses are let through by one of the means."""
    firewall.see(nft, plan.record(), addresses, owner)
    rules = plan.by_programs(addresses)
    if rules is not None:
        iptables_filter.see(nft.netns, rules)
    if plan.means == FIREWALLD:
        firewalld.see_sources(_bus(), plan.zone, _sources(addresses))


def gc(req: Request, conf: FirewallConf, valid: Collection[tuple[str, str]]) -> None:
    """Stop letting through attachments of the network that are not (container ID, ifname) pairs.

    Raises:
        OSError: the first failure; the other steps were taken nevertheless.
    """
    spared = {Owner(container_id, ifname, req.name).text for container_id, ifname in valid}
    ours = _network(_owner(req).text)
    with HostFilter(req) as nft:
        stale = [
            record
            for means in _MEANS
            for record in firewall.recorded(nft, means)
            if _network(record.owner) == ours and record.owner not in spared
        ]
        attempt_all(_deletions(nft, conf, stale))


def require(req: Request, conf: FirewallConf) -> None:
    """See that what the configured backend needs is there.

    Raises:
        OSError: it is not.
    """
    means = choose(conf)
    if means == FIREWALLD and not firewalld.runs(_bus()):
        raise FileNotFoundError("firewalld does not run")
    if means != NFTABLES and conf.has_policy:
        iptables_filter.by_netlink()
    with HostFilter(req) as nft:
        firewall.recorded(nft, means, _owner(req))


def _network(owner: str) -> str:
    """Return the network in the text of an owner."""
    return owner.rpartition(" ")[2]


def _sources(addresses: Iterable[str]) -> list[str]:
    """Return addresses as firewalld takes them."""
    return [f"{address}/{128 if ':' in address else 32}" for address in addresses]


def _bus() -> str:
    """Return where the system's bus is, as this process is told."""
    return environ.get("DBUS_SYSTEM_BUS_ADDRESS") or DEFAULT_ADDRESS


def _owner(req: Request) -> Owner:
    """Return the attachment of a request as the owner of elements."""
    return Owner(req.container_id, req.ifname, req.name)
