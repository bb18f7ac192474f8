"""Versions of the CNI specification: which there are, how they compare, who supports which."""

from __future__ import annotations

from cnifast.protocol.codec import DecodeError, quote

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
CURRENT = "1.1.0"
OLDEST = "0.1.0"  # what a configuration without cniVersion is taken for

# Plugins that came with a later version than the first.
_SINCE = {"bandwidth": "0.3.0", "vrf": "0.3.1", "firewall": "0.4.0"}
_SUPPORTED_SINCE = {since: SUPPORTED[SUPPORTED.index(since) :] for since in _SINCE.values()}
_PARSED = {text: tuple(map(int, text.split("."))) for text in SUPPORTED}

_PARTS = ("major", "minor", "micro")
_INT64_MAX = 2**63


def supported_by(plugin: str) -> tuple[str, ...]:
    """Return the versions that the plugin of this name speaks, oldest first."""
    since = _SINCE.get(plugin)
    return SUPPORTED if since is None else _SUPPORTED_SINCE[since]


def parse(version: str) -> tuple[int, ...]:
    """Return (major, minor, micro); missing parts are 0, and an empty text is 0.1.0.

    Raises:
        DecodeError: more than three parts, or a part that is not a number of 64 bits.
    """
    known = _PARSED.get(version)
    if known is not None:
        return known
    if version == "":
        return _PARSED[OLDEST]
    parts = version.split(".")
    if len(parts) > len(_PARTS):
        raise DecodeError(f"invalid version {quote(version)}: too many parts")
    numbers = [_number(part, name) for part, name in zip(parts, _PARTS, strict=False)]
    return (*numbers, 0, 0)[:3]


def _number(part: str, name: str) -> int:
    """Return the value of one part: decimal digits with an optional sign."""
    digits = part[1:] if part[:1] in ("+", "-") else part
    if not (digits.isascii() and digits.isdigit()):
        why = "invalid syntax"
    elif len(digits.lstrip("0")) > 19 or not -_INT64_MAX <= int(part) < _INT64_MAX:
        why = "value out of range"
    else:
        return int(part)
    raise DecodeError(f"failed to convert {name} version part {quote(part)}: {why}")


def at_least(version: str, other: str) -> bool:
    """Tell whether a version is the other one or later.

    Raises:
        DecodeError: one of them is not a version.
    """
    return parse(version) >= parse(other)
