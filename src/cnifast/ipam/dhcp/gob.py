"""The part of Go's gob encoding that the reference's plugin and daemon speak; no I/O.

A stream is a sequence of messages, each the definition of a type or a value of a defined type.
Structs are dicts here, by the names of fields; what is zero is left out on the wire.

    size | -id  definition          size | id  value
"""

from __future__ import annotations

from cnifast.protocol.codec import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MESSAGE_MAX = 4 << 20  # bytes
_TYPES_MAX = 256
_DEPTH_MAX = 32
_FIRST_OWN = 65

_BOOL, _INT, _UINT, _FLOAT, _BYTES, _STRING, _COMPLEX = range(1, 8)
_BUILT_IN = frozenset(range(1, 8))


class Slice:
    """A list of values of one type."""

    def __init__(self, item: Type) -> None:
        self.item = item


class Record:
    """A struct: its name, and its fields with their types in order."""

    def __init__(self, name: str, **fields: Type) -> None:
        self.name = name
        self.fields = fields


Type = int | Slice | Record
BYTES, INT, STRING, UINT = _BYTES, _INT, _STRING, _UINT

# How types are described: this much both ends know, under these numbers.
_COMMON = Record("CommonType", Name=STRING, Id=INT)
_FIELD = Record("fieldType", Name=STRING, Id=INT)
_ARRAY = Record("arrayType", common=_COMMON, Elem=INT, Len=INT)
_SLICE = Record("sliceType", common=_COMMON, Elem=INT)
_STRUCT = Record("structType", common=_COMMON, Field=Slice(_FIELD))
_MAP = Record("mapType", common=_COMMON, Key=INT, Elem=INT)
_OPAQUE = Record("gobEncoderType", common=_COMMON)
_WIRE = Record(
    "wireType",
    array=_ARRAY,
    slice=_SLICE,
    struct=_STRUCT,
    map=_MAP,
    gob=_OPAQUE,
    binary=_OPAQUE,
    text=_OPAQUE,
)


def _uint(value: int) -> bytes:
    if value < 128:
        return bytes((value,))
    data = value.to_bytes((value.bit_length() + 7) // 8)
    return bytes((256 - len(data),)) + data


def _int(value: int) -> bytes:
    return _uint(~value << 1 | 1 if value < 0 else value << 1)


class Encoder:
    """One direction of a connection: it defines each type before the first value of it."""

    def __init__(self) -> None:
        self._ids: dict[int, int] = {}
        self._known: list[Type] = []  # so that they keep their identity

    def encode(self, kind: Record, value: dict[str, Any]) -> bytes:
        """Return a value as messages."""
        definitions = bytearray()
        number = self._number(kind, definitions)
        return bytes(definitions) + _message(_int(number) + _value(kind, value))

    def _number(self, kind: Type, definitions: bytearray) -> int:
        """Return the number of a type; define it if it is new."""
        if isinstance(kind, int):
            return kind
        known = self._ids.get(id(kind))
        if known is not None:
            return known
        number = self._ids[id(kind)] = _FIRST_OWN + len(self._ids)
        self._known.append(kind)
        if isinstance(kind, Slice):
            item = self._number(kind.item, definitions)
            wire: dict[str, Any] = {"slice": {"common": {"Id": number}, "Elem": item}}
        else:
            fields = [
                {"Name": name, "Id": self._number(of, definitions)}
                for name, of in kind.fields.items()
            ]
            common = {"Name": kind.name, "Id": number}
            wire = {"struct": {"common": common, "Field": fields}}
        definitions += _message(_int(-number) + _value(_WIRE, wire))
        return number


def _message(data: bytes) -> bytes:
    return _uint(len(data)) + data


def _value(kind: Type, value: Any) -> bytes:
    """Return a value without its type."""
    if isinstance(kind, Record):
        return _fields(kind, value)
    if isinstance(kind, Slice):
        return _uint(len(value)) + b"".join(_value(kind.item, item) for item in value)
    if kind == _INT:
        return _int(value)
    if kind == _UINT:
        return _uint(value)
    data: bytes = value.encode() if kind == _STRING else value
    return _uint(len(data)) + data


def _fields(kind: Record, value: dict[str, Any]) -> bytes:
    """Return a struct: the fields that are not zero, each with its distance from the last one."""
    data = bytearray()
    last = -1
    for at, (name, of) in enumerate(kind.fields.items()):
        held = value.get(name)
        if held or (held is not None and isinstance(of, Record)):
            data += _uint(at - last) + _value(of, held)
            last = at
    return bytes(data) + b"\0"


class _Reader:
    """Bytes that are read from their beginning."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise DecodeError("gob: a message is cut off")
        part = self.data[self.at : end]
        self.at = end
        return part

    def uint(self) -> int:
        first = self.take(1)[0]
        if first < 128:
            return first
        size = 256 - first
        if size > 8:
            raise DecodeError(f"gob: a number of {size} bytes")
        return int.from_bytes(self.take(size))

    def signed(self) -> int:
        value = self.uint()
        return ~(value >> 1) if value & 1 else value >> 1

    def count(self) -> int:
        """Return a number of things of which each takes a byte or more."""
        value = self.uint()
        if value > len(self.data) - self.at:
            raise DecodeError(f"gob: {value} items in {len(self.data) - self.at} bytes")
        return value


def message_size(head: bytes) -> tuple[int, int] | None:
    """Return (bytes of the size, size) of the message that begins so, None for too few bytes.

    Raises:
        DecodeError: it is no size, or too much.
    """
    if not head:
        return None
    used = 1 if head[0] < 128 else 1 + 256 - head[0]
    if used > 9:
        raise DecodeError(f"gob: a size of {used - 1} bytes")
    if len(head) < used:
        return None
    size = head[0] if used == 1 else int.from_bytes(head[1:used])
    if size > MESSAGE_MAX:
        raise DecodeError(f"gob: a message of {size} bytes")
    return used, size


class Decoder:
    """The other direction: it learns types, and returns values."""

    def __init__(self) -> None:
        self._types: dict[int, dict[str, Any]] = {}

    def decode(self, message: bytes) -> Any:
        """Return the value that a message (without its size) is, None for a definition.

        Raises:
            DecodeError: it is malformed, or of a type that was not defined.
        """
        reader = _Reader(message)
        number = reader.signed()
        if number < 0:
            if len(self._types) >= _TYPES_MAX:
                raise DecodeError("gob: too many types")
            self._types[-number] = _read(_WIRE, reader)
            return None
        wire = self._types.get(number)
        if (wire is None or "struct" not in wire) and reader.take(1) != b"\0":
            raise DecodeError("gob: a value without a struct around it does not begin with 0")
        return self._read(number, reader, 0)

    def _read(self, number: int, reader: _Reader, depth: int) -> Any:
        """Read a value of a type by its number."""
        if depth > _DEPTH_MAX:
            raise DecodeError("gob: values are nested too deep")
        if number in _BUILT_IN:
            return _basic(number, reader)
        wire = self._types.get(number, {})
        depth += 1
        if "struct" in wire:
            fields = wire["struct"].get("Field", [])
            return {
                fields[at].get("Name", ""): self._read(fields[at].get("Id", 0), reader, depth)
                for at in _positions(reader, len(fields))
            }
        if "slice" in wire or "array" in wire:
            item = (wire.get("slice") or wire.get("array") or {}).get("Elem", 0)
            return [self._read(item, reader, depth) for _ in range(reader.count())]
        if "map" in wire:
            key, item = wire["map"].get("Key", 0), wire["map"].get("Elem", 0)
            return [
                (self._read(key, reader, depth), self._read(item, reader, depth))
                for _ in range(reader.count())
            ]
        if wire.keys() & {"gob", "binary", "text"}:
            return reader.take(reader.count())
        raise DecodeError(f"gob: type {number} was not defined")


def _basic(number: int, reader: _Reader) -> Any:
    """Read a value of a type that needs no definition."""
    if number == _INT:
        return reader.signed()
    if number == _BYTES:
        return reader.take(reader.count())
    if number == _STRING:
        return reader.take(reader.count()).decode("utf-8", "replace")
    if number == _COMPLEX:
        return reader.uint(), reader.uint()
    return reader.uint()


def _read(kind: Type, reader: _Reader) -> Any:
    """Read a value of a type that both ends know."""
    if isinstance(kind, Record):
        fields = list(kind.fields.items())
        return {
            fields[at][0]: _read(fields[at][1], reader) for at in _positions(reader, len(fields))
        }
    if isinstance(kind, Slice):
        return [_read(kind.item, reader) for _ in range(reader.count())]
    return _basic(kind, reader)


def _positions(reader: _Reader, count: int) -> Any:
    """Yield which fields of a struct come, until its end."""
    at = -1
    while delta := reader.uint():
        at += delta
        if at >= count:
            raise DecodeError(f"gob: field {at} of a struct of {count}")
        yield at
