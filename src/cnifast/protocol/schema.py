"""Declarative decoding of JSON objects by the rules that CNI runtimes and plugins rely on.

A ``Struct`` names its fields once; the declaration gives the JSON key, the kind of value and
what an absent key means.  The rules are those of Go's decoder, which every other plugin uses:
keys match without regard to case, unknown keys are ignored, of several keys for one field the
last one wins, null leaves the field as it is, and a value of the wrong kind is an error that
names the path to it.

    class Range(Struct):
        subnet = field("subnet", TEXT, "")
        gateway = field("gateway", ADDRESS, None)

    class Conf(Struct):
        ranges = field("ranges", array(array(record(Range))), ())

    Conf.decode({"RANGES": [[{"subnet": "10.1.0.0/16"}]]}).ranges[0][0].subnet

Declarations are data (``Struct.FIELDS``), so that a schema for other tools can be derived: kinds
carry the JSON Schema of what they take, and a text below a declaration describes its key.  Such a
text costs a process that decodes nothing; `cnifast schema` reads it from the source.
"""

from __future__ import annotations

from cnifast.protocol import ip
from cnifast.protocol.keys import fold as fold  # noqa: PLC0414 - they belong to the rules
from cnifast.protocol.keys import kind_of as kind_of  # noqa: PLC0414
from cnifast.protocol.keys import lookup as lookup  # noqa: PLC0414
from cnifast.protocol.keys import wrong_kind as wrong_kind  # noqa: PLC0414

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, ClassVar, Generic, Self, TypeVar

    T = TypeVar("T")
    S = TypeVar("S", bound="Struct")

    class _Generic(Generic[T]):
        pass
else:
    T = None

    class _Generic:
        """Takes a type parameter at run time without the typing module."""

        def __class_getitem__(cls, _parameter: object) -> type:
            return cls


INT64 = (-(2**63), 2**63 - 1)
UINT64 = (0, 2**64 - 1)
CIDR_SCHEMA = {"type": "string", "pattern": "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"}


class Kind(_Generic[T]):
    """What a value must be: the common part of all kinds.

    ``name`` is the kind as messages show it; ``exact`` is the Python type that needs no further
    check, None when every value must go through ``decode``; ``schema`` is the JSON Schema of one
    value, as far as the kind itself can say it.
    """

    name = "any"
    exact: type | None = None
    schema: Mapping[str, Any] = {}

    def decode(self, value: Any, path: str) -> T:
        """Return the value as the kind has it, or raise DecodeError naming the path."""
        raise NotImplementedError


class _Exact(Kind[T]):
    """Values of exactly one Python type."""

    def __init__(self, name: str, exact: type, json_type: str) -> None:
        self.name = name
        self.exact = exact
        self.schema = {"type": json_type}

    def decode(self, value: T, path: str) -> T:
        if type(value) is not self.exact:
            raise wrong_kind(value, path, self.name)
        return value


class _Any(Kind["Any"]):
    """Any value at all, unchanged."""

    def decode(self, value: Any, path: str) -> Any:  # noqa: ARG002 - the kinds share a signature
        return value


class Raw(Kind["Any"]):
    """Any value, unchanged for now; ``kind`` is what it is decoded as later."""

    def __init__(self, kind: Kind[Any]) -> None:
        self.kind = kind

    def decode(self, value: Any, path: str) -> Any:  # noqa: ARG002 - the kinds share a signature
        """Return the value."""
        return value


class Integer(Kind[int]):
    """Whole numbers within bounds; a number with a fraction or an exponent is none."""

    def __init__(self, name: str, low: int, high: int) -> None:
        self.name = name
        self.low = low
        self.high = high
        self.schema = {"type": "integer", "minimum": low, "maximum": high}

    def decode(self, value: Any, path: str) -> int:
        """Return a whole number within the bounds."""
        if type(value) is not int or not self.low <= value <= self.high:
            raise wrong_kind(value, path, self.name)
        return value


class _Address(Kind["str | None"]):
    """An IP address as canonical text; the empty text is no address."""

    name = "IP address"
    schema = {  # noqa: RUF012 - as its base has it
        "type": "string",
        "anyOf": [{"format": "ipv4"}, {"format": "ipv6"}, {"const": ""}],
    }

    def decode(self, value: Any, path: str) -> str | None:
        if type(value) is not str:
            raise wrong_kind(value, path, self.name)
        return ip.format_ip(*ip.parse_ip(value)) if value else None


class _Cidr(Kind[str]):
    """An IP address with a prefix length as canonical text."""

    name = "IP network"
    schema = CIDR_SCHEMA

    def decode(self, value: Any, path: str) -> str:
        if type(value) is not str:
            raise wrong_kind(value, path, self.name)
        return ip.format_cidr(*ip.parse_cidr(value))


class Array(Kind["tuple[T, ...]"]):
    """A list of values of one kind, kept as a tuple."""

    name = "array"

    def __init__(self, item: Kind[T]) -> None:
        self.item = item

    def decode(self, value: Any, path: str) -> tuple[T, ...]:
        """Return the decoded items."""
        if type(value) is not list:
            raise wrong_kind(value, path, self.name)
        decode = self.item.decode
        return tuple(decode(item, f"{path}[{i}]") for i, item in enumerate(value))


class Map(Kind["dict[str, T]"]):
    """An object whose keys are data: they keep their case."""

    name = "object"

    def __init__(self, item: Kind[T]) -> None:
        self.item = item

    def decode(self, value: Any, path: str) -> dict[str, T]:
        """Return the decoded values by key; a null is as if its key were absent."""
        if type(value) is not dict:
            raise wrong_kind(value, path, self.name)
        decode = self.item.decode
        return {
            key: decode(item, f"{path}.{key}") for key, item in value.items() if item is not None
        }


class Record(Kind[T]):
    """An object with the fields of a Struct."""

    name = "object"

    def __init__(self, struct: type[Struct]) -> None:
        self.struct = struct

    def decode(self, value: Any, path: str) -> T:
        """Return an instance of the Struct."""
        return self.struct.decode(value, path)  # type: ignore[return-value]


TEXT: Kind[str] = _Exact("string", str, "string")
BOOL: Kind[bool] = _Exact("bool", bool, "boolean")
OBJECT: Kind[dict[str, Any]] = _Exact("object", dict, "object")
ANY: Kind[Any] = _Any()
INT: Kind[int] = Integer("int", *INT64)
UINT32: Kind[int] = Integer("uint32", 0, 2**32 - 1)
UINT8: Kind[int] = Integer("uint8", 0, 255)
UINT: Kind[int] = Integer("uint", *UINT64)
ADDRESS: Kind[str | None] = _Address()
CIDR: Kind[str] = _Cidr()


def array(item: Kind[T]) -> Kind[tuple[T, ...]]:
    """Return the kind of a list of values of one kind."""
    return Array(item)


def mapping(item: Kind[T]) -> Kind[dict[str, T]]:
    """Return the kind of an object with any keys and values of one kind."""
    return Map(item)


def record(struct: type[S]) -> Kind[S]:
    """Return the kind of an object with the fields of a Struct."""
    return Record(struct)


def raw(kind: Kind[Any]) -> Kind[Any]:
    """Return the kind of a value that is kept as it is, to be decoded as another kind later."""
    return Raw(kind)


def narrowed(kind: Kind[T], **schema: Any) -> Kind[T]:
    """Return a kind of which a plugin takes only some values, and refuses the others itself.

    It decodes as before, so that the plugin refuses in words and with a code of its own;
    ``schema`` are the keywords of JSON Schema that say which values it takes.
    """
    narrow = type(kind).__new__(type(kind))
    narrow.__dict__.update(kind.__dict__)
    narrow.schema = {**kind.schema, **schema}
    return narrow


class Field:
    """One declaration: the JSON key, the kind of value, the value when absent."""

    __slots__ = ("attr", "default", "exact", "key", "kind")

    def __init__(self, key: str, kind: Kind[Any], default: object) -> None:
        self.attr = ""
        self.key = key
        self.kind = kind
        self.exact = kind.exact
        self.default = default


def field(key: str, kind: Kind[T], default: T) -> T:
    """Declare an attribute of a Struct: its JSON key, kind and value when absent.

    Type checkers see the attribute as what the kind decodes to.  The default is shared by all
    instances, so it must not be changed in place.
    """
    return Field(key, kind, default)  # type: ignore[return-value]


def optional(key: str, kind: Kind[T]) -> T | None:
    """Declare an attribute of a Struct that is None when the key is absent."""
    return Field(key, kind, None)  # type: ignore[return-value]


class Struct:
    """An object with known keys; see the module's description for how to declare one."""

    FIELDS: ClassVar[dict[str, Field]] = {}  # by JSON key and by its folded form

    def __init_subclass__(cls) -> None:
        fields: dict[str, Field] = {}
        for base in reversed(cls.__mro__):
            fields.update(vars(base).get("FIELDS", {}))
        for attr, declared in list(vars(cls).items()):
            if isinstance(declared, Field):
                declared.attr = attr
                fields[declared.key] = fields[fold(declared.key)] = declared
                setattr(cls, attr, declared.default)
        cls.FIELDS = fields

    def __init__(self, **values: Any) -> None:
        for attr, value in values.items():
            if not hasattr(type(self), attr):
                raise TypeError(f"{type(self).__name__} has no field {attr}")
            self.__dict__[attr] = value

    @classmethod
    def decode(cls, obj: Any, path: str = "") -> Self:
        """Return a new instance with the values of a decoded JSON object.

        Raises:
            DecodeError: the object or a value in it is of the wrong kind; the path is named.
        """
        self = cls.__new__(cls)
        if type(obj) is not dict:
            if obj is None:
                return self
            raise wrong_kind(obj, path, "object")
        values = self.__dict__
        fields = cls.FIELDS
        for key, value in obj.items():
            known = fields.get(key)
            if known is None:
                if key.islower() and key.isascii():
                    continue  # folding would not change it
                known = fields.get(fold(key))
                if known is None:
                    continue
            if type(value) is known.exact:
                values[known.attr] = value
            elif value is not None:
                where = f"{path}.{known.key}" if path else known.key
                values[known.attr] = known.kind.decode(value, where)
        return self

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and _state(self) == _state(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = ", ".join(f"{attr}={value!r}" for attr, value in _state(self).items())
        return f"{type(self).__name__}({shown})"


def _state(struct: Struct) -> dict[str, Any]:
    """Return the values of all fields by attribute."""
    return {known.attr: getattr(struct, known.attr) for known in struct.FIELDS.values()}
