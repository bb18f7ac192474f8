"""A client's conversations with servers, in a time that the test makes pass."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from cnifast.ipam.dhcp import message as dhcp
from cnifast.ipam.dhcp.exchange import EVERY_MAC, EVERYBODY, Client, Exchange, Granted, Timing
from helpers.dhcpserver import ADDRESS, MAC, SERVER, SERVER_MAC, Request, raw

if TYPE_CHECKING:
    from collections.abc import Callable

CLIENT = Client(MAC, b"\0c/net/eth0", ((dhcp.REQUEST_LIST, b"\3\1"), (12, b"web")))
OTHER = 0x0A050099


def converse(
    exchange: Exchange, answer: Callable[[Request], list[bytes]], start: float = 0.0
) -> list[tuple[float, int]]:
    """Let a conversation go on to its end; return when the client sent what."""
    now, sent = start, []
    while exchange.outcome is None:
        came = []
        for packet in exchange.send(now):
            request = Request(packet)
            sent.append((round(now - start, 1), request.kind))
            came += answer(request)
        for data in came:
            exchange.receive(dhcp.decode(data), SERVER_MAC, now)
        if exchange.outcome is None:
            now = exchange.wake
    return sent


def silent(_request: Request) -> list[bytes]:
    """Answer nothing."""
    return []


def granting(request: Request) -> list[bytes]:
    """Answer as a server does that has addresses."""
    kind = dhcp.OFFER if request.kind == dhcp.DISCOVER else dhcp.ACK
    return [raw(kind, request.xid)]


def test_lease() -> None:
    """DISCOVER, OFFER, REQUEST of what was offered, ACK."""
    heard = []

    def server(request: Request) -> list[bytes]:
        heard.append(request)
        return granting(request)

    exchange = Exchange(CLIENT, Timing(), 0.0)
    assert converse(exchange, server) == [(0.0, dhcp.DISCOVER), (0.0, dhcp.REQUEST)]
    assert isinstance(exchange.outcome, Granted)
    assert exchange.outcome.message.address == ADDRESS
    assert (exchange.outcome.server, exchange.outcome.sender) == (SERVER, SERVER_MAC)
    for request in heard:
        assert request.options[61] == b"\0c/net/eth0"
        assert request.options[55] == b"\3\1"
        assert request.options[12] == b"web"
        assert request.xid == heard[0].xid
        assert (request.packet.source, request.packet.target) == (0, EVERYBODY)
        assert (request.packet.mac, request.address, request.broadcast) == (EVERY_MAC, 0, False)
    assert dhcp.REQUESTED_ADDRESS not in heard[0].options
    assert heard[1].options[50] == ADDRESS.to_bytes(4)
    assert heard[1].options[54] == SERVER.to_bytes(4)


def test_silence() -> None:
    """Without answers the delays grow, up to their bound, and the end comes when it was to come."""
    exchange = Exchange(CLIENT, Timing(resend_max=20, resend_timeout=100), 0.0)
    sent = converse(exchange, silent)
    delays = [after - before for (before, _), (after, _) in pairwise(sent)]
    for delay, expected in zip(delays, [0.1, 1, 2, 4, 8, 16, 20, 20], strict=False):
        assert expected * 0.85 <= delay <= expected * 1.15 + 0.05
    assert sent[-1][0] < 100
    assert exchange.outcome == f"no DHCP answer within 100 s: {len(sent)} packets were sent"


def test_request_without_answer() -> None:
    """An offer whose REQUEST is not answered is forgotten after a while, and another one sought."""
    deaf = 0

    def server(request: Request) -> list[bytes]:
        nonlocal deaf
        if request.kind == dhcp.DISCOVER:
            deaf += 1
            return [raw(dhcp.OFFER, request.xid)]
        return granting(request) if deaf == 2 else []

    exchange = Exchange(CLIENT, Timing(timeout=5), 0.0)
    sent = converse(exchange, server)
    assert isinstance(exchange.outcome, Granted)
    assert [kind for _, kind in sent].count(dhcp.DISCOVER) == 2
    assert sent[-1] == (5.0, dhcp.REQUEST)


def test_refusal_of_an_offer() -> None:
    """After a NAK the client looks for another offer, but not at once."""
    refusals = 2

    def server(request: Request) -> list[bytes]:
        nonlocal refusals
        if request.kind == dhcp.REQUEST and refusals:
            refusals -= 1
            return [raw(dhcp.NAK, request.xid, o56=b"taken")]
        return granting(request)

    exchange = Exchange(CLIENT, Timing(), 0.0)
    assert converse(exchange, server) == [
        (float(second), kind) for second in range(3) for kind in (dhcp.DISCOVER, dhcp.REQUEST)
    ]
    assert exchange.refused


def test_refusal_is_told() -> None:
    """Where every REQUEST is refused, the server's words are in the error."""

    def server(request: Request) -> list[bytes]:
        if request.kind == dhcp.DISCOVER:
            return [raw(dhcp.OFFER, request.xid)]
        return [raw(dhcp.NAK, request.xid, o56=b"no, never")]

    exchange = Exchange(CLIENT, Timing(resend_timeout=5), 0.0)
    converse(exchange, server)
    assert exchange.outcome == "no DHCP lease within 5 s: the server refused: no, never"


@pytest.mark.parametrize(
    "answer",
    [
        lambda r: raw(dhcp.OFFER, r.xid ^ 1),
        lambda r: raw(dhcp.OFFER, r.xid, mac=b"\2\0\0\0\0\6"),
        lambda r: raw(dhcp.ACK, r.xid),
        lambda r: raw(dhcp.NAK, r.xid),
        lambda r: raw(dhcp.OFFER, r.xid, o54=b"abc"),
        lambda r: raw(dhcp.OFFER, r.xid, address=0),
        lambda r: raw(dhcp.OFFER, r.xid, address=0x7F000001),
        lambda r: raw(dhcp.OFFER, r.xid, address=0xE0000001),
        lambda r: raw(dhcp.OFFER, r.xid, address=0xFFFFFFFF),
        lambda r: raw(dhcp.OFFER, r.xid, o53=b"\2\2"),
        lambda r: raw(9, r.xid),
    ],
)
def test_what_is_no_offer(answer: Callable[[Request], bytes]) -> None:
    """What does not belong to the conversation, or offers nothing, is ignored."""
    exchange = Exchange(CLIENT, Timing(resend_timeout=3), 0.0)
    sent = converse(exchange, lambda request: [answer(request)])
    assert {kind for _, kind in sent} == {dhcp.DISCOVER}
    assert "no DHCP answer" in str(exchange.outcome)


@pytest.mark.parametrize(
    "answer",
    [
        lambda r: raw(dhcp.ACK, r.xid, address=OTHER),
        lambda r: raw(dhcp.ACK, r.xid, server=OTHER),
        lambda r: raw(dhcp.NAK, r.xid, server=OTHER),
        lambda r: raw(dhcp.ACK, r.xid ^ 1),
        lambda r: raw(dhcp.OFFER, r.xid, address=OTHER),
    ],
)
def test_what_is_no_answer(answer: Callable[[Request], bytes]) -> None:
    """An acknowledgement of something else, or by somebody else, is ignored; so is a refusal."""

    def server(request: Request) -> list[bytes]:
        if request.kind == dhcp.DISCOVER:
            return [raw(dhcp.OFFER, request.xid)]
        assert request.options[50] == ADDRESS.to_bytes(4)
        return [answer(request), *granting(request)]

    exchange = Exchange(CLIENT, Timing(), 0.0)
    converse(exchange, server)
    assert isinstance(exchange.outcome, Granted)
    assert exchange.outcome.message.address == ADDRESS
    assert exchange.outcome.server == SERVER


def test_renewal() -> None:
    """More of a lease is asked of its server, from the address that is held."""
    heard = []

    def server(request: Request) -> list[bytes]:
        heard.append(request)
        return granting(request) if len(heard) == 3 else []

    exchange = Exchange.renewing(
        CLIENT, Timing(), 0.0, address=ADDRESS, server=(SERVER, SERVER_MAC)
    )
    converse(exchange, server)
    assert isinstance(exchange.outcome, Granted)
    for request in heard:
        assert (request.kind, request.address) == (dhcp.REQUEST, ADDRESS)
        assert (request.packet.source, request.packet.target) == (ADDRESS, SERVER)
        assert not request.options.keys() & {dhcp.REQUESTED_ADDRESS, dhcp.SERVER}
    assert [r.packet.mac for r in heard] == [SERVER_MAC, EVERY_MAC, EVERY_MAC]


def test_rebinding() -> None:
    """Every server is asked when there is none in particular, and any may answer."""
    heard = []

    def server(request: Request) -> list[bytes]:
        heard.append(request)
        return [raw(dhcp.ACK, request.xid, server=OTHER)]

    exchange = Exchange.renewing(CLIENT, Timing(), 0.0, address=ADDRESS, server=None)
    converse(exchange, server)
    assert isinstance(exchange.outcome, Granted)
    assert exchange.outcome.server == OTHER
    assert (heard[0].packet.target, heard[0].packet.mac) == (EVERYBODY, EVERY_MAC)
    assert heard[0].address == ADDRESS


def test_renewal_that_ends() -> None:
    """A renewal ends after the time of one request, or with a refusal."""
    exchange = Exchange.renewing(CLIENT, Timing(timeout=6), 0.0, address=ADDRESS, server=None)
    assert converse(exchange, silent)[-1][0] < 6
    assert "no DHCP answer within 6 s" in str(exchange.outcome)
    assert not exchange.refused
    exchange = Exchange.renewing(CLIENT, Timing(), 0.0, address=ADDRESS, server=None)
    converse(exchange, lambda request: [raw(dhcp.NAK, request.xid)])
    assert exchange.outcome == "the server refused"
    assert exchange.refused


def test_same_address_wanted() -> None:
    """Who has an address in use takes no other one."""
    wishes = []

    def server(request: Request) -> list[bytes]:
        wishes.append(request.options.get(50))
        return [raw(dhcp.OFFER, request.xid, address=OTHER)]

    exchange = Exchange(CLIENT, Timing(resend_timeout=3), 0.0, address=ADDRESS)
    converse(exchange, server)
    assert set(wishes) == {ADDRESS.to_bytes(4)}
    assert exchange.outcome == "no DHCP lease within 3 s: another address was offered"


def test_broadcast_flag() -> None:
    """The flag is set where the client is told so, until it has an address."""
    client = Client(MAC, b"\0x", broadcast=True)
    first = next(iter(Exchange(client, Timing(), 0.0).send(0.0)))
    assert Request(first).broadcast
    later = Exchange.renewing(client, Timing(), 0.0, address=ADDRESS, server=None)
    assert not Request(next(iter(later.send(0.0)))).broadcast


def test_nothing_before_its_time() -> None:
    """A packet is sent once, and then not before the next one is due."""
    exchange = Exchange(CLIENT, Timing(), 0.0)
    assert len(list(exchange.send(0.0))) == 1
    assert list(exchange.send(exchange.wake - 0.01)) == []
    assert len(list(exchange.send(exchange.wake))) == 1
