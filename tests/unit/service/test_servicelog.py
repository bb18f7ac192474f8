"""Lines of the service's log."""

from __future__ import annotations

import pytest

from cnifast.service.log import logfmt


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("bridge", b"k=bridge"),
        (12, b"k=12"),
        (True, b"k=True"),
        ("/run/a_b-c.d", b"k=/run/a_b-c.d"),
        ("", b'k=""'),
        ("a b", b'k="a b"'),
        ('a"b', b'k="a\\"b"'),
        ("a\nts=forged", b'k="a\\nts=forged"'),
        ("é", b'k="\\u00e9"'),
        ("\udcff", b'k="\\udcff"'),
    ],
)
def test_values(value: object, text: bytes) -> None:
    """A value is one word, or quoted so that it stays one field of one line."""
    assert logfmt("e", {"k": value}) == b"event=e " + text + b"\n"


def test_fields_keep_their_order() -> None:
    """Lines read alike."""
    assert logfmt("e", {"b": 1, "a": 2}) == b"event=e b=1 a=2\n"
