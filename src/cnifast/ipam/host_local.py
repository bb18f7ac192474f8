"""host-local: addresses from configured ranges, kept in files on this host.

The configuration of a network hardly ever changes from call to call, so what it says about
ranges is completed once and remembered by its content.
"""

from __future__ import annotations

import marshal

from cnifast.invoke import files
from cnifast.ipam import resolv
from cnifast.ipam.ranges import RangeConf, complete, describe
from cnifast.ipam.store import DEFAULT_DATA_DIR, Plan, Store, TakenError
from cnifast.protocol import ip
from cnifast.protocol.args import load_args
from cnifast.protocol.codec import DecodeError, quote
from cnifast.protocol.errors import (
    INTERNAL,
    PLUGIN_NOT_AVAILABLE,
    CNIError,
)
from cnifast.protocol.netconf import valid_attachments
from cnifast.protocol.result import IPConfig, Result, Route
from cnifast.protocol.schema import (
    ADDRESS,
    CIDR_SCHEMA,
    TEXT,
    Kind,
    Struct,
    array,
    field,
    lookup,
    optional,
    raw,
    record,
    wrong_kind,
)
from cnifast.protocol.versions import at_least

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cnifast.protocol.request import Request

_MANY_PER_FAMILY = "0.3.0"  # the version since which a result has more than one per family
_CACHE_MAX = 256
_RANGE_SETS = array(array(record(RangeConf)))


class _RequestedKind(Kind["tuple[int, int] | None"]):
    """An address with or without a prefix length, which is ignored; None for an empty text."""

    name = "IP address"
    schema = {  # noqa: RUF012 - as its base has it
        "type": "string",
        "anyOf": [*ADDRESS.schema["anyOf"], CIDR_SCHEMA],
    }

    def decode(self, value: Any, path: str) -> tuple[int, int] | None:
        if type(value) is not str:
            raise wrong_kind(value, path, self.name)
        return _parse_requested(value)


class _IPAMConf(RangeConf):
    """The "ipam" object; the keys of a range in it are one more range set, before the others."""

    routes = field("routes", array(record(Route)), ())
    """Routes of the container."""
    data_dir = field("dataDir", TEXT, "")
    """Directory of the reservations; without one `/var/lib/cni/networks`."""
    resolv_conf = field("resolvConf", TEXT, "")
    """Path of a resolv.conf; what it says becomes the result's `dns`."""
    ranges = field("ranges", _RANGE_SETS, ())
    """Range sets; the container gets one address from each of them."""


class _RuntimeConf(Struct):
    """What the runtime fills in for the capabilities "ipRanges" and "ips"."""

    ip_ranges = optional("ipRanges", raw(_RANGE_SETS))
    """Range sets before those of `ipam` (capability `ipRanges`)."""
    ips = field("ips", array(_RequestedKind()), ())
    """Addresses to hand out (capability `ips`); a prefix length is ignored."""


class _RangesConf(Struct):
    """The capability "ipRanges" alone."""

    ip_ranges = field("ipRanges", _RANGE_SETS, ())


class _CNIArgs(Struct):
    """The part of "args" that is meant for CNI plugins."""

    ips = field("ips", array(_RequestedKind()), ())
    """Addresses to hand out; a prefix length is ignored."""


class _Args(Struct):
    cni = field("cni", record(_CNIArgs), _CNIArgs())
    """Conventional arguments."""


class _NetConf(Struct):
    """What host-local reads of a network configuration."""

    ipam = optional("ipam", raw(record(_IPAMConf)))
    """The addresses to hand out."""
    runtime = optional("runtimeConfig", raw(record(_RuntimeConf)))
    """Capability arguments; the runtime puts them here."""
    args = optional("args", raw(record(_Args)))
    """Arguments of the runtime."""


CONF = _NetConf


class _Network:
    """A configuration made ready: ranges, and what goes into a result beside addresses."""

    __slots__ = ("_stores", "data_dir", "plan", "resolv_conf", "routes")

    def __init__(self, conf: _IPAMConf, plan: Plan) -> None:
        self.plan = plan
        self.routes = conf.routes
        self.data_dir = conf.data_dir
        self.resolv_conf = conf.resolv_conf
        self._stores: dict[str, Store] = {}

    def store(self, name: str) -> Store:
        """Return the store of a network with this configuration."""
        store = self._stores.get(name)
        if store is None:
            store = self._stores[name] = Store(name, self.data_dir)
        return store


_networks: dict[bytes, _Network] = {}


def add(req: Request) -> Result:
    """Hand out one address from each range set.

    Raises:
        CNIError: an address asked for is taken or in no set, a set is exhausted, the owner has
            an address already, or the store cannot be written; nothing was handed out then.
        ValueError: the configuration, CNI_ARGS or resolvConf's file are not in order.
        RunCold: the paths in the configuration mean something else here than for the caller.
    """
    network, requested = _load(req)
    dns = resolv.read(network.resolv_conf) if network.resolv_conf else None
    by_set = _assign(network.plan, requested) if requested else None
    grants = network.store(req.name).allocate(network.plan, req.container_id, req.ifname, by_set)
    ips = [IPConfig(grant.address, grant.gateway) for grant in grants]
    return Result(ips=ips, routes=[_copy(route) for route in network.routes], dns=dns)


def check(req: Request) -> None:
    """Raise CNIError unless the owner has an address, whichever it is."""
    if not owned(req):
        raise CNIError(INTERNAL, f"host-local: no address of container {req.container_id} found")


def delete(req: Request) -> None:
    """Release all addresses of the owner; there may be none.

    Raises:
        CNIError: the store cannot be written, or its lock is held too long.
        ValueError: the configuration or CNI_ARGS are not in order.
    """
    network, _ = _load(req)
    network.store(req.name).release(req.container_id, req.ifname)


def owned(req: Request) -> list[str]:
    """Return the addresses that the owner has, such as "10.1.0.5".

    Raises:
        CNIError: the store cannot be read, or its lock is held too long.
        ValueError: the configuration or CNI_ARGS are not in order.
    """
    network, _ = _load(req)
    return network.store(req.name).lookup(req.container_id, req.ifname)


def gc(req: Request) -> list[str]:
    """Release the addresses of all attachments that are not valid, and return them.

    Raises:
        CNIError: the configuration does not say which are valid, or the store cannot be written.
        ValueError: the configuration is not in order.
    """
    network, _ = _load(req)
    return network.store(req.name).gc(sorted(valid_attachments(req.conf)))


def status(req: Request) -> None:
    """Raise CNIError (code 50) when an ADD could not be given an address now."""
    network, _ = _load(req)
    store = network.store(req.name)
    for ranges, usage in zip(network.plan.sets, store.usage(network.plan), strict=True):
        if usage.exhausted:
            raise CNIError(
                PLUGIN_NOT_AVAILABLE,
                f"no IP addresses available in range set: {describe(ranges)}",
            )
    files.require_writable(f"{store.data_dir}/{store.network}")


def require_place(req: Request) -> None:
    """Refuse a request that has to be served where the caller is, whatever else is wrong with it.

    For plugins that must know before they begin; the functions above ask on their own.

    Raises:
        RunCold: the configuration's paths mean something else here than for the caller.
    """
    ipam = lookup(req.conf, "ipam")
    if type(ipam) is dict:
        _require_paths(req, lookup(ipam, "datadir"), lookup(ipam, "resolvconf"))


def _require_paths(req: Request, data_dir: object, resolv_conf: object) -> None:
    """Refuse to act where the store, or resolvConf, is elsewhere for the caller."""
    req.place.require_paths("host-local", data_dir or DEFAULT_DATA_DIR, resolv_conf)


def _load(req: Request) -> tuple[_Network, list[tuple[int, int]]]:
    """Return the network of a request and the addresses it asks for."""
    network, args, runtime = req.derive("host-local", _decode)
    _require_paths(req, network.data_dir, network.resolv_conf)
    if not (req.args or args.cni.ips or runtime.ips):
        return network, []
    return network, _requested(req, args, runtime)


def _decode(req: Request) -> tuple[_Network, _Args, _RuntimeConf]:
    """Return what the configuration says."""
    conf = _NetConf.decode(req.conf)
    if conf.ipam is None:
        raise CNIError(INTERNAL, "IPAM config missing 'ipam' key")
    runtime = _RuntimeConf.decode(conf.runtime, "runtimeConfig")
    args = _Args.decode(conf.args, "args")
    many = at_least(req.cni_version, _MANY_PER_FAMILY)
    key = marshal.dumps((conf.ipam, runtime.ip_ranges, many), 2)
    network = _networks.get(key)
    if network is None:
        network = _complete(conf.ipam, runtime.ip_ranges, req.cni_version, many=many)
        if len(_networks) >= _CACHE_MAX:
            _networks.clear()
        _networks[key] = network
    return network, args, runtime


def _complete(ipam: Any, ip_ranges: Any, cni_version: str, *, many: bool) -> _Network:
    """Return the network that a configuration describes."""
    conf = _IPAMConf.decode(ipam, "ipam")
    sets = list(conf.ranges)
    if conf.subnet is not None:
        sets.insert(0, (conf,))
    sets[:0] = _RangesConf.decode({"ipRanges": ip_ranges}, "runtimeConfig").ip_ranges
    plan = Plan(complete(sets))
    for family in (4, 6):
        if not many and sum(ranges[0].family == family for ranges in plan.sets) > 1:
            raise CNIError(
                INTERNAL,
                f"CNI version {cni_version} does not support more than 1 address per family",
            )
    return _Network(conf, plan)


def _parse_requested(text: str) -> tuple[int, int] | None:
    """Return (family, value) of an address with or without a prefix length, None for ""."""
    if not text:
        return None
    try:
        return ip.parse_cidr(text)[:2] if "/" in text else ip.parse_ip(text)
    except DecodeError:
        raise DecodeError(f"invalid IP address {text[:80]}") from None


def _requested(req: Request, args: _Args, runtime: _RuntimeConf) -> list[tuple[int, int]]:
    """Return the addresses asked for by CNI_ARGS, "args" and "runtimeConfig", each once."""
    wanted: dict[tuple[int, int], None] = {}
    text = load_args(req.args).get("IP")
    if text:
        try:
            address = _parse_requested(text)
        except DecodeError as e:
            pair = quote(f"IP={text}")
            raise DecodeError(f"ARGS: error parsing value of pair {pair}: {e}") from None
        if address is not None:
            wanted[address] = None
    for address in (*args.cni.ips, *runtime.ips):
        if address is None:
            raise DecodeError("cannot understand ip: an empty text is neither v4 nor v6")
        wanted[address] = None
    return list(wanted)


def _assign(plan: Plan, requested: list[tuple[int, int]]) -> dict[int, tuple[int, int]]:
    """Return by set index the address asked for from it.

    Raises:
        CNIError: one is in no set, or not the only one in its set, or is the gateway.
    """
    by_set: dict[int, tuple[int, int]] = {}
    left = []
    for address in requested:
        found = plan.range_for(*address)
        if found is None or found[0] in by_set:
            left.append(ip.format_ip(*address))
            continue
        index, one = found
        if address == one.gateway:
            text = ip.format_ip(*address)
            raise TakenError(
                f"failed to allocate for range {index}: requested ip {text} is subnet's gateway",
                index,
                text,
            )
        by_set[index] = address
    if left:
        raise CNIError(INTERNAL, f"failed to allocate all requested IPs: {' '.join(left)}")
    return by_set


def _copy(route: Route) -> Route:
    """Return a route of its own for each result, since a result may be changed."""
    copied = Route.__new__(Route)
    copied.__dict__.update(route.__dict__)
    return copied
