"""static: the addresses that the configuration or the caller names, whoever else has them.

Addresses come from "ipam", with those of CNI_ARGS added; a list in "args" or "runtimeConfig"
replaces both.  Nothing is kept, so DEL and GC have nothing to do.
"""

from __future__ import annotations

from cnifast.protocol import ip
from cnifast.protocol.args import load_args
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.result import DNS, IPConfig, Result, Route
from cnifast.protocol.schema import (
    ADDRESS,
    CIDR_SCHEMA,
    TEXT,
    Struct,
    array,
    field,
    narrowed,
    optional,
    record,
)
from cnifast.protocol.versions import at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.protocol.request import Request

_MANY_PER_FAMILY = "0.3.0"  # the version since which a result has more than one per family
_CIDR_TEXT = narrowed(TEXT, **CIDR_SCHEMA)


class _Address(Struct):
    """One configured address, with its prefix length."""

    address = field("address", _CIDR_TEXT, "")
    """The address with its prefix length, such as `10.1.0.5/16`."""
    gateway = field("gateway", ADDRESS, None)
    """The gateway of its subnet."""


class _IPAMConf(Struct):
    """The "ipam" object."""

    addresses = field("addresses", array(record(_Address)), ())
    """The container's addresses."""
    routes = field("routes", array(record(Route)), ())
    """Routes of the container."""
    dns = field("dns", record(DNS), DNS())
    """What the result says about DNS."""


class _Addresses(Struct):
    """A list of addresses from the caller."""

    ips = field("ips", array(_CIDR_TEXT), ())
    """Addresses in place of the configured ones."""


class _Args(Struct):
    cni = field("cni", record(_Addresses), _Addresses())
    """Conventional arguments."""


class _NetConf(Struct):
    """What static reads of a network configuration."""

    ipam = optional("ipam", record(_IPAMConf))
    """The addresses to assign."""
    runtime = field("runtimeConfig", record(_Addresses), _Addresses())
    """Capability arguments; the runtime puts them here."""
    args = field("args", record(_Args), _Args())
    """Arguments of the runtime."""


CONF = _NetConf


class _Assigned:
    """An address: ``cidr`` is (family, value, prefix length), ``gateway`` canonical text."""

    __slots__ = ("cidr", "gateway")

    def __init__(self, cidr: tuple[int, int, int], gateway: str | None = None) -> None:
        self.cidr = cidr
        self.gateway = gateway


def add(req: Request) -> Result:
    """Return the addresses, routes and resolver settings that the call names.

    Raises:
        CNIError: there is no "ipam", or more than one address of a family for a version that
            knows only one.
        ValueError: the configuration or CNI_ARGS are not in order.
    """
    conf, addresses = _load(req)
    ips = [IPConfig(ip.format_cidr(*one.cidr), one.gateway) for one in addresses]
    return Result(ips=ips, routes=conf.routes, dns=conf.dns)


def check(req: Request) -> None:
    """Raise CNIError unless each address that the result has has the gateway configured for it."""
    _, addresses = _load(req)
    result = req.prev_result()
    if result is None:
        raise CNIError(INTERNAL, "static: required prevResult missing")
    for one in addresses:
        for held in result.ips:
            if ip.parse_cidr(held.address)[:2] != one.cidr[:2]:
                continue
            if one.gateway is not None and one.gateway != held.gateway:
                raise CNIError(
                    INTERNAL,
                    f"static: gateway of {held.address} on interface {req.ifname} "
                    f"is {held.gateway}, not {one.gateway}",
                )
            break


def delete(req: Request) -> None:
    """Do nothing: there is nothing to release."""


def gc(req: Request) -> list[str]:  # noqa: ARG001 - the plugins share a signature
    """Return no address: there is nothing to release."""
    return []


def owned(req: Request) -> list[str]:
    """Return the addresses that the call names, such as "10.1.0.5".

    Raises:
        CNIError: see `add`.
        ValueError: the configuration or CNI_ARGS are not in order.
    """
    _, addresses = _load(req)
    return [ip.format_ip(*one.cidr[:2]) for one in addresses]


def status(req: Request) -> None:
    """Raise when an ADD would fail for its configuration; see `add`."""
    _load(req)


def _load(req: Request) -> tuple[_IPAMConf, list[_Assigned]]:
    """Return the configuration and the addresses that count."""
    conf = _NetConf.decode(req.conf)
    if conf.ipam is None:
        raise CNIError(INTERNAL, "IPAM config missing 'ipam' key")
    addresses = _from_args(req.args)
    if conf.args.cni.ips:
        addresses = [_listed(text) for text in conf.args.cni.ips]
    if conf.runtime.ips:
        addresses = [_listed(text) for text in conf.runtime.ips]
    if not (conf.args.cni.ips or conf.runtime.ips):
        addresses[:0] = [_configured(one) for one in conf.ipam.addresses]
    for family in (4, 6):
        if sum(one.cidr[0] == family for one in addresses) > 1 and not at_least(
            req.cni_version, _MANY_PER_FAMILY
        ):
            raise CNIError(
                INTERNAL,
                f"CNI version {req.cni_version} does not support more than 1 address per family",
            )
    return conf.ipam, addresses


def _from_args(text: str) -> list[_Assigned]:
    """Return the addresses of CNI_ARGS, each with the gateway there that is in its subnet."""
    args = load_args(text, ("IP", "GATEWAY", "MAC"))
    addresses = []
    if args.get("IP"):
        for item in args["IP"].split(","):
            cidr = _parse(item.strip())
            if cidr is None:
                raise DecodeError(f"IP in CNI_ARGS is not in CIDR notation: '{item.strip()}'")
            addresses.append(_Assigned(cidr))
    if args.get("GATEWAY"):
        for item in args["GATEWAY"].split(","):
            try:
                family, value = ip.parse_ip(item.strip())
            except DecodeError:
                raise DecodeError(f"invalid gateway address: {item}") from None
            for one in addresses:
                one_family, one_value, prefixlen = one.cidr
                if family == one_family and ip.network(family, value, prefixlen) == ip.network(
                    family, one_value, prefixlen
                ):
                    one.gateway = ip.format_ip(family, value)
    return addresses


def _configured(conf: _Address) -> _Assigned:
    """Return an address of the configuration."""
    cidr = _parse(conf.address)
    if cidr is None:
        raise DecodeError(f"an 'address' of 'addresses' is not in CIDR notation: '{conf.address}'")
    return _Assigned(cidr, conf.gateway)


def _listed(text: str) -> _Assigned:
    """Return an address of a list that replaces the configured ones."""
    cidr = _parse(text)
    if cidr is None:
        raise DecodeError(f"an entry of 'ips' is not in CIDR notation: '{text}'")
    return _Assigned(cidr)


def _parse(text: str) -> tuple[int, int, int] | None:
    """Return (family, value, prefix length), None when the text is not of that form."""
    try:
        return ip.parse_cidr(text)
    except DecodeError:
        return None
