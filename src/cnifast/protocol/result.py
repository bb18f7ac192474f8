"""Results of ADD in every version of the specification, and the conversions between them.

In memory a result has the form of the current version: a list of interfaces, a list of
addresses, a list of routes.  Versions before 0.3.0 know one address per family and no
interfaces; versions before 1.0.0 print a family with each address.  Addresses are canonical
text, so that equal results compare equal.
"""

from __future__ import annotations

from cnifast.protocol import ip
from cnifast.protocol.codec import DecodeError, dumps, quote
from cnifast.protocol.schema import (
    ADDRESS,
    CIDR,
    INT,
    TEXT,
    UINT8,
    UINT32,
    Struct,
    array,
    field,
    lookup,
    optional,
    record,
    wrong_kind,
)
from cnifast.protocol.versions import CURRENT, OLDEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# Which form each version prints.
_FLAT, _FAMILIES, _LISTS = "0.2.0", "0.4.0", "1.1.0"
_FORM = {
    "0.1.0": _FLAT,
    "0.2.0": _FLAT,
    "0.3.0": _FAMILIES,
    "0.3.1": _FAMILIES,
    "0.4.0": _FAMILIES,
    "1.0.0": _LISTS,
    "1.1.0": _LISTS,
}


class ConversionError(ValueError):
    """A result has no form in the version asked for."""


class Interface(Struct):
    """A link that was made or used; ``sandbox`` is the path of its namespace, empty on the host.

    ``mtu``, ``socket_path`` and ``pci_id`` exist since version 1.1.0.
    """

    name = field("name", TEXT, "")
    mac = field("mac", TEXT, "")
    mtu = field("mtu", INT, 0)
    sandbox = field("sandbox", TEXT, "")
    socket_path = field("socketPath", TEXT, "")
    pci_id = field("pciID", TEXT, "")

    def __init__(
        self,
        name: str,
        mac: str = "",
        mtu: int = 0,
        sandbox: str = "",
        socket_path: str = "",
        pci_id: str = "",
    ) -> None:
        self.name = name
        self.mac = mac
        self.mtu = mtu
        self.sandbox = sandbox
        self.socket_path = socket_path
        self.pci_id = pci_id


class IPConfig(Struct):
    """An address with its prefix length, and which of the result's interfaces has it.

    ``address`` is canonical "10.1.0.5/16", ``gateway`` canonical "10.1.0.1" or None,
    ``interface`` an index into ``Result.interfaces`` or None.
    """

    address = field("address", CIDR, "")
    gateway = field("gateway", ADDRESS, None)
    interface = optional("interface", INT)

    def __init__(
        self, address: str, gateway: str | None = None, interface: int | None = None
    ) -> None:
        self.address = address
        self.gateway = gateway
        self.interface = interface


class Route(Struct):
    """A route: ``dst`` is canonical "10.0.0.0/8", ``gw`` a canonical address or None.

    ``mtu``, ``advmss`` and ``priority`` are 0 when not given, ``table`` and ``scope`` None.
    """

    dst = field("dst", CIDR, "")
    """Destination, such as `10.0.0.0/8`; `0.0.0.0/0` or `::/0` is the default route."""
    gw = field("gw", ADDRESS, None)
    """Next hop; without one, the gateway of the first address of the same family."""
    mtu = field("mtu", UINT32, 0)
    """MTU along the route; 0: the interface's."""
    advmss = field("advmss", UINT32, 0)
    """The largest TCP segment to announce to that destination; 0: what the MTU gives."""
    priority = field("priority", UINT32, 0)
    """Metric, the lower the better; 0: the kernel's default."""
    table = optional("table", UINT32)
    """Routing table, by number; without one the main table."""
    scope = optional("scope", UINT8)
    """Scope by number: 0 global, 253 link, 254 host."""

    def __init__(
        self,
        dst: str,
        gw: str | None = None,
        mtu: int = 0,
        advmss: int = 0,
        priority: int = 0,
        table: int | None = None,
        scope: int | None = None,
    ) -> None:
        self.dst = dst
        self.gw = gw
        self.mtu = mtu
        self.advmss = advmss
        self.priority = priority
        self.table = table
        self.scope = scope


class DNS(Struct):
    """Settings of the resolver."""

    nameservers = field("nameservers", array(TEXT), ())
    """Addresses of name servers, in order of preference."""
    domain = field("domain", TEXT, "")
    """The local domain, for short names."""
    search = field("search", array(TEXT), ())
    """Domains to try for short names, in order."""
    options = field("options", array(TEXT), ())
    """Options for the resolver."""

    def __init__(
        self,
        nameservers: Sequence[str] = (),
        domain: str = "",
        search: Sequence[str] = (),
        options: Sequence[str] = (),
    ) -> None:
        self.nameservers = tuple(nameservers)
        self.domain = domain
        self.search = tuple(search)
        self.options = tuple(options)

    def __bool__(self) -> bool:
        return bool(self.nameservers or self.domain or self.search or self.options)


class Result:
    """What ADD achieved.

    ``cni_version`` is the version the result came in or was made for; it decides, with the
    version asked for, what a conversion keeps.
    """

    __slots__ = ("cni_version", "dns", "interfaces", "ips", "routes")

    def __init__(
        self,
        interfaces: Sequence[Interface] = (),
        ips: Sequence[IPConfig] = (),
        routes: Sequence[Route] = (),
        dns: DNS | None = None,
        cni_version: str = CURRENT,
    ) -> None:
        self.interfaces = list(interfaces)
        self.ips = list(ips)
        self.routes = list(routes)
        self.dns = dns or DNS()
        self.cni_version = cni_version

    @classmethod
    def from_json(cls, obj: Any, version: str) -> Result:
        """Return the result that a decoded JSON object in the form of a version describes.

        A version within the object counts, as long as it has the same form.

        Raises:
            DecodeError: the version is unknown, or the object is not a result of its form.
        """
        version = version or OLDEST
        form = _FORM.get(version)
        if form is None:
            raise DecodeError(f"unsupported CNI result version {quote(version)}")
        if type(obj) is not dict:
            raise wrong_kind(obj, "", "result")
        own = lookup(obj, "cniversion")
        if own is None:
            own = version
        elif type(own) is not str:
            raise wrong_kind(own, "cniVersion", "string")
        elif own == "" and form == _FLAT:
            own = OLDEST
        if _FORM.get(own) != form:
            known = " ".join(v for v in _FORM if _FORM[v] == form)
            raise DecodeError(
                f"result type supports [{known}] but unmarshalled CNIVersion is {quote(own)}"
            )
        if form == _FLAT:
            return _from_flat(_Flat.decode(obj), own)
        lists = _Lists.decode(obj)
        for i, address in enumerate(lists.ips):
            _required(address.address, f"ips[{i}].address")
        for i, route in enumerate(lists.routes):
            _required(route.dst, f"routes[{i}].dst")
        if form == _FAMILIES:
            for link in lists.interfaces:
                link.mtu, link.socket_path, link.pci_id = 0, "", ""
        return cls(lists.interfaces, lists.ips, lists.routes, lists.dns, own)

    def as_version(self, version: str) -> Result:
        """Return the result that whoever reads it in the form of a version gets.

        Raises:
            ConversionError: the version is unknown, or it needs an address and there is none.
        """
        if _FORM.get(version) == _LISTS == _FORM.get(self.cni_version):  # nothing is lost
            return Result(self.interfaces, self.ips, self.routes, self.dns, version)
        return Result.from_json(self.to_json(version), version)

    def copy(self) -> Result:
        """Return an equal result that shares nothing with this one that could be changed."""
        return Result(
            [
                Interface(i.name, i.mac, i.mtu, i.sandbox, i.socket_path, i.pci_id)
                for i in self.interfaces
            ],
            [IPConfig(i.address, i.gateway, i.interface) for i in self.ips],
            [
                Route(r.dst, r.gw, r.mtu, r.advmss, r.priority, r.table, r.scope)
                for r in self.routes
            ],
            DNS(self.dns.nameservers, self.dns.domain, self.dns.search, self.dns.options),
            self.cni_version,
        )

    def to_json(self, version: str) -> dict[str, Any]:
        """Return the result as the JSON object of a version.

        Raises:
            ConversionError: the version is unknown, or it needs an address and there is none.
        """
        version = version or OLDEST
        form = _FORM.get(version)
        source = _FORM.get(self.cni_version)
        if form is None or source is None:
            raise ConversionError(
                f"no converter for CNI result version {self.cni_version} to {version}"
            )
        if form == _FLAT:
            return self._to_flat(version, source)
        body: dict[str, Any] = {"cniVersion": version}
        if self.interfaces:
            body["interfaces"] = [_interface_json(link, form) for link in self.interfaces]
        if self.ips:
            body["ips"] = [_ip_json(address, form) for address in self.ips]
        if self.routes:
            body["routes"] = [route_json(route) for route in self.routes]
        if self.dns or form != _LISTS:
            body["dns"] = _dns_json(self.dns)
        return body

    def dumps(self, version: str) -> bytes:
        """Return the result as one line of JSON in the form of a version; see to_json."""
        return dumps(self.to_json(version))

    def _to_flat(self, version: str, source: str) -> dict[str, Any]:
        """Return the form that knows one address per family and the routes beside it."""
        body: dict[str, Any] = {"cniVersion": version}
        families: dict[str, dict[str, Any]] = {}
        for address in self.ips:
            key = _family_key(address.address)
            if key not in families:
                families[key] = {"ip": address.address}
                if address.gateway:
                    families[key]["gateway"] = address.gateway
        if not families and source != _FLAT:
            raise ConversionError("cannot convert: no valid IP addresses")
        for route in self.routes:
            beside = families.get(_family_key(route.dst))
            if beside is not None:
                shown = route if source == _FLAT else Route(route.dst, route.gw)
                beside.setdefault("routes", []).append(route_json(shown))
        for key in sorted(families):
            body[key] = families[key]
        body["dns"] = _dns_json(self.dns)
        return body

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Result) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"Result({shown})"


class _FlatIP(Struct):
    """An address of the versions before 0.3.0."""

    ip = field("ip", CIDR, "")
    gateway = field("gateway", ADDRESS, None)
    routes = field("routes", array(record(Route)), ())


class _Flat(Struct):
    """A result of the versions before 0.3.0."""

    ip4 = optional("ip4", record(_FlatIP))
    ip6 = optional("ip6", record(_FlatIP))
    dns = field("dns", record(DNS), DNS())


class _Lists(Struct):
    """A result of 0.3.0 and later."""

    interfaces = field("interfaces", array(record(Interface)), ())
    ips = field("ips", array(record(IPConfig)), ())
    routes = field("routes", array(record(Route)), ())
    dns = field("dns", record(DNS), DNS())


def parse_prev_result(conf: dict[str, Any], version: str) -> Result | None:
    """Return the result under "prevResult" of a configuration, None when there is none.

    A result that does not name its version is taken to be of the configuration's.

    Raises:
        DecodeError: it is not a result of that version.
    """
    raw = lookup(conf, "prevresult")
    if raw is None:
        return None
    if type(raw) is not dict:
        raise wrong_kind(raw, "prevResult", "object")
    try:
        return Result.from_json(raw, version)
    except DecodeError as e:
        raise DecodeError(f"could not parse prevResult: {e}") from None


def _required(text: str, path: str) -> None:
    """Refuse an address that is not there."""
    if not text:
        raise DecodeError(f"field {path} is missing")


def _from_flat(flat: _Flat, version: str) -> Result:
    """Return the result that the form of the versions before 0.3.0 stands for."""
    result = Result(dns=flat.dns, cni_version=version)
    for name, config in (("ip4", flat.ip4), ("ip6", flat.ip6)):
        if config is None:
            continue
        _required(config.ip, f"{name}.ip")
        result.ips.append(IPConfig(config.ip, config.gateway))
        for i, route in enumerate(config.routes):
            _required(route.dst, f"{name}.routes[{i}].dst")
            result.routes.append(route)
    return result


def _family_key(cidr: str) -> str:
    """Return the key under which the old form keeps an address or route."""
    return "ip6" if ip.parse_cidr(cidr)[0] == 6 else "ip4"


def _interface_json(link: Interface, form: str) -> dict[str, Any]:
    """Return one interface; what came with 1.1.0 is only in the form of that version."""
    body: dict[str, Any] = {"name": link.name}
    if link.mac:
        body["mac"] = link.mac
    if link.mtu and form == _LISTS:
        body["mtu"] = link.mtu
    if link.sandbox:
        body["sandbox"] = link.sandbox
    if form == _LISTS:
        if link.socket_path:
            body["socketPath"] = link.socket_path
        if link.pci_id:
            body["pciID"] = link.pci_id
    return body


def _ip_json(address: IPConfig, form: str) -> dict[str, Any]:
    """Return one address, with its family where the form has that."""
    body: dict[str, Any] = {}
    if form == _FAMILIES:
        body["version"] = "6" if ip.parse_cidr(address.address)[0] == 6 else "4"
    if address.interface is not None:
        body["interface"] = address.interface
    body["address"] = address.address
    if address.gateway:
        body["gateway"] = address.gateway
    return body


def route_json(route: Route) -> dict[str, Any]:
    """Return one route without what is not set."""
    body: dict[str, Any] = {"dst": route.dst}
    if route.gw:
        body["gw"] = route.gw
    if route.mtu:
        body["mtu"] = route.mtu
    if route.advmss:
        body["advmss"] = route.advmss
    if route.priority:
        body["priority"] = route.priority
    if route.table is not None:
        body["table"] = route.table
    if route.scope is not None:
        body["scope"] = route.scope
    return body


def _dns_json(dns: DNS) -> dict[str, Any]:
    """Return the settings of the resolver that are set."""
    body: dict[str, Any] = {}
    if dns.nameservers:
        body["nameservers"] = list(dns.nameservers)
    if dns.domain:
        body["domain"] = dns.domain
    if dns.search:
        body["search"] = list(dns.search)
    if dns.options:
        body["options"] = list(dns.options)
    return body
