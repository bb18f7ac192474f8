"""IP addresses by the rules of Go, against ipaddress where the two agree."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cnifast.protocol import ip
from cnifast.protocol.codec import DecodeError

ADDRESSES = [
    ("0.0.0.1", 4, "0.0.0.1"),
    ("10.1.2.255", 4, "10.1.2.255"),
    ("::", 6, "::"),
    ("::1", 6, "::1"),
    ("1::", 6, "1::"),
    ("FD00:0:0::00A1", 6, "fd00::a1"),
    ("1:0:0:2:0:0:0:3", 6, "1:0:0:2::3"),
    ("1:0:0:2:2:0:0:3", 6, "1::2:2:0:0:3"),
    ("1:0:2:3:4:5:6:7", 6, "1:0:2:3:4:5:6:7"),
    ("0:2:3:4:5:6:7:8", 6, "0:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:7::", 6, "1:2:3:4:5:6:7:0"),
    ("::2:3:4:5:6:7:8", 6, "0:2:3:4:5:6:7:8"),
    ("64:ff9b::1.2.3.4", 6, "64:ff9b::102:304"),
    ("1:2:3:4:5:6:1.2.3.4", 6, "1:2:3:4:5:6:102:304"),
    ("::1.2.3.4", 6, "::102:304"),
    ("::ffff:1.2.3.4", 4, "1.2.3.4"),
    ("::FFFF:102:304", 4, "1.2.3.4"),
    ("0:0:0:0:0:ffff:a00:1", 4, "10.0.0.1"),
]

NOT_ADDRESSES = [
    "", " ", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.00", "1.2.3.-4", "1..3.4",
    "1.2.3.4 ", " 1.2.3.4", "0x1.2.3.4", "1.2.3.4/8", "\u0661.2.3.4", "\u00b2.2.3.4",
    ":", ":::", ":1", "1:", "1:2", "1::2::3", "12345::", "g::", "::g", "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8:9", "1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:1.2.3.4",
    "::1.2.3", "::1.2.3.04", "1.2.3.4::", "::1.2.3.4:5",
    "fe80::1%eth0", "fe80::1%", "[::1]", "::1/64",
    "::1\0", "1" * 100_000, "1:" * 100_000, "::" + "\u0661",
]  # fmt: skip

NETWORKS = [
    ("10.1.2.3/16", (4, 0x0A010203, 16)),
    ("10.1.2.3/0", (4, 0x0A010203, 0)),
    ("10.1.2.3/032", (4, 0x0A010203, 32)),
    ("fd00::1/64", (6, 0xFD << 120 | 1, 64)),
    ("::/0", (6, 0, 0)),
    ("::ffff:10.0.0.1/120", (4, 0x0A000001, 24)),
    ("::ffff:10.0.0.1/64", (4, 0x0A000001, 0)),
]

NOT_NETWORKS = [
    "", "/", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "10.0.0.0/8 ",
    "10.0.0.0 /8", "10.0.0.0/8/8", "10.0.0.0/255.0.0.0", "10.0.0.0/\u0668", "10.0.0.0/\u00b2",
    "10.0/8", "::/129", "fe80::%1/64", "10.0.0.0/" + "9" * 100_000, "10.0.0.0/" + "0" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize(("text", "family", "canonical"), ADDRESSES)
def test_address(text: str, family: int, canonical: str) -> None:
    """An address is read as its family and value, and printed in canonical form."""
    found = ip.parse_ip(text)
    assert found[0] == family
    assert ip.format_ip(*found) == canonical
    assert ip.parse_ip(canonical) == found


@pytest.mark.parametrize("text", NOT_ADDRESSES, ids=lambda text: ascii(text[:20]))
def test_no_address(text: str) -> None:
    """What Go does not take for an address is refused with a short message."""
    with pytest.raises(DecodeError, match=r"^invalid IP address: ") as refused:
        ip.parse_ip(text)
    assert len(str(refused.value)) < 100


@pytest.mark.parametrize(("text", "expected"), NETWORKS)
def test_network(text: str, expected: tuple[int, int, int]) -> None:
    """A network keeps its host bits; a mapped one counts its prefix as IPv4 does."""
    assert ip.parse_cidr(text) == expected


@pytest.mark.parametrize("text", NOT_NETWORKS, ids=lambda text: ascii(text[:20]))
def test_no_network(text: str) -> None:
    """What Go does not take for address and prefix length is refused with a short message."""
    with pytest.raises(DecodeError, match=r"^invalid CIDR address: ") as refused:
        ip.parse_cidr(text)
    assert len(str(refused.value)) < 100


def test_masks() -> None:
    """Networks, masks and membership follow from the prefix length, at both ends of its range."""
    family, value, plen = ip.parse_cidr("10.1.2.3/20")
    base = ip.network(family, value, plen)
    assert ip.format_cidr(family, base, plen) == "10.1.0.0/20"
    assert ip.format_ip(4, ip.broadcast(family, value, plen)) == "10.1.15.255"
    assert ip.format_ip(4, ip.netmask(4, 20)) == "255.255.240.0"
    assert ip.contains(4, base, 20, value)
    assert not ip.contains(4, base, 20, value + (1 << 12))
    assert ip.contains(6, 0, 0, (1 << 128) - 1)
    assert ip.netmask(6, 0) == 0
    assert ip.hostmask(4, 32) == 0
    assert ip.network(4, value, 32) == value


def test_bytes() -> None:
    """Addresses go to and from bytes; mapped IPv6 bytes are the IPv4 address."""
    assert ip.packed(4, 0x0A000001) == b"\x0a\0\0\1"
    assert ip.packed(6, 1) == bytes(15) + b"\1"
    assert ip.unpacked(b"\x0a\0\0\1") == (4, 0x0A000001)
    assert ip.unpacked(bytes(10) + b"\xff\xff\x0a\0\0\1") == (4, 0x0A000001)
    with pytest.raises(DecodeError):
        ip.unpacked(b"123")


def test_caches_stay_small() -> None:
    """Many different texts do not make the caches grow without end."""
    for i in range(5000):
        ip.format_ip(*ip.parse_ip(f"10.0.{i >> 8}.{i & 255}"))
        ip.parse_cidr(f"10.0.{i >> 8}.{i & 255}/16")
    assert len(ip._addresses) <= ip._CACHE_MAX
    assert len(ip._networks) <= ip._CACHE_MAX
    assert len(ip._texts) <= ip._CACHE_MAX


def known_to_ipaddress(text: str) -> tuple[int, int] | None:
    """Return what ipaddress makes of a text, with its zones refused and mapped addresses IPv4."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            return None
        if found.ipv4_mapped is not None:
            return 4, int(found.ipv4_mapped)
    return found.version, int(found)


@given(
    st.text("0123456789abcdefF:.%/ g", max_size=24)
    | st.lists(
        st.sampled_from(["0", "1", "ff", "10", "255", "1.2.3.4", "", "ffff"]), max_size=10
    ).map(":".join)
    | st.text(max_size=8)
)
@example("::ffff:1.2.3.4")
def test_agrees_on_any_text(text: str) -> None:
    """A text is an address to us exactly when it is one to ipaddress, and the same one."""
    expected = known_to_ipaddress(text)
    if expected is None:
        with pytest.raises(DecodeError):
            ip.parse_ip(text)
    else:
        assert ip.parse_ip(text) == expected


@given(st.integers(0, 2**128 - 1) | st.integers(0, 7).map(lambda n: 0xFFFF << 16 * n))
def test_canonical_ipv6(value: int) -> None:
    """The canonical text of an IPv6 address is that of ipaddress, and reads back."""
    found = ipaddress.IPv6Address(value)
    if found.ipv4_mapped is None:
        assert ip.format_ip(6, value) == str(found)
        assert ip.parse_ip(str(found)) == (6, value)
        assert ip.parse_ip(found.exploded.upper()) == (6, value)


@given(st.text("0123456789abcdef:./ ", max_size=24) | st.text(max_size=12))
def test_any_text_as_network(text: str) -> None:
    """Whatever the text, reading a network gives one within bounds or a DecodeError."""
    try:
        family, value, plen = ip.parse_cidr(text)
    except DecodeError:
        return
    assert 0 <= value < 1 << ip.BITS[family]
    assert 0 <= plen <= ip.BITS[family]
    assert ip.parse_cidr(ip.format_cidr(family, value, plen)) == (family, value, plen)
