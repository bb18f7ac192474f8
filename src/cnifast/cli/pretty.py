"""Results as cnitool prints them."""

from __future__ import annotations

from cnifast.protocol.codec import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cnifast.protocol.result import Result


def pretty(result: Result) -> str:
    """Return a result as cnitool prints it: JSON on several lines, and a line end."""
    return _pretty(result.to_json(result.cni_version), "\n") + "\n"


def _pretty(value: Any, start: str) -> str:
    """Return a value as JSON whose lines begin with ``start``."""
    inner = start + "    "
    if type(value) is dict and value:
        members = (f"{_pretty(key, '')}: {_pretty(item, inner)}" for key, item in value.items())
        return "{" + inner + ("," + inner).join(members) + start + "}"
    if type(value) is list and value:
        return (
            "[" + inner + ("," + inner).join(_pretty(item, inner) for item in value) + start + "]"
        )
    return dumps(value).decode()
