"""IP addresses as text, integers and bytes, by the rules of Go's net package.

An address is a pair (family, value): family 4 or 6, value an integer.  An IPv6 address that
maps an IPv4 one counts as the IPv4 one.  ``ipaddress`` and ``socket`` take milliseconds to
import, and accept and print other texts than the plugins of the reference do; hence these few
functions.
"""

from __future__ import annotations

from cnifast.protocol.codec import DecodeError

BITS = {4: 32, 6: 128}

_MAPPED = 0xFFFF  # what stands above the 32 bits of an IPv4 address mapped into IPv6
_HEX = "0123456789abcdefABCDEF"
_LONGEST = 64  # of any text that can be an address, with room to spare

_addresses: dict[str, tuple[int, int]] = {}
_networks: dict[str, tuple[int, int, int]] = {}
_texts: dict[tuple[int, int], str] = {}
_CACHE_MAX = 1024


def parse_ip(text: str) -> tuple[int, int]:
    """Return (family, value) of an address as Go's net.ParseIP accepts it: no zone, no prefix.

    Raises:
        DecodeError: the text is not an address.
    """
    found = _addresses.get(text)
    if found is None:
        found = _parse(text)
        if found is None:
            raise DecodeError(f"invalid IP address: {text[:_LONGEST]}")
        if len(_addresses) >= _CACHE_MAX:
            _addresses.clear()
        _addresses[text] = found
    return found


def parse_cidr(text: str) -> tuple[int, int, int]:
    """Return (family, value, prefix length) of ADDRESS/LENGTH as Go's net.ParseCIDR accepts it.

    The address keeps its host bits.

    Raises:
        DecodeError: the text is not an address with a prefix length.
    """
    found = _networks.get(text)
    if found is None:
        found = _parse_prefix(text)
        if found is None:
            raise DecodeError(f"invalid CIDR address: {text[:_LONGEST]}")
        if len(_networks) >= _CACHE_MAX:
            _networks.clear()
        _networks[text] = found
    return found


def format_ip(family: int, value: int) -> str:
    """Return the canonical text of an address; a mapped IPv4 address prints as the IPv4 one."""
    key = (family, value)
    text = _texts.get(key)
    if text is None:
        if family == 4 or value >> 32 == _MAPPED:
            text = ".".join(map(str, (value & 0xFFFFFFFF).to_bytes(4, "big")))
        else:
            text = _format6(value)
        if len(_texts) >= _CACHE_MAX:
            _texts.clear()
        _texts[key] = text
    return text


def format_cidr(family: int, value: int, prefixlen: int) -> str:
    """Return ADDRESS/LENGTH in canonical text."""
    return f"{format_ip(family, value)}/{prefixlen}"


def packed(family: int, value: int) -> bytes:
    """Return the address as 4 or 16 bytes in network order."""
    return value.to_bytes(BITS[family] // 8, "big")


def unpacked(data: bytes) -> tuple[int, int]:
    """Return (family, value) of 4 or 16 bytes in network order.

    Raises:
        DecodeError: another number of bytes.
    """
    if len(data) not in (4, 16):
        raise DecodeError(f"an address of {len(data)} bytes")
    return _unmapped(4 if len(data) == 4 else 6, int.from_bytes(data, "big"))


def hostmask(family: int, prefixlen: int) -> int:
    """Return an integer with the host bits set."""
    return (1 << (BITS[family] - prefixlen)) - 1


def netmask(family: int, prefixlen: int) -> int:
    """Return an integer with the network bits set."""
    return hostmask(family, 0) ^ hostmask(family, prefixlen)


def network(family: int, value: int, prefixlen: int) -> int:
    """Return the address with the host bits cleared."""
    return value & ~hostmask(family, prefixlen)


def broadcast(family: int, value: int, prefixlen: int) -> int:
    """Return the address with the host bits set: the last one of its network."""
    return value | hostmask(family, prefixlen)


def contains(family: int, base: int, prefixlen: int, value: int) -> bool:
    """Tell whether an address of the same family lies in the network of ``base``."""
    return (base ^ value) >> (BITS[family] - prefixlen) == 0


def is_unspecified(text: str) -> bool:
    """Tell whether a canonical address is 0.0.0.0 or ::, which stand for any of their family."""
    return text in ("0.0.0.0", "::")  # noqa: S104 - not bound to


def _unmapped(family: int, value: int) -> tuple[int, int]:
    """Return the IPv4 address where an IPv6 one maps it."""
    if family == 6 and value >> 32 == _MAPPED:
        return 4, value & 0xFFFFFFFF
    return family, value


def _parse(text: str) -> tuple[int, int] | None:
    """Return (family, value), or None when the text is not an address."""
    if len(text) > _LONGEST:
        return None
    if ":" not in text:
        value = _parse4(text)
        return None if value is None else (4, value)
    value = _parse6(text)
    return None if value is None else _unmapped(6, value)


def _parse_prefix(text: str) -> tuple[int, int, int] | None:
    """Return (family, value, prefix length), or None when the text is not of that form."""
    address, slash, length = text.partition("/")
    if not slash or not (length.isascii() and length.isdigit()) or len(length) > _LONGEST:
        return None
    found = _parse(address)
    if found is None:
        return None
    family, value = found
    prefixlen = int(length)
    if ":" in address:
        if prefixlen > BITS[6]:
            return None
        if family == 4:  # the length counts from the top of the IPv6 address
            prefixlen = max(0, prefixlen - 96)
    elif prefixlen > BITS[4]:
        return None
    return family, value, prefixlen


def _parse4(text: str) -> int | None:
    """Return the value of four decimal numbers without leading zeros."""
    parts = text.split(".")
    if len(parts) != 4 or not text.isascii():
        return None
    value = 0
    for part in parts:
        if not part.isdigit() or len(part) > 3 or (part[0] == "0" and len(part) > 1):
            return None
        number = int(part)
        if number > 255:
            return None
        value = value << 8 | number
    return value


def _groups(text: str) -> list[int] | None:
    """Return the 16-bit groups of one side of the ellipsis; empty for an empty text."""
    if not text:
        return []
    groups = []
    parts = text.split(":")
    last = parts.pop()
    for part in parts:
        if not 1 <= len(part) <= 4 or part.strip(_HEX):
            return None
        groups.append(int(part, 16))
    if "." in last:
        v4 = _parse4(last)
        if v4 is None:
            return None
        groups += [v4 >> 16, v4 & 0xFFFF]
    elif 1 <= len(last) <= 4 and not last.strip(_HEX):
        groups.append(int(last, 16))
    else:
        return None
    return groups


def _parse6(text: str) -> int | None:
    """Return the value of colon-separated groups, of which "::" leaves out one or more."""
    head, ellipsis, tail = text.partition("::")
    before = _groups(head)
    after = _groups(tail)
    if before is None or after is None or (ellipsis and "." in head):
        return None
    missing = 8 - len(before) - len(after)
    if (missing < 1) if ellipsis else (missing != 0):
        return None
    value = 0
    for group in (*before, *([0] * missing), *after):
        value = value << 16 | group
    return value


def _format6(value: int) -> str:
    """Return groups in lower case, the first longest run of two or more zeros left out."""
    groups = [value >> shift & 0xFFFF for shift in range(112, -16, -16)]
    start, length, i = 0, 1, 0
    while i < 8:
        end = i
        while end < 8 and groups[end] == 0:
            end += 1
        if end - i > length:
            start, length = i, end - i
        i = end + 1
    shown = [f"{group:x}" for group in groups]
    if length == 1:
        return ":".join(shown)
    return f"{':'.join(shown[:start])}::{':'.join(shown[start + length :])}"
