"""The firewall plugin's configuration: its keys, and what makes it usable."""

from __future__ import annotations

from cnifast.plugins.base import decode
from cnifast.plugins.filters import is_chain
from cnifast.protocol.codec import quote
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.netconf import NetConf
from cnifast.protocol.schema import TEXT, field, narrowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result

NFTABLES = "nftables"
IPTABLES = "iptables"
FIREWALLD = "firewalld"
OPEN = "open"
SAME_BRIDGE = "same-bridge"
ISOLATED = "isolated"

BACKENDS = ("", NFTABLES, IPTABLES, FIREWALLD)
_POLICIES = ("", OPEN, SAME_BRIDGE, ISOLATED)
ADMIN_CHAIN = "CNI-ADMIN"
_ZONE = "trusted"
_IFNAME_MAX = 15
# Chains that lead to the administrator's, and names that are no chain to jump to.
_NOT_ADMIN = frozenset(
    ("INPUT", "FORWARD", "OUTPUT", "ACCEPT", "DROP", "QUEUE", "RETURN", "REJECT", "CNI-FORWARD")
)


class FirewallConf(NetConf):
    """The keys of the reference's firewall plugin, version 1.9."""

    backend = field("backend", narrowed(TEXT, enum=list(BACKENDS)), "")
    """Who lets pods through; empty: firewalld if it runs, else iptables, else nftables."""
    admin_chain = field("iptablesAdminChainName", TEXT, "")
    """Chain of iptables that is asked before pods are let through; without one `CNI-ADMIN`."""
    zone = field("firewalldZone", TEXT, "")
    """Zone of firewalld that pods' addresses belong to; without one `trusted`."""
    ingress_policy = field("ingressPolicy", narrowed(TEXT, enum=list(_POLICIES)), "")
    """Whom the bridge's pods do not hear: other bridges with a policy; `isolated`: nor its own."""

    @property
    def admin(self) -> str:
        """The chain that is asked before pods are let through."""
        return self.admin_chain or ADMIN_CHAIN

    @property
    def sources_zone(self) -> str:
        """The zone that pods' addresses belong to."""
        return self.zone or _ZONE

    @property
    def has_policy(self) -> bool:
        """Whether not everybody reaches the pods."""
        return self.ingress_policy in (SAME_BRIDGE, ISOLATED)


def load(req: Request) -> FirewallConf:
    """Decode and validate the configuration of an ADD.

    Raises:
        CNIError: the configuration is not usable.
    """
    return req.derive("firewall", _load)


def _load(req: Request) -> FirewallConf:
    conf = decode(FirewallConf, req)
    if conf.backend not in BACKENDS:
        known = ", ".join(filter(None, BACKENDS))
        raise CNIError(INTERNAL, f"unknown backend {quote(conf.backend)} (there are {known})")
    if conf.ingress_policy not in _POLICIES:
        known = ", ".join(filter(None, _POLICIES))
        raise CNIError(
            INTERNAL, f"unknown ingressPolicy {quote(conf.ingress_policy)} (there are {known})"
        )
    if conf.backend == NFTABLES:
        for key, text in (
            ("iptablesAdminChainName", conf.admin_chain),
            ("firewalldZone", conf.zone),
        ):
            if text:
                raise CNIError(INTERNAL, f"{key} has no meaning for backend {NFTABLES}")
    if not is_chain(conf.admin) or conf.admin in _NOT_ADMIN:
        raise CNIError(
            INTERNAL, f"iptablesAdminChainName {quote(conf.admin)} is no chain of an administrator"
        )
    if not conf.sources_zone.isprintable():
        raise CNIError(INTERNAL, f"firewalldZone {quote(conf.zone)} is no name of a zone")
    return conf


def addresses_of(result: Result) -> list[str]:
    """Return all addresses of a result, such as "10.1.0.5", each once."""
    return list(dict.fromkeys(ip.address.partition("/")[0] for ip in result.ips))


def bridge_of(conf: FirewallConf, result: Result) -> str:
    """Return the bridge whose ingress policy is to be set; empty for none.

    Raises:
        CNIError: the result of the plugin before says nothing of a bridge.
    """
    if not conf.has_policy:
        return ""
    name = result.interfaces[0].name if result.interfaces else ""
    if not name:
        raise CNIError(
            INTERNAL,
            f"ingressPolicy {quote(conf.ingress_policy)}: the first interface of prevResult is no "
            f"bridge; the plugin before must be bridge",
        )
    if len(name.encode()) > _IFNAME_MAX or not name.isprintable() or " " in name:
        raise CNIError(INTERNAL, f"ingressPolicy: {quote(name)} in prevResult is no interface")
    return name
