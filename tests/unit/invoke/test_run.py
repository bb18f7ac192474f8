"""Running single plugins, and delegates in the environment of a call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cnifast import invoke
from cnifast.protocol.errors import CNIError, DecodeError
from helpers.fakeexec import FakeExec
from helpers.script import script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONF = b'{"cniVersion": "1.0.0", "name": "net", "type": "show"}'


def args(command: str = "ADD") -> invoke.Args:
    """Return what a plugin is told."""
    return invoke.Args(
        command, container_id="c1", netns="/run/netns/c1", ifname="eth0", args="A=b", path="/a:/b"
    )


def test_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin finds what it is told in its environment, and the rest as this process has it."""
    monkeypatch.setenv("CNI_IFNAME", "old")
    monkeypatch.setenv("KEPT", "yes")
    path = script(tmp_path, f"env > {tmp_path}/env; cat > {tmp_path}/stdin; echo '{{}}'", "show")
    result = invoke.exec_plugin_with_result(path, CONF, args())
    assert (result.cni_version, result.ips) == ("1.0.0", [])
    assert (tmp_path / "stdin").read_bytes() == CONF
    env = dict(line.split("=", 1) for line in (tmp_path / "env").read_text().splitlines())
    told = {key: value for key, value in env.items() if key.startswith("CNI_")}
    assert told == {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": "c1",
        "CNI_NETNS": "/run/netns/c1",
        "CNI_IFNAME": "eth0",
        "CNI_ARGS": "A=b",
        "CNI_PATH": "/a:/b",
    }
    assert env["KEPT"] == "yes"


def test_without_result(tmp_path: Path) -> None:
    """What a plugin prints where no result is expected is of no interest."""
    path = script(tmp_path, "echo rubbish", "show")
    invoke.exec_plugin_without_result(path, CONF, args("DEL"))


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ('{"cniVersion": "0.4.0"}', "0.4.0"),
        ('{"cniVersion": ""}', "1.0.0"),
        ("{}", "1.0.0"),
        ("null", "1.0.0"),
    ],
)
def test_version_of_a_result(tmp_path: Path, printed: str, version: str) -> None:
    """A result is of the version that it names, else of the configuration's."""
    path = script(tmp_path, f"echo '{printed}'", "show")
    assert invoke.exec_plugin_with_result(path, CONF, args()).cni_version == version


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        ("", "unexpected end of JSON input"),
        ("rubbish", "invalid character"),
        ("[]", "cannot unmarshal array"),
        ('{"cniVersion": 5}', "cannot unmarshal number 5 into field cniVersion"),
        ('{"cniVersion": []}', "cannot unmarshal array into field cniVersion"),
        ('{"cniVersion": "9.9"}', "unsupported CNI result version"),
        ('{"ips": [{"address": "x"}]}', "invalid CIDR address: x"),
    ],
)
def test_no_result(tmp_path: Path, printed: str, why: str) -> None:
    """A plugin that prints nothing, or rubbish, is an error that shows it (code 6)."""
    path = script(tmp_path, f"printf '%s' '{printed}'", "show")
    with pytest.raises(CNIError, match="printed no result") as error:
        invoke.exec_plugin_with_result(path, CONF, args())
    assert error.value.code == 6
    assert why in str(error.value)
    assert path in error.value.msg
    assert printed.replace('"', '\\"') in error.value.details


def test_configuration_that_is_none() -> None:
    """A plugin is not run with what is no configuration."""
    for data in (b"", b"[]", b'{"cniVersion": 5}'):
        with pytest.raises(DecodeError):
            invoke.exec_plugin_with_result("/bin/false", data, args())


def test_versions(tmp_path: Path) -> None:
    """A plugin is asked for the versions it speaks with variables that old ones insist on."""
    path = script(
        tmp_path,
        f"""env > {tmp_path}/env; cat > {tmp_path}/stdin
        echo '{{"cniVersion": "0.3.1", "supportedVersions": ["0.3.0", "0.3.1"]}}'""",
        "show",
    )
    info = invoke.get_version_info(path)
    assert (info.cni_version, info.supported_versions) == ("0.3.1", ("0.3.0", "0.3.1"))
    env = (tmp_path / "env").read_text().splitlines()
    assert {"CNI_COMMAND=VERSION", "CNI_NETNS=dummy", "CNI_IFNAME=dummy"} <= set(env)
    assert json.loads((tmp_path / "stdin").read_bytes()) == {"cniVersion": "1.1.0"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("""echo '{"msg": "unknown CNI_COMMAND: VERSION"}'; exit 1""", ("0.1.0",)),
        ("""echo '{"cniVersion": "0.2.0"}'""", ("0.1.0", "0.2.0")),
        ("""echo '{"cniVersion": "0.3.0"}'""", "missing field supportedVersions"),
        ("""echo '{"supportedVersions": ["0.3.0"]}'""", "missing field cniVersion"),
        ("echo rubbish", "decoding version info: invalid character"),
        ("exit 1", "netplugin failed"),
    ],
)
def test_old_and_broken_versions(tmp_path: Path, text: str, found: tuple[str, ...] | str) -> None:
    """Plugins older than VERSION are known by their answer; others must give one."""
    path = script(tmp_path, text, "show")
    if isinstance(found, tuple):
        assert invoke.get_version_info(path).supported_versions == found
    else:
        with pytest.raises(CNIError, match=found):
            invoke.get_version_info(path)


DELEGATES: dict[str, Callable[..., object]] = {
    "ADD": invoke.delegate_add,
    "CHECK": invoke.delegate_check,
    "DEL": invoke.delegate_del,
    "GC": invoke.delegate_gc,
    "STATUS": invoke.delegate_status,
}


@pytest.mark.parametrize("command", DELEGATES)
def test_delegates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """A delegate is told what this plugin was told, but for the command that is asked of it."""
    script(tmp_path, f"env > {tmp_path}/env; cat > {tmp_path}/stdin; echo '{{}}'", "show")
    for name, value in (("COMMAND", "OTHER"), ("CONTAINERID", "c9"), ("PATH", f"/x:{tmp_path}")):
        monkeypatch.setenv(f"CNI_{name}", value)
    DELEGATES[command]("show", CONF)
    env = (tmp_path / "env").read_text().splitlines()
    assert {f"CNI_COMMAND={command}", "CNI_CONTAINERID=c9", f"CNI_PATH=/x:{tmp_path}"} <= set(env)
    assert (tmp_path / "stdin").read_bytes() == CONF


@pytest.mark.parametrize("command", DELEGATES)
def test_delegates_by_another_exec(command: str) -> None:
    """A delegate may be run by whatever runs plugins, in the environment that is given."""
    plugins = FakeExec()
    env = {"CNI_PATH": "/p", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_NETNS": "/n"}
    DELEGATES[command]("show", CONF, plugins, env=env)
    [asked] = plugins.asked
    assert (asked.command, asked.plugin) == (command, "show")
    assert (asked.args.container_id, asked.args.netns) == ("c1", "/n")
    assert plugins.open == 0


def test_delegate_that_is_not_there() -> None:
    """The directories that were searched are named."""
    with pytest.raises(CNIError, match=r'failed to find plugin "show" in path \[/x /y\]'):
        invoke.delegate_del("show", CONF, env={"CNI_PATH": "/x:/y"})


def test_names_of_the_package() -> None:
    """Everything that the package offers is there, and nothing else."""
    for name in invoke.__all__:
        assert getattr(invoke, name)
    with pytest.raises(AttributeError):
        _ = invoke.nothing  # type: ignore[attr-defined]
