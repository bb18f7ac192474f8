"""Frames between the shim and the service: pure encoding and decoding.

    header   u32 magic "CNIF"  u16 wire version  u16 kind  u32 payload length  u32 flags
    REQUEST  u64 mount, u64 inode of the caller's root directory, then texts that end in NUL:
             build, plugin, each KEY=VALUE of the environment, the empty text; the rest is stdin
    RESULT   u32 exit code, the rest is stdout
    RUN_COLD the reason as text; nothing was done, the caller runs the plugin itself

A REQUEST with FLAG_COMMAND is no call of a plugin but a command of networks, such as `cnifast add`:
its stdin is the command's words, each of which ends in NUL, and its exit code says where its output
belongs: 0 to standard output, others to standard error.  No descriptors come with it.

All integers are little-endian.  One request and one response go over a connection; behind a command
may come one byte before that is answered, the number of a signal that is to end it.  The file
descriptors that come with a request (standard error and, when FLAG_NETNS is set, the container's
network namespace) are the socket's business.
"""

from __future__ import annotations

from struct import Struct as Layout
from struct import error as layout_error

MAGIC = 0x46494E43
WIRE_VERSION = 1
REQUEST, RESULT, RUN_COLD = 1, 2, 3
FLAG_NETNS, FLAG_COMMAND = 1, 2

HEADER_SIZE = 16
PAYLOAD_MAX = (1 << 20) + (1 << 16)

_HEADER = Layout("<IHHII")
_ROOT = Layout("<QQ")
_EXIT_CODE = Layout("<I")


class WireError(ValueError):
    """Bytes that are no frame of this protocol; the connection is of no more use."""


class Header:
    """What a frame is, how many bytes of payload follow, and its flags."""

    __slots__ = ("flags", "kind", "length")

    def __init__(self, kind: int, length: int, flags: int) -> None:
        self.kind = kind
        self.length = length
        self.flags = flags


class WireRequest:
    """A call as the shim hands it over.

    ``root`` is the mount and the inode of the caller's root directory; ``netns`` tells whether
    the container's namespace came as a file descriptor, ``command`` that it is no plugin's call.
    """

    __slots__ = ("build", "command", "env", "netns", "plugin", "root", "stdin")

    def __init__(
        self,
        root: tuple[int, int],
        build: str,
        plugin: str,
        env: dict[str, str],
        stdin: bytes,
        *,
        netns: bool = False,
        command: bool = False,
    ) -> None:
        self.root = root
        self.build = build
        self.plugin = plugin
        self.env = env
        self.stdin = stdin
        self.netns = netns
        self.command = command

    @property
    def words(self) -> list[str]:
        """The words of a command."""
        return self.stdin.decode("utf-8", "surrogateescape").split("\0")[:-1]


def encode_header(kind: int, length: int, flags: int = 0) -> bytes:
    """Return the 16 bytes before a payload of the given length."""
    return _HEADER.pack(MAGIC, WIRE_VERSION, kind, length, flags)


def decode_header(data: bytes) -> Header:
    """Return what the 16 bytes before a payload say.

    Raises:
        WireError: other magic, another wire version, an unknown kind, or a payload too long.
    """
    if len(data) != HEADER_SIZE:
        raise WireError(f"a header of {len(data)} bytes")
    magic, wire_version, kind, length, flags = _HEADER.unpack(data)
    if magic != MAGIC:
        raise WireError(f"magic {magic:#x}")
    if wire_version != WIRE_VERSION:
        raise WireError(f"wire version {wire_version}")
    if kind not in (REQUEST, RESULT, RUN_COLD):
        raise WireError(f"kind {kind}")
    if length > PAYLOAD_MAX:
        raise WireError(f"a payload of {length} bytes")
    return Header(kind, length, flags)


def encode_request(request: WireRequest) -> bytes:
    """Return the frame of a request.

    Raises:
        WireError: the payload would be too long, or a text contains NUL.
    """
    texts = [request.build, request.plugin, *(f"{k}={v}" for k, v in request.env.items())]
    encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
    if any(b"\0" in text for text in encoded):
        raise WireError("a text contains NUL")
    payload = b"".join((_ROOT.pack(*request.root), b"\0".join([*encoded, b"", b""]), request.stdin))
    return _frame(REQUEST, payload, FLAG_NETNS * request.netns | FLAG_COMMAND * request.command)


def decode_request(payload: bytes, flags: int = 0) -> WireRequest:
    """Return the call in the payload of a REQUEST.

    Of several values of one variable the first counts; an entry without "=" is none.

    Raises:
        WireError: the payload ends early, or names no plugin.
    """
    try:
        root = _ROOT.unpack_from(payload)
    except layout_error:
        raise WireError("the request ends within its first field") from None
    # Each text ends in NUL, and the empty one behind them is nothing but its NUL.
    start = _ROOT.size
    end = payload.find(b"\0\0", start)
    if end < 0:
        raise WireError("the request ends within a text")
    texts = payload[start:end].decode("utf-8", "surrogateescape").split("\0")
    if len(texts) < 2:
        raise WireError("the request names no plugin")
    env: dict[str, str] = {}
    for text in texts[2:]:
        key, equals, value = text.partition("=")
        if equals:
            env.setdefault(key, value)
    return WireRequest(
        root,
        texts[0],
        texts[1],
        env,
        payload[end + 2 :],
        netns=bool(flags & FLAG_NETNS),
        command=bool(flags & FLAG_COMMAND),
    )


def encode_result(exit_code: int, stdout: bytes) -> bytes:
    """Return the frame of an answer.

    Raises:
        WireError: the output is too long.
    """
    return _frame(RESULT, _EXIT_CODE.pack(exit_code) + stdout)


def decode_result(payload: bytes) -> tuple[int, bytes]:
    """Return (exit code, stdout) of the payload of a RESULT.

    Raises:
        WireError: the payload ends early.
    """
    try:
        (exit_code,) = _EXIT_CODE.unpack_from(payload)
    except layout_error:
        raise WireError("the result ends within its first field") from None
    return exit_code, payload[_EXIT_CODE.size :]


def encode_run_cold(reason: str) -> bytes:
    """Return the frame that sends the caller to run the plugin itself."""
    return _frame(RUN_COLD, reason.encode("utf-8", "backslashreplace"))


def decode_run_cold(payload: bytes) -> str:
    """Return the reason in the payload of a RUN_COLD."""
    return payload.decode("utf-8", "replace")


def _frame(kind: int, payload: bytes, flags: int = 0) -> bytes:
    """Return header and payload."""
    if len(payload) > PAYLOAD_MAX:
        raise WireError(f"a payload of {len(payload)} bytes")
    return encode_header(kind, len(payload), flags) + payload
