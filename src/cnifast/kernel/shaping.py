"""Bandwidth limits of a container behind a veth pair, by traffic control over netlink.

    with Handle() as host:
        end = host_end(host, netns, "eth0")
        limits = Limits(ingress=Bucket.of(10_000_000, 1_000_000))
        add_limits(host, end, limits, ifb="bwp0", alias="mine", mac="02:00:00:00:00:01")

What is sent to the container waits at the host's end; what the container sends is redirected to
an ifb device and waits there.
"""

from __future__ import annotations

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.kernel.address import fill_ip, mac_bytes, parse_prefix
from cnifast.kernel.views import LinkView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self

    from cnifast._native._dump import Link
    from cnifast.kernel.handle import Handle

LATENCY_MS = 25
_TICKS_PER_USEC = 15.625  # 64 ns each, as the kernel counts
_UINT32_MAX = 2**32 - 1
_NO_MAC = "00:00:00:00:00:00"

# The burst of somebody who names none: what passes in this time, and at least this many bytes, so
# that the largest packet, or a batch that is segmented late, is always let through.
DEFAULT_BURST_MS = 25
DEFAULT_BURST_MIN = 128 * 1024


class Bucket:
    """A token bucket in the kernel's units: bytes per second, ticks, bytes that may wait."""

    __slots__ = ("burst", "limit", "rate")

    def __init__(self, rate: int, burst: int, limit: int) -> None:
        self.rate = rate
        self.burst = burst
        self.limit = limit

    @classmethod
    def of(cls, rate: int, burst: int = 0, latency_ms: int = LATENCY_MS) -> Self:
        """Return the bucket for a rate in bits per second and a burst in bits; 0: a sane one.

        So much may wait as passes in ``latency_ms`` milliseconds, besides a burst.  A burst that
        lasts longer than the kernel can count, 274 s, is cut to that.

        Raises:
            ValueError: rate or burst is less than a byte, or more passes in the time given than
                the kernel can count.
        """
        bytes_rate, bytes_burst = rate // 8, burst // 8
        if not bytes_rate:
            raise ValueError(f"a rate of {rate} bit/s is less than one byte per second")
        if burst and not bytes_burst:
            raise ValueError(f"a burst of {burst} bits is less than one byte")
        queue = int(bytes_rate * (1e6 * (latency_ms / 1000)) / 1e6)
        if queue > _UINT32_MAX:
            raise ValueError(
                f"a rate of {rate} bit/s overflows: more than 4 GiB would wait {latency_ms} ms"
            )
        if not burst:
            bytes_burst = max(bytes_rate * DEFAULT_BURST_MS // 1000, DEFAULT_BURST_MIN)
        ticks = int(int(bytes_burst * 1e6 / bytes_rate) * _TICKS_PER_USEC)
        if not ticks:  # it is over within a microsecond
            ticks = max(1, bytes_burst * 10**9 // bytes_rate // lib.CNIF_TICK_NS)
        return cls(bytes_rate, min(ticks, _UINT32_MAX), min(queue + bytes_burst, _UINT32_MAX))

    @classmethod
    def wrapped(cls, rate: int, burst: int) -> Self:
        """Return the bucket that the reference sets, whose numbers of 32 bits overflow silently."""
        bytes_rate, bytes_burst = rate // 8, burst // 8
        usecs = int(bytes_burst * 1e6 / bytes_rate) & _UINT32_MAX
        queue = int(bytes_rate * (LATENCY_MS * 1e3) / 1e6)
        ticks = int(usecs * _TICKS_PER_USEC)
        return cls(bytes_rate, ticks & _UINT32_MAX, (queue + bytes_burst) & _UINT32_MAX)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bucket) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Bucket rate={self.rate} burst={self.burst} limit={self.limit}>"


class Limits:
    """The limits of both directions, as the container sees them; None: unlimited.

    ``subnets`` are canonical texts such as "10.0.0.0/8" and stand for whom the container speaks
    with: traffic with them is not limited, or (``only_subnets``) nothing but that is.
    """

    __slots__ = ("egress", "ingress", "only_subnets", "subnets")

    def __init__(
        self,
        ingress: Bucket | None = None,
        egress: Bucket | None = None,
        subnets: Sequence[str] = (),
        *,
        only_subnets: bool = False,
    ) -> None:
        self.ingress = ingress
        self.egress = egress
        self.subnets = tuple(subnets)
        self.only_subnets = only_subnets


def host_end(host: Handle, netns: int, ifname: str) -> Link:
    """Return the host's end of the veth pair whose other end is ``ifname`` in a namespace.

    Raises:
        FileNotFoundError: there is no such interface, or it has no other end on the host.
    """
    err = new_error()
    found = ffi.new("struct cnif_link *")
    check(lib.cnif_veth_peer(host.raw, netns, c_text(ifname), found, err), err)
    view: Any = LinkView(found)
    end: Link = view
    return end


def add_limits(host: Handle, end: Link, limits: Limits, *, ifb: str, alias: str, mac: str) -> None:
    """Limit what passes the host's end of a pair; ``ifb`` names the device made for egress.

    Raises:
        FileExistsError: somebody limits that link already, or the ifb device is there.
        KernelError: the kernel refused; nothing is left.
        ValueError: a subnet or the MAC is malformed.
    """
    err = new_error()
    shaping, _kept = _shaping(end, limits, ifb, alias, mac)
    check(lib.cnif_shaping_add(host.raw, shaping, err), err)


def check_limits(host: Handle, end: Link, limits: Limits, *, ifb: str) -> None:
    """See that all is as ``add_limits`` makes it.

    Raises:
        FileNotFoundError: something is missing or different.
        ValueError: a subnet is malformed.
    """
    err = new_error()
    shaping, _kept = _shaping(end, limits, ifb, "", _NO_MAC)
    check(lib.cnif_shaping_check(host.raw, shaping, err), err)


def _shaping(end: Link, limits: Limits, ifb: str, alias: str, mac: str) -> tuple[Any, Any]:
    """Return a ``struct cnif_shaping *`` and what has to live as long as it."""
    texts = [ffi.new("char []", c_text(text)) for text in (end.name, ifb, alias)]
    ips = ffi.new("struct cnif_ip []", len(limits.subnets))
    for struct, subnet in zip(ips, limits.subnets, strict=True):
        fill_ip(struct, *parse_prefix(subnet))
    shaping = ffi.new("struct cnif_shaping *")
    shaping.index, shaping.mtu = end.index, end.mtu
    shaping.name, shaping.ifb, shaping.alias = texts
    shaping.mac = mac_bytes(mac)
    for bucket, to in ((limits.ingress, shaping.ingress), (limits.egress, shaping.egress)):
        if bucket is not None:
            to.rate, to.burst, to.limit = bucket.rate, bucket.burst, bucket.limit
    shaping.subnets, shaping.n_subnets = ips, len(limits.subnets)
    shaping.only_subnets = limits.only_subnets
    return shaping, (texts, ips)
