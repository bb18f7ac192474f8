"""static and the reference's: the same calls give the same answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from helpers.ipam import InProcess, answer, call
from helpers.plugin import BinaryRunner

if TYPE_CHECKING:
    from helpers.plugin import Outcome

ONE = {"addresses": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]}
BOTH = {"addresses": [*ONE["addresses"], {"address": "fd00::5/64"}]}
DNS = {
    "nameservers": ["192.0.2.1"],
    "domain": "a.example",
    "search": ["b.example"],
    "options": ["ndots:5"],
}

ADDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "one": (ONE, {}),
    "both families": (BOTH, {}),
    "none": ({}, {}),
    "routes and dns": (
        {**BOTH, "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}, {"dst": "::/0"}], "dns": DNS},
        {},
    ),
    "0.2.0": (BOTH, {"cniVersion": "0.2.0"}),
    "0.1.0 without address": ({}, {"cniVersion": "0.1.0"}),
    "0.4.0": (BOTH, {"cniVersion": "0.4.0"}),
    "two of a family, 0.2.0": (
        {"addresses": [{"address": "10.1.0.5/24"}, {"address": "10.1.0.6/24"}]},
        {"cniVersion": "0.2.0"},
    ),
    "two of a family": (
        {"addresses": [{"address": "10.1.0.5/24"}, {"address": "10.1.0.5/24"}]},
        {},
    ),
    "without length": ({"addresses": [{"address": "10.1.0.5"}]}, {}),
    "empty address": ({"addresses": [{"address": ""}]}, {}),
    "bad gateway": ({"addresses": [{"address": "10.1.0.5/24", "gateway": "x"}]}, {}),
    "gateway of another subnet": (
        {"addresses": [{"address": "10.1.0.5/24", "gateway": "192.0.2.1"}]},
        {},
    ),
    "addresses of the wrong type": ({"addresses": "10.1.0.5/24"}, {}),
    "letter case": ({"ADDRESSES": [{"address": "10.1.0.5/24", "GATEWAY": "10.1.0.1"}]}, {}),
    "IP": ({}, {"args": "IP=10.9.0.5/24"}),
    "IP and GATEWAY": (ONE, {"args": "IP=10.9.0.5/24,fd09::5/64;GATEWAY=fd09::1, 10.9.0.1"}),
    "GATEWAY does not fit": (ONE, {"args": "IP=10.9.0.5/24;GATEWAY=10.1.0.99"}),
    "GATEWAY alone": (ONE, {"args": "GATEWAY=10.1.0.99"}),
    "IP without length": ({}, {"args": "IP=10.9.0.5"}),
    "bad GATEWAY": ({}, {"args": "IP=10.9.0.5/24;GATEWAY=x"}),
    "unknown argument": (ONE, {"args": "K8S_POD_NAME=x"}),
    "unknown argument ignored": (ONE, {"args": "K8S_POD_NAME=x;IgnoreUnknown=true"}),
    "args replace": (ONE, {"conf_args": {"cni": {"ips": ["10.9.0.5/24"]}}}),
    "args replace what is bad": (
        {"addresses": [{"address": "x"}]},
        {"conf_args": {"cni": {"ips": ["10.9.0.5/24"]}}},
    ),
    "args without length": (ONE, {"conf_args": {"cni": {"ips": ["10.9.0.5"]}}}),
    "runtimeConfig replaces": (
        ONE,
        {
            "conf_args": {"cni": {"ips": ["10.9.0.5/24"]}},
            "runtimeConfig": {"ips": ["10.8.0.5/24", "fd08::5/64"]},
            "args": "IP=10.7.0.5/24",
        },
    ),
    "runtimeConfig without length": (ONE, {"runtimeConfig": {"ips": ["10.8.0.5"]}}),
    "IPv4 written as IPv6": ({"addresses": [{"address": "::ffff:10.1.0.5/120"}]}, {}),
}


@pytest.fixture
def theirs(reference: str) -> BinaryRunner:
    """The reference's plugins."""
    return BinaryRunner("reference", reference)


def _call(
    runner: Any, command: str, ipam: dict[str, Any] | None, changes: dict[str, Any]
) -> Outcome:
    """Call static with a configuration."""
    conf: dict[str, Any] = {"cniVersion": "1.0.0", "name": "net", "type": "bridge"}
    if ipam is not None:
        conf["ipam"] = {"type": "static", **ipam}
    for key, value in changes.items():
        if key != "args":
            conf["args" if key == "conf_args" else key] = value
    return call(runner, command, conf, plugin="static", args=changes.get("args", ""))


def _compare(
    theirs: BinaryRunner, command: str, ipam: dict[str, Any] | None, changes: dict[str, Any]
) -> None:
    """Make the same call of both and compare."""
    expected = _call(theirs, command, ipam, changes)
    outcome = _call(InProcess(), command, ipam, changes)
    assert outcome.exit_code == expected.exit_code
    assert answer(outcome) == answer(expected)


@pytest.mark.parametrize("name", ADDS)
def test_add(theirs: BinaryRunner, name: str) -> None:
    """ADD answers as the reference does."""
    _compare(theirs, "ADD", *ADDS[name])


@pytest.mark.parametrize("command", ["ADD", "CHECK", "DEL"])
def test_no_ipam(theirs: BinaryRunner, command: str) -> None:
    """A configuration without "ipam" is refused where the reference refuses it."""
    _compare(theirs, command, None, {})


@pytest.mark.parametrize(
    "prev_result",
    [
        None,
        {"ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1"}]},
        {"ips": [{"address": "10.1.0.5/16", "gateway": "10.1.0.1"}]},
        {"ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.2"}]},
        {"ips": [{"address": "10.1.0.5/24"}]},
        {"ips": [{"address": "10.1.0.6/24"}]},
        {"ips": "10.1.0.5/24"},
        {},
    ],
)
def test_check(theirs: BinaryRunner, prev_result: Any) -> None:
    """CHECK compares the gateways of configuration and result as the reference does."""
    changes = {}
    if prev_result is not None:
        if isinstance(prev_result, dict):
            prev_result = {"cniVersion": "1.0.0", **prev_result}
        changes["prevResult"] = prev_result
    _compare(theirs, "CHECK", BOTH, changes)


def test_del_twice(theirs: BinaryRunner) -> None:
    """DEL succeeds however often it is called, and prints nothing."""
    for _ in range(2):
        _compare(theirs, "DEL", BOTH, {})
