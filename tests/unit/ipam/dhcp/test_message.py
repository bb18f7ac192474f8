"""What is on the wire: messages, packets, routes; and whatever somebody else puts there."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.ipam.dhcp import frame
from cnifast.ipam.dhcp import message as dhcp
from cnifast.protocol.codec import DecodeError
from helpers.dhcpserver import ADDRESS, COOKIE, MAC, SERVER, Request, raw

PACKET = bytes.fromhex(
    # UDP from 10.5.0.1:67 to 10.5.0.50:68 with 4 bytes; checksums by another implementation
    "4500002000000000401166910a0500010a05003200430044000ce70c01020304"
)


def test_encoded_request() -> None:
    """A message to a server is what the standard says, byte for byte."""
    data = dhcp.encode(
        kind=dhcp.REQUEST,
        xid=0x01020304,
        mac=MAC,
        options=((61, b"\0a"), (50, b"\x0a\x05\0\x32"), (61, b"\0b")),
        seconds=70000,
        address=ADDRESS,
        broadcast=True,
    )
    assert len(data) == 300
    assert data[:28] == bytes.fromhex(
        "01010600 01020304 ffff8000 0a050032 00000000 00000000 00000000"
    )
    assert data[28:44] == MAC.ljust(16, b"\0")
    assert data[44:236] == bytes(192)
    assert data[236:256] == COOKIE + bytes.fromhex("350103 3d020062 32040a050032 ff").ljust(
        16, b"\0"
    )


def test_option_that_is_too_long() -> None:
    """A value that does not fit into an option is refused."""
    with pytest.raises(ValueError, match="option 12: 256 bytes"):
        dhcp.encode(kind=1, xid=1, mac=MAC, options=((12, bytes(256)),))


def test_decoded_answer() -> None:
    """An answer's fields and options are read."""
    found = dhcp.decode(raw(dhcp.ACK, 77, o3=b"\x0a\x05\0\x01"))
    assert (found.kind, found.xid, found.address, found.server) == (5, 77, ADDRESS, SERVER)
    assert found.mac == MAC
    assert dhcp.addresses(found.options[dhcp.ROUTER]) == [SERVER]
    assert dhcp.number(found.options, dhcp.LEASE_SECONDS, 4) == 3600


def test_option_in_parts() -> None:
    """An option that comes in several parts is one, also where they are in other fields."""
    data = bytearray(raw(dhcp.OFFER, 1)[:-1] + b"\x0c\x02ab\x34\x01\x03\0\x0c\x01c\xff")
    data[108:112] = b"\x0c\x02de"
    data[112] = 255
    data[44:47] = b"\x0c\x01f"
    data[47] = 255
    assert dhcp.decode(bytes(data)).options[12] == b"abcdef"


GOOD = raw(dhcp.ACK, 1)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "0 bytes is too short"),
        (GOOD[:239], "239 bytes is too short"),
        (b"\x01" + GOOD[1:], "operation 1 is no answer"),
        (GOOD[:236] + b"abcd" + GOOD[240:], "without the cookie"),
        (GOOD[:2] + b"\x11" + GOOD[3:], "hardware address of 17 bytes"),
        (GOOD[:-1] + b"\x0c", "option 12 is cut off"),
        (GOOD[:-1] + b"\x0c\x05abcd", "option 12 is cut off"),
        (GOOD[:-1] + b"\x34\x01\x01\xff", "option 255 is cut off|^$"),
    ],
)
def test_malformed(data: bytes, why: str) -> None:
    """What is no whole answer is refused, in words."""
    if why.endswith("^$"):  # an empty field is an empty list of options
        assert dhcp.decode(data).kind == dhcp.ACK
        return
    with pytest.raises(DecodeError, match=why):
        dhcp.decode(data)


@given(st.binary(max_size=700))
def test_noise(data: bytes) -> None:
    """No bytes whatever do more than to be refused."""
    for noise in (data, GOOD[:240] + data, GOOD[:44] + data.ljust(192, b"\0")[:192] + GOOD[236:]):
        with contextlib.suppress(DecodeError):
            dhcp.decode(noise)


@given(st.integers(0, len(GOOD) * 8 - 1), st.integers(0, len(GOOD)))
def test_damage(bit: int, size: int) -> None:
    """A message with a flipped bit, cut off anywhere, is read or refused."""
    data = bytearray(GOOD)
    data[bit // 8] ^= 1 << bit % 8
    for damaged in (bytes(data), bytes(data[:size])):
        with contextlib.suppress(DecodeError):
            dhcp.decode(damaged)


@given(
    st.dictionaries(st.integers(1, 254).filter(lambda c: c != 53), st.binary(max_size=255)),
    st.integers(0, 2**32 - 1),
)
def test_options_arrive(options: dict[int, bytes], xid: int) -> None:
    """Every option that is sent can be read again."""
    data = dhcp.encode(kind=1, xid=xid, mac=MAC, options=options.items())
    found = dhcp.decode(b"\x02" + data[1:])
    found.options.pop(53)
    if found.options.get(52, b"") not in (b"\1", b"\2", b"\3"):
        assert found.options == options
    assert found.xid == xid


def test_unwrapped() -> None:
    """A server's packet carries its message; link-layer padding behind it does not count."""
    assert frame.unwrap(PACKET + bytes(18), verify=True) == (SERVER, b"\1\2\3\4")


def test_wrapped() -> None:
    """A packet that is sent has the checksums that a receiver looks for."""
    packet = bytearray(frame.wrap(b"\1\2\3", 0, 0xFFFFFFFF))
    assert packet[20:24] == bytes.fromhex("00440043")
    packet[20:24] = bytes.fromhex("00430044")  # the sum stays what it is
    assert frame.unwrap(bytes(packet), verify=True) == (0, b"\1\2\3")


@pytest.mark.parametrize("at", range(len(PACKET)))
def test_damaged_packet(at: int) -> None:
    """A packet with any damaged byte is refused."""
    damaged = bytearray(PACKET)
    damaged[at] ^= 0x55
    with pytest.raises(DecodeError):
        frame.unwrap(bytes(damaged), verify=True)


def test_checksum_that_is_not_there_yet() -> None:
    """What comes from this machine may not have its checksum yet."""
    unfinished = PACKET[:26] + b"\x12\x34" + PACKET[28:]
    with pytest.raises(DecodeError, match="UDP datagram with a wrong checksum"):
        frame.unwrap(unfinished, verify=True)
    assert frame.unwrap(unfinished, verify=False)[1] == b"\1\2\3\4"
    without = PACKET[:26] + b"\0\0" + PACKET[28:]
    assert frame.unwrap(without, verify=True)[1] == b"\1\2\3\4"


@given(st.binary(max_size=100))
def test_noise_for_a_packet(data: bytes) -> None:
    """No bytes whatever do more than to be refused."""
    for noise in (data, PACKET[:20] + data, b"\x45" + data):
        with contextlib.suppress(DecodeError):
            frame.unwrap(noise, verify=False)


@pytest.mark.parametrize(
    ("mask", "length"),
    [
        ("00000000", 0),
        ("ffffff00", 24),
        ("ffffffff", 32),
        ("ff00ff00", None),
        ("00ffffff", None),
        ("ffff", None),
        ("", None),
    ],
)
def test_mask(mask: str, length: int | None) -> None:
    """A mask is a prefix, or it is none."""
    assert dhcp.mask_length(bytes.fromhex(mask)) == length


def test_static_routes() -> None:
    """Static routes have the length of their class; half a route is none."""
    value = bytes.fromhex("0a010203 01010101 ac100001 02020202 c0a80101 03030303 0b000000")
    assert dhcp.static_routes(value) == [
        (0x0A000000, 8, 0x01010101),
        (0xAC100000, 16, 0x02020202),
        (0xC0A80100, 24, 0x03030303),
    ]


def test_classless_routes() -> None:
    """Classless routes have as many bytes of destination as they need."""
    value = bytes.fromhex("00 01010101 10 0a09 02020202 13 c0a8ff 03030303 20 01020304 00000000")
    assert dhcp.classless_routes(value) == [
        (0, 0, 0x01010101),
        (0x0A090000, 16, 0x02020202),
        (0xC0A8E000, 19, 0x03030303),
        (0x01020304, 32, 0),
    ]


@pytest.mark.parametrize("value", ["21 0a090000 02020202", "10 0a09 020202", "10 0a", "18"])
def test_malformed_classless_routes(value: str) -> None:
    """A route that is cut off, or longer than an address, is refused."""
    with pytest.raises(DecodeError):
        dhcp.classless_routes(bytes.fromhex(value))


@given(st.binary(max_size=60))
def test_noise_for_routes(data: bytes) -> None:
    """No bytes whatever do more than to be refused."""
    dhcp.static_routes(data)
    with contextlib.suppress(DecodeError):
        for network, length, _ in dhcp.classless_routes(data):
            assert network & (0xFFFFFFFF >> length if length else 0xFFFFFFFF) == 0 or length == 32


def test_request_is_read() -> None:
    """The reader that the other tests use agrees with the standard's layout."""

    class Sent:
        data = bytes.fromhex("01010600deadbeef00008000") + bytes(224) + COOKIE + b"\x35\x01\x01\xff"

    request = Request(Sent())  # type: ignore[arg-type]
    assert (request.xid, request.kind, request.broadcast) == (0xDEADBEEF, 1, True)
