"""The protocol against the reference's own binaries: same input, same answer.

Only what comes before a plugin's own work is compared: how environment and configuration are
read, which errors they give, and how results are printed.  The reference here is 1.1.1, which
knows versions up to 1.0.0 and checks names of containers and interfaces later than its
successors; those cases are left to the unit tests.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.protocol.args import load_args
from cnifast.protocol.result import DNS, IPConfig, Result, Route
from cnifast.protocol.schema import ADDRESS, CIDR, Struct, array, field, optional, record
from cnifast.protocol.skel import dispatch
from cnifast.protocol.versions import SUPPORTED
from helpers.plugin import BinaryRunner, Outcome

if TYPE_CHECKING:
    from cnifast.protocol.request import Request

GOLDEN = Path(__file__).parents[1] / "golden" / "result"
KNOWN = tuple(version for version in SUPPORTED if version <= "1.0.0")

ENV = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "pod-1",
    "CNI_NETNS": "/proc/self/no-such-namespace",
    "CNI_IFNAME": "eth0",
}


class Address(Struct):
    """An address of the plugin below."""

    address = field("address", CIDR, "")
    gateway = optional("gateway", ADDRESS)


class Addresses(Struct):
    """What the plugin below hands out."""

    addresses = field("addresses", array(record(Address)), ())
    routes = field("routes", array(record(Route)), ())
    dns = field("dns", record(DNS), DNS())


class Conf(Struct):
    """The configuration of the plugin below."""

    ipam = field("ipam", record(Addresses), Addresses())


class Reader:
    """Reads what it is given as static and the chained plugins of the reference do."""

    def add(self, req: Request) -> Result:
        """Return the previous result, or the addresses that the configuration lists."""
        load_args(req.args, known=("IP", "GATEWAY"))
        previous = req.prev_result()
        if previous is not None:
            return previous
        ipam = Conf.decode(req.conf).ipam
        ips = [IPConfig(item.address, item.gateway) for item in ipam.addresses]
        return Result(ips=ips, routes=ipam.routes, dns=ipam.dns)

    def check(self, req: Request) -> None:
        """Do nothing."""

    def delete(self, req: Request) -> None:
        """Do nothing."""

    def gc(self, req: Request) -> None:
        """Do nothing."""

    def status(self, req: Request) -> None:
        """Do nothing."""


def ours(plugin: str, env: dict[str, str], stdin: bytes) -> Outcome:
    """Answer a call in process."""
    response = dispatch(plugin, env, stdin, lambda _name: Reader(), is_own_netns=lambda _req: False)
    return Outcome(response.exit_code, response.stdout.decode(), response.stderr.decode())


class Both:
    """Calls the reference and us with the same input."""

    def __init__(self, reference: str) -> None:
        self.runner = BinaryRunner("reference", reference)
        self.env = {**ENV, "CNI_PATH": reference}

    def call(self, plugin: str, conf: object, **env: str) -> tuple[Outcome, Outcome]:
        """Return their outcome and ours; ENV is changed by keyword, without its CNI_ prefix."""
        stdin = conf if isinstance(conf, bytes) else json.dumps(conf).encode()
        changed = {**self.env, **{f"CNI_{key}": value for key, value in env.items()}}
        return self.runner.call(plugin, changed, stdin), ours(plugin, changed, stdin)


@pytest.fixture
def both(reference: str) -> Both:
    """The two implementations."""
    return Both(reference)


def printed(outcome: Outcome) -> Any:
    """Return a printed result; an empty "dns" is as none, for 1.0.0 lost it later."""
    assert outcome.ok, outcome
    body = outcome.json
    if body.get("dns") == {}:
        del body["dns"]
    return body


def test_about(both: Both) -> None:
    """Without a command both say what they are on stderr, and succeed."""
    theirs, mine = both.call("bridge", b"x", COMMAND="", CONTAINERID="/")
    assert (theirs.exit_code, theirs.stdout) == (mine.exit_code, mine.stdout) == (0, "")
    assert theirs.stderr.partition("plugin")[0] == mine.stderr.partition("plugin")[0]
    assert mine.stderr.splitlines()[1] == f"{theirs.stderr.splitlines()[1]}, 1.1.0"


@pytest.mark.parametrize("plugin", ["bridge", "bandwidth", "firewall", "vrf", "host-local"])
def test_version(both: Both, plugin: str) -> None:
    """VERSION lists what the plugin speaks, ours with one version more."""
    theirs, mine = both.call(plugin, b"x", COMMAND="VERSION", PATH="", IFNAME="")
    assert [*theirs.json["supportedVersions"], "1.1.0"] == mine.json["supportedVersions"]
    assert theirs.stderr == mine.stderr == ""


@pytest.mark.parametrize("command", ["ADD", "CHECK", "DEL"])
def test_missing_variables(both: Both, command: str) -> None:
    """The same variables are missed in the same words."""
    for missing in (("CONTAINERID", "NETNS", "IFNAME", "PATH"), ("IFNAME",), ("NETNS", "PATH")):
        if command == "DEL" and "NETNS" not in missing:
            continue
        env = {"COMMAND": command, **dict.fromkeys(missing, "")}
        theirs, mine = both.call("static", {"name": "n"}, **env)
        assert (mine.code, mine.message) == (theirs.code, theirs.message)


SAME_WORDS: list[tuple[object, str]] = [
    (b"", "ADD"),
    (b"{", "ADD"),
    (b'{"name":', "DEL"),
    (b"null", "ADD"),
    ({}, "CHECK"),
    ({"name": ""}, "ADD"),
    ({"name": None, "cniVersion": 1}, "ADD"),
    ({"name": "a/b"}, "ADD"),
    ({"name": ".."}, "DEL"),
    ({"name": "-a"}, "ADD"),
    ({"name": "a\n"}, "ADD"),
    ({"name": "a%"}, "ADD"),
    ({"NAME": "a b"}, "ADD"),
    ({"name": "a", "Name": "b/"}, "ADD"),
    ({"Name": "b/", "name": "a", "cniVersion": "9"}, "ADD"),
    ({"name": "n", "cniVersion": "x"}, "CHECK"),
    ({"name": "n", "cniVersion": "1.x"}, "CHECK"),
    ({"name": "n", "cniVersion": "1.2."}, "CHECK"),
    ({"name": "n", "cniVersion": "1.2.3.4"}, "CHECK"),
    ({"name": "n", "cniVersion": "0.3.1"}, "CHECK"),
    ({"name": "n", "cniVersion": "-1"}, "CHECK"),
    ({"name": "n", "cniVersion": ""}, "CHECK"),
    ({"name": "n"}, "CHECK"),
    ({"name": "n", "cniVersion": "2.0.0"}, "CHECK"),
]


@pytest.mark.parametrize(
    ("conf", "command"), SAME_WORDS, ids=[f"{command} {conf!r}" for conf, command in SAME_WORDS]
)
def test_same_words(both: Both, conf: object, command: str) -> None:
    """Bad configurations are refused with the same code and message."""
    theirs, mine = both.call("static", conf, COMMAND=command)
    assert not theirs.ok
    assert mine.code == theirs.code
    # They also name the function that failed and what it was given, and have one version less.
    words = re.sub(r'strconv.Atoi: parsing "\w*": ', "", theirs.message)
    assert mine.message.replace(' "1.1.0"]', "]") == words


SAME_STEP: list[tuple[object, str]] = [
    (b"x", "error unmarshall network config: invalid character 'x' looking for beginning"),
    (b"[1", "error unmarshall network config: "),
    (b'{"name":"n"} x', "error unmarshall network config: invalid character 'x' after top-level"),
    (b'{"name":"n",}', "error unmarshall network config: "),
    (b'{"name":"a\tb"}', "error unmarshall network config: "),
    (b'{"name":"n","x":NaN}', "error unmarshall network config: "),
    (b'{"name":"n","x":01}', "error unmarshall network config: "),
    (b'\xef\xbb\xbf{"name":"n"}', "error unmarshall network config: "),
    (b'{"name":"n","x":' + b"[" * 20_000, "error unmarshall network config: "),
    ([], "error unmarshall network config: json: cannot unmarshal array into "),
    ("x", "error unmarshall network config: json: cannot unmarshal string into "),
    (5, "error unmarshall network config: json: cannot unmarshal number"),
    ({"name": 1}, "error unmarshall network config: json: cannot unmarshal number"),
    ({"name": ["n"]}, "error unmarshall network config: json: cannot unmarshal array into "),
    ({"Name": {}}, "error unmarshall network config: json: cannot unmarshal object into "),
    ({"name": "n", "cniVersion": 1}, "decoding version from network config: json: cannot"),
    ({"name": "n", "CNIVersion": []}, "decoding version from network config: json: cannot"),
    ({"name": "n", "cniVersion": "1.0"}, 'incompatible CNI versions config is "1.0", plugin'),
    (
        {"name": "n", "cniVersion": "9"},
        'incompatible CNI versions config is "9", plugin supports [',
    ),
]


@pytest.mark.parametrize(("conf", "start"), SAME_STEP, ids=[ascii(c)[:30] for c, _ in SAME_STEP])
def test_same_step(both: Both, conf: object, start: str) -> None:
    """What is worded by the decoder still has the same code and names the same step."""
    theirs, mine = both.call("static", conf)
    assert mine.code == theirs.code != 0
    assert mine.message.startswith(start)
    assert theirs.message.startswith(start)


@pytest.mark.parametrize("version", KNOWN)
def test_results_are_printed_alike(both: Both, version: str) -> None:
    """A new result has the same JSON in every version."""
    ipam = {
        "type": "static",
        "addresses": [
            {"address": "10.1.0.5/16", "gateway": "10.1.0.1"},
            {"address": "FD00::5/64", "gateway": "fd00:0::1"},
        ],
        "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "fd00::1"}],
        "dns": {"nameservers": ["10.1.0.53"], "domain": "d", "search": ["s"], "options": ["o"]},
    }
    theirs, mine = both.call("static", {"cniVersion": version, "name": "n", "ipam": ipam})
    assert printed(mine) == printed(theirs)


@pytest.mark.parametrize("plugin", ["portmap", "bandwidth"])
@pytest.mark.parametrize("version", KNOWN)
def test_previous_results_are_handed_on_alike(both: Both, plugin: str, version: str) -> None:
    """A previous result is read and printed with the same fields in every version."""
    if plugin == "bandwidth" and version < "0.3.0":
        pytest.skip("bandwidth came with 0.3.0")
    previous = json.loads((GOLDEN / f"{version}.json").read_text())
    later = {"mtu", "socketPath", "pciID", "advmss", "priority", "table", "scope"}
    for items in ("interfaces", "routes"):
        for item in previous.get(items, ()):
            for key in later & set(item):
                del item[key]
    conf = {"cniVersion": version, "name": "n", "type": plugin, "prevResult": previous}
    theirs, mine = both.call(plugin, conf)
    assert printed(mine) == printed(theirs) == previous


@pytest.mark.parametrize(
    ("version", "previous"),
    [
        ("0.2.0", {}),
        ("0.2.0", {"cniVersion": "", "ip6": {"ip": "fd00::1/64", "gateway": ""}}),
        ("0.1.0", {"IP4": {"IP": "10.0.0.1/8", "Routes": [{"Dst": "::ffff:1.0.0.0/104"}]}}),
        ("0.3.1", {"interfaces": [], "ips": None, "dns": None}),
        ("0.3.1", {"cniVersion": "0.4.0", "ips": [{"version": "6", "address": "FD00::1/64"}]}),
        ("1.0.0", {"interfaces": [{}], "ips": [{"address": "10.0.0.1/8", "interface": 0}]}),
        ("1.0.0", {"unknown": {"x": 1}, "dns": {"nameservers": []}}),
    ],
)
def test_odd_previous_results(both: Both, version: str, previous: object) -> None:
    """Sparse and oddly spelled previous results are read alike."""
    conf = {"cniVersion": version, "name": "n", "type": "portmap", "prevResult": previous}
    theirs, mine = both.call("portmap", conf)
    assert printed(mine) == printed(theirs)


@pytest.mark.parametrize(
    ("version", "previous"),
    [
        ("1.0.0", {"cniVersion": "0.4.0"}),
        ("1.0.0", {"cniVersion": ""}),
        ("0.3.1", {"cniVersion": "1.0.0"}),
        ("0.3.1", {"ips": [{"version": "4", "address": "10.0.0.1/33"}]}),
        ("0.3.1", {"ips": [{"version": "4", "address": ""}]}),
        ("0.3.1", {"ips": [{"version": "4", "address": "10.0.0.1/8", "gateway": "x"}]}),
        ("0.2.0", {"ip4": {"ip": "10.0.0.1"}}),
    ],
)
def test_bad_previous_results(both: Both, version: str, previous: object) -> None:
    """Previous results that are none are refused with the same code and reason."""
    conf = {"cniVersion": version, "name": "n", "type": "portmap", "prevResult": previous}
    theirs, mine = both.call("portmap", conf)
    assert mine.code == theirs.code == 999
    reason = mine.message.removeprefix("could not parse prevResult: ")
    # The newer reference has one version more in its lists.
    assert reason.replace("1.0.0 1.1.0]", "1.0.0]") in theirs.message


NETWORKS = [
    "10.1.2.3/16", "10.1.2.3/016", "10.1.2.3/0", "10.1.2.3/33", "10.1.2.3", "10.1.2.3/", "/8", "",
    "10.1.2/8", "010.1.2.3/8", "10.1.2.3/+8", "10.1.2.3/8 ", "10.1.2.3/8/8", "10.1.2.3/255.0.0.0",
    "::/0", "::1/128", "::1/129", "1::2::3/64", "::ffff:10.0.0.1/120", "::ffff:a00:1/104",
    "FD00:0:0:1:0:0:0:1/64", "fd00::1:0:0:1/64", "1:0:0:2:0:0:0:3/64", "1:2:3:4:5:6:7::/64",
    "::2:3:4:5:6:7:8/64", "1:2:3:4:5:6:7:8::/64", "fe80::1%eth0/64", "64:ff9b::1.2.3.4/96", "::g/8",
    "1:2:3:4:5:6:1.2.3.4/128", "::1.2.3.04/128", "12345::/16", ":::/8", "1:/8", " ::1/8",
]  # fmt: skip
GATEWAYS = [
    "10.1.2.3", "10.1.2.03", "10.1.2.256", "10.1.2", "10.1.2.3.4", " 10.1.2.3", "::",
    "::ffff:10.1.2.3",
    "FD00::A", "fd00::a%1", "fd00::a/64", "0::0:1", "::1::", "1:2:3:4:5:6:7:8", "x",
]  # fmt: skip


@pytest.mark.parametrize("text", NETWORKS)
def test_networks(both: Both, text: str) -> None:
    """The same texts are addresses with a prefix, and they print alike."""
    addresses = [{"address": "10.0.0.1/8"}]
    ipam = {"type": "static", "addresses": addresses, "routes": [{"dst": text}]}
    theirs, mine = both.call("static", {"cniVersion": "1.0.0", "name": "n", "ipam": ipam})
    assert mine.code == theirs.code
    if theirs.ok:
        assert printed(mine) == printed(theirs)
    else:
        assert f"invalid CIDR address: {text}" in theirs.message
        assert mine.message == f"invalid CIDR address: {text}"


@pytest.mark.parametrize("text", GATEWAYS)
def test_addresses(both: Both, text: str) -> None:
    """The same texts are addresses, and they print alike."""
    cidr = "fd00::5/64" if ":" in text else "10.1.0.5/16"
    ipam = {"type": "static", "addresses": [{"address": cidr, "gateway": text}]}
    theirs, mine = both.call("static", {"cniVersion": "1.0.0", "name": "n", "ipam": ipam})
    assert mine.code == theirs.code
    if theirs.ok:
        assert printed(mine) == printed(theirs)
    else:
        assert f"invalid IP address: {text}" in theirs.message
        assert mine.message == f"invalid IP address: {text}"


@pytest.mark.parametrize(
    "text",
    [
        '{"IPAM":{"TYPE":"static","ADDRESSES":[{"AddresS":"10.0.0.1/8","GATEWAY":"10.0.0.2"}]}}',
        '{"ipam":{"type":"static","addre\\u017f\\u017fes":[{"addre\u017fs":"10.0.0.1/8"}]}}',
        '{"ipam":{"type":"static","addresses":[{"address":"10.0.0.1/8","ADDRESS":"10.0.0.2/8"}]}}',
        '{"ipam":{"type":"static","addresses":[{"ADDRESS":"10.0.0.2/8","address":"10.0.0.1/8"}]}}',
        '{"ipam":{"type":"static","addresses":[{"address":"10.0.0.1/8","address":"10.0.0.3/8"}]}}',
        '{"ipam":{"type":"static","addresses":[{"address":"10.0.0.1/8","address":null}]}}',
        '{"ipam":{"type":"static","addresses":[{"address":"10.0.0.1/8","gateway":null}]}}',
        '{"ipam":{"type":"static","addresses":[{"address":"10.0.0.1/8","gateway":""}]}}',
        '{"ipam":{"type":"static"},"ipam":{"addresses":[{"address":"10.0.0.1/8"}]}}',
        '{"ipam":{"type":"static","addresses":[{"address":"10.0.0.1/8"}],"dns":{"domain":"\\ud800"}}}',
        '{"ipam":{"type":"static","addresses":[{"address":"10.0.0.1/8"}],"dns":{"domain":"\u00e9<"}}}',
        '{"ipam":{"type":"static","addresses":[{"address":"10.0.0.1/8"}],"x":1e400}}',
    ],
)
def test_keys_and_nulls(both: Both, text: str) -> None:
    """Keys in any case, several keys for one field, nulls and escapes are read alike."""
    stdin = b'{"cniVersion":"1.0.0","name":"n",' + text[1:].encode()
    theirs, mine = both.call("static", stdin)
    assert printed(mine) == printed(theirs)


@pytest.mark.parametrize(
    "text",
    ["IP", "IP=10.0.0.9/8;", "=", "IP=1=2", "X=1;Y=2", "ip=1", "IgnoreUnknown=yes",
     "X=1;IgnoreUnknown=0", "IgnoreUnknown=1;IgnoreUnknown=false;X=1", "ignoreunknown=1", "a\tb=c"],
)  # fmt: skip
def test_bad_args(both: Both, text: str) -> None:
    """Malformed and unknown pairs of CNI_ARGS are refused in the same words."""
    conf = {"cniVersion": "1.0.0", "name": "n", "ipam": {"type": "static"}}
    theirs, mine = both.call("static", conf, ARGS=text)
    assert (mine.code, mine.message) == (theirs.code, theirs.message)
    assert not theirs.ok


@pytest.mark.parametrize(
    "text", ["", "X=1;IgnoreUnknown=TRUE", "IgnoreUnknown=1", "GATEWAY=10.0.0.1", "IP=10.0.0.9/8"]
)
def test_good_args(both: Both, text: str) -> None:
    """Known pairs, and unknown ones that may be ignored, are accepted."""
    ipam = {"type": "static", "addresses": [{"address": "10.0.0.5/8"}]}
    theirs, mine = both.call(
        "static", {"cniVersion": "1.0.0", "name": "n", "ipam": ipam}, ARGS=text
    )
    assert mine.ok
    assert theirs.ok
