"""The sbr plugin: routing by source, so that answers leave by the interface that has the address.

Each address of the interface gets a routing table of its own, to which the interface's routes are
moved, and a rule that leads its packets there.  Every option of the reference's sbr plugin,
version 1.9, and the gateways and source hints that came after it.
"""

from __future__ import annotations

from cnifast.kernel.address import parse_address, parse_prefix
from cnifast.kernel.routing import RoutingChange, kept_routes, rules
from cnifast.plugins.base import Session, decode, required_prev_result
from cnifast.protocol import ip as _ip
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.netconf import NetConf
from cnifast.protocol.schema import BOOL, INT, TEXT, array, field, narrowed, optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from cnifast.kernel.routing import KeptRoute, Rule
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import IPConfig, Result

_FIRST_TABLE = 100
_TABLE_MAX = 2**32 - 1
_MAIN = 254
_SCOPE_LINK = 253
_DEFAULT = {4: "0.0.0.0/0", 6: "::/0"}


class SbrConf(NetConf):
    """The keys of the reference's sbr plugin."""

    table = optional("table", narrowed(INT, minimum=1, maximum=_TABLE_MAX))
    """A table that others fill: the addresses are led there, and no route is moved."""
    gateways = field("gateways", array(TEXT), ())
    """One gateway of each family at most, in place of those of the result."""
    add_source_hints = field("addSourceHints", BOOL, False)
    """Keep routes to the interface's networks in the main table, with its address as source."""


class Source:
    """An address whose packets are routed by it: family, value, prefix length, gateway.

    ``gateway_is_set``: the gateway is the configuration's own.
    """

    __slots__ = ("family", "gateway", "gateway_is_set", "prefixlen", "value")

    def __init__(self, config: IPConfig, gateways: dict[int, str]) -> None:
        self.family, self.value, self.prefixlen = _ip.parse_cidr(config.address)
        self.gateway_is_set = self.family in gateways
        self.gateway = gateways.get(self.family) or config.gateway or ""

    @property
    def packed(self) -> bytes:
        """The address in network order."""
        return _ip.packed(self.family, self.value)

    @property
    def text(self) -> str:
        """The address."""
        return _ip.format_ip(self.family, self.value)

    @property
    def host(self) -> str:
        """The address alone, as a network."""
        return f"{self.text}/{_ip.BITS[self.family]}"

    @property
    def subnet(self) -> str:
        """The network that the address is of."""
        base = _ip.network(self.family, self.value, self.prefixlen)
        return _ip.format_cidr(self.family, base, self.prefixlen)

    def contains(self, packed: bytes | None) -> bool:
        """Tell whether an address in network order is of the same network."""
        if packed is None or len(packed) != len(self.packed):
            return False
        value = int.from_bytes(packed, "big")
        return _ip.contains(self.family, self.value, self.prefixlen, value)

    def concerns(self, route: KeptRoute) -> bool:
        """Tell whether packets from the address may need a route of the interface."""
        if len(route.dst) != len(self.packed) or (self.gateway_is_set and not route.prefixlen):
            return False
        if route.source is None and route.gateway is None:
            return True
        return self.contains(route.source) or self.contains(route.gateway)


def _load(req: Request) -> tuple[SbrConf, dict[int, str]]:
    """Return the configuration, and the gateway of each family that it names.

    Raises:
        CNIError: it makes no sense.
    """
    conf = decode(SbrConf, req)
    if conf.table is not None and not 1 <= conf.table <= _TABLE_MAX:
        raise CNIError(INTERNAL, f"invalid table {conf.table}, must be [1, {_TABLE_MAX}]")
    gateways: dict[int, str] = {}
    for text in conf.gateways:
        try:
            family, value = _ip.parse_ip(text)
        except DecodeError as e:
            raise CNIError(INTERNAL, f"invalid static gateway: {e}") from None
        if family in gateways:
            raise CNIError(
                INTERNAL,
                f"gateways list contains multiple IPv{family} addresses: {gateways[family]} and "
                f"{text}",
            )
        gateways[family] = _ip.format_ip(family, value)
    return conf, gateways


def _sources(req: Request, result: Result, gateways: dict[int, str]) -> list[Source]:
    """Return the addresses of the interface that a result names, or may mean.

    Raises:
        CNIError: the result has no address at all.
    """
    if not result.ips:
        raise CNIError(INTERNAL, f"no IP addresses supplied on interface: {req.ifname}")
    names = {index: link.name for index, link in enumerate(result.interfaces)}
    return [
        Source(config, gateways)
        for config in result.ips
        if config.interface is None or names.get(config.interface, req.ifname) == req.ifname
    ]


def add(req: Request) -> Result:
    """Route packets by the interface's addresses; the result is the previous one.

    Raises:
        CNIError: the configuration is not usable, or the namespace is being changed too long.
        OSError: the kernel refused a step; all is as before.
    """
    conf, gateways = _load(req)
    result = required_prev_result(req)
    sources = _sources(req, result, gateways)
    with Session(req) as session:
        session.lock()
        present = rules(session.inside)
        if conf.table is None:
            change = _move_routes(session, sources, present, hints=conf.add_source_hints)
        else:
            change = _lead_to(conf.table, sources, present)
        change.apply(session.inside)
    return result


def _lead_to(table: int, sources: Iterable[Source], present: Iterable[Rule]) -> RoutingChange:
    """Return the change that leads addresses to a table that somebody else fills."""
    change = RoutingChange()
    there = {(rule.src, rule.prefixlen, rule.table) for rule in present}
    for source in sources:
        if (source.packed, _ip.BITS[source.family], table) not in there:
            change.add_rule(source.host, table)
    return change


def _move_routes(
    session: Session, sources: list[Source], present: Iterable[Rule], *, hints: bool
) -> RoutingChange:
    """Return the change that moves the interface's routes to tables of its addresses.

    Raises:
        CNIError: there is no such interface.
    """
    index = _index(session)
    if not index:
        ifname = session.req.ifname
        raise CNIError(INTERNAL, f"cannot find network interface {ifname}: no such device")
    routes = kept_routes(session.inside)
    taken = {rule.table for rule in present} | {route.table for route in routes}
    own = [r for r in routes if r.oif == index and r.table == _MAIN and not _is_link_local(r)]
    # Those with a gateway are made last and go first: their gateway is reached by the others.
    own.sort(key=lambda route: route.gateway is not None)
    change = RoutingChange()
    table = _FIRST_TABLE
    for source in sources:
        while table in taken:
            table += 1
        taken.add(table)
        change.add_rule(source.host, table)
        if source.gateway:
            default = _DEFAULT[source.family]
            change.add_route(default, gateway=source.gateway, oif=index, table=table)
        for route in own:
            if source.concerns(route):
                change.copy_route(route, table)
    if sources:
        _leave_main(change, reversed(own), {s.subnet: s for s in sources} if hints else {}, index)
    return change


def _leave_main(
    change: RoutingChange, own: Iterable[KeptRoute], hints: dict[str, Source], index: int
) -> None:
    """Have the interface's routes leave the main table, but for those to its own networks.

    ``hints`` are networks whose routes stay, and the address that such a route suggests.
    """
    replaced = {parse_prefix(subnet)[1:] for subnet in hints}
    for route in own:
        stays = hints and route.scope == _SCOPE_LINK
        if not stays or ((route.dst, route.prefixlen) in replaced and not route.priority):
            change.delete_route(route)
    for subnet, source in hints.items():
        change.add_route(subnet, oif=index, source=source.text, scope=_SCOPE_LINK)


def _is_link_local(route: KeptRoute) -> bool:
    """Tell whether a route is to fe80::/10 or ff00::/8, which no address of a result needs."""
    dst = route.dst
    return len(dst) == 16 and (dst[0] == 0xFF or (dst[0] == 0xFE and dst[1] & 0xC0 == 0x80))


def _index(session: Session) -> int:
    """Return the index of the container's interface, 0 if there is none."""
    try:
        return session.inside.link(session.req.ifname).index
    except FileNotFoundError:
        return 0


def check(req: Request) -> None:
    """Compare rules and default routes with what ADD made for the addresses.

    Raises:
        CNIError: one is missing.
    """
    conf, gateways = _load(req)
    sources = _sources(req, required_prev_result(req), gateways)
    with Session(req) as session:
        present = rules(session.inside)
        routes = kept_routes(session.inside)
    for source in sources:
        tables = {
            rule.table
            for rule in present
            if (rule.src, rule.prefixlen) == (source.packed, _ip.BITS[source.family])
            and rule.table
            and conf.table in (None, rule.table)
        }
        if not tables:
            where = "" if conf.table is None else f" to table {conf.table}"
            raise CNIError(INTERNAL, f"rule from {source.host}{where} is missing")
        if conf.table is None:
            _check_routes(source, tables, routes, hint=conf.add_source_hints)


def _check_routes(
    source: Source, tables: Collection[int], routes: Iterable[KeptRoute], *, hint: bool
) -> None:
    """Compare the routes of an address with what ADD made.

    Raises:
        CNIError: its default route is missing, or that to its network with the hint.
    """
    through = {(r.table, r.prefixlen, r.gateway) for r in routes}
    if source.gateway:
        gateway = parse_address(source.gateway)[1]
        if not any((table, 0, gateway) in through for table in tables):
            raise CNIError(
                INTERNAL, f"default route via {source.gateway} for {source.host} is missing"
            )
    if hint and not any(
        (r.table, r.prefixlen, r.source) == (_MAIN, source.prefixlen, source.packed) for r in routes
    ):
        raise CNIError(INTERNAL, f"route to {source.subnet} from {source.text} is missing")


def delete(req: Request) -> None:
    """Delete the rules of the interface's addresses; its routes go with it.

    Raises:
        CNIError: the namespace is being changed too long.
        OSError: the kernel refused a step; the others were done all the same.
    """
    table = decode(SbrConf, req).table
    with Session(req) as session:
        if not session.has_netns():
            return
        session.lock()
        sources = _addresses(session)
        change = RoutingChange()
        for rule in rules(session.inside):
            if rule.src in sources and table in (None, rule.table):
                change.delete_rule(rule)
        change.apply(session.inside, whole=False)


def _addresses(session: Session) -> set[bytes]:
    """Return the addresses that the interface has, or had by the previous result."""
    found: set[bytes] = set()
    try:
        result = session.req.prev_result()
        if result is not None and result.ips:
            found |= {source.packed for source in _sources(session.req, result, {})}
    except DecodeError:
        pass  # the kernel knows as well
    index = _index(session)
    if index:
        found |= {address.packed for address in session.inside.addresses(index=index)}
    return found


def gc(req: Request) -> None:
    """Do nothing: rules and routes live and die with the container's namespace."""


def status(req: Request) -> None:
    """Refuse what no ADD could do.

    Raises:
        CNIError: the configuration makes no sense.
    """
    _load(req)
