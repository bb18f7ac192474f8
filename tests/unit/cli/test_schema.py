"""JSON Schemas of configurations: they say what the plugins' own decoding says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, FormatChecker

from cnifast import plugins
from cnifast.cli import confschema
from cnifast.cli.__main__ import main
from cnifast.cli.schema import markdown
from cnifast.plugins import NAMES
from cnifast.plugins.bridge_conf import BridgeConf
from cnifast.plugins.main import loopback, macvlan
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.errors import CNIError
from cnifast.protocol.schema import (
    ANY,
    INT64,
    OBJECT,
    Array,
    Integer,
    Map,
    Raw,
    Record,
    Struct,
    record,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnifast.protocol.schema import Kind

REFERENCE = Path(__file__).parents[3] / "docs" / "configuration.md"

STRUCTS = sorted(
    {struct for name in NAMES for struct in confschema.structs_of(name)},
    key=lambda struct: struct.__qualname__ + struct.__module__,
)


def valid(schema: dict[str, Any], value: object) -> bool:
    """Tell whether a value is what a schema describes, its formats included."""
    return Draft202012Validator(schema, format_checker=FormatChecker()).is_valid(value)


def decodes(struct: type[Struct], value: object) -> bool:
    """Tell whether a plugin would decode a value, all the way down."""
    try:
        _whole(struct, value)
    except DecodeError:
        return False
    return True


def _whole(struct: type[Struct], value: object) -> None:
    """Decode a value, and what the Struct leaves for later."""
    found = struct.decode(value)
    for known in struct.FIELDS.values():
        later = getattr(found, known.attr)
        if isinstance(known.kind, Raw) and later is not None:
            known.kind.kind.decode(later, known.key)
            if isinstance(known.kind.kind, Record):
                _whole(known.kind.kind.struct, later)


def fits(kind: Kind[Any]) -> st.SearchStrategy[Any]:
    """Return values that a kind takes."""
    if isinstance(kind, Raw):
        return fits(kind.kind)
    if isinstance(kind, Array):
        return st.lists(fits(kind.item), max_size=2)
    if isinstance(kind, Map):
        return st.dictionaries(st.text("ab", min_size=1, max_size=3), fits(kind.item), max_size=2)
    if isinstance(kind, Record):
        return objects(kind.struct)
    schema = confschema.of_kind(kind)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if isinstance(kind, Integer):
        low, high = kind.schema["minimum"], kind.schema["maximum"]
        return st.integers(low, high) | st.sampled_from([low, high])
    if "pattern" in schema:
        texts = ["10.1.0.0/16", "fd00::1/64", "0.0.0.0/0", "::/0", "121", "host-name"]
        return st.sampled_from([text for text in texts if re.search(schema["pattern"], text)])
    if "anyOf" in schema:
        return st.sampled_from(["", "10.1.0.1", "fd00::1", "::ffff:10.0.0.1"])
    if schema.get("type") == "boolean":
        return st.booleans()
    if schema.get("type") == "object":
        return st.just({"any": "thing"})
    return st.text("xyz", min_size=1, max_size=8)


def objects(struct: type[Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """Return objects that a Struct decodes, with any of its keys, and unknown ones."""
    known = {field.key: fits(field.kind) for field in struct.FIELDS.values()}
    return st.fixed_dictionaries({}, optional={**known, "x-unknown": st.just([{}])})


WRONG = (True, 3, -1, 1.5, 2**64, "text", "1.2.3", ["text"], [7], {"key": 1}, [[{"subnet": 1}]])


@pytest.mark.parametrize("name", NAMES)
def test_schema_is_one(name: str) -> None:
    """What is printed about a plugin is a JSON Schema of the dialect that it names."""
    schema = confschema.of_plugin(name)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
    Draft202012Validator.check_schema(schema)


def test_schema_of_lists_is_one() -> None:
    """So is what is printed about lists."""
    Draft202012Validator.check_schema(confschema.of_lists())


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda s: f"{s.__module__}.{s.__name__}")
def test_what_fits_is_valid(struct: type[Struct]) -> None:
    """Whatever a plugin decodes and does not refuse afterwards is valid by the schema."""
    schema = confschema.of_kind(record(struct))

    @given(objects(struct))
    def check(value: dict[str, Any]) -> None:
        assert decodes(struct, value)
        assert valid(schema, value), value

    check()


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda s: f"{s.__module__}.{s.__name__}")
def test_what_is_not_decoded_is_not_valid(struct: type[Struct]) -> None:
    """A value of the wrong kind under a key is refused by both, or by the schema alone."""
    schema = confschema.of_kind(record(struct))
    told = 0
    for field in {field.key: field for field in struct.FIELDS.values()}.values():
        for wrong in WRONG:
            value = {field.key: wrong}
            if valid(schema, value):
                assert decodes(struct, value), value
            told += not decodes(struct, value)
    assert told > len(struct.FIELDS)


def kinds(kind: Kind[Any], path: str) -> Iterator[tuple[str, Kind[Any]]]:
    """Yield a kind and those within it, with where they are."""
    yield path, kind
    if isinstance(kind, Raw):
        yield from kinds(kind.kind, path)
    elif isinstance(kind, Array | Map):
        yield from kinds(kind.item, path + "[]")
    elif isinstance(kind, Record):
        yield from fields(kind.struct, path + ".")


def fields(struct: type[Struct], path: str = "") -> Iterator[tuple[str, Kind[Any]]]:
    """Yield the kinds of all keys of a Struct, nested ones included."""
    for key, field in {field.key: field for field in struct.FIELDS.values()}.items():
        yield from kinds(field.kind, path + key)


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_says_what_it_takes(name: str) -> None:
    """No key of a plugin has a kind that a schema could say nothing about, unless it is any."""
    composed = (Raw, Array, Map, Record)
    for struct in confschema.structs_of(name):
        for path, kind in fields(struct):
            known = kind.schema or isinstance(kind, composed) or kind in (ANY, OBJECT)
            assert known, f"{struct.__name__}: {path} has a kind without `schema`"


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_described(name: str) -> None:
    """Every key of every plugin has a description: a text below its declaration."""

    def missing(schema: dict[str, Any], path: str) -> Iterator[str]:
        for key, one in schema.get("properties", {}).items():
            if not one.get("description", "").endswith("."):
                yield f"{path}{key}"
            yield from missing(one, f"{path}{key}.")
        if "items" in schema:
            yield from missing(schema["items"], path)

    assert list(missing(confschema.of_plugin(name), "")) == []


def refused(schema: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """Yield values of top-level keys that a schema refuses and decoding would not."""
    for key, one in schema["properties"].items():
        if "enum" in one and one.get("type") == "string" and key != "cniVersion":
            yield key, "no-such-thing"
        if one.get("type") == "integer":
            for bound, step in (("minimum", -1), ("maximum", 1)):
                if bound in one and one[bound] not in INT64:
                    yield key, one[bound] + step


REFUSED = [
    (name, key, value) for name in NAMES for key, value in refused(confschema.of_plugin(name))
]


@pytest.mark.parametrize(("name", "key", "value"), REFUSED)
def test_plugins_refuse_what_the_schema_does(name: str, key: str, value: object) -> None:
    """A value that is of the right kind but not valid by the schema is refused by ADD."""
    conf = {"cniVersion": "1.1.0", "name": "net", "type": name, key: value}
    if name == "bridge" and key == "ipMasqBackend":
        conf["ipMasq"] = True
    assert not valid(confschema.of_plugin(name), conf)
    with pytest.raises(CNIError):
        plugins.add(name, conf, container_id="c", netns="/nonexistent", ifname="eth0")


def test_refused_values_were_found() -> None:
    """The test before this one has something to look at."""
    assert ("macvlan", "mode", "no-such-thing") in REFUSED
    assert ("bridge", "vlan", 4095) in REFUSED


BRIDGE = {
    "type": "bridge",
    "isDefaultGateway": True,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/16"}]]},
}


def test_ipam_is_checked_by_its_type() -> None:
    """An interface plugin's schema knows the keys of our IPAM plugins, and lets others be."""
    schema = confschema.of_plugin("bridge")
    assert valid(schema, BRIDGE)
    for ipam in ({"type": "host-local", "ranges": [{}]}, {"type": "static", "addresses": {}}):
        assert not valid(schema, {**BRIDGE, "ipam": ipam})
        assert valid(schema, {**BRIDGE, "ipam": {**ipam, "type": "theirs"}})


def test_lists_are_checked_by_their_plugins() -> None:
    """A list is checked plugin by plugin, and foreign plugins are let be."""
    schema = confschema.of_lists()
    conf = {
        "cniVersion": "1.0.0",
        "name": "net",
        "plugins": [BRIDGE, {"type": "theirs", "mtu": ""}],
    }
    assert valid(schema, conf)
    assert not valid(schema, {**conf, "plugins": [{**BRIDGE, "mtu": ""}]})
    assert not valid(schema, {**conf, "plugins": []})
    assert not valid(schema, {**conf, "name": "a/b"})


def test_kinds_of_configuration_must_be_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin with several kinds of NetConf, or none, has to say what it decodes."""
    monkeypatch.setattr(macvlan, "Other", BridgeConf, raising=False)
    with pytest.raises(LookupError, match="no CONF"):
        confschema.structs_of("macvlan")
    monkeypatch.setattr(macvlan, "CONF", (BridgeConf,), raising=False)
    assert confschema.structs_of("macvlan") == (BridgeConf,)
    monkeypatch.delattr(loopback, "CONF")
    with pytest.raises(LookupError, match="no CONF"):
        confschema.structs_of("loopback")


def test_command_prints_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """`cnifast schema NAME` prints a plugin's schema, `cnifast schema` that of lists."""
    assert main(["schema", "bridge"]) == 0
    assert json.loads(capsys.readouterr().out) == confschema.of_plugin("bridge")
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == confschema.of_lists()


def test_unknown_plugin_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that is no plugin's is an error that lists those there are."""
    with pytest.raises(SystemExit) as stopped:
        main(["schema", "theirs"])
    assert stopped.value.code == 2
    assert "bridge" in capsys.readouterr().err


def test_reference_is_the_schemas(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/configuration.md is what `cnifast schema --markdown` prints."""
    assert main(["schema", "--markdown"]) == 0
    assert capsys.readouterr().out == markdown() == REFERENCE.read_text()
