"""From environment and standard input to what a plugin prints."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cnifast
from cnifast.protocol.errors import (
    DECODING_FAILURE,
    INCOMPATIBLE_CNI_VERSION,
    INTERNAL,
    INVALID_ENVIRONMENT,
    INVALID_NETNS,
    INVALID_NETWORK_CONFIG,
    PLUGIN_NOT_AVAILABLE,
    CNIError,
    RunCold,
)
from cnifast.protocol.request import Place, Request
from cnifast.protocol.result import IPConfig, Result
from cnifast.protocol.skel import STDIN_MAX, Response, dispatch, on_behalf
from cnifast.protocol.versions import SUPPORTED

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = ("ADD", "CHECK", "DEL", "GC", "STATUS")
ENV = {
    "CNI_COMMAND": "ADD",
    "CNI_CONTAINERID": "pod-1",
    "CNI_NETNS": "/run/netns/pod",
    "CNI_IFNAME": "eth0",
    "CNI_PATH": "/opt/cni/bin",
}
CONF = {"cniVersion": "1.1.0", "name": "net", "type": "bridge"}


class FakePlugin:
    """A plugin that remembers its calls, and may fail."""

    def __init__(self, failure: BaseException | None = None) -> None:
        self.calls: list[tuple[str, Request]] = []
        self.failure = failure

    def _called(self, name: str, req: Request) -> None:
        self.calls.append((name, req))
        if self.failure is not None:
            raise self.failure

    def add(self, req: Request) -> Result:
        """Return a fixed address."""
        self._called("add", req)
        return Result(ips=[IPConfig("10.1.0.5/16")])

    def check(self, req: Request) -> None:
        """Do nothing else."""
        self._called("check", req)

    def delete(self, req: Request) -> None:
        """Do nothing else."""
        self._called("delete", req)

    def gc(self, req: Request) -> None:
        """Do nothing else."""
        self._called("gc", req)

    def status(self, req: Request) -> None:
        """Do nothing else."""
        self._called("status", req)


def call(
    conf: object = CONF,
    plugin: FakePlugin | None = None,
    *,
    name: str = "bridge",
    own: Callable[[Request], bool] = lambda _req: False,
    place: Place | None = None,
    env: dict[str, str] | None = None,
) -> Response:
    """Call a plugin with ENV changed by variables that are named without their CNI_ prefix."""
    stdin = conf if isinstance(conf, bytes) else json.dumps(conf).encode()
    changed = {**ENV, **{f"CNI_{key}": value for key, value in (env or {}).items()}}
    fake = plugin or FakePlugin()
    return dispatch(name, changed, stdin, lambda _name: fake, place=place, is_own_netns=own)


def refusal(response: Response) -> dict[str, Any]:
    """Return the error that a response is: one line on stdout, exit code 1, nothing else."""
    assert response.exit_code == 1
    assert response.stdout.endswith(b"}\n")
    assert response.stdout.count(b"\n") == 1
    body = json.loads(response.stdout)
    assert isinstance(body, dict)
    assert body["cniVersion"] in SUPPORTED
    return body


def without(key: str) -> dict[str, str]:
    """Return CONF without a key."""
    return {name: value for name, value in CONF.items() if name != key}


def test_add() -> None:
    """ADD prints the plugin's result in the configuration's version."""
    plugin = FakePlugin()
    place = Place(warm="x")
    response = call({**CONF, "cniVersion": "0.4.0"}, plugin, place=place, env={"ARGS": "IP=1"})
    assert response.exit_code == 0
    assert response.stdout == (
        b'{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.0.5/16"}],"dns":{}}\n'
    )
    assert response.stderr == b""
    ((name, req),) = plugin.calls
    assert name == "add"
    assert (req.plugin, req.command, req.name, req.cni_version) == ("bridge", "ADD", "net", "0.4.0")
    assert req.args == "IP=1"
    assert req.conf["type"] == "bridge"
    assert json.loads(req.stdin) == req.conf
    assert req.place is place


@pytest.mark.parametrize(
    ("command", "name"),
    [("CHECK", "check"), ("DEL", "delete"), ("GC", "gc"), ("STATUS", "status")],
)
def test_other_commands(command: str, name: str) -> None:
    """Every other command calls its function, prints nothing and succeeds."""
    plugin = FakePlugin()
    response = call(plugin=plugin, env={"COMMAND": command})
    assert (response.exit_code, response.stdout, response.stderr) == (0, b"", b"")
    assert [called for called, _ in plugin.calls] == [name]


def test_keys_in_any_case() -> None:
    """Name, version and type are found in any case."""
    plugin = FakePlugin()
    response = call({"CNIVERSION": "1.0.0", "Name": "n", "TYPE": "bridge"}, plugin)
    assert response.exit_code == 0
    assert (plugin.calls[0][1].name, plugin.calls[0][1].cni_version) == ("n", "1.0.0")


def test_no_version_is_the_oldest() -> None:
    """A configuration without a version, or an empty one, gets the oldest form of a result."""
    for conf in (without("cniVersion"), {**CONF, "cniVersion": ""}, {**CONF, "cniVersion": None}):
        response = call(conf)
        assert json.loads(response.stdout) == {
            "cniVersion": "0.1.0",
            "ip4": {"ip": "10.1.0.5/16"},
            "dns": {},
        }


def test_about() -> None:
    """Without a command a plugin says on stderr what it is, whatever else it was given."""
    response = call(b"not json", env={"COMMAND": "", "CONTAINERID": "/"})
    assert response.exit_code == 0
    assert response.stdout == b""
    assert response.stderr.decode() == (
        f"CNI bridge plugin {cnifast.__version__}\n"
        "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n"
    )


def test_version() -> None:
    """VERSION answers with the versions of the plugin and looks at nothing else."""
    response = call(
        b"not json", env={"COMMAND": "VERSION", "CONTAINERID": "/", "PATH": "", "IFNAME": ".."}
    )
    assert response.exit_code == 0
    assert json.loads(response.stdout) == {
        "cniVersion": "1.1.0",
        "supportedVersions": list(SUPPORTED),
    }
    later = json.loads(call(name="firewall", env={"COMMAND": "VERSION"}).stdout)
    assert later["supportedVersions"] == ["0.4.0", "1.0.0", "1.1.0"]


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("ADD", ["CONTAINERID", "NETNS", "IFNAME", "PATH"]),
        ("CHECK", ["CONTAINERID", "NETNS", "IFNAME", "PATH"]),
        ("DEL", ["CONTAINERID", "IFNAME", "PATH"]),
        ("GC", ["PATH"]),
        ("STATUS", ["PATH"]),
    ],
)
def test_missing_variables(command: str, needed: list[str]) -> None:
    """Every command names all variables that it needs and does not find."""
    empty = dict.fromkeys(("CONTAINERID", "NETNS", "IFNAME", "PATH"), "")
    body = refusal(call(env={**empty, "COMMAND": command}))
    names = ",".join(f"CNI_{name}" for name in needed)
    assert (body["code"], body["msg"]) == (
        INVALID_ENVIRONMENT,
        f"required env variables [{names}] missing",
    )
    spared = dict.fromkeys(set(empty) - set(needed), "") | {"COMMAND": command}
    assert call(env=spared).exit_code == 0


REFUSED: list[tuple[str, object, dict[str, str], int, str]] = [
    # Hostile variables, also beside missing ones and broken input: those come later.
    ("container id", b"{", {"CONTAINERID": "../x", "PATH": ""}, INVALID_ENVIRONMENT,
     "invalid characters in containerID"),
    ("interface", b"{", {"IFNAME": "a/b"}, INVALID_ENVIRONMENT, "interface name contains / or :"),
    ("long interface", CONF, {"IFNAME": "a" * 16}, INVALID_ENVIRONMENT, "name is too long"),
    ("missing, then broken", b"{", {"PATH": ""}, INVALID_ENVIRONMENT, "[CNI_PATH] missing"),
    # What is on stdin.
    ("nothing", b"", {}, DECODING_FAILURE, "error unmarshall network config: unexpected end"),
    ("truncated", b'{"name":"net",', {}, DECODING_FAILURE, "unexpected end of JSON input"),
    ("garbage", b"x", {}, DECODING_FAILURE, "invalid character 'x' looking for beginning of value"),
    ("two documents", b'{"name":"n"}{}', {}, DECODING_FAILURE, "after top-level value"),
    ("no UTF-8", b'{"name":"\xff"}', {}, DECODING_FAILURE, "invalid UTF-8"),
    ("UTF-16", '{"name":"n"}'.encode("utf-16"), {}, DECODING_FAILURE, "invalid UTF-8"),
    ("too deep", b'{"name":"n","x":' + b"[" * 500_000, {}, DECODING_FAILURE, "exceeded max depth"),
    ("huge number", b'{"name":"n","x":' + b"1" * 9000 + b"}", {}, DECODING_FAILURE, "many digits"),
    ("NaN", b'{"name":"n","mtu":NaN}', {}, DECODING_FAILURE, "invalid constant NaN"),
    ("too long", b'{"name":"n"}' + b" " * STDIN_MAX, {}, DECODING_FAILURE, "larger than 1 MiB"),
    ("array", [], {}, DECODING_FAILURE, "cannot unmarshal array into value of type network config"),
    ("number", 5, {}, DECODING_FAILURE, "cannot unmarshal number 5"),
    ("text", "x", {}, DECODING_FAILURE, "cannot unmarshal string"),
    # The name comes before the command, the command before the version.
    ("null", None, {}, INVALID_NETWORK_CONFIG, "missing network name"),
    ("no name", {"cniVersion": 1}, {}, INVALID_NETWORK_CONFIG, "missing network name"),
    ("empty name", {**CONF, "name": ""}, {}, INVALID_NETWORK_CONFIG, "missing network name"),
    ("name is a number", {**CONF, "name": 1}, {}, DECODING_FAILURE,
     "error unmarshall network config: json: cannot unmarshal number 1 into field name"),
    ("name is a path", {**CONF, "name": "../x"}, {}, INVALID_NETWORK_CONFIG,
     "invalid characters found in network name"),
    ("name with a line", {**CONF, "name": "x\n"}, {}, INVALID_NETWORK_CONFIG,
     "invalid characters found in network name"),
    ("name with half a surrogate", b'{"name":"a\\ud800"}', {}, INVALID_NETWORK_CONFIG,
     "invalid characters found in network name"),
    ("command", {"name": "n", "cniVersion": 1}, {"COMMAND": "FOO"}, INVALID_ENVIRONMENT,
     "unknown CNI_COMMAND: FOO"),
    ("command in lower case", CONF, {"COMMAND": "add"}, INVALID_ENVIRONMENT, "CNI_COMMAND: add"),
    ("command without stdin", b"", {"COMMAND": "FOO"}, DECODING_FAILURE, "unexpected end"),
    # Versions.
    ("version is a number", {**CONF, "cniVersion": 1}, {}, DECODING_FAILURE,
     "decoding version from network config: json: cannot unmarshal number 1 into field cniVersion"),
    ("unknown version", {**CONF, "cniVersion": "9.9.9"}, {}, INCOMPATIBLE_CNI_VERSION,
     "incompatible CNI versions"),
    ("version is text", {**CONF, "cniVersion": "x"}, {}, INCOMPATIBLE_CNI_VERSION,
     "incompatible CNI versions"),
    ("short version", {**CONF, "cniVersion": "1.0"}, {"COMMAND": "CHECK"}, INCOMPATIBLE_CNI_VERSION,
     "incompatible CNI versions"),
    ("CHECK before its time", {**CONF, "cniVersion": "0.3.1"}, {"COMMAND": "CHECK"},
     INCOMPATIBLE_CNI_VERSION, "config version does not allow CHECK"),
    ("CHECK without a version", without("cniVersion"), {"COMMAND": "CHECK"},
     INCOMPATIBLE_CNI_VERSION, "config version does not allow CHECK"),
    ("CHECK after our time", {**CONF, "cniVersion": "2.0.0"}, {"COMMAND": "CHECK"},
     INCOMPATIBLE_CNI_VERSION, "plugin version does not allow CHECK"),
    ("CHECK with text", {**CONF, "cniVersion": "x"}, {"COMMAND": "CHECK"}, DECODING_FAILURE,
     'failed to convert major version part "x"'),
    ("CHECK with many parts", {**CONF, "cniVersion": "1.2.3.4"}, {"COMMAND": "CHECK"},
     DECODING_FAILURE, 'invalid version "1.2.3.4": too many parts'),
    ("GC before its time", {**CONF, "cniVersion": "1.0.0"}, {"COMMAND": "GC"},
     INCOMPATIBLE_CNI_VERSION, "config version does not allow GC"),
    ("STATUS before its time", {**CONF, "cniVersion": "1.0.0"}, {"COMMAND": "STATUS"},
     INCOMPATIBLE_CNI_VERSION, "config version does not allow STATUS"),
    ("STATUS after our time", {**CONF, "cniVersion": "1.2.0"}, {"COMMAND": "STATUS"},
     INCOMPATIBLE_CNI_VERSION, "plugin version does not allow STATUS"),
    ("GC with text", {**CONF, "cniVersion": "1.x"}, {"COMMAND": "GC"}, DECODING_FAILURE,
     'failed to convert minor version part "x"'),
    # Types that are paths; the version is looked at first.
    ("version before type", {**CONF, "cniVersion": "9", "type": "/x"}, {}, INCOMPATIBLE_CNI_VERSION,
     "incompatible CNI versions"),
    ("type is a path", {**CONF, "type": "../bridge"}, {}, INVALID_NETWORK_CONFIG,
     "invalid plugin name in type"),
    ("type is a parent", {**CONF, "Type": ".."}, {}, INVALID_NETWORK_CONFIG,
     "invalid plugin name in type"),
    ("IPAM type is a path", {**CONF, "ipam": {"type": "/bin/sh"}}, {}, INVALID_NETWORK_CONFIG,
     "invalid plugin name in ipam.type"),
    ("IPAM type in any case", {**CONF, "IPAM": {"TYPE": "."}}, {"COMMAND": "DEL"},
     INVALID_NETWORK_CONFIG, "invalid plugin name in ipam.type"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("conf", "env", "code", "message"),
    [case[1:] for case in REFUSED],
    ids=[case[0] for case in REFUSED],
)
def test_refused(conf: object, env: dict[str, str], code: int, message: str) -> None:
    """Bad input is refused with its code before the plugin is even loaded."""

    def load(name: str) -> FakePlugin:
        raise AssertionError(name)

    stdin = conf if isinstance(conf, bytes) else json.dumps(conf).encode()
    changed = {**ENV, **{f"CNI_{key}": value for key, value in env.items()}}
    body = refusal(dispatch("bridge", changed, stdin, load, is_own_netns=lambda _req: False))
    assert (body["code"], message in body["msg"]) == (code, True), body
    assert len(body["msg"]) < 300


def test_details() -> None:
    """What a message cannot say in one line is in the details."""
    body = refusal(call({**CONF, "cniVersion": 'a"b'}))
    assert body["details"].startswith('config is "a\\"b", plugin supports ["0.1.0" "0.2.0" ')
    assert refusal(call({**CONF, "name": "a/b"}))["details"] == "a/b"
    assert "details" not in refusal(call({**CONF, "name": ""}))


def test_version_of_an_error() -> None:
    """An error answers in the configuration's version, in the current one when that is unknown."""
    for conf, version in (
        ({**CONF, "cniVersion": "0.3.1", "type": "/"}, "0.3.1"),
        ({**without("cniVersion"), "type": "/"}, "0.1.0"),
        ({**CONF, "cniVersion": "7.0.0"}, "1.1.0"),
        ({**CONF, "cniVersion": ["1.0.0"]}, "1.1.0"),
        ({**CONF, "cniVersion": {"a": 1}}, "1.1.0"),
        (b"{", "1.1.0"),
        ([], "1.1.0"),
    ):
        assert refusal(call(conf))["cniVersion"] == version


def test_long_input_is_not_repeated() -> None:
    """An error shows the beginning of what was wrong, not a mebibyte of it."""
    body = refusal(call({**CONF, "name": "/" * 1_000_000}))
    assert len(body["details"]) < 2100
    assert body["details"].endswith("/...")


@pytest.mark.parametrize("command", ["ADD", "DEL"])
def test_own_namespace(command: str) -> None:
    """The plugin's own namespace is refused before anything is touched, unless overridden."""
    plugin = FakePlugin()
    asked: list[Request] = []

    def own(req: Request) -> bool:
        asked.append(req)
        return True

    body = refusal(call(plugin=plugin, own=own, env={"COMMAND": command}))
    assert body["code"] == INVALID_NETNS
    assert body["msg"] == "plugin's netns and netns from CNI_NETNS should not be the same"
    assert plugin.calls == []
    assert asked[0].netns == "/run/netns/pod"
    for override in ("1", "TRUE", "true", "True"):
        assert call(own=own, env={"COMMAND": command, "NETNS_OVERRIDE": override}).exit_code == 0
    for override in ("0", "yes", "false", " 1"):
        assert call(own=own, env={"COMMAND": command, "NETNS_OVERRIDE": override}).exit_code == 1


def test_own_namespace_is_not_asked_elsewhere() -> None:
    """CHECK, GC, STATUS, and DEL without a namespace, do not ask whose namespace it is."""

    def own(req: Request) -> bool:
        raise AssertionError(req)

    for command in ("CHECK", "GC", "STATUS"):
        assert call(own=own, env={"COMMAND": command}).exit_code == 0
    assert call(own=own, env={"COMMAND": "DEL", "NETNS": ""}).exit_code == 0


def test_namespace_that_is_none() -> None:
    """An error of the question whose namespace it is becomes the answer."""

    def own(_req: Request) -> bool:
        raise CNIError(INVALID_NETNS, "not a network namespace", "/etc/passwd")

    body = refusal(call(own=own))
    assert (body["code"], body["details"]) == (INVALID_NETNS, "/etc/passwd")


@pytest.mark.parametrize("command", COMMANDS)
def test_failures(command: str) -> None:
    """A plugin's CNI error is the answer; an error of the system or of input is internal."""
    failures: list[tuple[Exception, int, str]] = [
        (CNIError(PLUGIN_NOT_AVAILABLE, "full"), PLUGIN_NOT_AVAILABLE, "full"),
        (ValueError("bad range"), INTERNAL, "bad range"),
        (FileNotFoundError(2, "No such file or directory", "/run/x"), INTERNAL,
         "/run/x: no such file or directory"),
        (OSError(18, "Invalid cross-device link", "/a", None, "/b"), INTERNAL,
         "/a -> /b: invalid cross-device link"),
        (OSError(5, "Input/output error"), INTERNAL, "input/output error"),
        (OSError("just text"), INTERNAL, "just text"),
    ]  # fmt: skip
    for failure, code, message in failures:
        response = call(plugin=FakePlugin(failure), env={"COMMAND": command})
        body = refusal(response)
        assert (body["code"], body["msg"]) == (code, message)
        assert response.stderr == b""


def test_own_text_of_a_system_error() -> None:
    """A subclass of OSError with its own words keeps them."""

    class LinkError(OSError):
        def __str__(self) -> str:
            return "create link: busy"

    body = refusal(call(plugin=FakePlugin(LinkError(16, "Device or resource busy"))))
    assert body["msg"] == "create link: busy"


def test_a_message_is_one_line() -> None:
    """Line ends and other control characters in a message are escaped."""
    body = refusal(call(plugin=FakePlugin(ValueError("a\nb\x1b[0m\u2028 caf\u00e9"))))
    assert body["msg"] == "a\\nb\\x1b[0m\\u2028 caf\u00e9"


def test_defects_are_logged() -> None:
    """A defect answers like any error, and leaves its traceback on stderr."""
    response = call(plugin=FakePlugin(ZeroDivisionError("\ud800")))
    assert refusal(response)["code"] == INTERNAL
    assert refusal(response)["msg"] == r"ZeroDivisionError: \ud800"
    assert b"Traceback" in response.stderr
    assert b"_called" in response.stderr


def test_plugin_that_cannot_be_loaded() -> None:
    """An error while loading the plugin is answered like any other."""

    def load(name: str) -> FakePlugin:
        raise ModuleNotFoundError(name)

    response = dispatch(
        "nope", ENV, json.dumps(CONF).encode(), load, is_own_netns=lambda _req: False
    )
    assert refusal(response)["msg"] == "ModuleNotFoundError: nope"


def test_result_without_a_form() -> None:
    """A result that the configuration's version cannot express is an error, and undone."""

    class Empty(FakePlugin):
        def add(self, req: Request) -> Result:
            self._called("add", req)
            return Result()

    plugin = Empty()
    body = refusal(call({**CONF, "cniVersion": "0.2.0"}, plugin))
    assert (body["code"], body["msg"]) == (INTERNAL, "cannot convert: no valid IP addresses")
    assert [name for name, _ in plugin.calls] == ["add", "delete"]


def test_run_cold() -> None:
    """The instruction to run elsewhere passes through, as does a request to stop."""
    with pytest.raises(RunCold, match="another mount namespace"):
        call(plugin=FakePlugin(RunCold("another mount namespace")))
    with pytest.raises(KeyboardInterrupt):
        call(plugin=FakePlugin(KeyboardInterrupt()))


def test_overhead() -> None:
    """A whole call around a plugin that does nothing takes well under a millisecond."""
    conf = json.dumps(
        {**CONF, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.0.0.0/8"}]]}}
    )
    fake = FakePlugin()
    best = 1.0
    for _ in range(200):
        start = time.perf_counter()
        dispatch("bridge", ENV, conf.encode(), lambda _name: fake, is_own_netns=lambda _req: False)
        best = min(best, time.perf_counter() - start)
    assert best < 200e-6


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.sampled_from(SUPPORTED),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "TYPE", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)
CONFS = st.dictionaries(
    st.sampled_from(["name", "Name", "cniVersion", "CNIVERSION", "type", "ipam", "prevResult", ""]),
    VALUES,
    max_size=5,
)
ENVS = st.dictionaries(
    st.sampled_from([*ENV, "CNI_ARGS", "CNI_NETNS_OVERRIDE", "PATH"]),
    st.sampled_from([*COMMANDS, "VERSION", "", "x", "/", "1", "\udcff"]) | st.text(max_size=4),
    max_size=6,
)


@given(CONFS.map(json.dumps).map(str.encode) | st.binary(max_size=40), ENVS, st.booleans())
def test_any_call(stdin: bytes, env: dict[str, str], defaults: bool) -> None:
    """Whatever the environment and input, there is an answer of the protocol's form."""
    given_env = {**ENV, **env} if defaults else env
    response = dispatch(
        "bridge", given_env, stdin, lambda _name: FakePlugin(), is_own_netns=lambda _req: False
    )
    if response.exit_code:
        body = refusal(response)
        assert body["code"] in (1, 4, 6, 7, 999)
        assert body["code"] != INTERNAL or body["msg"].startswith("cannot convert")
    elif response.stdout:
        assert isinstance(json.loads(response.stdout), dict)


@given(st.binary(max_size=30), st.integers(0, 200))
def test_damaged_configuration(noise: bytes, at: int) -> None:
    """A good configuration with some bytes damaged runs, or is refused by code 1, 6 or 7."""
    good = json.dumps({**CONF, "ipam": {"type": "host-local", "subnet": "10.0.0.0/8"}}).encode()
    response = call(good[:at] + noise + good[at + len(noise) :])
    if response.exit_code:
        assert refusal(response)["code"] in (1, 6, 7)


def asked(conf: object = CONF, place: Place | None = None, command: str = "DEL") -> Request:
    """Return the request that a plugin gets for a call."""
    plugin = FakePlugin()
    response = call(conf, plugin, place=place, env={"COMMAND": command, "EXTRA": "x"})
    assert response.exit_code == 0, response
    return plugin.calls[0][1]


def test_call_on_behalf() -> None:
    """Another plugin gets the caller's place and variables with a configuration of its own."""
    req = asked(place=Place(3, 4, "warm", delegates=False, same_path=bool, root="/r"))
    stdin = b'{"cniVersion":"0.4.0","name":"other","type":"macvlan"}'
    child = on_behalf(req, "macvlan", stdin)
    assert (child.plugin, child.command, child.stdin) == ("macvlan", "DEL", stdin)
    assert (child.name, child.cni_version, child.conf["type"]) == ("other", "0.4.0", "macvlan")
    assert (child.container_id, child.netns, child.ifname) == ("pod-1", "/run/netns/pod", "eth0")
    assert child.place is req.place
    assert child.env == req.env
    assert on_behalf(req, "macvlan", stdin).derive("x", lambda r: r) is child.derive("x", id)


def test_call_on_behalf_for_another_container() -> None:
    """A call for another container is not made in the namespace of the first."""
    req = asked(
        {**CONF, "cni.dev/valid-attachments": []},
        Place(3, 4, "warm", delegates=False, same_path=bool, root="/r"),
    )
    owner = {"CNI_CONTAINERID": "pod-2", "CNI_NETNS": "", "CNI_COMMAND": "DEL"}
    child = on_behalf(req, "bridge", req.stdin, owner)
    assert (child.command, child.container_id, child.netns) == ("DEL", "pod-2", "")
    assert (child.place.netns, req.place.netns) == (None, 4)
    kept = ("host_netns", "warm", "mount_same", "delegates", "exits", "same_path", "root")
    values = [3, "warm", True, False, False, bool, "/r"]
    assert [getattr(child.place, name) for name in kept] == values
    assert child.env["CNI_EXTRA"] == "x"


@pytest.mark.parametrize(
    ("stdin", "env", "code"),
    [
        (b"{", {}, DECODING_FAILURE),
        (b'{"name":"../x","type":"bridge"}', {}, INVALID_NETWORK_CONFIG),
        (b'{"name":"x","type":"../x"}', {}, INVALID_NETWORK_CONFIG),
        (b'{"name":"x","type":"bridge","ipam":{"type":"a/b"}}', {}, INVALID_NETWORK_CONFIG),
        (b'{"name":"x","type":"firewall","cniVersion":"0.3.1"}', {}, INCOMPATIBLE_CNI_VERSION),
        (b'{"name":"x","type":"bridge"}', {"CNI_CONTAINERID": "a/b"}, INVALID_ENVIRONMENT),
        (b'{"name":"x","type":"bridge"}', {"CNI_IFNAME": ""}, INVALID_ENVIRONMENT),
    ],
)
def test_call_on_behalf_refused(stdin: bytes, env: dict[str, str], code: int) -> None:
    """What a program would refuse is refused, and is not remembered as good."""
    req = asked()
    plugin = "firewall" if b"firewall" in stdin else "bridge"
    for _ in range(2):
        with pytest.raises(CNIError) as error:
            on_behalf(req, plugin, stdin, env)
        assert error.value.code == code
