"""The bandwidth plugin: limits how fast a container sends and receives.

It follows a plugin that made a veth pair, such as bridge or ptp.  Every option of the reference's
bandwidth plugin, version 1.9, the subnets of 1.5, and a bound for latency.
"""

from __future__ import annotations

from cnifast.kernel.attach import detach
from cnifast.kernel.foreign import ifb_name
from cnifast.kernel.shaping import LATENCY_MS, Bucket, Limits, add_limits, check_limits, host_end
from cnifast.plugins.base import (
    Failures,
    Session,
    alias_owner,
    decode,
    host_alias,
    random_mac,
    required_prev_result,
)
from cnifast.protocol import ip as _ip
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.netconf import NetConf, valid_attachments
from cnifast.protocol.result import Interface
from cnifast.protocol.schema import (
    TEXT,
    UINT,
    UINT32,
    Struct,
    array,
    field,
    fold,
    optional,
    record,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result

_BURST_MAX = (2**32 - 1) * 8  # bits

# What kubelet, containerd and CRI-O say when nobody said anything of a burst.
_NO_BURST = frozenset({2**31 - 1, 2**32 - 1, _BURST_MAX - 1})


class BandwidthEntry(Struct):
    """Limits as they are configured, in bits per second and bits; 0: none."""

    ingress_rate = field("ingressRate", UINT, 0)
    """How fast the container receives, in bits per second; 0: no limit."""
    ingress_burst = field("ingressBurst", UINT, 0)
    """So many bits may come at once; 0: what suits the rate."""
    egress_rate = field("egressRate", UINT, 0)
    """How fast the container sends, in bits per second; 0: no limit."""
    egress_burst = field("egressBurst", UINT, 0)
    """So many bits may go at once; 0: what suits the rate."""
    unshaped_subnets = field("unshapedSubnets", array(TEXT), ())
    """Subnets that no limit holds for."""
    shaped_subnets = field("shapedSubnets", array(TEXT), ())
    """The only subnets that limits hold for; not together with the others."""
    latency_ms = optional("latencyMs", UINT32)
    """How long a packet may wait before it is dropped, in ms."""


_RATES = frozenset(map(fold, ("ingressRate", "ingressBurst", "egressRate", "egressBurst")))


class RuntimeConfig(Struct):
    """The capability arguments that this plugin reads."""

    bandwidth = optional("bandwidth", record(BandwidthEntry))
    """Limits of this container (capability `bandwidth`)."""


class BandwidthConf(BandwidthEntry, NetConf):
    """The keys of the reference's bandwidth plugin; limits may stand among them."""

    runtime_config = field("runtimeConfig", record(RuntimeConfig), RuntimeConfig())
    """Capability arguments; the runtime puts them here."""


class Wanted:
    """Limits as they are to be; ``older`` are those that the reference sets where it differs."""

    __slots__ = ("limits", "older")

    def __init__(self, limits: Limits | None, older: Limits | None = None) -> None:
        self.limits = limits
        self.older = older


def _load(req: Request) -> Wanted:
    """Decode and validate the limits: the configuration's own, else those of the runtime.

    Raises:
        CNIError: they make no sense.
    """
    static = decode(BandwidthConf, req)
    given: BandwidthEntry | None = static.runtime_config.bandwidth
    if given is None or any(fold(key) in _RATES for key in req.conf):
        given = static
    latency = given.latency_ms if given.latency_ms is not None else static.latency_ms
    latency = LATENCY_MS if latency is None else latency
    unset = frozenset[int]() if given is static else _NO_BURST
    ingress = _bucket("ingress", given.ingress_rate, given.ingress_burst, latency, unset)
    egress = _bucket("egress", given.egress_rate, given.egress_burst, latency, unset)
    if ingress is None and egress is None:
        return Wanted(None)
    unshaped = given.unshaped_subnets or static.unshaped_subnets
    shaped = given.shaped_subnets or static.shaped_subnets
    if unshaped and shaped:
        raise CNIError(INTERNAL, "unshapedSubnets and shapedSubnets exclude each other")
    subnets = _networks(unshaped or shaped)
    limits = Limits(ingress, egress, subnets, only_subnets=bool(shaped))
    if subnets or unset.isdisjoint((given.ingress_burst, given.egress_burst)):
        return Wanted(limits)
    older = Limits(
        Bucket.wrapped(given.ingress_rate, given.ingress_burst) if ingress else None,
        Bucket.wrapped(given.egress_rate, given.egress_burst) if egress else None,
    )
    return Wanted(limits, older)


def _bucket(
    direction: str, rate: int, burst: int, latency_ms: int, unset: frozenset[int]
) -> Bucket | None:
    """Return the bucket of one direction, None where it is not limited.

    Raises:
        CNIError: the numbers make no sense.
    """
    if not rate:
        if burst:
            raise CNIError(INTERNAL, f"{direction}Burst {burst} needs {direction}Rate to be set")
        return None
    if burst >= _BURST_MAX:
        raise CNIError(INTERNAL, f"{direction}Burst {burst} is not below 4 GiB")
    try:
        return Bucket.of(rate, 0 if burst in unset else burst, latency_ms)
    except ValueError as e:
        raise CNIError(INTERNAL, f"{direction} limit: {e}") from None


def _networks(texts: tuple[str, ...]) -> list[str]:
    """Return subnets in canonical form, each once.

    Raises:
        CNIError: one is malformed.
    """
    found: dict[str, None] = {}
    for text in texts:
        try:
            family, value, prefixlen = _ip.parse_cidr(text)
        except ValueError as e:
            raise CNIError(INTERNAL, f"bad subnet: {e}") from None
        base = _ip.network(family, value, prefixlen)
        found[_ip.format_cidr(family, base, prefixlen)] = None
    return list(found)


def add(req: Request) -> Result:
    """Limit the container; the result is the previous one, with the ifb device if there is one.

    Raises:
        CNIError: the configuration is not usable, or the container has no veth pair.
        OSError: the kernel refused a step; nothing is left behind.
    """
    limits = req.derive("bandwidth", _load).limits
    result = required_prev_result(req)
    if limits is None:
        return result
    device = Interface(ifb_name(req.name, req.container_id), random_mac())
    with Session(req) as session:
        end = _host_end(session, result)
        add_limits(
            session.host, end, limits, ifb=device.name, alias=host_alias(req), mac=device.mac
        )
    if limits.egress:
        result.interfaces.append(device)
    return result


def _host_end(session: Session, result: Result) -> Link:
    """Return the host's end of the container's veth pair, which a previous plugin must have made.

    Raises:
        CNIError: it is not in the previous result.
        FileNotFoundError: there is none.
    """
    if not result.interfaces:
        raise CNIError(INTERNAL, "no interfaces in prevResult")
    ifname = session.req.ifname
    end = host_end(session.host, session.netns, ifname)
    name = end.name
    if not any(known.name == name and not known.sandbox for known in result.interfaces):
        raise CNIError(
            INTERNAL, f"veth peer of container interface {ifname}, {name}, is not in prevResult"
        )
    return end


def check(req: Request) -> None:
    """Compare what the kernel has with what ADD made.

    Raises:
        CNIError: there is no veth pair that was limited.
        OSError: a limit is missing or different.
    """
    wanted = req.derive("bandwidth", _load)
    result = required_prev_result(req)
    with Session(req) as session:
        end = _host_end(session, result)
        if wanted.limits is None:
            return
        device = ifb_name(req.name, req.container_id)
        try:
            check_limits(session.host, end, wanted.limits, ifb=device)
        except FileNotFoundError:
            if wanted.older is None:
                raise
            check_limits(session.host, end, wanted.older, ifb=device)


def delete(req: Request) -> None:
    """Delete the ifb device, which is all that does not go with the pair; nothing else is needed.

    Raises:
        OSError: the kernel refused.
    """
    with Session(req) as session:
        _remove(session, ifb_name(req.name, req.container_id), host_alias(req))


def _remove(session: Session, name: str, alias: str) -> None:
    """Delete an ifb device, unless it is somebody else's."""
    detach(name, netns=session.host_netns, alias=alias, exits=session.exits)


def gc(req: Request) -> None:
    """Delete the ifb devices of attachments that are not valid any more.

    Raises:
        CNIError: the list of valid attachments is missing, or several deletions failed.
        OSError: a deletion failed; the others were done all the same.
    """
    valid = valid_attachments(req.conf)
    failures = Failures()
    with Session(req) as session:
        for link in session.host.links(kind="ifb"):
            owner = alias_owner(link.alias, req.name)
            if owner is not None and owner not in valid:
                failures.attempt(_remove, session, link.name, link.alias)
    failures.report()


def status(req: Request) -> None:
    """Refuse limits that no ADD could set.

    Raises:
        CNIError: the limits of the configuration make no sense.
    """
    req.derive("bandwidth", _load)
