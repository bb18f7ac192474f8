"""Results and their conversions, against recorded ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.protocol.codec import DecodeError, loads
from cnifast.protocol.result import (
    DNS,
    ConversionError,
    Interface,
    IPConfig,
    Result,
    Route,
    parse_prev_result,
)
from cnifast.protocol.versions import SUPPORTED

GOLDEN = Path(__file__).parents[2] / "golden" / "result"
CONVERSIONS = json.loads((GOLDEN / "conversions.json").read_text())

FULL = Result(
    [
        Interface("cni0", "02:00:00:00:00:01", 1500),
        Interface("vethab12", "02:00:00:00:00:02", 1500),
        Interface(
            "eth0",
            "02:00:00:00:00:03",
            1450,
            "/run/netns/pod",
            socket_path="/run/vhost.sock",
            pci_id="0000:00:1f.6",
        ),
    ],
    [
        IPConfig("10.1.0.5/16", "10.1.0.1", 2),
        IPConfig("fd00::5/64", "fd00::1", 2),
        IPConfig("10.2.0.7/24"),
    ],
    [
        Route("0.0.0.0/0", "10.1.0.1"),
        Route("::/0", "fd00::1"),
        Route("10.9.0.0/16", mtu=1400, advmss=1360, priority=10, table=100, scope=253),
        Route("192.168.0.0/16", "10.1.0.2", table=0, scope=0),
    ],
    DNS(
        ["10.1.0.53", "fd00::53"], "pods.example", ["pods.example", "example"], ["ndots:5"]
    ),
)  # fmt: skip


def golden(version: str) -> Any:
    """Return the recorded result of a version."""
    return json.loads((GOLDEN / f"{version}.json").read_text())


@pytest.mark.parametrize("version", SUPPORTED)
def test_printed(version: str) -> None:
    """A result prints in every version with the keys that version has, on one line."""
    printed = FULL.dumps(version)
    assert json.loads(printed) == golden(version)
    assert b"\n" not in printed


@pytest.mark.parametrize("version", SUPPORTED)
@pytest.mark.parametrize("to", SUPPORTED)
def test_converted(version: str, to: str) -> None:
    """A result read in one version prints in another as what both of them know."""
    result = Result.from_json(golden(version), version)
    assert result.cni_version == version
    assert result.to_json(version) == golden(version)
    weaker = min(version, to)
    expected = Result.from_json(golden(weaker), weaker)
    if weaker < "1.0.0":
        assert result.to_json(to) == expected.to_json(to)
    else:
        assert result.to_json(to) == golden(to)


@pytest.mark.parametrize("case", CONVERSIONS, ids=[case["case"] for case in CONVERSIONS])
def test_conversion(case: dict[str, Any]) -> None:
    """Particular results convert, or are refused, as recorded."""
    if "expect" in case:
        assert Result.from_json(case["from"], case["in"]).to_json(case["to"]) == case["expect"]
        return
    with pytest.raises((DecodeError, ConversionError)) as refused:
        Result.from_json(case["from"], case["in"]).to_json(case["to"])
    assert str(refused.value) == case["error"]


def test_unknown_version_of_a_new_result() -> None:
    """A result made for a version that does not exist cannot be printed in any."""
    with pytest.raises(ConversionError, match=r"no converter for CNI result version 3 to 1\.0\.0"):
        Result(cni_version="3").to_json("1.0.0")


def test_equality() -> None:
    """Results compare by what they say, and show it."""
    same = Result.from_json(golden("1.1.0"), "1.1.0")
    assert same == FULL
    same.ips[0].gateway = None
    assert same != FULL
    assert Result() != object()
    assert repr(IPConfig("10.0.0.1/8")) in repr(Result(ips=[IPConfig("10.0.0.1/8")]))


def test_lists_are_the_results_own() -> None:
    """Adding to one result changes no other."""
    first, second = Result(), Result()
    first.ips.append(IPConfig("10.0.0.1/8"))
    assert second.ips == []
    decoded = Result.from_json({}, "1.0.0")
    decoded.routes.append(Route("::/0"))
    assert Result.from_json({}, "1.0.0").routes == []


def test_dns_is_true_when_set() -> None:
    """Settings of the resolver are true when there are any."""
    assert not DNS()
    assert DNS(options=["x"])


def test_prev_result() -> None:
    """The previous result is found in any case, and takes the configuration's version."""
    assert parse_prev_result({}, "1.0.0") is None
    assert parse_prev_result({"prevResult": None}, "1.0.0") is None
    found = parse_prev_result({"PREVRESULT": {"ips": [{"address": "10.0.0.1/8"}]}}, "1.0.0")
    assert found == Result(ips=[IPConfig("10.0.0.1/8")], cni_version="1.0.0")
    assert parse_prev_result({"prevResult": {}}, "0.2.0") == Result(cni_version="0.2.0")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([], "json: cannot unmarshal array into field prevResult of type object"),
        ("{}", "json: cannot unmarshal string into field prevResult of type object"),
        (
            {"cniVersion": "0.2.0"},
            (
                "could not parse prevResult: result type supports [1.0.0 1.1.0] "
                'but unmarshalled CNIVersion is "0.2.0"'
            ),
        ),
        (
            {"ips": [{"address": ""}]},
            "could not parse prevResult: invalid CIDR address: ",
        ),
    ],
)
def test_bad_prev_result(raw: object, message: str) -> None:
    """A previous result that is none is refused with the step in the message."""
    with pytest.raises(DecodeError) as refused:
        parse_prev_result({"prevResult": raw}, "1.0.0")
    assert str(refused.value) == message


ITEM = st.recursive(
    st.none() | st.integers() | st.text(max_size=3)
    | st.sampled_from(["10.0.0.1/8", "fd00::1/64", "10.0.0.1", "0.4.0", "::ffff:1.2.3.4/100"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["ip", "address", "dst", "gw", "gateway", "routes", "name", "mtu", "IP"]),
        inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip
RESULTS = st.dictionaries(
    st.sampled_from(["cniVersion", "ip4", "ip6", "ips", "interfaces", "routes", "dns", "IPS"]),
    ITEM,
    max_size=4,
)


@given(RESULTS | ITEM, st.sampled_from(SUPPORTED), st.sampled_from(SUPPORTED))
def test_any_result(obj: object, version: str, to: str) -> None:
    """Whatever is taken for a result prints in JSON and reads back the same, or is refused."""
    try:
        result = Result.from_json(obj, version)
        printed = result.dumps(to)
    except (DecodeError, ConversionError):
        return
    assert Result.from_json(loads(printed), to).dumps(to) == printed
