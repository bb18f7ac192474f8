"""The errors that carry CNI codes, and the codes.

Plugins raise ``CNIError`` where the code matters to the runtime; any other exception that
leaves a plugin is reported as ``INTERNAL`` with its text.
"""

from __future__ import annotations

from cnifast.protocol.codec import DecodeError, dumps

__all__ = [
    "DECODING_FAILURE",
    "INCOMPATIBLE_CNI_VERSION",
    "INTERNAL",
    "INVALID_ENVIRONMENT",
    "INVALID_NETNS",
    "INVALID_NETWORK_CONFIG",
    "IO_FAILURE",
    "LIMITED_CONNECTIVITY",
    "PLUGIN_NOT_AVAILABLE",
    "TRY_AGAIN_LATER",
    "UNKNOWN_CONTAINER",
    "UNSUPPORTED_FIELD",
    "CNIError",
    "DecodeError",
    "RunCold",
]

INCOMPATIBLE_CNI_VERSION = 1
UNSUPPORTED_FIELD = 2
UNKNOWN_CONTAINER = 3
INVALID_ENVIRONMENT = 4
IO_FAILURE = 5
DECODING_FAILURE = 6
INVALID_NETWORK_CONFIG = 7
INVALID_NETNS = 8
TRY_AGAIN_LATER = 11
PLUGIN_NOT_AVAILABLE = 50
LIMITED_CONNECTIVITY = 51
INTERNAL = 999

_SHOWN_MAX = 2000  # characters of a message or its details; input can be much longer


class CNIError(Exception):
    """An error as the runtime sees it: a code, a message, and details that may be empty."""

    def __init__(self, code: int, msg: str, details: str = "") -> None:
        super().__init__(code, msg, details)
        self.code = code
        self.msg = msg
        self.details = details

    def __str__(self) -> str:
        return _one_line(f"{self.msg}; {self.details}" if self.details else self.msg)

    def to_json(self, cni_version: str) -> bytes:
        """Return the error as one line of JSON in the given version of the specification."""
        body: dict[str, object] = {
            "cniVersion": cni_version,
            "code": self.code,
            "msg": _one_line(_shown(self.msg)),
        }
        if self.details:
            body["details"] = _shown(self.details)
        return dumps(body)


class RunCold(Exception):  # noqa: N818 - an instruction to the caller, not a failure
    """The call has to run in the caller's own process; nothing was done.  The text says why."""


def _shown(text: str) -> str:
    """Return a text of a length that belongs into an answer."""
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."


def _one_line(text: str) -> str:
    """Return a text whose control characters, such as line ends, are escaped."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
