"""JSON as Go writes maps: keys in order, and what HTML could take for markup escaped."""

from __future__ import annotations

from cnifast.protocol.codec import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_ESCAPED = {
    "<": "\\u003c",
    ">": "\\u003e",
    "&": "\\u0026",
    "\u2028": "\\u2028",
    "\u2029": "\\u2029",
}


def encode(value: object) -> bytes:
    """Encode a value whose objects have the order that they are to have; see `in_order`.

    Raises:
        TypeError: an object in it has no JSON form.
        ValueError: a number in it is NaN or infinite.
    """
    text = dumps(value).decode()
    for character, escape in _ESCAPED.items():
        if character in text:
            text = text.replace(character, escape)
    return text.encode()


def in_order(value: Any) -> Any:
    """Return a value whose objects have their keys in order."""
    if type(value) is dict:
        return {key: in_order(value[key]) for key in sorted(value)}
    if type(value) is list:
        return [in_order(item) for item in value]
    return value
