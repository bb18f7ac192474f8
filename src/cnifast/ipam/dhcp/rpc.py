"""Go's net/rpc over a unix socket, as the reference's plugin and daemon speak it.

Either end can be the reference's: a plugin that was replaced finds the daemon of the day before,
and the other way round.  ``DHCP.Collect`` is ours alone.
"""

from __future__ import annotations

import _socket
import time

from cnifast.ipam.dhcp import gob
from cnifast.ipam.dhcp.gob import BYTES, INT, STRING, UINT, Record, Slice
from cnifast.protocol import ip
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.result import IPConfig, Result, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

ALLOCATE, RELEASE, COLLECT = "DHCP.Allocate", "DHCP.Release", "DHCP.Collect"
UNKNOWN_METHOD = "rpc: can't find method "

_HELLO = b"CONNECT /_goRPC_ HTTP/1.0\n\n"
_WELCOME = b"HTTP/1.0 200 Connected to Go RPC\n\n"
_HEAD_MAX = 4096  # bytes of either

_NET = Record("IPNet", IP=BYTES, Mask=BYTES)
_IP = Record("IPConfig", Interface=INT, Address=_NET, Gateway=BYTES)
_ROUTE = Record(
    "Route", Dst=_NET, GW=BYTES, MTU=INT, AdvMSS=INT, Priority=INT, Table=INT, Scope=INT
)
_REQUEST = Record("Request", ServiceMethod=STRING, Seq=UINT)
_RESPONSE = Record("Response", ServiceMethod=STRING, Seq=UINT, Error=STRING)
_NOTHING = Record("")
_RESULT = Record("Result", IPs=Slice(_IP), Routes=Slice(_ROUTE))
_ARGS = Record(
    "CmdArgs",
    ContainerID=STRING,
    Netns=STRING,
    IfName=STRING,
    Args=STRING,
    Path=STRING,
    NetnsOverride=STRING,
    StdinData=BYTES,
)


class RemoteError(Exception):
    """What the other end says in place of a result."""


class Args:
    """What a plugin was called with, as it is handed on."""

    __slots__ = ("args", "container_id", "ifname", "netns", "stdin")

    def __init__(self, container_id: str, netns: str, ifname: str, args: str, stdin: bytes) -> None:
        self.container_id = container_id
        self.netns = netns
        self.ifname = ifname
        self.args = args
        self.stdin = stdin


class _Stream:
    """Messages in both directions over a connected socket, all before a deadline."""

    def __init__(self, sock: _socket.socket, seconds: float) -> None:
        self._sock = sock
        self._deadline = time.monotonic() + seconds
        self._ahead = b""
        self._encoder = gob.Encoder()
        self._decoder = gob.Decoder()

    def extend(self, seconds: float) -> None:
        """Begin to count anew."""
        self._deadline = time.monotonic() + seconds

    def send(self, data: bytes) -> None:
        """Send bytes.

        Raises:
            OSError: they cannot be.
        """
        self._hurry()
        self._sock.sendall(data)

    def put(self, *values: tuple[Record, dict[str, Any]]) -> None:
        """Send values."""
        self.send(b"".join(self._encoder.encode(kind, value) for kind, value in values))

    def expect(self, start: bytes) -> None:
        """Take a greeting, which ends with an empty line.

        Raises:
            DecodeError: it begins differently, or has no end.
            OSError: it did not come.
        """
        while (found := _end_of_head(self._ahead)) < 0:
            if len(self._ahead) > _HEAD_MAX:
                break
            self._more()
        if found < 0 or not self._ahead.startswith(start):
            raise DecodeError("not a Go RPC greeting")
        self._ahead = self._ahead[found:]

    def get(self) -> Any:
        """Return the next value.

        Raises:
            DecodeError: it is malformed.
            OSError: it did not come.
        """
        while True:
            while (found := gob.message_size(self._ahead)) is None:
                self._more()
            used, size = found
            while len(self._ahead) < used + size:
                self._more()
            message = self._ahead[used : used + size]
            self._ahead = self._ahead[used + size :]
            value = self._decoder.decode(message)
            if value is not None:
                return value

    def _more(self) -> None:
        self._hurry()
        data = self._sock.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the other end hung up")
        self._ahead += data

    def _hurry(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)


def _end_of_head(data: bytes) -> int:
    """Return where the empty line after a greeting ends, -1 where there is none yet."""
    for end in (b"\r\n\r\n", b"\n\n"):
        at = data.find(end)
        if at >= 0:
            return at + len(end)
    return -1


class Client:
    """A connection to a daemon; a context manager that closes it."""

    def __init__(self, path: str, seconds: float) -> None:
        """Connect to the socket at a path; all that is asked has to be answered in so many seconds.

        Raises:
            OSError: nobody answers there.
            DecodeError: it is somebody else who does.
        """
        self._sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        self._stream = _Stream(self._sock, seconds)
        self._calls = 0
        try:
            self._sock.connect(path)
            self._stream.send(_HELLO)
            self._stream.expect(b"HTTP/1.0 200 Connected to Go RPC")
        except BaseException:
            self._sock.close()
            raise

    def allocate(self, args: Args) -> Result:
        """Have a lease acquired, or what there is of it told again.

        Raises:
            RemoteError: there is none to be had.
            DecodeError: the answer makes no sense.
            OSError: there is no answer.
        """
        return _to_result(self._call(ALLOCATE, args))

    def release(self, args: Args) -> None:
        """Have a lease given back; raises as `allocate` does."""
        self._call(RELEASE, args)

    def collect(self, args: Args) -> None:
        """Have leases given back whose attachments are not valid; raises as `allocate` does."""
        self._call(COLLECT, args)

    def _call(self, method: str, args: Args) -> dict[str, Any]:
        self._calls += 1
        request = {"ServiceMethod": method, "Seq": self._calls}
        body = {
            "ContainerID": args.container_id,
            "Netns": args.netns,
            "IfName": args.ifname,
            "Args": args.args,
            "StdinData": args.stdin,
        }
        self._stream.put((_REQUEST, request), (_ARGS, body))
        response, reply = self._stream.get(), self._stream.get()
        if not isinstance(response, dict) or not isinstance(reply, dict):
            raise DecodeError("gob: an answer that is none")
        if response.get("Error"):
            raise RemoteError(str(response["Error"]))
        return reply

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


class Server:
    """The other end of one connection."""

    def __init__(self, sock: _socket.socket, seconds: float) -> None:
        """Greet whoever connected.

        Raises:
            DecodeError: it speaks something else.
            OSError: it says nothing for so many seconds, or hung up.
        """
        self._stream = _Stream(sock, seconds)
        self._seconds = seconds
        self._stream.expect(b"CONNECT ")
        self._stream.send(_WELCOME)

    def next(self) -> tuple[str, int, Args]:
        """Return the method that is called, the call's number, and with what.

        Raises:
            DecodeError: it is malformed.
            OSError: nothing comes any more.
        """
        self._stream.extend(self._seconds)
        request, body = self._stream.get(), self._stream.get()
        try:
            args = Args(
                str(body.get("ContainerID", "")),
                str(body.get("Netns", "")),
                str(body.get("IfName", "")),
                str(body.get("Args", "")),
                bytes(body.get("StdinData", b"")),
            )
            return str(request.get("ServiceMethod", "")), int(request.get("Seq", 0)), args
        except (AttributeError, TypeError, ValueError) as e:
            raise DecodeError(f"not a call: {e}") from None

    def answer(self, method: str, number: int, result: Result | None) -> None:
        """Answer a call, with a result where there is one."""
        self._stream.extend(self._seconds)
        body = (_NOTHING, {}) if result is None else (_RESULT, _from_result(result))
        self._stream.put((_RESPONSE, {"ServiceMethod": method, "Seq": number}), body)

    def refuse(self, method: str, number: int, why: str) -> None:
        """Answer a call with an error."""
        self._stream.extend(self._seconds)
        head = {"ServiceMethod": method, "Seq": number, "Error": why}
        self._stream.put((_RESPONSE, head), (_NOTHING, {}))


def _from_result(result: Result) -> dict[str, Any]:
    """Return a result as Go has it, without a version: it is of the plugin's own."""
    return {
        "IPs": [
            {"Address": _from_cidr(one.address), "Gateway": _from_ip(one.gateway)}
            for one in result.ips
        ],
        "Routes": [
            {
                "Dst": _from_cidr(route.dst),
                "GW": _from_ip(route.gw),
                "MTU": route.mtu,
                "AdvMSS": route.advmss,
                "Priority": route.priority,
                "Table": route.table,
                "Scope": route.scope,
            }
            for route in result.routes
        ],
    }


def _to_result(reply: dict[str, Any]) -> Result:
    """Return a result from what Go has of it; there are no interfaces in it, and no DNS.

    Raises:
        DecodeError: it is none.
    """
    try:
        ips = [
            IPConfig(_to_cidr(one["Address"]), _to_ip(one.get("Gateway", b"")))
            for one in reply.get("IPs", [])
        ]
        routes = [
            Route(
                _to_cidr(one["Dst"]),
                _to_ip(one.get("GW", b"")),
                one.get("MTU", 0),
                one.get("AdvMSS", 0),
                one.get("Priority", 0),
                one.get("Table"),
                one.get("Scope"),
            )
            for one in reply.get("Routes", [])
        ]
    except (KeyError, TypeError, AttributeError) as e:
        raise DecodeError(f"not a result: {e!r}") from None
    return Result(ips=ips, routes=routes)


def _from_ip(text: str | None) -> bytes:
    return ip.packed(*ip.parse_ip(text)) if text else b""


def _to_ip(data: bytes) -> str | None:
    """Return an address as text; Go has IPv4 ones in 4 or in 16 bytes."""
    return ip.format_ip(*ip.unpacked(data)) if data else None


def _from_cidr(text: str) -> dict[str, bytes]:
    family, value, length = ip.parse_cidr(text)
    size = ip.BITS[family]
    mask = (1 << size) - (1 << (size - length))
    return {"IP": ip.packed(family, value), "Mask": mask.to_bytes(size // 8)}


def _to_cidr(net: dict[str, bytes]) -> str:
    address, mask = _to_ip(net.get("IP", b"")), net.get("Mask", b"")
    if address is None:
        raise DecodeError("a network without an address")
    return f"{address}/{int.from_bytes(mask).bit_count()}"
