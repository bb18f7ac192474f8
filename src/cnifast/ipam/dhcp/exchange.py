"""One conversation of a client with servers, as a state machine: no I/O, no clock of its own.

    exchange = Exchange(client, timing, now)        # or Exchange.renewing(...)
    while exchange.outcome is None:
        for packet in exchange.send(now): ...       # what is due; the next is at exchange.wake
        exchange.receive(message, sender, now)      # whatever came in

Times are seconds of whatever clock the caller has.  It ends with an outcome: an acknowledgement,
or a text that says why there is none.
"""

from __future__ import annotations

import os

from cnifast.ipam.dhcp import message as dhcp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnifast.ipam.dhcp.message import Message

EVERYBODY = 0xFFFFFFFF
EVERY_MAC = b"\xff" * 6

# The first packet of a link that came up just now may be lost: a bridge's port may not forward yet.
_DELAYS = (0.1, 1.0, 2.0, 4.0)
_JITTER = 0.1  # of each delay, so that many clients do not stay in step
_SIZE_MAX = (1472).to_bytes(2)  # bytes of a message that fits into an Ethernet frame


class Timing:
    """How long a client waits, in seconds.

    ``timeout`` is for one request, ``resend_max`` between packets, ``resend_timeout`` for a lease
    as a whole.
    """

    __slots__ = ("resend_max", "resend_timeout", "timeout")

    def __init__(
        self, timeout: float = 10.0, resend_max: float = 62.0, resend_timeout: float = 208.0
    ) -> None:
        self.timeout = timeout
        self.resend_max = resend_max
        self.resend_timeout = resend_timeout


class Client:
    """What a client says of itself in every message; ``options`` are (code, value)."""

    __slots__ = ("broadcast", "client_id", "mac", "options")

    def __init__(
        self,
        mac: bytes,
        client_id: bytes,
        options: tuple[tuple[int, bytes], ...] = (),
        *,
        broadcast: bool = False,
    ) -> None:
        self.mac = mac
        self.client_id = client_id
        self.options = options
        self.broadcast = broadcast

    def encode(
        self,
        kind: int,
        xid: int,
        options: tuple[tuple[int, bytes], ...] = (),
        *,
        seconds: int = 0,
        address: int = 0,
    ) -> bytes:
        """Return a message from this client."""
        said = () if kind == dhcp.RELEASE else ((dhcp.SIZE_MAX, _SIZE_MAX), *self.options)
        return dhcp.encode(
            kind=kind,
            xid=xid,
            mac=self.mac,
            # Those of the configuration come after the client's own: they replace them.
            options=((dhcp.CLIENT_ID, self.client_id), *said, *options),
            seconds=seconds,
            address=address,
            broadcast=self.broadcast and not address,
        )


class Packet:
    """A message on its way: its bytes, addresses, and where the frame goes."""

    __slots__ = ("data", "mac", "source", "target")

    def __init__(self, data: bytes, source: int, target: int, mac: bytes) -> None:
        self.data = data
        self.source = source
        self.target = target
        self.mac = mac


class Granted:
    """A server's acknowledgement, and the hardware address it came from."""

    __slots__ = ("message", "sender", "server")

    def __init__(self, message: Message, sender: bytes, server: int) -> None:
        self.message = message
        self.sender = sender
        self.server = server


class Exchange:
    """A conversation; ``wake`` is when the next packet is due, ``outcome`` how it ended.

    ``refused`` tells whether a server said no in it.
    """

    def __init__(self, client: Client, timing: Timing, now: float, *, address: int = 0) -> None:
        """Ask for a lease; with an address only one of that address will do."""
        self._client = client
        self._timing = timing
        self._begun = now
        self._end = now + timing.resend_timeout
        self._wanted = address
        self._held = 0  # the address that packets come from
        self._to = EVERYBODY, EVERY_MAC
        self._requests = False
        self._offer: tuple[int, int] | None = None  # (address, server)
        self._request_end = self._end
        self._sent = 0
        self._ever_sent = 0
        self._last_offer = ""
        self.refused = False
        self.outcome: Granted | str | None = None
        self.wake = now
        self._new_xid()

    @classmethod
    def renewing(
        cls,
        client: Client,
        timing: Timing,
        now: float,
        *,
        address: int,
        server: tuple[int, bytes] | None,
    ) -> Exchange:
        """Ask for more of a lease: its server (address, MAC), or, for None, every server."""
        self = cls(client, timing, now, address=address)
        self._held = address
        self._requests = True
        self._end = now + timing.timeout
        if server is not None:
            self._to = server
        return self

    def send(self, now: float) -> Iterator[Packet]:
        """Yield what is to be sent now, and settle when to ask again."""
        if self.outcome is not None or now < self.wake:
            return
        if now >= self._end:
            self.outcome = self._failure()
            return
        if self._offer is not None and now >= self._request_end:
            self._start_anew(now)
        delay = _DELAYS[self._sent] if self._sent < len(_DELAYS) else self._backoff()
        delay = min(delay * (1 + _JITTER * (2 * os.urandom(1)[0] / 255 - 1)), self._end - now)
        if self._offer is not None:
            delay = min(delay, self._request_end - now)
        self.wake = now + delay
        self._sent += 1
        self._ever_sent += 1
        target, mac = self._to
        yield Packet(self._message(int(now - self._begun)), self._held, target, mac)
        self._to = target, EVERY_MAC  # it may have another one by now

    def _backoff(self) -> float:
        """Return the delay after the first ones: twice as long each time, up to a bound."""
        return min(_DELAYS[-1] * 2.0 ** min(self._sent - len(_DELAYS) + 1, 10), self._limit)

    @property
    def _limit(self) -> float:
        return max(self._timing.resend_max, _DELAYS[0])

    def _message(self, seconds: int) -> bytes:
        """Return what the state calls for."""
        encode = self._client.encode
        if self._requests:
            return encode(dhcp.REQUEST, self._xid, seconds=seconds, address=self._held)
        if self._offer is not None:
            address, server = self._offer
            chosen = (
                (dhcp.REQUESTED_ADDRESS, address.to_bytes(4)),
                (dhcp.SERVER, server.to_bytes(4)),
            )
            return encode(dhcp.REQUEST, self._xid, chosen, seconds=seconds)
        wish = ((dhcp.REQUESTED_ADDRESS, self._wanted.to_bytes(4)),) if self._wanted else ()
        return encode(dhcp.DISCOVER, self._xid, wish, seconds=seconds)

    def receive(self, message: Message, sender: bytes, now: float) -> None:
        """Take a message from a server; what does not belong here is ignored."""
        if self.outcome is not None or message.xid != self._xid:
            return
        if message.mac != self._client.mac:
            return
        kind, server = message.kind, message.server
        if kind == dhcp.OFFER and not self._requests and self._offer is None:
            self._take_offer(message, server, now)
        elif kind == dhcp.ACK and (self._requests or self._offer is not None):
            self._take_ack(message, sender, server)
        elif kind == dhcp.NAK and (self._requests or self._offer is not None):
            self._take_nak(message, server, now)

    def _take_offer(self, message: Message, server: int | None, now: float) -> None:
        """Choose an offer, and ask for what it offers."""
        if server is None or not _is_host(message.address):
            return
        if self._wanted and message.address != self._wanted:
            self._last_offer = "another address was offered"
            return
        self._offer = message.address, server
        self._request_end = min(now + self._timing.timeout, self._end)
        self._sent = 0
        self.wake = now

    def _take_ack(self, message: Message, sender: bytes, server: int | None) -> None:
        """End with what a server granted."""
        if server is None or not _is_host(message.address):
            return
        asked = self._offer or (self._held, server)
        if (message.address, server) != asked:
            return
        self.outcome = Granted(message, sender, server)

    def _take_nak(self, message: Message, server: int | None, now: float) -> None:
        """End, or start anew after a while, as a server refuses."""
        if self._offer is not None and server != self._offer[1]:
            return
        self.refused = True
        said = message.options.get(dhcp.TEXT, b"").decode("ascii", "replace")
        self._last_offer = f"the server refused{': ' + said if said else ''}"
        if self._requests:
            self.outcome = self._last_offer
            return
        self._start_anew(now)
        self.wake = now + _DELAYS[1]

    def _start_anew(self, now: float) -> None:
        """Forget the offer and look for another one."""
        if now >= self._request_end:
            self._last_offer = "the server did not answer the REQUEST for what it offered"
        self._offer = None
        self._request_end = self._end
        self._sent = 1  # the link is known to work: do not hurry
        self._new_xid()

    def _new_xid(self) -> None:
        self._xid = int.from_bytes(os.urandom(4))

    def _failure(self) -> str:
        """Say why there is no lease."""
        seconds = f"{self._end - self._begun:g} s"
        if self._last_offer:
            return f"no DHCP lease within {seconds}: {self._last_offer}"
        return f"no DHCP answer within {seconds}: {self._ever_sent} packets were sent"


def _is_host(address: int) -> bool:
    """Tell whether an address can be an interface's own."""
    return 0x01000000 <= address < 0xE0000000 and address >> 24 != 127
