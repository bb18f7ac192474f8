"""The cache of results: the files of Go's libcni, written so that no crash leaves half of one."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.invoke.files import Draft
from cnifast.libcni import (
    CNIConfig,
    RuntimeConf,
    conf_from_bytes,
    conf_list_from_conf,
    load_network_conf,
)
from cnifast.protocol.errors import CNIError
from helpers.fakeexec import FakeExec

if TYPE_CHECKING:
    from cnifast.libcni import NetworkConfigList

GOLDEN = Path(__file__).parents[2] / "golden" / "libcni"
ARGS = [("IP", "10.1.0.5"), ("K8S_POD_NAME", "a<b")]
CAPABILITIES: dict[str, Any] = {
    "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
    "bandwidth": {"ingressRate": 1000000, "egressBurst": 4294967295},
    "zeta": "x&y",
    "aliases": {"b": None, "a": [1.5, True]},
}


def golden() -> tuple[NetworkConfigList, RuntimeConf]:
    """Return the network and the attachment that the golden file is about."""
    net = load_network_conf(str(GOLDEN), "golden")
    return net, RuntimeConf("c-1", "/run/netns/blue", "eth0", ARGS, CAPABILITIES)


def entry(cache: Path, rt: RuntimeConf) -> Path:
    """Return where the file of an attachment is."""
    return cache / "results" / f"golden-{rt.container_id}-{rt.ifname}"


def test_written_as_go_writes_it(tmp_path: Path) -> None:
    """The same plugin, network and arguments give the bytes that Go's libcni wrote."""
    net, rt = golden()
    rt.netns = ""  # which the recorded version did not write
    CNIConfig([str(GOLDEN)], cache_dir=str(tmp_path)).add_network_list(net, rt)
    path = entry(tmp_path, rt)
    assert path.read_bytes() == (GOLDEN / "golden-c-1-eth0").read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    rt.netns = "/run/netns/blue"
    CNIConfig([str(GOLDEN)], cache_dir=str(tmp_path)).add_network_list(net, rt)
    written = json.loads(path.read_bytes())
    assert list(written)[4:6] == ["networkName", "netns"]
    assert written["netns"] == rt.netns


def test_read_as_go_wrote_it(tmp_path: Path) -> None:
    """Result, configuration and arguments are found in a file that Go's libcni wrote."""
    net, rt = golden()
    path = entry(tmp_path, rt)
    path.parent.mkdir()
    path.write_bytes((GOLDEN / "golden-c-1-eth0").read_bytes())
    cni = CNIConfig([str(GOLDEN)], cache_dir=str(tmp_path))
    asked = RuntimeConf("c-1", "/run/netns/blue", "eth0", [("X", "y")], {"mac": "02::01"})
    result = cni.get_network_list_cached_result(net, asked)
    assert result is not None
    assert [ip.address for ip in result.ips] == ["10.1.0.5/16", "fd00::5/64"]
    assert result.interfaces[1].sandbox == "/run/netns/blue"
    found = cni.get_network_list_cached_config(net, asked)
    assert found is not None
    config, then = found
    assert config == net.bytes
    assert (then.container_id, then.netns, then.ifname) == ("c-1", "/run/netns/blue", "eth0")
    assert list(then.args) == ARGS
    assert then.capability_args == CAPABILITIES
    [attachment] = cni.get_cached_attachments()
    assert attachment.network == "golden"
    assert attachment.load().plugins[0].type == "fake"


def test_result_in_the_version_of_the_configuration(tmp_path: Path) -> None:
    """A result is given in the version that the network has by now."""
    net, rt = golden()
    cni = CNIConfig([str(GOLDEN)], cache_dir=str(tmp_path))
    cni.add_network_list(net, rt)
    net.cni_version = "0.4.0"
    result = cni.get_network_list_cached_result(net, rt)
    assert result is not None
    assert result.cni_version == "0.4.0"


def test_early_files(tmp_path: Path) -> None:
    """A file that is nothing but a result, as early libraries wrote it, is one."""
    net, rt = golden()
    path = entry(tmp_path, rt)
    path.parent.mkdir()
    path.write_text('{"cniVersion": "0.3.1", "ips": [{"version": "4", "address": "10.9.0.1/24"}]}')
    cni = CNIConfig([str(GOLDEN)], cache_dir=str(tmp_path))
    result = cni.get_network_list_cached_result(net, rt)
    assert result is not None
    assert result.ips[0].address == "10.9.0.1/24"
    with pytest.raises(CNIError, match="wrong kind"):
        cni.get_network_list_cached_config(net, rt)
    assert cni.get_cached_attachments() == []


def test_nothing_is_remembered(tmp_path: Path) -> None:
    """What is not there is None, and no attachment."""
    net, rt = golden()
    cni = CNIConfig([str(GOLDEN)], cache_dir=str(tmp_path / "none"))
    assert cni.get_network_list_cached_result(net, rt) is None
    assert cni.get_network_list_cached_config(net, rt) is None
    assert cni.get_cached_attachments() == []


RUBBISH = ["", "{", "null", "[]", "5", "\0" * 100, '{"kind": "other"}']
RUBBISH += ['{"kind": "cniCacheV1"}', '{"kind": "cniCacheV1", "result": 5}']
RUBBISH += ['{"kind": "cniCacheV1", "result": {"cniVersion": "1.0.0", "ips": [{"address": "x"}]}}']


@pytest.mark.parametrize("content", RUBBISH)
def test_rubbish_counts_as_absent_on_del(tmp_path: Path, content: str) -> None:
    """DEL does without a result that cannot be read, and removes it; GC passes it over."""
    net, rt = golden()
    path = entry(tmp_path, rt)
    path.parent.mkdir()
    path.write_text(content)
    plugins = FakeExec()
    cni = CNIConfig("/x", plugins, str(tmp_path))
    assert cni.get_cached_attachments() == []
    cni.del_network_list(net, rt)
    assert plugins.log == ["DEL fake"]
    assert plugins.asked[0].previous is None
    assert not path.exists()


def test_rubbish_is_an_error_for_others(tmp_path: Path) -> None:
    """Whoever asks for the result, and CHECK, is told that it cannot be read."""
    net, rt = golden()
    path = entry(tmp_path, rt)
    path.parent.mkdir()
    path.write_text("{")
    cni = CNIConfig("/x", FakeExec(), str(tmp_path))
    with pytest.raises(CNIError, match='failed to get network "golden" cached result'):
        cni.get_network_list_cached_result(net, rt)
    with pytest.raises(CNIError, match='failed to get network "golden" cached result'):
        cni.check_network_list(net, rt)
    with pytest.raises(CNIError, match='failed to unmarshal cached network "golden" config'):
        cni.get_network_list_cached_config(net, rt)


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """Without a place for the result nothing is attached (code 5); DEL works all the same."""
    (tmp_path / "results").write_text("")
    net, rt = golden()
    plugins = FakeExec()
    cni = CNIConfig("/x", plugins, str(tmp_path))
    with pytest.raises(CNIError, match='failed to set network "golden" cached result') as error:
        cni.add_network_list(net, rt)
    assert error.value.code == 5
    assert plugins.log == []
    cni.del_network_list(net, rt)
    assert plugins.log == ["DEL fake"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("container_id", "../x"), ("container_id", ""), ("ifname", "a/b"), ("ifname", "")],
)
def test_names_that_lead_elsewhere(tmp_path: Path, name: str, value: str) -> None:
    """No command uses a name in a path that is none."""
    net, rt = golden()
    setattr(rt, name, value)
    plugins = FakeExec()
    cni = CNIConfig("/x", plugins, str(tmp_path))
    for command in (cni.add_network_list, cni.check_network_list, cni.del_network_list):
        with pytest.raises(CNIError) as error:
            command(net, rt)
        assert error.value.code == (4 if value or name == "ifname" else 3)
    assert plugins.log == []
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_too_long(tmp_path: Path) -> None:
    """A result that no file can have the name of is refused before a plugin is asked."""
    plugins = FakeExec()
    cni = CNIConfig("/x", plugins, str(tmp_path))
    longest = RuntimeConf("c" * (255 - len("net--eth0")), "/run/netns/c1")
    net = conf_list_from_conf(conf_from_bytes(b'{"type": "a", "name": "net"}'))
    for _ in range(2):
        cni.add_network_list(net, longest)
    assert len(cni.get_cached_attachments()) == 1
    assert plugins.log == ["ADD a", "ADD a"]
    longer = RuntimeConf(longest.container_id + "c", "/run/netns/c1")
    with pytest.raises(CNIError, match="name is too long") as error:
        cni.add_network_list(net, longer)
    assert error.value.code == 5
    assert len(plugins.log) == 2


def test_file_is_whole_or_not_there(tmp_path: Path) -> None:
    """Before it is committed a file has no name; a file that is replaced is so in one step."""
    path = tmp_path / "results" / "a"
    with Draft(str(path), named=False) as new:
        assert list(path.parent.iterdir()) == []
        new.commit(b"first")
        assert path.read_bytes() == b"first"
    held = path.open("rb")
    with Draft(str(path), named=False) as new:
        new.commit(b"second")
    assert (path.read_bytes(), held.read()) == (b"second", b"first")
    held.close()
    with Draft(str(path), named=False):
        pass
    assert [found.name for found in path.parent.iterdir()] == ["a"]
    assert path.read_bytes() == b"second"


def test_file_system_without_unnamed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files need a name they get one of their own until they are whole."""
    monkeypatch.setattr(os, "O_TMPFILE", os.O_DIRECTORY | os.O_RDWR)  # refused by every one
    path = tmp_path / "results" / "a"
    with Draft(str(path), named=False) as new:
        [spare] = path.parent.iterdir()
        assert spare.name.startswith(".")
        new.commit(b"first")
    assert [found.name for found in path.parent.iterdir()] == ["a"]
    with Draft(str(path), named=False):
        pass
    assert [found.name for found in path.parent.iterdir()] == ["a"]
