"""CNI_ARGS: pairs KEY=VALUE joined by semicolons.

A key that the plugin does not know is an error unless IgnoreUnknown is true.  Keys match in
their exact case, as the reference has it.
"""

from __future__ import annotations

from cnifast.protocol.codec import DecodeError, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container

_IGNORE_UNKNOWN = "IgnoreUnknown"
_TRUTH = {"1": True, "true": True, "0": False, "false": False}


def load_args(text: str, known: Container[str] = ("IP", "MAC")) -> dict[str, str]:
    """Return the values of the known keys that are there; of equal keys the last one counts.

    Raises:
        DecodeError: a pair without exactly one "=", an unknown key while IgnoreUnknown is not
            true, or a value of IgnoreUnknown that is no truth value.
    """
    values: dict[str, str] = {}
    if not text:
        return values
    unknown = []
    ignore_unknown = False
    for pair in text.split(";"):
        key, _, value = pair.partition("=")
        if pair.count("=") != 1:
            raise DecodeError(f"ARGS: invalid pair {quote(pair)}")
        if key == _IGNORE_UNKNOWN:
            truth = _TRUTH.get(value.lower())
            if truth is None:
                raise DecodeError(
                    f"ARGS: error parsing value of pair {quote(pair)}: "
                    f"boolean unmarshal error: invalid input {value.lower()}"
                )
            ignore_unknown = truth
        elif key in known:
            values[key] = value
        else:
            unknown.append(pair)
    if unknown and not ignore_unknown:
        raise DecodeError(f"ARGS: unknown args [{' '.join(map(quote, unknown))}]")
    return values
