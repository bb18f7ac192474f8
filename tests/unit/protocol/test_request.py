"""Names that come from outside, and the request as data."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.protocol.errors import (
    INVALID_ENVIRONMENT,
    INVALID_NETWORK_CONFIG,
    CNIError,
    RunCold,
)
from cnifast.protocol.request import (
    Place,
    Request,
    validate_container_id,
    validate_interface_name,
    validate_network_name,
    validate_plugin_type,
)

HOSTILE_NAMES = [
    ".", "..", "-a", "_a", ".a", "a/b", "../a", "/", "a b", "a\n", "\na", "a\0", "a;b", "a:b", "a%",
    "é", "\u0661", "a\u0661", "a\udcff", "a\r\nb", "$(a)", "a" * 1000 + "/",
]  # fmt: skip


@pytest.mark.parametrize("name", ["a", "0", "A-b_c.d", "a" * 4096, "a..", "cbr0-1.2_3"])
def test_names(name: str) -> None:
    """Letters, digits, dots, dashes and underscores after a letter or digit make a name."""
    validate_container_id(name)
    validate_network_name(name)


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=ascii)
def test_hostile_names(name: str) -> None:
    """Anything that could be a path, a line or an option is no name; each has its code."""
    with pytest.raises(CNIError) as refused:
        validate_container_id(name)
    assert refused.value.code == INVALID_ENVIRONMENT
    assert refused.value.details == name
    with pytest.raises(CNIError) as refused:
        validate_network_name(name)
    assert refused.value.code == INVALID_NETWORK_CONFIG
    assert refused.value.details == name


def test_empty_names() -> None:
    """An empty name is none."""
    with pytest.raises(CNIError):
        validate_container_id("")
    with pytest.raises(CNIError, match="missing network name"):
        validate_network_name("")


@pytest.mark.parametrize("name", ["e", "eth0", "net1.100", "a" * 15, "é" * 7, "-", "a\x1cb", "..."])
def test_interface_names(name: str) -> None:
    """What the kernel takes as a literal name passes."""
    validate_interface_name(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "is empty"),
        ("a" * 16, "is too long; interface name should be less than 16 characters"),
        ("é" * 8, "is too long"),
        (".", "is . or .."),
        ("..", "is . or .."),
        ("a/b", "contains / or :"),
        ("a:1", "contains / or :"),
        ("a b", "contains / or :"),
        ("a\n", "contains / or :"),
        ("a\0", "contains / or :"),
        ("a\u00a0", "contains / or :"),
        ("a\u3000", "contains / or :"),
        ("eth%d", "contains %"),
        ("a\udcff", "is not UTF-8"),
        ("\udcff" * 40_000, "is not UTF-8"),
    ],
    ids=lambda text: ascii(text[:16]),
)
def test_hostile_interface_names(name: str, message: str) -> None:
    """What the kernel refuses, or would take as a pattern, is refused before it sees it."""
    with pytest.raises(CNIError) as refused:
        validate_interface_name(name)
    assert refused.value.code == INVALID_ENVIRONMENT
    assert f"interface name {message}" in str(refused.value)


@pytest.mark.parametrize("name", ["bridge", "host-local", "my.plugin", "..a", "a b", "é", ""])
def test_plugin_types(name: str) -> None:
    """The name of a program passes; an empty one is for others to complain about."""
    validate_plugin_type(name)


@pytest.mark.parametrize("name", [".", "..", "/bin/sh", "../x", "a/b", "a\\b", "a\0b", "a/"])
def test_hostile_plugin_types(name: str) -> None:
    """A type that could lead out of CNI_PATH is refused, naming the key it stood under."""
    with pytest.raises(CNIError, match=r"invalid plugin name in ipam\.type") as refused:
        validate_plugin_type(name, "ipam.type")
    assert refused.value.code == INVALID_NETWORK_CONFIG


def test_request() -> None:
    """A request has what the environment says, empty where it says nothing."""
    env = {
        "CNI_CONTAINERID": "c",
        "CNI_NETNS": "/n",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "IP=1",
        "CNI_PATH": "/p",
        "CNI_NETNS_OVERRIDE": "1",
    }
    conf = {"prevResult": {"ips": [{"address": "10.0.0.1/8"}]}}
    req = Request("bridge", "ADD", env, b"{}", conf, "net", "1.0.0")
    assert (req.container_id, req.netns, req.ifname) == ("c", "/n", "eth0")
    assert (req.args, req.path, req.netns_override) == ("IP=1", "/p", "1")
    assert req.env is env
    previous = req.prev_result()
    assert previous is not None
    assert previous.ips[0].address == "10.0.0.1/8"
    bare = Request("bridge", "GC", {}, b"{}", {}, "net", "1.1.0")
    assert (bare.container_id, bare.netns, bare.ifname, bare.args, bare.path) == ("",) * 5
    assert bare.prev_result() is None


def test_place() -> None:
    """Without a place a call is here: current namespace, own paths, programs may be executed."""
    here = Request("bridge", "ADD", {}, b"", {}, "n", "1.0.0").place
    assert (here.host_netns, here.netns, here.warm) == (None, None, None)
    assert here.mount_same
    assert here.delegates
    there = Place(3, 4, "handles", mount_same=False, delegates=False)
    assert Request("bridge", "ADD", {}, b"", {}, "n", "1.0.0", there).place is there


def test_paths_of_a_plugin() -> None:
    """Each path that a plugin uses is compared, but only where there is something to compare."""
    asked = []

    def same_path(path: str) -> bool:
        asked.append(path)
        return path != "/run/cni"

    Place().require_paths("tuning", "/run/cni")
    there = Place(delegates=False, same_path=same_path)
    there.require_paths("tuning", "/etc/cni", "", None)
    with pytest.raises(RunCold, match=r"tuning uses /run/cni of the caller's mount namespace"):
        there.require_paths("tuning", "/etc/cni", "/run/cni")
    assert asked == ["/etc/cni", "/etc/cni", "/run/cni"]
    with pytest.raises(RunCold, match="relative"):
        there.require_paths("tuning", "run/cni")
    with pytest.raises(RunCold, match="tuning"):
        Place(mount_same=False).require_paths("tuning")


@given(st.text(max_size=20))
def test_any_name(name: str) -> None:
    """Whatever the text, validation passes or raises CNIError; what passes is no path."""
    for validate in (
        validate_container_id,
        validate_network_name,
        validate_interface_name,
        validate_plugin_type,
    ):
        try:
            validate(name)
        except CNIError:
            continue
        assert "/" not in name
        assert name not in (".", "..")
        assert "\0" not in name
