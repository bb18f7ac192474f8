"""JSON as it comes from runtimes and from attackers."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.protocol import codec
from cnifast.protocol.codec import DecodeError, dumps, loads, pairs, quote

BAD = [
    (b"", "unexpected end"),
    (b"   ", "unexpected end"),
    (b"{", "unexpected end"),
    (b'{"a":1', "unexpected end"),
    (b"[1,", "unexpected end"),
    (b'{"a"', "unexpected end"),
    (b'{"a":1,}', "char 7"),
    (b"[1,]", "invalid character"),
    (b"{'a':1}", "char 1"),
    (b"{} {}", "after top-level value"),
    (b"{}\0", "after top-level value"),
    (b"nul", "invalid character"),
    (b"NaN", "invalid constant"),
    (b'{"a":-Infinity}', "invalid constant"),
    (b'"a\nb"', "char 2"),
    (b'"\\x"', "char 1"),
    (b'"\\u12"', "char 2"),
    (b"01", "after top-level value"),
    (b"+1", "invalid character"),
    (b".5", "invalid character"),
    (b"\xef\xbb\xbf{}", "invalid character"),
    (b"\xff", "invalid UTF-8 at byte 0"),
    (b'{"a":"\xed\xa0\x80"}', "invalid UTF-8 at byte 6"),
    (b'"\xc0\xaf"', "invalid UTF-8 at byte 1"),
    (b"\xff\xfe{\0}\0", "invalid UTF-8"),
    (b"{\0}\0", "char 1"),
    (b"1" * 5000, "too many digits"),
    (b"[" * 100_000, "exceeded max depth"),
    (b'{"a":' * 100_000, "exceeded max depth"),
]


@pytest.mark.parametrize(("data", "part"), BAD, ids=[repr(data[:12]) for data, _ in BAD])
def test_refused(data: bytes, part: str) -> None:
    """What is not exactly one JSON document in UTF-8 is refused, and the error says why."""
    with pytest.raises(DecodeError, match=part):
        loads(data)


def test_accepted() -> None:
    """Blanks around a document, escapes and numbers of any kind are JSON."""
    assert loads(b' \t\r\n{"a":[1,-2.5e3,true,null,"\\u00e9\\n\xc3\xa9"]} \n') == {
        "a": [1, -2500.0, True, None, "é\né"]
    }


def test_equal_keys() -> None:
    """Of equal keys the last one wins, null does not win, and objects merge."""
    assert loads(b'{"a":1,"b":2,"a":3}') == {"b": 2, "a": 3}
    assert list(loads(b'{"a":1,"b":2,"a":3}')) == ["b", "a"]
    assert loads(b'{"a":1,"a":null}') == {"a": 1}
    assert loads(b'{"a":null,"a":1}') == {"a": 1}
    assert loads(b'{"a":{"x":1,"y":{"p":1}},"a":{"z":2,"y":{"q":2}}}') == {
        "a": {"x": 1, "z": 2, "y": {"p": 1, "q": 2}}
    }
    assert loads(b'{"a":{"x":1},"a":[2]}') == {"a": [2]}


def test_pairs() -> None:
    """What was accepted can be had as it was written: every key, in order, however often."""
    assert pairs(b' {"a":{"x":1,"x":[{}]},"b":null,"a":2} ') == (
        ("a", (("x", 1), ("x", [()]))),
        ("b", None),
        ("a", 2),
    )


def test_equal_keys_do_not_take_long() -> None:
    """Merging takes time in proportion to the input, however many equal keys there are."""
    members = b",".join(b'"a":{"%d":{"b":0}}' % i for i in range(50_000))
    start = time.monotonic()
    assert len(loads(b"{" + members + b"}")["a"]) == 50_000
    assert time.monotonic() - start < 5


def test_half_surrogates() -> None:
    """Half a surrogate pair becomes the replacement character; a whole pair is one character."""
    assert loads(b'{"\\ud800":["\\uDC00x","\\ud83d\\ude00"]}') == {
        "\ufffd": ["\ufffdx", "\N{GRINNING FACE}"]
    }


def test_deep_but_allowed() -> None:
    """Nesting deeper than any configuration has is accepted."""
    assert loads(b"[" * 200 + b"]" * 200)


def test_dumps() -> None:
    """Output is compact UTF-8; bytes that were not UTF-8 show as a question mark."""
    assert dumps({"a": [1, None, True], "é": '"\n'}) == '{"a":[1,null,true],"é":"\\"\\n"}'.encode()
    assert dumps("\udcff") == b'"?"'
    with pytest.raises(ValueError, match=r"JSON compliant|nan"):
        dumps(float("nan"))
    with pytest.raises(TypeError, match="bytes has no JSON form"):
        dumps(b"")


def test_quote() -> None:
    """A quoted text shows everything unprintable as an escape."""
    assert quote("plain é") == '"plain é"'
    assert quote('a"b\\c\nd\0\udcff') == r'"a\"b\\c\nd\x00\udcff"'


def test_errors_before_json_is_loaded() -> None:
    """The first error of a cold process has its text although json was never imported."""
    script = (
        "import sys; from cnifast.protocol.codec import loads\n"
        "assert 'json' not in sys.modules and 're' not in sys.modules\n"
        "try: loads(b'{\"a\":1,}')\n"
        "except ValueError as e: print(e)\n"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "double quotes" in out.stdout


def test_without_the_accelerator() -> None:
    """An interpreter without the C scanner decodes, refuses and encodes the same."""
    script = (
        "import sys; sys.modules['_json'] = None\n"
        "from cnifast.protocol.codec import loads, dumps, pairs\n"
        "assert pairs(b' {\"a\":1,\"a\":[{}]}') == (('a', 1), ('a', [()]))\n"
        'assert loads(b\' {"a":{"x":1},"a":{"y":"\\\\ud800"}} \') == '
        "{'a': {'x': 1, 'y': '\\ufffd'}}\n"
        "assert dumps({'a': ['\\u00e9', 1]}) == b'{\"a\":[\"\\xc3\\xa9\",1]}'\n"
        "for bad in (b'', b'{', b'[NaN]', b'{} x', b'[' * 100000, b'1' * 5000):\n"
        "    try: loads(bad)\n"
        "    except ValueError as e: assert type(e).__name__ == 'DecodeError', repr(e)\n"
        "    else: raise AssertionError(bad)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(JSON_VALUES)
def test_round_trip(value: object) -> None:
    """Every JSON value survives encoding and decoding, and agrees with the json module."""
    assert loads(dumps(value)) == value
    assert loads(json.dumps(value).encode()) == value
    assert json.loads(dumps(value)) == value


@given(st.binary(max_size=200) | st.text('{}[]",:0123456789.eE+-\\utrfalsn \n', max_size=60).map(
    str.encode
))  # fmt: skip
def test_any_bytes(data: bytes) -> None:
    """Whatever the bytes, decoding gives a value or a DecodeError; json agrees on which."""
    try:
        value = loads(data)
    except DecodeError:
        return
    assert codec.loads(codec.dumps(value)) == value
    json.loads(data.decode())
