"""A D-Bus of one service, which answers as a test says; it encodes in either byte order."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

# What is answered to a method with its arguments: a value, an error's name and text, or raw bytes.
Answer = str | bool | tuple[str, str] | bytes | None

_SIGNATURES = {1: "o", 2: "s", 3: "s", 4: "s", 5: "u", 6: "s", 7: "s", 8: "g"}


class FakeBus:
    """A bus at a path; a context manager that runs it in a thread.

    Attributes:
        asked: each method with its arguments, in order, but for the greeting.
        welcome: the line that is answered to who wants in.
    """

    def __init__(self, path: Path, answer: Callable[..., Answer], order: str = "<") -> None:
        self.asked: list[tuple[str, ...]] = []
        self.welcome = b"OK 0123456789abcdef0123456789abcdef\r\n"
        self.address = f"unix:path={path}"
        self._answer = answer
        self._order = order
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with (
                suppress(ConnectionError),  # whoever asked has heard enough
                connection,
                connection.makefile("rb") as stream,
            ):
                self._serve(connection, stream)

    def _serve(self, connection: socket.socket, stream: object) -> None:
        readline, read = stream.readline, stream.read  # type: ignore[attr-defined]
        if not readline().startswith(b"\0AUTH EXTERNAL "):
            return
        connection.sendall(self.welcome)
        if readline() != b"BEGIN\r\n":
            return
        while head := read(16):
            body, serial, fields = struct.unpack("<III", head[4:])
            texts = _fields(read(fields + -fields % 8)[:fields])
            arguments = _texts(read(body))
            member = texts[3]
            if member == "Hello":
                connection.sendall(self._message(2, serial, ":1.7") + self._signal())
                continue
            self.asked.append((member, *arguments))
            answer = self._answer(member, *arguments)
            if isinstance(answer, bytes):
                connection.sendall(answer)
                return
            name = None
            if isinstance(answer, tuple):
                name, answer = answer
            connection.sendall(self._message(3 if name else 2, serial, answer, name))

    def _signal(self) -> bytes:
        """Return something that nobody asked for."""
        return self._message(4, 0, "org.example", None, {1: "/", 2: "org.example.I", 3: "Happened"})

    def _message(
        self,
        kind: int,
        reply: int,
        value: str | bool | None,
        error: str | None = None,
        more: dict[int, str] | None = None,
    ) -> bytes:
        fields: dict[int, str | int] = {**(more or {}), 7: "org.freedesktop.DBus"}
        body = b""
        if reply:
            fields[5] = reply
        if error:
            fields[4] = error
        if isinstance(value, bool):
            fields[8] = "b"
            body = struct.pack(self._order + "I", value)
        elif value is not None:
            fields[8] = "s"
            body = self._text(value)
        header = b""
        for code, field in fields.items():
            signature = _SIGNATURES[code]
            header += bytes(-len(header) % 8) + bytes([code, 1]) + signature.encode() + b"\0"
            if isinstance(field, int):
                header += struct.pack(self._order + "I", field)
            elif signature == "g":
                header += bytes([len(field)]) + field.encode() + b"\0"
            else:
                header += self._text(field)
        mark = b"l" if self._order == "<" else b"B"
        numbers = struct.pack(self._order + "III", len(body), 1, len(header))
        return mark + bytes([kind, 1, 1]) + numbers + header + bytes(-len(header) % 8) + body

    def _text(self, text: str) -> bytes:
        encoded = text.encode()
        return struct.pack(self._order + "I", len(encoded)) + encoded + b"\0"


class Zones:
    """A firewalld with zones."""

    def __init__(self, **sources: set[str]) -> None:
        self.sources = sources

    def __call__(self, member: str, zone: str, source: str = "") -> Answer:
        """Answer as firewalld does."""
        error = "org.fedoraproject.FirewallD1.Exception"
        if member == "NameHasOwner":
            return zone == "org.fedoraproject.FirewallD1"
        if zone not in self.sources:
            return (error, f"INVALID_ZONE: {zone}")
        there = self.sources[zone]
        if member == "querySource":
            return source in there
        if member == "addSource":
            if source in there:
                return (error, f"ZONE_ALREADY_SET: '{source}' already bound to '{zone}'")
            if any(source in others for others in self.sources.values()):
                return (error, f"ZONE_CONFLICT: '{source}' already bound to a zone")
            there.add(source)
        else:
            if source not in there:
                return (error, f"UNKNOWN_SOURCE: '{source}' is not in any zone")
            there.discard(source)
        return zone


def _fields(data: bytes) -> dict[int, str]:
    """Return the texts among the fields of a header."""
    found, at = {}, 0
    while at < len(data):
        code, signature = data[at], chr(data[at + 2])
        at += 4
        if signature == "g":
            size, at = data[at], at + 1
        else:
            size, at = struct.unpack_from("<I", data, at)[0], at + 4
        found[code] = data[at : at + size].decode()
        at += size + 1
        at += -at % 8
    return found


def _texts(data: bytes) -> list[str]:
    """Return the arguments of a call, all of them texts."""
    found, at = [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + size].decode())
        at += size + 5
        at += -at % 4
    return found
