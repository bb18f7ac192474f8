"""Frames between the shim and the service, byte by byte."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.protocol import wire
from cnifast.protocol.wire import WireError, WireRequest

GOLDEN = Path(__file__).parents[2] / "golden" / "wire"

REQUEST = WireRequest(
    (4, 0xF0000001),
    "0.1.0",
    "bridge",
    {"CNI_COMMAND": "ADD", "CNI_ARGS": "", "CNI_NETNS": "/run/netns/\udcff=é"},
    b'{"name":"net"}\n\0',
    netns=True,
)


def golden(name: str) -> bytes:
    """Return a recorded frame; in the file, a line that starts with # explains the next one."""
    lines = (GOLDEN / f"{name}.hex").read_text().splitlines()
    return bytes.fromhex("".join(line for line in lines if not line.startswith("#")))


def split(frame: bytes) -> tuple[wire.Header, bytes]:
    """Return the header of a frame and its payload."""
    header = wire.decode_header(frame[: wire.HEADER_SIZE])
    payload = frame[wire.HEADER_SIZE :]
    assert header.length == len(payload)
    return header, payload


def test_request() -> None:
    """A request is exactly these bytes, and they are this request."""
    assert wire.encode_request(REQUEST) == golden("request")
    header, payload = split(golden("request"))
    assert header.kind == wire.REQUEST
    decoded = wire.decode_request(payload, header.flags)
    for name in WireRequest.__slots__:
        assert getattr(decoded, name) == getattr(REQUEST, name)


def test_bare_request() -> None:
    """A request without variables, input and namespace has nothing but its terminators."""
    bare = WireRequest((0, 0), "", "lo", {}, b"")
    header, payload = split(wire.encode_request(bare))
    assert header.flags == 0
    assert payload == bytes(16) + b"\0lo\0\0"
    decoded = wire.decode_request(payload)
    assert (decoded.plugin, decoded.env, decoded.stdin, decoded.netns) == ("lo", {}, b"", False)


def test_command() -> None:
    """A command's words are its input, each of them with a NUL behind it."""
    words = ["add", "", os.fsdecode(b"n\xff")]
    stdin = "".join(f"{word}\0" for word in words).encode("utf-8", "surrogateescape")
    command = WireRequest((0, 0), "0.1.0", "cnifast", {}, stdin, command=True)
    header, payload = split(wire.encode_request(command))
    decoded = wire.decode_request(payload, header.flags)
    assert (decoded.command, decoded.netns, decoded.words) == (True, False, words)
    assert WireRequest((0, 0), "0.1.0", "cnifast", {}, b"", command=True).words == []
    assert not wire.decode_request(payload, wire.FLAG_NETNS).command


def test_result() -> None:
    """A result is exactly these bytes, and they are this result."""
    assert wire.encode_result(1, b'{"code":7}\n') == golden("result")
    header, payload = split(golden("result"))
    assert header.kind == wire.RESULT
    assert wire.decode_result(payload) == (1, b'{"code":7}\n')
    assert wire.decode_result(b"\0\0\0\0") == (0, b"")


def test_run_cold() -> None:
    """The instruction to run the plugin oneself is exactly these bytes."""
    assert wire.encode_run_cold("another mount namespace") == golden("run_cold")
    header, payload = split(golden("run_cold"))
    assert header.kind == wire.RUN_COLD
    assert wire.decode_run_cold(payload) == "another mount namespace"
    assert wire.decode_run_cold(b"\xff") == "\ufffd"


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"\0", "magic"),
        (4, b"\2", "wire version 2"),
        (6, b"\0", "kind 0"),
        (6, b"\4", "kind 4"),
        (8, b"\xff\xff\xff\xff", "a payload of 4294967295 bytes"),
        (8, (wire.PAYLOAD_MAX + 1).to_bytes(4, "little"), "a payload of 1114113 bytes"),
    ],
)
def test_bad_header(at: int, value: bytes, message: str) -> None:
    """A header of something else is refused with what differs."""
    good = wire.encode_header(wire.RESULT, wire.PAYLOAD_MAX)
    assert wire.decode_header(good).length == wire.PAYLOAD_MAX
    with pytest.raises(WireError, match=message):
        wire.decode_header(good[:at] + value + good[at + len(value) :])


def test_short_header() -> None:
    """A header needs all its bytes."""
    with pytest.raises(WireError, match="a header of 15 bytes"):
        wire.decode_header(bytes(15))


def test_every_truncation() -> None:
    """A request cut off anywhere before its input is refused; within the input it is shorter."""
    _, payload = split(golden("request"))
    start = len(payload) - len(REQUEST.stdin)
    for end in range(start):
        with pytest.raises(WireError, match="ends within"):
            wire.decode_request(payload[:end])
    assert wire.decode_request(payload[:start]).stdin == b""
    for end in range(4):
        with pytest.raises(WireError, match="ends within"):
            wire.decode_result(bytes(end))


@pytest.mark.parametrize("texts", [b"\0\0", b"build\0\0", b"build\0\0A=1\0\0{}"])
def test_no_plugin(texts: bytes) -> None:
    """A request that names no plugin is refused."""
    with pytest.raises(WireError, match="names no plugin"):
        wire.decode_request(bytes(16) + texts)


def test_variables() -> None:
    """Of several values of a variable the first counts; an entry without a value is skipped."""
    payload = bytes(16) + b"b\0p\0A=1\0A=2\0B\0=x\0C==\0\0{}"
    decoded = wire.decode_request(payload)
    assert decoded.env == {"A": "1", "": "x", "C": "="}
    assert decoded.stdin == b"{}"


def test_limits() -> None:
    """What does not fit into a frame, or would break one, is refused before it is sent."""
    with pytest.raises(WireError, match="a payload of"):
        wire.encode_result(0, bytes(wire.PAYLOAD_MAX))
    with pytest.raises(WireError, match="a payload of"):
        wire.encode_request(WireRequest((0, 0), "b", "p", {}, bytes(wire.PAYLOAD_MAX)))
    for build, plugin, env in (("\0", "p", {}), ("b", "\0", {}), ("b", "p", {"A": "\0"})):
        with pytest.raises(WireError, match="NUL"):
            wire.encode_request(WireRequest((0, 0), build, plugin, env, b""))
    assert wire.decode_header(wire.encode_result(0, bytes(wire.PAYLOAD_MAX - 4))[:16])


@given(st.binary(max_size=80), st.integers(0, 3))
def test_any_payload(payload: bytes, flags: int) -> None:
    """Whatever the bytes, decoding gives a value or a WireError, and never raises else."""
    for decode in (
        wire.decode_header,
        lambda data: wire.decode_request(data, flags),
        wire.decode_result,
        wire.decode_run_cold,
    ):
        try:
            decode(payload)
        except WireError:
            continue


@given(
    st.binary(max_size=20),
    st.dictionaries(
        st.text(st.characters(exclude_characters="=\0", codec="utf-8"), max_size=5),
        st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=5),
    ),
    st.booleans(),
    st.booleans(),
)
def test_round_trip(stdin: bytes, env: dict[str, str], netns: bool, command: bool) -> None:
    """Every request survives its way over the wire."""
    request = WireRequest(
        (2**64 - 1, 1), "0.1.0", "macvlan", env, stdin, netns=netns, command=command
    )
    header, payload = split(wire.encode_request(request))
    decoded = wire.decode_request(payload, header.flags)
    for name in WireRequest.__slots__:
        assert getattr(decoded, name) == getattr(request, name)
