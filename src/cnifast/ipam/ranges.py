"""Ranges of addresses: what a host-local configuration says about them, checked and completed.

A range set is a list of ranges of one family; one address is handed out from each set.  This
module is pure arithmetic on (family, value) pairs, and knows no store and no kernel.
"""

from __future__ import annotations

from cnifast.protocol import ip
from cnifast.protocol.schema import ADDRESS, CIDR_SCHEMA, Kind, Struct, field, wrong_kind

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    RangeSet = list["Range"]


class RangeError(ValueError):
    """A range or a combination of ranges that no address can be handed out from."""


class Subnet:
    """A prefix as it was written: ``value`` keeps the host bits.

    ``mapped`` tells that an IPv4 prefix was written as an IPv6 one.
    """

    __slots__ = ("family", "mapped", "prefixlen", "value")

    def __init__(self, text: str) -> None:
        self.family, self.value, self.prefixlen = ip.parse_cidr(text)
        self.mapped = self.family == 4 and ":" in text

    def __str__(self) -> str:
        return ip.format_cidr(self.family, self.value, self.prefixlen)


class _SubnetKind(Kind["Subnet | None"]):
    """A prefix such as "10.1.0.0/16"."""

    name = "IP network"
    schema = CIDR_SCHEMA

    def decode(self, value: Any, path: str) -> Subnet | None:
        if type(value) is not str:
            raise wrong_kind(value, path, self.name)
        return Subnet(value)


class RangeConf(Struct):
    """One range as configured; what is absent is completed by `Range.from_conf`."""

    range_start = field("rangeStart", ADDRESS, None)
    """First address to hand out; without one, the first of the subnet."""
    range_end = field("rangeEnd", ADDRESS, None)
    """Last address to hand out; without one, the last of the subnet but the broadcast."""
    subnet = field("subnet", _SubnetKind(), None)
    """The subnet, such as `10.1.0.0/16`."""
    gateway = field("gateway", ADDRESS, None)
    """Address of the gateway, never handed out; without one, the first of the subnet."""


class Range:
    """Addresses from ``first`` to ``last`` (inclusive) of a subnet, of which one is the gateway.

    ``first``, ``last`` and ``network`` are values in ``family``; ``gateway`` is a pair (family,
    value), because nothing keeps a configuration from naming one of the other family.
    """

    __slots__ = ("family", "first", "gateway", "last", "network", "prefixlen")

    def __init__(
        self,
        family: int,
        network: int,
        prefixlen: int,
        first: int,
        last: int,
        gateway: tuple[int, int],
    ) -> None:
        self.family = family
        self.network = network
        self.prefixlen = prefixlen
        self.first = first
        self.last = last
        self.gateway = gateway

    @classmethod
    def from_conf(cls, conf: RangeConf) -> Range:
        """Check one configured range and fill in what it leaves out.

        The gateway is the subnet's first address unless given; the range ends before the
        broadcast address of an IPv4 subnet, and with the last address of an IPv6 one.

        Raises:
            RangeError: no subnet, host bits in it, fewer than four addresses, or an end of the
                range outside of it.
        """
        subnet = conf.subnet
        if subnet is None:
            raise RangeError("a range has no subnet")
        family, value, prefixlen = subnet.family, subnet.value, subnet.prefixlen
        if prefixlen > ip.BITS[family] - 2:
            raise RangeError(f"Network {subnet} too small to allocate from")
        if subnet.mapped:
            raise RangeError(f"Network {subnet} is written as an IPv6 network but is IPv4")
        network = ip.network(family, value, prefixlen)
        if network != value:
            raise RangeError(
                f"Network has host bits set: {subnet}, of which the network address is "
                f"{ip.format_ip(family, network)}"
            )
        top = network | ip.hostmask(family, prefixlen)
        first, last = network + 1, top - 1 if family == 4 else top
        gateway = ip.parse_ip(conf.gateway) if conf.gateway else (family, network + 1)
        limit = top
        if conf.range_end:
            end_family, limit = ip.parse_ip(conf.range_end)
            if end_family != family or not network <= limit <= top:
                # An end elsewhere makes the start fall outside too; say what is really wrong.
                raise RangeError(f"RangeEnd {conf.range_end} not in network {subnet}")
            last = limit
        if conf.range_start:
            start_family, first = ip.parse_ip(conf.range_start)
            if start_family != family or not network <= first <= limit:
                raise RangeError(f"RangeStart {conf.range_start} not in network {subnet}")
        if first > last:
            raise RangeError(
                f"RangeEnd {ip.format_ip(family, last)} before the start of the range in {subnet}"
            )
        return cls(family, network, prefixlen, first, last, gateway)

    def contains(self, family: int, value: int) -> bool:
        """Tell whether an address lies between the ends of the range."""
        return family == self.family and self.first <= value <= self.last

    def overlaps(self, other: Range) -> bool:
        """Tell whether two ranges have an address in common."""
        return self.family == other.family and self.first <= other.last and other.first <= self.last

    def __str__(self) -> str:
        first = ip.format_ip(self.family, self.first)
        return f"{first}-{ip.format_ip(self.family, self.last)}"


def describe(ranges: Sequence[Range]) -> str:
    """Return a range set in words: FIRST-LAST, joined by commas."""
    return ",".join(map(str, ranges))


def complete(sets: Sequence[Sequence[RangeConf]]) -> list[RangeSet]:
    """Check and complete all range sets of a configuration.

    Raises:
        RangeError: the message names the set by its index.
    """
    if not sets:
        raise RangeError("no IP ranges specified")
    completed = []
    for i, confs in enumerate(sets):
        try:
            completed.append(_complete_set(confs))
        except RangeError as e:
            raise RangeError(f"invalid range set {i}: {e}") from None
    for i, ranges in enumerate(completed):
        for j in range(i + 1, len(completed)):
            if any(a.overlaps(b) for a in ranges for b in completed[j]):
                raise RangeError(f"range set {i} overlaps with {j}")
    return completed


def _complete_set(confs: Sequence[RangeConf]) -> RangeSet:
    """Check and complete the ranges of one set."""
    if not confs:
        raise RangeError("empty range set")
    ranges: RangeSet = []
    for conf in confs:
        added = Range.from_conf(conf)
        if ranges and ranges[0].family != added.family:
            raise RangeError("mixed address families")
        ranges.append(added)
    for i, a in enumerate(ranges):
        for b in ranges[i + 1 :]:
            if a.overlaps(b):
                raise RangeError(f"subnets {a} and {b} overlap")
    return ranges
