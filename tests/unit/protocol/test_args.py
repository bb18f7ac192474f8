"""CNI_ARGS, friendly and hostile."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.protocol.args import load_args
from cnifast.protocol.codec import DecodeError


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("", {}),
        ("IP=10.0.0.1", {"IP": "10.0.0.1"}),
        ("IP=;MAC=a", {"IP": "", "MAC": "a"}),
        ("IP=1;IP=2", {"IP": "2"}),
        ("IgnoreUnknown=1;K8S_POD_NAME=s;MAC=02:..;IP=1", {"MAC": "02:..", "IP": "1"}),
        ("X=1;IgnoreUnknown=TrUe", {}),
        ("IgnoreUnknown=0;IP=1;IgnoreUnknown=1;X=2", {"IP": "1"}),
        ("IP= a b ", {"IP": " a b "}),
    ],
)  # fmt: skip
def test_values(text: str, values: dict[str, str]) -> None:
    """Known keys give their last value; unknown ones pass when IgnoreUnknown is true at last."""
    assert load_args(text) == values


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("IP", 'ARGS: invalid pair "IP"'),
        ("IP=1;", 'ARGS: invalid pair ""'),
        (";", 'ARGS: invalid pair ""'),
        ("IP=1=2", 'ARGS: invalid pair "IP=1=2"'),
        ("a\nb", 'ARGS: invalid pair "a\\nb"'),
        ("X=1;IP=2;Y=3", 'ARGS: unknown args ["X=1" "Y=3"]'),
        ("ip=1", 'ARGS: unknown args ["ip=1"]'),
        ("=", 'ARGS: unknown args ["="]'),
        ("ignoreunknown=1;X=2", 'ARGS: unknown args ["ignoreunknown=1" "X=2"]'),
        ("IgnoreUnknown=1;X=1;IgnoreUnknown=false", 'ARGS: unknown args ["X=1"]'),
        (
            "IgnoreUnknown=Yes",
            (
                'ARGS: error parsing value of pair "IgnoreUnknown=Yes": '
                "boolean unmarshal error: invalid input yes"
            ),
        ),
        ("IP=\udcff=", 'ARGS: invalid pair "IP=\\udcff="'),
    ],
)
def test_refused(text: str, message: str) -> None:
    """Malformed pairs, unknown keys and odd truth values are refused with what they are."""
    with pytest.raises(DecodeError) as refused:
        load_args(text)
    assert str(refused.value) == message


def test_known_keys_are_the_callers() -> None:
    """Which keys are known is up to the plugin."""
    assert load_args("GATEWAY=1", known=("GATEWAY",)) == {"GATEWAY": "1"}
    with pytest.raises(DecodeError):
        load_args("IP=1", known=("GATEWAY",))


@given(
    st.lists(
        st.tuples(st.sampled_from(["IP", "MAC", "IgnoreUnknown", "X", ""]), st.text(max_size=5)),
        max_size=5,
    ).map(lambda pairs: ";".join(f"{key}={value}" for key, value in pairs))
    | st.text(max_size=30)
)
def test_any_text(text: str) -> None:
    """Whatever the text, the answer is values of known keys or a DecodeError."""
    try:
        values = load_args(text)
    except DecodeError:
        return
    assert set(values) <= {"IP", "MAC"}
    assert all(f"{key}={value}" in text.split(";") for key, value in values.items())
