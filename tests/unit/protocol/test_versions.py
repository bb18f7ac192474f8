"""Versions of the specification."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.protocol import versions
from cnifast.protocol.codec import DecodeError


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("1.1.0", (1, 1, 0)),
        ("", (0, 1, 0)),
        ("1", (1, 0, 0)),
        ("1.2", (1, 2, 0)),
        ("01.+2.-3", (1, 2, -3)),
        ("9223372036854775807", (2**63 - 1, 0, 0)),
        ("0" * 50 + "1", (1, 0, 0)),
    ],
)
def test_parse(text: str, parsed: tuple[int, ...]) -> None:
    """Missing parts are 0, an empty text is 0.1.0, and signs and zeros are allowed."""
    assert versions.parse(text) == parsed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1.2.3.4", 'invalid version "1.2.3.4": too many parts'),
        ("x", 'failed to convert major version part "x": invalid syntax'),
        ("1.", 'failed to convert minor version part "": invalid syntax'),
        ("1.0.0 ", 'failed to convert micro version part "0 ": invalid syntax'),
        ("1.\u0661", 'failed to convert minor version part "\u0661": invalid syntax'),
        ("1_0", 'failed to convert major version part "1_0": invalid syntax'),
        ("+-1", 'failed to convert major version part "+-1": invalid syntax'),
        ("9223372036854775808", "value out of range"),
        ("9" * 100_000, "value out of range"),
    ],
)
def test_not_a_version(text: str, message: str) -> None:
    """What is not up to three numbers of 64 bits is refused, naming the part."""
    with pytest.raises(DecodeError) as refused:
        versions.parse(text)
    assert message in str(refused.value)


def test_order() -> None:
    """The supported versions are in order, and an unset one counts as the oldest."""
    for older, newer in zip(versions.SUPPORTED, versions.SUPPORTED[1:], strict=False):
        assert versions.at_least(newer, older)
        assert not versions.at_least(older, newer)
    assert versions.at_least("1.10.0", "1.9.0")
    assert versions.at_least("", versions.OLDEST)
    assert not versions.at_least("", "0.2.0")
    assert versions.SUPPORTED[-1] == versions.CURRENT


def test_supported_by() -> None:
    """Plugins that came later do not speak the versions from before their time."""
    assert versions.supported_by("bridge") == versions.SUPPORTED
    assert versions.supported_by("firewall") == ("0.4.0", "1.0.0", "1.1.0")
    assert versions.supported_by("bandwidth")[0] == "0.3.0"
    assert versions.supported_by("vrf")[0] == "0.3.1"


@given(st.text("0123456789.+-x", max_size=12) | st.text(max_size=12))
def test_any_text(text: str) -> None:
    """Whatever the text, parsing gives three numbers or a DecodeError."""
    try:
        parsed = versions.parse(text)
    except DecodeError:
        return
    assert len(parsed) == 3
    assert all(-(2**63) <= part < 2**63 for part in parsed)
