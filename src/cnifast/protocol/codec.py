"""JSON to objects and back, on CPython's C scanner and encoder.

``json`` pulls in ``re`` and ``enum``, which together cost as much as the start of the
interpreter itself; a plugin that runs cold needs neither.  So the two C types behind ``json``
are used directly, and ``json`` only where an interpreter lacks them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Never

_BLANKS = " \t\n\r"


class DecodeError(ValueError):
    """Input that is not what the protocol allows; the text says what and where."""


def _no_constant(name: str) -> Never:
    """Refuse NaN and the infinities, which JSON does not have."""
    raise DecodeError(f"invalid constant {name}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object; of equal keys the last one wins, and objects under equal keys merge."""
    result = dict(pairs)
    if len(result) == len(pairs):
        return result
    result = {}
    for key, value in pairs:
        _put(result, key, value)
    return result


def _put(target: dict[str, Any], key: str, value: Any) -> None:
    """Add a member that may be there already, in time proportional to the value alone."""
    earlier = target.pop(key, None)
    if value is None:
        value = earlier
    elif type(earlier) is dict and type(value) is dict:
        for inner, item in value.items():
            _put(earlier, inner, item)
        value = earlier
    target[key] = value


def _no_object(value: object) -> Never:
    """Refuse what JSON has no form for."""
    raise TypeError(f"{type(value).__name__} has no JSON form")


class _Rules:
    """The settings that the C scanner reads when it is made."""

    strict = True
    object_hook = None
    object_pairs_hook = staticmethod(_object)
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_no_constant)


class _PairRules(_Rules):
    """The same, with objects as they were written."""

    object_pairs_hook = staticmethod(tuple)  # type: ignore[assignment]


_scan: Callable[[str, int], tuple[Any, int]]
_scan_pairs: Callable[[str, int], tuple[Any, int]]
_chunks: Callable[[object, int], Iterable[str]]
try:
    from _json import encode_basestring, make_encoder, make_scanner

    _scan = make_scanner(_Rules())  # type: ignore[arg-type]
    _scan_pairs = make_scanner(_PairRules())  # type: ignore[arg-type]
    _chunks = make_encoder(None, _no_object, encode_basestring, None, ":", ",", False, False, False)
except (ImportError, TypeError):
    from json import JSONDecoder, JSONEncoder

    _decoder = JSONDecoder(object_pairs_hook=_object, parse_constant=_no_constant)
    _scan = _decoder.scan_once  # type: ignore[attr-defined]
    _scan_pairs = JSONDecoder(object_pairs_hook=tuple).scan_once  # type: ignore[attr-defined]
    _encoder = JSONEncoder(
        ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":")
    )

    def _chunks(value: object, _level: int) -> Iterable[str]:
        return _encoder.iterencode(value)


def _whole(value: Any) -> Any:
    """Return the value with every unpaired surrogate in its strings replaced by U+FFFD."""
    if type(value) is str:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if type(value) is list:
        return [_whole(item) for item in value]
    if type(value) is dict:
        return {_whole(key): _whole(item) for key, item in value.items()}
    return value


def loads(data: bytes) -> Any:
    """Decode one JSON document in UTF-8.

    Keys keep their order; of equal keys the last one wins.  An escape that is half a surrogate
    pair becomes U+FFFD.

    Raises:
        DecodeError: for anything else than exactly one document: text that is not UTF-8 or not
            JSON, NaN, numbers of thousands of digits, nesting beyond the interpreter's limit.
    """
    try:
        text = data.decode()
    except UnicodeDecodeError as e:
        raise DecodeError(f"invalid UTF-8 at byte {e.start}") from None
    start = 0 if text.startswith("{") else len(text) - len(text.lstrip(_BLANKS))
    try:
        value, end = _scan(text, start)
        if "\\u" in text and "\\ud" in text.lower():
            value = _whole(value)
    except StopIteration as e:
        raise _misplaced(text, e.value, "looking for beginning of value") from None
    except RecursionError:
        raise DecodeError("exceeded max depth") from None
    except SystemError:
        # Before 3.12 the scanner has no words for an error until this module is loaded.
        import json.decoder  # noqa: F401, PLC0415

        return loads(data)
    except DecodeError:
        raise
    except ValueError as e:
        at = getattr(e, "pos", None)
        if at is None:
            raise DecodeError("a number has too many digits") from None
        why = "unexpected end of JSON input" if at >= len(text) else str(e)
        raise DecodeError(why) from None
    if end != len(text):
        rest = text[end:].lstrip(_BLANKS)
        if rest:
            raise _misplaced(text, len(text) - len(rest), "after top-level value")
    return value


def pairs(data: bytes) -> Any:
    """Decode what `loads` has accepted, with objects as tuples of (key, value), equal keys kept."""
    text = data.decode()
    value, _ = _scan_pairs(text, len(text) - len(text.lstrip(_BLANKS)))
    return value


def _misplaced(text: str, at: int, where: str) -> DecodeError:
    """Return the error for the character at an index of the text, which may be its end."""
    if at >= len(text):
        return DecodeError("unexpected end of JSON input")
    return DecodeError(f"invalid character {text[at]!a} {where}")


def dumps(value: object) -> bytes:
    """Encode a value as compact JSON in UTF-8, without a line end.

    A surrogate, which stands for a byte of the environment that was not UTF-8, becomes "?".

    Raises:
        TypeError: an object in it has no JSON form.
        ValueError: a number in it is NaN or infinite.
    """
    return "".join(_chunks(value, 0)).encode("utf-8", "replace")


def quote(text: str) -> str:
    r"""Return the text in double quotes with everything unprintable escaped, for messages."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return f'"{text}"'
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else ascii(c)[1:-1] for c in escaped) + '"'
