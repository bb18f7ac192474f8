"""A little of D-Bus: asking methods that take texts, over the system bus.

    with Bus("unix:path=/run/dbus/system_bus_socket") as bus:
        bus.has_owner("org.example.Name")
        bus.call("org.example.Name", "/org/example", "org.example.Interface.method", "text")

One call at a time; signals and whatever else the bus sends are passed over.  What is sent for
greeting, and the first call with it, is one packet: the bus answers in order.
"""

from __future__ import annotations

import _socket
from os import getuid, stat

from cnifast._native.errors import KernelError, NoSuchObjectError, TimedOutError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

DEFAULT_ADDRESS = "unix:path=/run/dbus/system_bus_socket"
_BUS = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus")
_ANSWER_SECONDS = 20.0
_MESSAGE_MAX = 1 << 20
_FIXED = 16  # bytes of a header before its fields
_CALL, _RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8
_EIO, _ENOENT, _ETIMEDOUT = 5, 2, 110

Answer = str | bool | None


class BusError(KernelError):
    """A method failed: ``name`` is the error's, as in "org.example.Error"."""

    name = ""


class Bus:
    """A connection to a bus; a context manager that closes it."""

    __slots__ = ("_address", "_ahead", "_serial", "_socket", "_unread")

    def __init__(self, address: str = DEFAULT_ADDRESS) -> None:
        """Connect, and prepare to say hello.

        Raises:
            FileNotFoundError: there is no bus at ``address``.
        """
        self._address = address
        self._serial = 0
        self._unread = b""
        try:
            self._socket = _connect(_path_of(address))
        except OSError as e:
            raise NoSuchObjectError(_ENOENT, f"no D-Bus at {address}: {e.strerror or e}") from None
        identity = str(getuid()).encode().hex()
        self._ahead = b"\0AUTH EXTERNAL " + identity.encode() + b"\r\nBEGIN\r\n"
        self._ahead += self._message(*_BUS, "Hello", ())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.close()

    def has_owner(self, name: str) -> bool:
        """Tell whether somebody is there by that name, without starting it.

        Raises:
            OSError: the bus does not answer.
        """
        destination, path, interface = _BUS
        return self.call(destination, path, f"{interface}.NameHasOwner", name) is True

    def call(self, destination: str, path: str, method: str, *texts: str) -> Answer:
        """Ask a method, "INTERFACE.MEMBER", and return its answer, a text or a yes or no.

        Raises:
            BusError: it failed.
            OSError: there was no answer.
        """
        interface, _, member = method.rpartition(".")
        message = self._message(destination, path, interface, member, texts)
        serial = self._serial
        ahead, self._ahead = self._ahead, b""
        try:
            self._socket.sendall(ahead + message)
            if ahead:
                self._welcome()
            while True:
                answer = _Message(self._next())
                if answer.reply == serial or (answer.reply == 1 and answer.kind == _ERROR):
                    return answer.outcome(f"{destination}: {member}")
        except TimeoutError:
            raise TimedOutError(
                _ETIMEDOUT, f"{destination}: {member} was not answered in {_ANSWER_SECONDS:.0f} s"
            ) from None
        except KernelError:
            raise
        except OSError as e:
            raise KernelError(_EIO, f"D-Bus at {self._address}: {e.strerror or e}") from None

    def _welcome(self) -> None:
        """Read whether the bus lets us in."""
        while b"\r\n" not in self._unread:
            self._read()
        line, _, self._unread = self._unread.partition(b"\r\n")
        if not line.startswith(b"OK "):
            said = line.decode(errors="replace")
            raise KernelError(_EIO, f"D-Bus at {self._address} refused us: {said}")

    def _next(self) -> bytes:
        """Return the next message."""
        while len(self._unread) < _FIXED:
            self._read()
        size = _size_of(self._unread)
        if size > _MESSAGE_MAX:
            raise KernelError(_EIO, f"D-Bus at {self._address}: a message of {size} bytes")
        while len(self._unread) < size:
            self._read()
        message, self._unread = self._unread[:size], self._unread[size:]
        return message

    def _read(self) -> None:
        """Append what comes next to what is unread."""
        data = self._socket.recv(4096)
        if not data:
            raise KernelError(_EIO, f"D-Bus at {self._address} closed the connection")
        self._unread += data

    def _message(
        self, destination: str, path: str, interface: str, member: str, texts: tuple[str, ...]
    ) -> bytes:
        """Return a method call."""
        self._serial += 1
        fields = b""
        for code, kind, text in (
            (_PATH, "o", path),
            (_DESTINATION, "s", destination),
            (_INTERFACE, "s", interface),
            (_MEMBER, "s", member),
        ):
            fields = _aligned(fields, 8) + bytes([code, 1]) + kind.encode() + b"\0" + _text(text)
        body = b""
        for text in texts:
            body = _aligned(body, 4) + _text(text)
        if texts:
            signature = b"s" * len(texts)
            fields = _aligned(fields, 8) + bytes([_SIGNATURE, 1]) + b"g\0"
            fields += bytes([len(signature)]) + signature + b"\0"
        numbers = (len(body), self._serial, len(fields))
        head = b"l" + bytes([_CALL, 0, 1]) + b"".join(n.to_bytes(4, "little") for n in numbers)
        return _aligned(head + fields, 8) + body


def _path_of(address: str) -> str:
    """Return where to connect for an address such as "unix:path=/run/dbus/system_bus_socket"."""
    for one in address.split(";"):
        kind, _, rest = one.partition(":")
        for pair in rest.split(",") if kind == "unix" else ():
            key, _, value = pair.partition("=")
            if key in ("path", "abstract"):
                return value if key == "path" else f"\0{value}"
    raise OSError("an address of no kind that is known here")


def _connect(path: str) -> _socket.socket:
    """Return a socket that is connected; most nodes have no bus, and are asked at each ADD."""
    if not path.startswith("\0"):
        stat(path)  # noqa: PTH116 - pathlib is dear to import
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        sock.settimeout(_ANSWER_SECONDS)
        sock.connect(path)
    except OSError:
        sock.close()
        raise
    return sock


def _aligned(data: bytes, to: int) -> bytes:
    return data + bytes(-len(data) % to)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(4, "little") + encoded + b"\0"


def _size_of(head: bytes) -> int:
    """Return how long a message is, from its beginning."""
    body, fields = (_number(head, at) for at in (4, 12))
    return _FIXED + fields + -fields % 8 + body


def _number(message: bytes, at: int) -> int:
    order = "little" if message[:1] == b"l" else "big"
    return int.from_bytes(message[at : at + 4], order)  # type: ignore[arg-type]


class _Message:
    """What has come: its kind, which call it answers, and the first value it carries."""

    __slots__ = ("_body", "_error", "_message", "_signature", "kind", "reply")

    def __init__(self, message: bytes) -> None:
        self._message = message
        self.kind = message[1]
        self.reply = 0
        self._error = self._signature = ""
        end = _FIXED + _number(message, 12)
        self._body = end + -end % 8
        at = _FIXED
        while at < end:
            at = self._field(at)

    def _field(self, at: int) -> int:
        """Read a header field; return where the next one begins."""
        code, kind = self._message[at], self._message[at + 2 : at + 3]
        at += 4
        if kind == b"u":
            if code == _REPLY:
                self.reply = _number(self._message, at)
            at += 4
        elif kind == b"g":
            size = self._message[at]
            if code == _SIGNATURE:
                self._signature = self._message[at + 1 : at + 1 + size].decode(errors="replace")
            at += size + 2
        elif kind in (b"s", b"o"):
            size = _number(self._message, at)
            if code == _ERROR_NAME:
                self._error = self._string(at)
            at += size + 5
        else:
            raise KernelError(_EIO, "D-Bus: a message with an unknown header")
        return at + -at % 8

    def _string(self, at: int) -> str:
        size = _number(self._message, at)
        return self._message[at + 4 : at + 4 + size].decode(errors="replace")

    def outcome(self, asked: str) -> Answer:
        """Return the first value, or raise what the error says."""
        value: Answer = None
        if self._signature[:1] in ("s", "o"):
            value = self._string(self._body)
        elif self._signature[:1] == "b":
            value = _number(self._message, self._body) != 0
        if self.kind != _ERROR:
            return value
        error = BusError(_EIO, f"{asked}: {value or self._error}")
        error.name = self._error
        raise error
