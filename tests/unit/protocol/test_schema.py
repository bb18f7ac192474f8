"""Declarative decoding by Go's rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.protocol.codec import DecodeError
from cnifast.protocol.netconf import NetConf
from cnifast.protocol.schema import (
    ADDRESS,
    ANY,
    BOOL,
    CIDR,
    INT,
    OBJECT,
    TEXT,
    UINT,
    Field,
    Integer,
    Struct,
    array,
    field,
    fold,
    lookup,
    mapping,
    optional,
    record,
)


class Range(Struct):
    """A nested object."""

    subnet = field("subnet", CIDR, "")
    gateway = field("gateway", ADDRESS, None)


class Base(Struct):
    """What Conf inherits."""

    name = field("name", TEXT, "none")


class Conf(Base):
    """One field of every kind."""

    on = field("isOn", BOOL, True)
    mtu = field("mtu", INT, 1500)
    size = field("size", UINT, 0)
    port = field("port", Integer("uint16", 0, 65535), 0)
    vlan = optional("vlan", INT)
    ranges = field("rangeSets", array(array(record(Range))), ())
    single = field("range", record(Range), Range())
    pointer = optional("pointer", record(Range))
    labels = field("labels", mapping(TEXT), {})
    raw = optional("raw", OBJECT)
    anything = optional("any", ANY)
    dotted = field("cni.dev/Some-Key", array(TEXT), ())


def test_every_kind() -> None:
    """Values of every kind are decoded into attributes."""
    conf = Conf.decode(
        {
            "name": "n", "isOn": False, "mtu": -1, "size": 2**64 - 1, "port": 80, "vlan": 0,
            "rangeSets": [[{"subnet": "10.1.2.3/16", "gateway": ""}], []],
            "range": {"gateway": "FD00:0::1"}, "pointer": {}, "labels": {"A": "x", "b": None},
            "raw": {"K": [1]}, "any": 1.5, "cni.dev/Some-Key": ["a"], "unknown": object(),
        }
    )  # fmt: skip
    assert (conf.name, conf.on, conf.mtu, conf.size, conf.port) == ("n", False, -1, 2**64 - 1, 80)
    assert conf.vlan == 0
    assert conf.ranges == ((Range(subnet="10.1.2.3/16"),), ())
    assert conf.single.gateway == "fd00::1"
    assert conf.pointer == Range()
    assert conf.labels == {"A": "x"}
    assert conf.raw == {"K": [1]}
    assert conf.anything == 1.5
    assert conf.dotted == ("a",)


def test_absent_and_null() -> None:
    """An absent key and a null leave the default."""
    empty = Conf.decode({})
    nulls = Conf.decode(dict.fromkeys(["name", "isOn", "mtu", "vlan", "rangeSets", "range", "raw"]))
    for conf in (empty, nulls, Conf.decode(None)):
        assert (conf.name, conf.on, conf.mtu, conf.vlan, conf.ranges) == (
            "none",
            True,
            1500,
            None,
            (),
        )
        assert conf.single == Range()
        assert conf.pointer is None
        assert conf.raw is None
    assert empty == nulls == Conf()
    assert empty != Base.decode({})


@pytest.mark.parametrize(
    "key", ["rangesets", "RANGESETS", "RangeSets", "range\u017fets", "ran\u0047e\u017fetS"]
)
def test_case_does_not_matter(key: str) -> None:
    """Keys match in any case, also in the two letters outside ASCII that fold to ASCII."""
    assert Conf.decode({key: [[]]}).ranges == ((),)
    assert Conf.decode({"\u212a": 1, "CNI.DEV/some-\u212aEY": ["x"]}).dotted == ("x",)


def test_folding_is_not_wider() -> None:
    """Letters that only look alike, or fold to several letters, match nothing."""
    assert fold("ß") != fold("ss")
    assert fold("ﬁ") != fold("fi")
    assert fold("İsOn") != fold("isOn")
    assert Conf.decode({"n\u0430me": "cyrillic"}).name == "none"


def test_last_of_several_wins() -> None:
    """Of several keys for one field the last one counts, a null among them does not."""
    assert Conf.decode({"name": "a", "NAME": "b"}).name == "b"
    assert Conf.decode({"NAME": "b", "name": "a"}).name == "a"
    assert Conf.decode({"name": "a", "Name": None}).name == "a"
    assert lookup({"X": 1, "x": 2, "y": 3}, "x") == 2
    assert lookup({"X": 1, "x": None}, "x") == 1
    assert lookup({}, "x") is None


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"NAME": 1}, "number 1 into field name of type string"),
        ({"name": True}, "bool into field name of type string"),
        ({"name": ["a"]}, "array into field name of type string"),
        ({"isOn": "true"}, "string into field isOn of type bool"),
        ({"isOn": 1}, "number 1 into field isOn of type bool"),
        ({"mtu": "1500"}, "string into field mtu of type int"),
        ({"mtu": True}, "bool into field mtu of type int"),
        ({"mtu": 1.0}, "number 1.0 into field mtu of type int"),
        ({"mtu": 2**63}, "number 9223372036854775808 into field mtu of type int"),
        ({"mtu": 10**300}, "into field mtu of type int"),
        ({"size": -1}, "number -1 into field size of type uint"),
        ({"port": 65536}, "number 65536 into field port of type uint16"),
        ({"vlan": {}}, "object into field vlan of type int"),
        ({"rangeSets": {}}, "object into field rangeSets of type array"),
        ({"rangeSets": [{}]}, "object into field rangeSets[0] of type array"),
        ({"rangeSets": [[], [{}, {"subnet": 1}]]}, "rangeSets[1][1].subnet of type IP network"),
        ({"rangeSets": [[{"gateway": []}]]}, "field rangeSets[0][0].gateway of type IP address"),
        ({"rangeSets": [[5]]}, "number 5 into field rangeSets[0][0] of type object"),
        ({"labels": ["a"]}, "array into field labels of type object"),
        ({"labels": {"k": 1}}, "number 1 into field labels.k of type string"),
        ({"raw": "x"}, "string into field raw of type object"),
        ({"range": "x"}, "string into field range of type object"),
        ({"cni.dev/some-key": [None]}, "null into field cni.dev/Some-Key[0] of type string"),
        ([], "array into value of type object"),
        ("x", "string into value of type object"),
    ],
)  # fmt: skip
def test_wrong_kind(obj: object, message: str) -> None:
    """A value of the wrong kind is refused, naming the path to it."""
    with pytest.raises(DecodeError) as refused:
        Conf.decode(obj)
    assert str(refused.value).endswith(message)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ({"range": {"subnet": "10.0.0.0"}}, "invalid CIDR address: 10.0.0.0"),
        ({"range": {"subnet": ""}}, "invalid CIDR address: "),
        ({"range": {"gateway": "10.0.0.0/8"}}, "invalid IP address: 10.0.0.0/8"),
    ],
)
def test_bad_addresses(obj: object, message: str) -> None:
    """A text that is no address is refused where an address belongs."""
    with pytest.raises(DecodeError) as refused:
        Conf.decode(obj)
    assert str(refused.value) == message


def test_instances() -> None:
    """Instances can be made without JSON, compare by value and show their values."""
    assert Range(subnet="10.0.0.0/8") == Range.decode({"subnet": "10.0.0.0/8"})
    assert Range() != object()
    assert repr(Range()) == "Range(subnet='', gateway=None)"
    with pytest.raises(TypeError, match="Range has no field nope"):
        Range(nope=1)


def test_declarations_are_data() -> None:
    """The fields of a Struct can be read from it, inherited ones included."""
    declared = {known.key: known for known in Conf.FIELDS.values()}
    assert isinstance(declared["name"], Field)
    assert declared["mtu"].kind.name == "int"
    assert declared["mtu"].default == 1500
    assert "mtu" not in Base.FIELDS


def test_several_bases() -> None:
    """A Struct has the fields of all its bases; the first one that has a key decides."""

    class Other(Struct):
        name = field("NAME", INT, 0)
        colour = field("colour", TEXT, "")

    class Both(Conf, Other):
        own = field("own", INT, 0)

    both = Both.decode({"name": "x", "colour": "blue", "mtu": 5, "OWN": 1})
    assert (both.name, both.colour, both.mtu, both.own) == ("x", "blue", 5, 1)
    assert "colour" not in Conf.FIELDS
    assert "own" not in Other.FIELDS


def test_network_configuration() -> None:
    """The common part of a configuration has what runtimes send to every plugin."""
    conf = NetConf.decode(
        {
            "cniVersion": "1.1.0", "name": "n", "type": "t", "capabilities": {"ips": True},
            "IPAM": {"Type": "host-local"}, "dns": {"nameservers": ["1.1.1.1"]}, "prevResult": {},
            "cni.dev/valid-attachments": [{"containerID": "c", "ifname": "eth0"}],
        }
    )  # fmt: skip
    assert conf.ipam.type == "host-local"
    assert conf.capabilities == {"ips": True}
    assert conf.dns.nameservers == ("1.1.1.1",)
    assert conf.raw_prev_result == {}
    assert [(a.container_id, a.ifname) for a in conf.valid_attachments] == [("c", "eth0")]


KEYS = st.sampled_from([*Conf.FIELDS, "NAME", "isON", "x"]) | st.text(max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.sampled_from(["10.0.0.0/8", "::1"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["subnet", "GATEWAY", "x"]), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(st.dictionaries(KEYS, VALUES, max_size=4) | VALUES)
def test_any_value(value: object) -> None:
    """Whatever the value, decoding gives an instance or a DecodeError."""
    try:
        conf = Conf.decode(value)
    except DecodeError:
        return
    assert type(conf.name) is str
    assert type(conf.mtu) is int
    assert all(type(item) is tuple for item in conf.ranges)
