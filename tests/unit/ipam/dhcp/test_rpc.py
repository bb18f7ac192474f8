"""What plugins and daemons say to each other, as Go encodes it."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.ipam.dhcp import gob, rpc
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.result import IPConfig, Result, Route

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What the reference's plugin, version 1.1.1, sends for CHECK.
REFERENCE_CALL = bytes.fromhex(
    "2fff81030101075265717565737401ff82000102010d536572766963654d6574686f64010c00010353657101"
    "0600000012ff82010d444843502e416c6c6f63617465005aff8303010107436d644172677301ff8400010601"
    "0b436f6e7461696e65724944010c0001054e65746e73010c00010649664e616d65010c00010441726773010c"
    "00010450617468010c000109537464696e44617461010a000000ffa0ff840105706f642d31010e2f72756e2f"
    "6e65746e732f706f640104657468300103413d3101022f7801757b22636e6956657273696f6e223a2022312e"
    "302e30222c20226e616d65223a20226e6574222c202274797065223a202264686370222c20226970616d223a"
    "207b2274797065223a202264686370222c20226461656d6f6e536f636b657450617468223a20222f746d702f"
    "6361702e736f636b227d7d00"
)
REFERENCE_CONF = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "dhcp",
    "ipam": {"type": "dhcp", "daemonSocketPath": "/tmp/cap.sock"},
}


def messages(data: bytes) -> list[bytes]:
    """Split a stream into messages."""
    found = []
    while data:
        size = gob.message_size(data)
        assert size is not None
        used, length = size
        found.append(data[used : used + length])
        data = data[used + length :]
    return found


def values(data: bytes) -> list[Any]:
    """Return the values in a stream."""
    decoder = gob.Decoder()
    decoded = [decoder.decode(message) for message in messages(data)]
    return [value for value in decoded if value is not None]


def test_call_of_the_reference() -> None:
    """A call is read as the reference's plugin sends it."""
    request, body = values(REFERENCE_CALL)
    assert request == {"ServiceMethod": "DHCP.Allocate"}
    assert json.loads(body.pop("StdinData")) == REFERENCE_CONF
    assert body == {
        "ContainerID": "pod-1",
        "Netns": "/run/netns/pod",
        "IfName": "eth0",
        "Args": "A=1",
        "Path": "/x",
    }


INNER = gob.Record("Inner", Name=gob.STRING, Numbers=gob.Slice(gob.INT))
OUTER = gob.Record(
    "Outer", Small=gob.INT, Large=gob.UINT, Data=gob.BYTES, One=INNER, Many=gob.Slice(INNER)
)


@given(
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 2**64 - 1),
    st.binary(max_size=300),
    st.text(max_size=5).filter(str.isascii),
    st.lists(st.integers(-300, 300), max_size=4),
)
def test_values_arrive(small: int, large: int, data: bytes, name: str, numbers: list[int]) -> None:
    """What is encoded is decoded; zeros are as if they were absent."""
    inner = {k: v for k, v in {"Name": name, "Numbers": numbers}.items() if v}
    value = {"Small": small, "Large": large, "Data": data, "One": inner, "Many": [inner, {}]}
    encoder = gob.Encoder()
    stream = encoder.encode(OUTER, value)
    again = encoder.encode(OUTER, {"Small": 1})
    assert len(again) < 10
    first, second = values(stream + again)
    assert first == {k: v for k, v in value.items() if v or k == "One"}
    assert second == {"Small": 1}


@given(st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    """No bytes whatever do more than to be refused."""
    with contextlib.suppress(DecodeError):
        gob.message_size(data)
    decoder = gob.Decoder()
    for message in (*messages(REFERENCE_CALL)[:3], data):
        with contextlib.suppress(DecodeError):
            decoder.decode(message)


@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 10_000))
def test_damage(at: int, byte: int, size: int) -> None:
    """A stream with a byte replaced, or cut off, is read or refused."""
    data = bytearray(REFERENCE_CALL)
    data[at % len(data)] = byte
    for damaged in (bytes(data), REFERENCE_CALL[: size % len(data)]):
        decoder = gob.Decoder()
        rest = damaged
        with contextlib.suppress(DecodeError):
            while (found := gob.message_size(rest)) is not None:
                decoder.decode(rest[found[0] : sum(found)])
                rest = rest[sum(found) :]


def test_endless_type() -> None:
    """A type that contains itself ends somewhere."""
    decoder = gob.Decoder()
    itself = gob.Encoder().encode(gob.Slice(gob.INT), [])  # type: ignore[arg-type]
    definition = bytearray(messages(itself)[0])
    number = definition.rindex(b"\x04")  # the type of the items: int
    definition[number : number + 1] = b"\xff\x82"  # 65, itself
    decoder.decode(bytes(definition))
    with pytest.raises(DecodeError, match="nested too deep"):
        decoder.decode(b"\xff\x82\0" + b"\1" * 100)


@pytest.mark.parametrize(
    ("head", "why"),
    [(b"\xf0", "a size of 16 bytes"), (b"\xf8" + b"\xff" * 8, "a message of")],
)
def test_size_that_is_too_much(head: bytes, why: str) -> None:
    """Nobody is made to wait for a message without end."""
    with pytest.raises(DecodeError, match=why):
        gob.message_size(head)


RESULT = Result(
    ips=[IPConfig("10.5.0.50/24", "10.5.0.1")],
    routes=[
        Route("0.0.0.0/0", "10.5.0.1", priority=7),
        Route("10.8.0.0/16", "0.0.0.0", scope=253),  # noqa: S104 - no address to bind to
    ],
)


def serve(path: Path, answer: Callable[[socket.socket], object]) -> threading.Thread:
    """Answer one connection at a path."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def run() -> None:
        with listener, listener.accept()[0] as peer:
            answer(peer)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


ARGS = rpc.Args("pod", "/run/netns/pod", "eth0", "A=1", b'{"name":"net"}')


def test_conversation(tmp_path: Path) -> None:
    """Results and errors arrive, and what is asked does, call after call."""
    asked = []

    def answer(peer: socket.socket) -> None:
        server = rpc.Server(peer, 5)
        for reply in (RESULT, None, "nothing to be had"):
            method, number, args = server.next()
            asked.append(
                (method, args.container_id, args.netns, args.ifname, args.args, args.stdin)
            )
            if isinstance(reply, str):
                server.refuse(method, number, reply)
            else:
                server.answer(method, number, reply)

    thread = serve(tmp_path / "s", answer)
    with rpc.Client(str(tmp_path / "s"), 5) as client:
        result = client.allocate(ARGS)
        assert result == RESULT
        client.release(ARGS)
        with pytest.raises(rpc.RemoteError, match="nothing to be had"):
            client.allocate(ARGS)
    thread.join()
    told = ("pod", "/run/netns/pod", "eth0", "A=1", b'{"name":"net"}')
    assert asked == [
        ("DHCP.Allocate", *told),
        ("DHCP.Release", *told),
        ("DHCP.Allocate", *told),
    ]


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.0 404 Not Found\n\n",
        b"SSH-2.0-x\r\n\r\n",
        b"x" * 10_000,
        b"HTTP/1.0 200 Connected to Go RPC\n\n" + b"\xf0" * 20,
        b"HTTP/1.0 200 Connected to Go RPC\n\n" + b"\x03\x04\x00\x02" * 2,
        b"HTTP/1.0 200 Connected to Go RPC\n\n\x05",
    ],
)
def test_somebody_else(tmp_path: Path, said: bytes) -> None:
    """Whoever else listens on the socket is found out."""

    def answer(peer: socket.socket) -> None:
        peer.sendall(said)
        peer.shutdown(socket.SHUT_WR)
        while peer.recv(1 << 16):
            pass

    thread = serve(tmp_path / "s", answer)
    with (
        pytest.raises((DecodeError, ConnectionResetError)),
        rpc.Client(str(tmp_path / "s"), 5) as c,
    ):
        c.allocate(ARGS)
    thread.join()


def test_nobody(tmp_path: Path) -> None:
    """Who accepts and says nothing is not waited for longer than is said."""
    hung_up = threading.Event()
    thread = serve(tmp_path / "s", lambda _peer: hung_up.wait())
    with pytest.raises(TimeoutError):
        rpc.Client(str(tmp_path / "s"), 0.05)
    hung_up.set()
    thread.join()
