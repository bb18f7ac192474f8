"""Addresses between text and the structs of the native core."""

from __future__ import annotations

from cnifast.protocol import ip as _ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AF_INET = 2
AF_INET6 = 10
_MAC_BYTES = 6


def parse_prefix(text: str) -> tuple[int, bytes, int]:
    """Return (AF_*, address in network order, prefix length) of "10.1.0.5/16".

    Raises:
        ValueError: the text is not an address with a prefix length.
    """
    family, value, prefixlen = _ip.parse_cidr(text)
    return AF_INET6 if family == 6 else AF_INET, _ip.packed(family, value), prefixlen


def parse_address(text: str) -> tuple[int, bytes, int]:
    """Return (AF_*, address in network order, all its bits) of "10.1.0.1".

    Raises:
        ValueError: the text is not an address.
    """
    family, value = _ip.parse_ip(text)
    packed = _ip.packed(family, value)
    return AF_INET6 if family == 6 else AF_INET, packed, len(packed) * 8


def fill_ip(struct: Any, family: int, packed: bytes, prefixlen: int) -> Any:
    """Fill a ``struct cnif_ip`` and return it."""
    struct.family = family
    struct.prefix = prefixlen
    struct.bytes[0 : len(packed)] = packed
    return struct


def fill_hop(route: Any, dst: str, gateway: str | None) -> None:
    """Fill destination and gateway of a ``struct cnif_route``; without a gateway it has none.

    Raises:
        ValueError: a text is not an address, or the two are of different families.
    """
    fill_ip(route.dst, *parse_prefix(dst))
    if not gateway:
        return
    fill_ip(route.gateway, *parse_address(gateway))
    if route.gateway.family != route.dst.family:
        raise ValueError(f"route {dst} via {gateway}: addresses of different families")


def format_address(packed: bytes) -> str:
    """Return the text of an address in network order."""
    return _ip.format_ip(*_ip.unpacked(packed))


def mac_bytes(text: str) -> bytes:
    """Return the six bytes of "02:00:00:00:00:01"; "-" and Cisco's dots are understood as well.

    Raises:
        ValueError: the text is not an Ethernet address.
    """
    if "." in text:
        digits = text.split(".")
        good = len(digits) == 3 and all(len(part) == 4 for part in digits)
    else:
        digits = text.split("-" if "-" in text else ":")
        good = len(digits) == _MAC_BYTES and all(len(part) == 2 for part in digits)
    joined = "".join(digits)
    if not good or joined.strip("0123456789abcdefABCDEF"):
        raise ValueError(f"address {text}: invalid MAC address")
    return bytes.fromhex(joined)


def format_mac(packed: bytes) -> str:
    """Return "02:00:00:00:00:01" for six bytes."""
    return packed.hex(":")
