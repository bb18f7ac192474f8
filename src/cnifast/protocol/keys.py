"""Keys of JSON objects, which match without regard to case, for those that read only a few."""

from __future__ import annotations

from cnifast.protocol.codec import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def fold(key: str) -> str:
    """Return what all keys that match this one without regard to case have in common."""
    return key.lower() if key.isascii() else key.lower().replace("\u017f", "s")


def lookup(obj: Mapping[str, Any], key: str) -> Any:
    """Return the value of a key (given in lower case) regardless of case, None when absent."""
    found = None
    size = len(key)  # folding never changes how long a key is
    for name, value in obj.items():
        if len(name) == size and value is not None and (name == key or fold(name) == key):
            found = value
    return found


def kind_of(value: object) -> str:
    """Return the JSON kind of a decoded value as messages name it."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return f"number {value!r:.40}"
    if isinstance(value, str):
        return "string"
    if isinstance(value, list):
        return "array"
    return "null" if value is None else "object"


def wrong_kind(value: object, path: str, wanted: str) -> DecodeError:
    """Return the error for a value that is not of the wanted kind."""
    where = f"field {path}" if path else "value"
    return DecodeError(f"json: cannot unmarshal {kind_of(value)} into {where} of type {wanted}")


def text(obj: Mapping[str, Any], key: str) -> str:
    """Return the text under a key, empty when it is absent.

    Raises:
        DecodeError: there is something else.
    """
    value = lookup(obj, fold(key))
    if value is None:
        return ""
    if type(value) is not str:
        raise wrong_kind(value, key, "string")
    return value
