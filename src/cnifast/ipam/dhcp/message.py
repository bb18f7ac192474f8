"""DHCPv4 messages as bytes (RFC 2131, RFC 2132, RFC 3396); no I/O.

What comes in is from whoever is on the network: everything is measured before it is read.
"""

from __future__ import annotations

from cnifast.protocol.codec import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DISCOVER, OFFER, REQUEST, DECLINE, ACK, NAK, RELEASE = range(1, 8)

PAD = 0
SUBNET_MASK = 1
ROUTER = 3
STATIC_ROUTES = 33
REQUESTED_ADDRESS = 50
LEASE_SECONDS = 51
OVERLOAD = 52
MESSAGE_TYPE = 53
SERVER = 54
REQUEST_LIST = 55
TEXT = 56
SIZE_MAX = 57
RENEW_SECONDS = 58
REBIND_SECONDS = 59
CLIENT_ID = 61
CLASSLESS_ROUTES = 121
END = 255

BROADCAST = 0x8000  # of the flags: answers are to be broadcast
OPTION_MAX = 255  # bytes of one option on the wire

_TO_SERVER, _TO_CLIENT = 1, 2
_ETHERNET = 1
_COOKIE = b"\x63\x82\x53\x63"
_FIXED = 236  # bytes before the cookie
_SIZE_MIN = 300  # bytes; relays drop what is shorter
_SERVER_NAME, _FILE = slice(44, 108), slice(108, 236)


class Message:
    """A message from a server; addresses are numbers, options their bytes by code."""

    __slots__ = ("address", "mac", "options", "xid")

    def __init__(self, xid: int, address: int, mac: bytes, options: dict[int, bytes]) -> None:
        self.xid = xid
        self.address = address
        self.mac = mac
        self.options = options

    @property
    def kind(self) -> int:
        """Its type, 0 for none."""
        return number(self.options, MESSAGE_TYPE, 1) or 0

    @property
    def server(self) -> int | None:
        """The server that sent it, None where it does not say."""
        return number(self.options, SERVER, 4)


def number(options: Mapping[int, bytes], code: int, size: int) -> int | None:
    """Return the number that an option of so many bytes is, None where it is absent or another."""
    value = options.get(code, b"")
    return int.from_bytes(value) if len(value) == size else None


def encode(
    *,
    kind: int,
    xid: int,
    mac: bytes,
    options: Iterable[tuple[int, bytes]],
    seconds: int = 0,
    address: int = 0,
    broadcast: bool = False,
) -> bytes:
    """Return a message to a server.

    Args:
        kind: its type.
        xid: number of the conversation.
        mac: the client's hardware address.
        options: (code, value); of the same code the last one counts.
        seconds: since the conversation began.
        address: that the client has and is reached by.
        broadcast: whether answers are to be broadcast.

    Raises:
        ValueError: a value is longer than an option can be.
    """
    head = bytearray(_FIXED)
    head[0:4] = bytes((_TO_SERVER, _ETHERNET, len(mac), 0))
    head[4:8] = xid.to_bytes(4)
    head[8:10] = min(seconds, 0xFFFF).to_bytes(2)
    head[10:12] = (BROADCAST if broadcast else 0).to_bytes(2)
    head[12:16] = address.to_bytes(4)
    head[28 : 28 + len(mac)] = mac
    body = bytearray(_COOKIE)
    for code, value in {MESSAGE_TYPE: bytes((kind,)), **dict(options)}.items():
        if len(value) > OPTION_MAX:
            raise ValueError(f"DHCP option {code}: {len(value)} bytes are more than {OPTION_MAX}")
        body += bytes((code, len(value))) + value
    body.append(END)
    return bytes(head + body).ljust(_SIZE_MIN, b"\0")


def decode(data: bytes) -> Message:
    """Return the message that a server sent.

    Raises:
        DecodeError: it is none, or it is cut off or contradicts itself.
    """
    if len(data) < _FIXED + len(_COOKIE):
        raise DecodeError(f"a DHCP message of {len(data)} bytes is too short")
    if data[0] != _TO_CLIENT:
        raise DecodeError(f"a DHCP message of operation {data[0]} is no answer")
    if data[_FIXED : _FIXED + len(_COOKIE)] != _COOKIE:
        raise DecodeError("a message without the cookie is not DHCP")
    if data[2] > 16:
        raise DecodeError(f"a hardware address of {data[2]} bytes is too long")
    options: dict[int, bytes] = {}
    _collect(data[_FIXED + len(_COOKIE) :], options)
    overload = number(options, OVERLOAD, 1) or 0
    if overload & 1:
        _collect(data[_FILE], options)
    if overload & 2:
        _collect(data[_SERVER_NAME], options)
    return Message(
        int.from_bytes(data[4:8]), int.from_bytes(data[16:20]), data[28 : 28 + data[2]], options
    )


def _collect(field: bytes, options: dict[int, bytes]) -> None:
    """Add the options of a field; one in several parts is one."""
    at = 0
    while at < len(field):
        code = field[at]
        at += 1
        if code == END:
            return
        if code == PAD:
            continue
        if at >= len(field) or at + 1 + field[at] > len(field):
            raise DecodeError(f"DHCP option {code} is cut off")
        size = field[at]
        options[code] = options.get(code, b"") + field[at + 1 : at + 1 + size]
        at += 1 + size


def addresses(value: bytes) -> list[int]:
    """Return the addresses of an option that is a list of them; what is left over is ignored."""
    return [int.from_bytes(value[at : at + 4]) for at in range(0, len(value) - 3, 4)]


def mask_length(value: bytes) -> int | None:
    """Return the prefix length that a subnet mask means, None where it is no mask."""
    if len(value) != 4:
        return None
    bits = int.from_bytes(value)
    length = bits.bit_count()
    return length if bits == (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF else None


def static_routes(value: bytes) -> list[tuple[int, int, int]]:
    """Return (destination, prefix length, router) of the routes by class of option 33."""
    found = addresses(value)
    pairs = zip(found[::2], found[1::2], strict=False)
    routes = []
    for network, router in pairs:
        length = 24 if network >= 0xC0000000 else 16 if network >= 0x80000000 else 8
        routes.append((network & (0xFFFFFFFF << (32 - length)), length, router))
    return routes


def classless_routes(value: bytes) -> list[tuple[int, int, int]]:
    """Return (destination, prefix length, router) of the routes of option 121 (RFC 3442).

    Raises:
        DecodeError: a prefix length is none, or a route is cut off.
    """
    routes = []
    at = 0
    while at < len(value):
        length = value[at]
        used = (length + 7) // 8
        if length > 32:
            raise DecodeError(f"a classless static route has a prefix of {length} bits")
        if at + 1 + used + 4 > len(value):
            raise DecodeError("a classless static route is cut off")
        network = int.from_bytes(value[at + 1 : at + 1 + used].ljust(4, b"\0"))
        network &= (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF
        at += 1 + used
        routes.append((network, length, int.from_bytes(value[at : at + 4])))
        at += 4
    return routes
