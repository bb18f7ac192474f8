"""Network configurations: what is accepted, what is refused, and what a plugin is given."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cnifast.libcni import (
    ConfigError,
    RuntimeConf,
    conf_from_bytes,
    conf_list_from_bytes,
    conf_list_from_conf,
    inject_conf,
)
from cnifast.protocol.result import IPConfig, Result
from helpers.fakeexec import conf_list


def encoded(value: Any) -> bytes:
    """Return JSON."""
    return json.dumps(value).encode()


def test_one_plugin() -> None:
    """A plugin's configuration is found by keys in any case; its bytes stay what they were."""
    data = b'{"CNIVERSION": "0.4.0", "Name": "n", "TYPE": "bridge", "mtu": 9000, "ipam": {}}'
    conf = conf_from_bytes(data)
    assert (conf.name, conf.type, conf.cni_version, conf.bytes) == ("n", "bridge", "0.4.0", data)
    assert conf.conf["mtu"] == 9000
    assert conf.network.type == "bridge"


def test_capabilities() -> None:
    """Only capabilities that are true are declared; a list has those of all its plugins."""
    first = {"type": "a", "capabilities": {"mac": True, "ips": False, "dns": None}}
    second = {"type": "b", "capabilities": {"mac": True, "portMappings": True}}
    net = conf_list_from_bytes(encoded(conf_list(first, second)))
    assert net.plugins[0].capabilities == ("mac",)
    assert net.capabilities == ("mac", "portMappings")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "unexpected end of JSON input"),
        (b"{", "error parsing configuration"),
        (b"[]", "cannot unmarshal array"),
        (b"null", "missing 'type'"),
        (b"{}", "missing 'type'"),
        (b'{"type": ""}', "missing 'type'"),
        (b'{"type": 5}', "cannot unmarshal number 5 into field type"),
        (b'{"type": "a", "name": []}', "cannot unmarshal array into field name"),
        (b'{"type": "a", "cniVersion": 1}', "into field cniVersion"),
        (b'{"type": "a", "capabilities": []}', "into field capabilities"),
        (b'{"type": "a", "capabilities": {"mac": 1}}', r"into field capabilities\.mac"),
    ],
)
def test_refused_plugins(data: bytes, text: str) -> None:
    """What is no plugin's configuration is refused with code 7, saying what is wrong."""
    with pytest.raises(ConfigError, match=text) as error:
        conf_from_bytes(data)
    assert error.value.code == 7


def test_shared_keys_are_decoded_when_they_are_asked_for() -> None:
    """Keys that only plugins read are theirs to refuse."""
    conf = conf_from_bytes(b'{"type": "a", "dns": 5}')
    with pytest.raises(ConfigError, match="into field dns"):
        _ = conf.network


def test_list() -> None:
    """A list has name, version, switches and plugins in their order."""
    data = encoded(conf_list("a", "b", disableCheck=True, disableGC="TRUE"))
    net = conf_list_from_bytes(data)
    assert (net.name, net.cni_version, net.bytes) == ("net", "1.1.0", data)
    assert (net.disable_check, net.disable_gc, net.load_only_inlined_plugins) == (True, True, False)
    assert [plugin.type for plugin in net.plugins] == ["a", "b"]
    assert json.loads(net.plugins[0].bytes) == {"type": "a"}


@pytest.mark.parametrize(
    ("given", "chosen"),
    [
        ({"cniVersions": ["0.4.0", "1.0.0", "0.3.1"]}, "1.1.0"),
        ({"cniVersion": None, "cniVersions": ["0.4.0", "1.0.0", "0.3.1"]}, "1.0.0"),
        ({"cniVersion": "0.4.0", "cniVersions": ["0.3.1"]}, "0.4.0"),
        ({"cniVersion": "0.4.0", "cniVersions": ["1.2.0", "2.0.0"]}, "0.4.0"),
        ({"cniVersion": "7.0.0", "cniVersions": ["1.0.0"]}, "1.0.0"),
        ({"cniVersion": "7.0.0", "cniVersions": []}, "7.0.0"),
        ({"cniVersion": None, "cniVersions": ["7.0.0"]}, ""),
        ({"cniVersion": "0.2.0"}, "0.2.0"),
        ({"cniVersion": None}, ""),
    ],
)
def test_version_is_the_latest_that_is_known(given: dict[str, Any], chosen: str) -> None:
    """Of cniVersion and cniVersions the latest one counts that is not later than ours."""
    conf = conf_list("a", **given)
    if conf["cniVersion"] is None:
        del conf["cniVersion"]
    assert conf_list_from_bytes(encoded(conf)).cni_version == chosen


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ([], "cannot unmarshal array"),
        ({"plugins": []}, "no name"),
        ({"Name": "net", "plugins": []}, "no name"),
        (conf_list("a", name=5), "invalid name type number 5"),
        (conf_list("a", cniVersion=1), "invalid cniVersion type number 1"),
        (conf_list("a", cniVersions="1.0.0"), "invalid type for cniVersions: string"),
        (conf_list("a", cniVersions=["1.0.0", 2]), "cniVersions index 1: number 2"),
        (conf_list("a", cniVersions=["x"]), "invalid cniVersions entry x at index 0"),
        (conf_list("a", cniVersion="x", cniVersions=[]), "invalid cniVersion x"),
        (conf_list("a", disableCheck=1), "invalid type number 1 for disableCheck"),
        (conf_list("a", disableGC="yes"), 'invalid value "yes" for disableGC'),
        (conf_list(), "no plugins in list"),
        (conf_list(plugins={}), "invalid 'plugins' type object"),
        (conf_list("a", {"type": ""}), "failed to parse plugin config 1: .*missing 'type'"),
        (conf_list(5), "failed to parse plugin config 0"),
        ({"name": "net", "loadOnlyInlinedPlugins": True}, "no 'plugins' key"),
    ],
)
def test_refused_lists(conf: Any, text: str) -> None:
    """What is no list is refused, saying what is wrong."""
    if conf == conf_list(5):
        conf["plugins"] = [5]
    with pytest.raises(ConfigError, match=text):
        conf_list_from_bytes(encoded(conf))


def test_number_beyond_a_float_is_refused() -> None:
    """It has no JSON form that a plugin could be given, in a list or as a list."""
    text = "^failed to parse plugin config 0: a number is out of range$"
    with pytest.raises(ConfigError, match=text):
        conf_list_from_bytes(b'{"name": "net", "plugins": [{"type": "a", "x": 1e999}]}')
    with pytest.raises(ConfigError, match=r"^a number is out of range$"):
        conf_list_from_conf(conf_from_bytes(b'{"type": "a", "name": "net", "x": [-1e999]}'))


def test_list_without_plugins_is_left_to_the_folder() -> None:
    """A list may name no plugins: they may be in files of their own."""
    assert conf_list_from_bytes(b'{"name": "net"}').plugins == []


def test_old_form_becomes_a_list() -> None:
    """A configuration of one plugin stands for a list of one, whose bytes say so."""
    net = conf_list_from_conf(conf_from_bytes(b'{"name":"n","cniVersion":"0.2.0","type":"a"}'))
    assert (net.name, net.cni_version, [p.type for p in net.plugins]) == ("n", "0.2.0", ["a"])
    again = conf_list_from_bytes(net.bytes)
    assert (again.name, again.cni_version) == ("n", "0.2.0")
    assert again.plugins[0].conf == net.plugins[0].conf


def test_old_form_is_written_as_go_writes_it() -> None:
    """The list that it becomes has its keys in order and what HTML could misread escaped."""
    conf = conf_from_bytes(
        b'{"type": "b", "name": "n", "cniVersion": "1.0.0", "a": {"c": 1, "b": "<"}}'
    )
    assert conf_list_from_conf(conf).bytes == (
        b'{"cniVersion":"1.0.0","name":"n","plugins":'
        b'[{"a":{"b":"\\u003c","c":1},"cniVersion":"1.0.0","name":"n","type":"b"}]}'
    )


def test_injected_keys_replace_others_in_any_case() -> None:
    """A key that is injected is the only one of its name; the original stays as it is."""
    conf = conf_from_bytes(b'{"type": "a", "NAME": "old", "mtu": 1}')
    changed = inject_conf(conf, {"name": "new", "x": {"y": 1}})
    assert json.loads(changed.bytes) == {"type": "a", "mtu": 1, "name": "new", "x": {"y": 1}}
    assert (conf.name, changed.name) == ("old", "new")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"": 1}, "keys cannot be empty"),
        ({"x": None}, "key 'x' value must not be nil"),
        ({"x": object()}, "cannot be injected"),
        ({"x": float("nan")}, "cannot be injected"),
        ({"type": ""}, "missing 'type'"),
    ],
)
def test_what_cannot_be_injected(values: dict[str, Any], text: str) -> None:
    """Keys and values that have no meaning in a configuration are refused."""
    with pytest.raises(ConfigError, match=text):
        inject_conf(conf_from_bytes(b'{"type": "a"}'), values)


def test_input_of_a_plugin() -> None:
    """A plugin gets the list's name and version, the previous result, and what it declares."""
    plugin = {"type": "a", "name": "own", "capabilities": {"mac": True, "ips": False}}
    conf = conf_from_bytes(encoded(plugin))
    previous = Result(ips=[IPConfig("10.1.0.5/16")], cni_version="1.1.0")
    given = {"mac": "02::01", "ips": ["10.1.0.6/16"], "portMappings": []}
    found = conf.input("net", "1.0.0", previous, given)
    assert json.loads(found.stdin) == {
        "type": "a",
        "name": "net",
        "cniVersion": "1.0.0",
        "capabilities": {"mac": True, "ips": False},
        "runtimeConfig": {"mac": "02::01"},
        "prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.5/16"}]},
    }
    assert conf.conf == plugin


def test_what_a_plugin_is_given_is_prepared_once() -> None:
    """The same configuration is the same object for all attachments, with what is derived of it."""
    conf = conf_from_bytes(b'{"type": "a", "capabilities": {"mac": true}}')
    first, second = conf.input("net", "1.1.0"), conf.input("net", "1.1.0", None, {"ips": []})
    assert first.conf is second.conf
    assert first.memo is second.memo
    special = conf.input("net", "1.1.0", None, {"mac": "02::01"})
    assert special.memo is not first.memo
    assert conf.input("other", "1.1.0").conf["name"] == "other"


def test_arguments_as_text() -> None:
    """Arguments are joined as CNI_ARGS has them."""
    assert RuntimeConf("c", args=[("IP", "10.1.0.5"), ("A", "b")]).args_text == "IP=10.1.0.5;A=b"
    assert RuntimeConf("c").args_text == ""
