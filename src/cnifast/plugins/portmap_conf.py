"""The portmap plugin's configuration: its keys, and what makes it usable."""

from __future__ import annotations

from cnifast.kernel.conntrack import PROTOCOLS
from cnifast.kernel.hostports import HostPort
from cnifast.plugins.base import decode
from cnifast.plugins.filters import is_chain
from cnifast.protocol import ip as _ip
from cnifast.protocol.codec import DecodeError, quote
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.netconf import NetConf
from cnifast.protocol.schema import (
    BOOL,
    INT,
    TEXT,
    Struct,
    array,
    field,
    narrowed,
    optional,
    record,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result

NFTABLES = "nftables"
IPTABLES = "iptables"
PORT_MAX = 65535
_PORT = narrowed(INT, minimum=1, maximum=PORT_MAX)
_MARK_BIT = 13  # Kubernetes uses 14 and 15, Calico 20 to 31


class PortMapping(Struct):
    """One of the runtime's port mappings."""

    host_port = field("hostPort", _PORT, 0)
    """Port of the node."""
    container_port = field("containerPort", _PORT, 0)
    """Port of the container."""
    protocol = field("protocol", TEXT, "")
    """Protocol of the ports."""
    host_ip = field("hostIP", TEXT, "")
    """Address of the node that the port is on; empty: all of them."""


class RuntimeConfig(Struct):
    """The capability argument of portmap."""

    port_mappings = field("portMappings", array(record(PortMapping)), ())
    """Ports of the node and where they lead (capability `portMappings`)."""


class PortmapConf(NetConf):
    """The keys of the reference's portmap plugin, version 1.9."""

    backend = optional("backend", narrowed(TEXT, enum=[NFTABLES, IPTABLES]))
    """Who redirects, `nftables` or `iptables`; without one nftables, if conditions allow it."""
    snat = field("snat", BOOL, True)
    """Masquerade what comes back to the node that it came from."""
    conditions_v4 = field("conditionsV4", array(TEXT), ())
    """Words of the backend that IPv4 packets must match besides."""
    conditions_v6 = field("conditionsV6", array(TEXT), ())
    """The same for IPv6."""
    masq_all = field("masqAll", BOOL, False)
    """Masquerade all that a host port redirects."""
    mark_masq_bit = optional("markMasqBit", narrowed(INT, minimum=0, maximum=31))
    """Bit of the mark for what is to be masqueraded; without one 13."""
    external_set_mark_chain = optional("externalSetMarkChain", TEXT)
    """A chain of iptables that sets the mark instead; needs `iptables`."""
    runtime_config = field("runtimeConfig", record(RuntimeConfig), RuntimeConfig())
    """Capability arguments; the runtime puts them here."""

    chosen = ""  # the backend, once the configuration is found to be in order
    ports: tuple[HostPort, ...] = ()

    @property
    def mark_bit(self) -> int:
        """The bit that marks what is to be masqueraded; -1: nothing is."""
        if not self.snat:
            return -1
        return _MARK_BIT if self.mark_masq_bit is None else self.mark_masq_bit

    @property
    def conditions(self) -> dict[int, tuple[str, ...]]:
        """The words that are conditions, by family."""
        return {4: _words(self.conditions_v4), 6: _words(self.conditions_v6)}


def _words(conditions: tuple[str, ...]) -> tuple[str, ...]:
    """Return conditions without empty words in front, which say nothing."""
    return conditions if conditions and conditions[0] else ()


def load(req: Request) -> PortmapConf:
    """Decode and validate the configuration of an ADD.

    Raises:
        CNIError: the configuration is not usable.
    """
    conf = decode(PortmapConf, req)
    if conf.mark_masq_bit is not None and conf.external_set_mark_chain is not None:
        raise CNIError(INTERNAL, "cannot specify externalSetMarkChain and markMasqBit")
    if conf.mark_masq_bit is not None and not 0 <= conf.mark_masq_bit <= 31:
        raise CNIError(INTERNAL, f"markMasqBit {conf.mark_masq_bit} must be between 0 and 31")
    conf.chosen = _backend(conf)
    _check_words(conf)
    conf.ports = _ports(conf.runtime_config.port_mappings)
    return conf


def known_ports(conf: PortmapConf) -> tuple[HostPort, ...]:
    """Return the mappings as ADD took them; none where it took none because they make no sense."""
    try:
        return _ports(conf.runtime_config.port_mappings)
    except CNIError:
        return ()


def pods_of(result: Result, ifname: str) -> list[str]:
    """Return the container's first address of each family, such as "10.1.0.5/16", IPv4 first.

    An address of an interface that is not the container's is passed over.
    """
    found: dict[int, str] = {}
    for config in result.ips:
        at = config.interface
        if at is not None and 0 <= at < len(result.interfaces):
            link = result.interfaces[at]
            if link.name != ifname or not link.sandbox:
                continue
        found.setdefault(_ip.parse_cidr(config.address)[0], config.address)
    return [found[family] for family in sorted(found)]


def host_end(result: Result, ifname: str) -> str:
    """Return the name of the host's end of an attachment, empty where there is none.

    It stands before the container's end; a bridge, which outlives the attachment, stands first.
    """
    name = ""
    for link in result.interfaces:
        if link.sandbox:
            if link.name == ifname:
                break
        else:
            name = link.name
    return name if len(name.encode()) <= 15 else ""


def _backend(conf: PortmapConf) -> str:
    """Return the backend: nftables, unless the configuration asks for iptables or needs it.

    Raises:
        CNIError: there is no such backend, or there are options of the other one.
    """
    options: dict[str, list[str]] = {NFTABLES: [], IPTABLES: []}
    if conf.external_set_mark_chain is not None:
        options[IPTABLES].append("externalSetMarkChain")
    for key, words in (("conditionsV4", conf.conditions[4]), ("conditionsV6", conf.conditions[6])):
        if words:
            options[IPTABLES if words[0][0] in "-!" else NFTABLES].append(key)
    chosen = conf.backend
    if chosen is None:
        chosen = IPTABLES if options[IPTABLES] else NFTABLES
    if chosen not in options:
        raise CNIError(INTERNAL, f"unrecognized backend {quote(chosen)}")
    other = NFTABLES if chosen == IPTABLES else IPTABLES
    if options[other]:
        why = "was requested" if conf.backend is not None else "is needed"
        raise CNIError(
            INTERNAL,
            f"{chosen} backend {why} but configuration contains {other}-specific options "
            f"[{' '.join(options[other])}]",
        )
    return chosen


def _check_words(conf: PortmapConf) -> None:
    """Refuse words that would be more than a part of a rule where they are put."""
    chain = conf.external_set_mark_chain
    if chain is not None and not is_chain(chain):
        raise CNIError(INTERNAL, f"externalSetMarkChain {quote(chain)} is no name of a chain")
    hostile = "#;" if conf.chosen == NFTABLES else ""
    for family, words in conf.conditions.items():
        for word in words:
            if not word.isprintable() or any(c in word for c in hostile):
                raise CNIError(
                    INTERNAL, f"conditionsV{family}: {quote(word)} cannot be a condition"
                )


def _ports(mappings: tuple[PortMapping, ...]) -> tuple[HostPort, ...]:
    """Return the mappings, each once.

    Raises:
        CNIError: one makes no sense, or two contradict each other.
    """
    found: dict[tuple[str, int, str], HostPort] = {}
    for mapping in mappings:
        port = _port(mapping)
        key = (port.protocol, port.host_port, port.host_ip)
        same = found.setdefault(key, port)
        if same.container_port != port.container_port:
            raise CNIError(
                INTERNAL,
                f"hostPort {port.host_port}/{port.protocol} is mapped to both "
                f"{same.container_port} and {port.container_port}",
            )
    return _without_shadows(found)


def _without_shadows(found: dict[tuple[str, int, str], HostPort]) -> tuple[HostPort, ...]:
    """Return ports without those for any address of one family that are for both already.

    Raises:
        CNIError: such two lead to different ports of the container.
    """
    ports = []
    for port in found.values():
        wide = found.get((port.protocol, port.host_port, ""))
        if wide is None or wide is port or not _ip.is_unspecified(port.host_ip):
            ports.append(port)
        elif wide.container_port != port.container_port:
            raise CNIError(
                INTERNAL,
                f"hostPort {port.host_port}/{port.protocol} is mapped to both "
                f"{wide.container_port} and {port.container_port}",
            )
    return tuple(ports)


def _port(mapping: PortMapping) -> HostPort:
    """Return one mapping.

    Raises:
        CNIError: it makes no sense.
    """
    for key, number in (
        ("containerPort", mapping.container_port),
        ("hostPort", mapping.host_port),
    ):
        if not 0 < number <= PORT_MAX:
            raise CNIError(INTERNAL, f"invalid {key} {number} (must be between 1 and {PORT_MAX})")
    protocol = mapping.protocol.lower()
    if protocol not in PROTOCOLS:
        raise CNIError(
            INTERNAL,
            f"unknown protocol {quote(mapping.protocol)} of hostPort {mapping.host_port} "
            f"(must be tcp, udp or sctp)",
        )
    host_ip = ""
    if mapping.host_ip:
        try:
            host_ip = _ip.format_ip(*_ip.parse_ip(mapping.host_ip))
        except DecodeError:
            raise CNIError(
                INTERNAL,
                f"invalid hostIP {quote(mapping.host_ip)} of hostPort {mapping.host_port}",
            ) from None
    return HostPort(protocol, mapping.host_port, mapping.container_port, host_ip)
