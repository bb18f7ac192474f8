"""host-local and the reference's: the same calls give the same answers and the same files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from helpers.ipam import InProcess, answer, call, files, host_local
from helpers.plugin import BinaryRunner

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.plugin import Outcome

    Step = tuple[str, str, dict[str, Any]]
    """Command, container ID, and what is different in this call."""

ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16", "gw": "10.1.0.9"}]
PLAIN = {"subnet": "10.1.0.0/29"}
DUAL = {"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]}
TWO_RANGES = {
    "ranges": [
        [
            {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.10", "rangeEnd": "10.1.0.12"},
            {"subnet": "10.2.0.0/30", "gateway": "10.2.0.2"},
        ]
    ]
}


def _adds(n: int) -> list[Step]:
    return [("ADD", f"c{i}", {}) for i in range(n)]


SCENARIOS: dict[str, tuple[dict[str, Any], list[Step]]] = {
    "plain": (PLAIN, [*_adds(2), ("CHECK", "c1", {}), ("DEL", "c1", {}), ("CHECK", "c1", {})]),
    "exhausted and wrapping": (
        PLAIN,
        [*_adds(7), ("DEL", "c2", {}), ("ADD", "d", {}), ("DEL", "c0", {}), ("ADD", "e", {})],
    ),
    "second ADD": (PLAIN, [("ADD", "a", {}), ("ADD", "a", {}), ("ADD", "a", {"ifname": "eth1"})]),
    "second DEL": (PLAIN, [("ADD", "a", {}), ("DEL", "a", {}), ("DEL", "a", {})]),
    "DEL of one interface": (
        PLAIN,
        [("ADD", "a", {}), ("ADD", "a", {"ifname": "eth1"}), ("DEL", "a", {})],
    ),
    "DEL without ADD": (PLAIN, [("DEL", "a", {}), ("ADD", "b", {})]),
    "dual stack": (DUAL, [*_adds(3), ("DEL", "c1", {}), *_adds(1), ("ADD", "x", {})]),
    "two ranges": (TWO_RANGES, [*_adds(4), ("DEL", "c0", {}), ("DEL", "c3", {}), *_adds(1)]),
    "two ranges exhausted": (TWO_RANGES, _adds(7)),
    "gateway in the middle": (
        {"subnet": "10.1.0.0/28", "gateway": "10.1.0.3", "rangeStart": "10.1.0.2"},
        _adds(3),
    ),
    "end at the broadcast address": (
        {"subnet": "10.1.0.0/29", "rangeStart": "10.1.0.6", "rangeEnd": "10.1.0.7"},
        _adds(3),
    ),
    "range of one": (
        {"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.5", "rangeEnd": "10.1.0.5"},
        [*_adds(2), ("DEL", "c0", {}), *_adds(1)],
    ),
    "old and new style together": (
        {"subnet": "10.7.0.0/24", "ranges": [[{"subnet": "10.8.0.0/24"}]]},
        _adds(2),
    ),
    "routes": ({**PLAIN, "routes": ROUTES}, _adds(1)),
    "IPv6": ({"subnet": "2001:DB8:0:0::/120"}, _adds(3)),
    "requested": (
        {"subnet": "10.1.0.0/24"},
        [
            ("ADD", "a", {"args": "IP=10.1.0.99"}),
            ("ADD", "b", {"args": "IP=10.1.0.99"}),
            ("ADD", "c", {"args": "IP=10.1.0.98/16"}),
            ("ADD", "d", {}),
            ("ADD", "e", {"args": "IP=10.1.0.1"}),
            ("ADD", "g", {"args": "IP="}),
            ("ADD", "h", {"args": "IP=ten"}),
            ("ADD", "i", {"args": "IP=::ffff:10.1.0.50"}),
            ("ADD", "a", {"args": "IP=10.1.0.97"}),
            ("DEL", "a", {}),
        ],
    ),
    "arguments": (
        {"subnet": "10.1.0.0/24"},
        [
            ("ADD", "a", {"args": "K8S_POD_NAME=x"}),
            ("ADD", "a", {"args": "IgnoreUnknown=1;K8S_POD_NAME=x;MAC=02:00:00:00:00:01"}),
            ("ADD", "b", {"args": "IgnoreUnknown=maybe"}),
            ("ADD", "b", {"args": "IP=10.1.0.4;IP"}),
        ],
    ),
    "requested of both families": (
        DUAL,
        [
            ("ADD", "a", {"runtimeConfig": {"ips": ["10.1.0.77", "fd00:1::77/64"]}}),
            ("ADD", "b", {"args_cni": {"ips": ["fd00:1::78"]}}),
            ("ADD", "d", {"runtimeConfig": {"ips": [""]}}),
            ("ADD", "e", {"runtimeConfig": {"ips": ["10.1.0.77"]}}),
        ],
    ),
    "requested from nowhere": (
        DUAL,
        [
            ("ADD", "a", {"args": "IP=10.1.1.1"}),
            ("ADD", "b", {"args_cni": {"ips": ["10.1.0.79"]}, "runtimeConfig": {"ips": ["::1"]}}),
            ("ADD", "c", {"runtimeConfig": {"ips": ["10.1.0.7", "10.1.0.8"]}}),
        ],
    ),
    "range by capability": (
        PLAIN,
        [
            ("ADD", "a", {"runtimeConfig": {"ipRanges": [[{"subnet": "10.5.0.0/24"}]]}}),
            ("ADD", "b", {"runtimeConfig": {"ipRanges": []}}),
        ],
    ),
    "letter case": (
        {"SUBNET": "10.1.0.0/24", "RangeStart": "10.1.0.9", "GateWay": "10.1.0.254"},
        _adds(1),
    ),
    "old version": (PLAIN, [("ADD", "a", {"cniVersion": "0.2.0"}), ("CHECK", "a", {})]),
    "older version": (DUAL, [("ADD", "a", {"cniVersion": "0.1.0"})]),
    "families of 0.4.0": (DUAL, [("ADD", "a", {"cniVersion": "0.4.0"})]),
    "two of a family for an old version": (
        {"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/24"}]]},
        [("ADD", "a", {"cniVersion": "0.2.0"}), ("ADD", "a", {"cniVersion": "0.3.0"})],
    ),
}

BAD = {
    "no subnet": {},
    "empty ranges": {"ranges": []},
    "empty range set": {"ranges": [[]]},
    "subnet without length": {"subnet": "10.1.0.0"},
    "subnet of the wrong type": {"subnet": 10},
    "ranges of the wrong type": {"ranges": {"subnet": "10.1.0.0/24"}},
    "routes of the wrong type": {**PLAIN, "routes": "0.0.0.0/0"},
    "too small": {"subnet": "10.1.0.0/31"},
    "too small IPv6": {"subnet": "fd00::/127"},
    "host bits": {"subnet": "10.1.0.1/24"},
    "start outside": {"subnet": "10.1.0.0/24", "rangeStart": "10.2.0.1"},
    "end outside": {"subnet": "10.1.0.0/24", "rangeEnd": "10.2.0.1"},
    "end before start": {
        "subnet": "10.1.0.0/24",
        "rangeStart": "10.1.0.9",
        "rangeEnd": "10.1.0.8",
    },
    "end of another family": {"subnet": "10.1.0.0/24", "rangeEnd": "fd00::1"},
    "gateway that is none": {"subnet": "10.1.0.0/24", "gateway": "10.1"},
    "mixed families": {"ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "fd00::/64"}]]},
    "overlap in a set": {"ranges": [[{"subnet": "10.1.0.0/24"}, {"subnet": "10.1.0.0/16"}]]},
    "overlap of sets": {"ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.1.0.0/16"}]]},
    "IPv4 written as IPv6": {"subnet": "::ffff:10.1.0.0/120"},
    "data directory of the wrong type": {**PLAIN, "dataDir": 1},
    "resolv.conf that is not there": {**PLAIN, "resolvConf": "/nonexistent/resolv.conf"},
}


@pytest.fixture
def theirs(reference: str) -> BinaryRunner:
    """The reference's plugins."""
    return BinaryRunner("reference", reference)


def _conf(data_dir: Path, ipam: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of one call."""
    conf = host_local(data_dir, **ipam)
    for key, value in changes.items():
        if key == "args_cni":
            conf["args"] = {"cni": value}
        elif key not in ("args", "ifname"):
            conf[key] = value
    return conf


def _play(
    runner: Any, data_dir: Path, ipam: dict[str, Any], steps: list[Step]
) -> tuple[list[Any], dict[str, str]]:
    """Make the calls of a scenario; return what each gave, and the files at the end."""
    seen = []
    for command, container_id, changes in steps:
        outcome: Outcome = call(
            runner,
            command,
            _conf(data_dir, ipam, changes),
            container_id=container_id,
            ifname=changes.get("ifname", "eth0"),
            args=changes.get("args", ""),
        )
        seen.append(answer(outcome))
    return seen, files(data_dir / "net")


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(theirs: BinaryRunner, tmp_path: Path, name: str) -> None:
    """Every answer is the reference's, and so are the files that are left.

    Of an ADD that fails the reference remembers how far it got; we forget it all.
    """
    ipam, steps = SCENARIOS[name]
    expected, their_files = _play(theirs, tmp_path / "theirs", ipam, steps)
    seen, our_files = _play(InProcess(), tmp_path / "ours", ipam, steps)
    if all(isinstance(one, int) for one in expected if one):
        their_files = {k: v for k, v in their_files.items() if not k.startswith("last_")}
    assert seen == expected
    assert our_files == their_files


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["ADD", "CHECK", "DEL"])
def test_bad_configuration(theirs: BinaryRunner, tmp_path: Path, name: str, command: str) -> None:
    """A configuration that the reference refuses is refused with its code, and changes nothing."""
    conf = host_local(tmp_path / "data")
    conf["ipam"].update(BAD[name])
    if "dataDir" not in BAD[name]:
        conf["ipam"]["dataDir"] = str(tmp_path / "theirs")
    expected = call(theirs, command, conf)
    conf["ipam"]["dataDir"] = BAD[name].get("dataDir", str(tmp_path / "ours"))
    outcome = call(InProcess(), command, conf)
    assert (outcome.exit_code, outcome.code) == (expected.exit_code, expected.code)
    assert not files(tmp_path / "ours" / "net")


@pytest.mark.parametrize("text", ["", "{", '{"cniVersion": "1.0.0", "name": "net"}', "[]", "null"])
def test_bad_input(theirs: BinaryRunner, text: str) -> None:
    """Input that is no configuration is refused with the reference's code."""
    expected = call(theirs, "ADD", text)
    outcome = call(InProcess(), "ADD", text)
    assert (outcome.exit_code, outcome.code) == (expected.exit_code, expected.code)


@pytest.mark.parametrize("old", ["a", " a\r\n", "a\r\neth0", "a\r\neth1"])
def test_files_from_before(theirs: BinaryRunner, tmp_path: Path, old: str) -> None:
    """Files of any age are found and released as the reference finds and releases them."""
    steps: list[Step] = [("CHECK", "a", {}), ("ADD", "a", {}), ("DEL", "a", {}), ("CHECK", "a", {})]
    seen = []
    for runner, name in ((theirs, "theirs"), (InProcess(), "ours")):
        network = tmp_path / name / "net"
        network.mkdir(parents=True)
        (network / "10.1.0.5").write_bytes(old.encode())
        seen.append(_play(runner, tmp_path / name, PLAIN, steps))
    assert seen[1] == seen[0]


def test_dns(theirs: BinaryRunner, tmp_path: Path) -> None:
    """The resolver's settings are read from the file that the configuration names."""
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# comment\n; comment\nnameserver 192.0.2.1\n  nameserver\t192.0.2.2 more\nnameserver\n"
        "search a.example b.example\nsearch c.example\ndomain d.example\ndomain e.example\n"
        "options ndots:5 rotate\nsortlist 10.0.0.0\n\n#nameserver 192.0.2.9\nnameserver 192.0.2.3"
    )
    ipam = {**PLAIN, "resolvConf": str(path)}
    expected = call(theirs, "ADD", host_local(tmp_path / "theirs", **ipam))
    outcome = call(InProcess(), "ADD", host_local(tmp_path / "ours", **ipam))
    assert answer(outcome) == answer(expected)


@pytest.mark.parametrize("name", ["a/b", "..", ".net", "n t", "-net", ""])
def test_network_name(theirs: BinaryRunner, tmp_path: Path, name: str) -> None:
    """A name that could lead out of the data directory is refused with the reference's code."""
    expected = call(theirs, "ADD", {**host_local(tmp_path / "theirs", **PLAIN), "name": name})
    outcome = call(InProcess(), "ADD", {**host_local(tmp_path / "ours", **PLAIN), "name": name})
    assert (outcome.exit_code, outcome.code) == (expected.exit_code, expected.code)
    assert not (tmp_path / "ours").exists()
