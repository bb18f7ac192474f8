"""What CNIConfig asks of plugins, in which order, and what it makes of their answers."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.libcni import (
    Cancel,
    CNIConfig,
    RuntimeConf,
    cached,
    conf_from_bytes,
    conf_list_from_bytes,
)
from cnifast.protocol.errors import CNIError
from helpers.fakeexec import Asked, FakeExec, conf_list

if TYPE_CHECKING:
    from pathlib import Path

    from cnifast.libcni import NetworkConfigList


def network(*plugins: Any, **keys: Any) -> NetworkConfigList:
    """Return a network."""
    return conf_list_from_bytes(json.dumps(conf_list(*plugins, **keys)).encode())


@pytest.fixture
def plugins() -> FakeExec:
    """What runs plugins."""
    return FakeExec()


@pytest.fixture
def cni(plugins: FakeExec, tmp_path: Path) -> CNIConfig:
    """A CNIConfig with an empty cache."""
    return CNIConfig(["/a", "/b"], plugins, str(tmp_path))


RT = RuntimeConf("c1", "/run/netns/c1", "eth0", [("A", "b")])


def names(asked: Asked) -> list[str]:
    """Return the interfaces of the result that a plugin was given."""
    assert asked.previous is not None
    return [interface.name for interface in asked.previous.interfaces]


def test_add_runs_the_chain(cni: CNIConfig, plugins: FakeExec, tmp_path: Path) -> None:
    """Each plugin is given the result of the one before it; the last result is kept."""
    net = network("a", "b", "c")
    result = cni.add_network_list(net, RT)
    assert plugins.log == ["ADD a", "ADD b", "ADD c"]
    assert plugins.asked[0].previous is None
    assert (names(plugins.asked[1]), names(plugins.asked[2])) == (["a"], ["a", "b"])
    assert [interface.name for interface in result.interfaces] == ["a", "b", "c"]
    assert cni.get_network_list_cached_result(net, RT) == result
    args = plugins.asked[0].args
    assert (args.container_id, args.netns, args.ifname) == ("c1", "/run/netns/c1", "eth0")
    assert (args.args, args.path) == ("A=b", "/a:/b")
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["net-c1-eth0"]
    assert plugins.open == 0


def test_del_runs_the_chain_backwards(cni: CNIConfig, plugins: FakeExec, tmp_path: Path) -> None:
    """Every plugin is given the result that was kept; then it is forgotten."""
    net = network("a", "b")
    cni.add_network_list(net, RT)
    plugins.asked.clear()
    cni.del_network_list(net, RT)
    assert plugins.log == ["DEL b", "DEL a"]
    assert [names(asked) for asked in plugins.asked] == [["a", "b"], ["a", "b"]]
    assert list((tmp_path / "results").iterdir()) == []
    cni.del_network_list(net, RuntimeConf("c1"))
    assert plugins.asked[-1].previous is None


def test_check_runs_the_chain(cni: CNIConfig, plugins: FakeExec) -> None:
    """Every plugin is given the result that was kept, in the order of ADD."""
    net = network("a", "b")
    cni.add_network_list(net, RT)
    plugins.asked.clear()
    cni.check_network_list(net, RT)
    assert plugins.log == ["CHECK a", "CHECK b"]
    assert [names(asked) for asked in plugins.asked] == [["a", "b"], ["a", "b"]]


def test_one_plugin(cni: CNIConfig, plugins: FakeExec) -> None:
    """A configuration of one plugin works as a list of one does."""
    conf = conf_from_bytes(b'{"type": "a", "name": "net", "cniVersion": "1.0.0"}')
    result = cni.add_network(conf, RT)
    assert cni.get_network_cached_result(conf, RT) == result
    found = cni.get_network_cached_config(conf, RT)
    assert found is not None
    assert found[0] == conf.bytes
    cni.check_network(conf, RT)
    cni.del_network(conf, RT)
    assert plugins.log == ["ADD a", "CHECK a", "DEL a"]
    assert cni.get_network_cached_result(conf, RT) is None


@pytest.mark.parametrize("version", ["", "0.1.0", "0.3.1"])
def test_old_versions_have_no_check_and_no_previous_result(
    cni: CNIConfig, plugins: FakeExec, version: str
) -> None:
    """Before 0.4.0 CHECK is refused (code 1), and DEL is not given the result."""
    net = network("a", cniVersion=version)
    cni.add_network_list(net, RT)
    with pytest.raises(CNIError, match="does not support the CHECK command") as error:
        cni.check_network_list(net, RT)
    assert error.value.code == 1
    cni.del_network_list(net, RT)
    assert plugins.log == ["ADD a", "DEL a"]
    assert plugins.asked[1].previous is None


def test_disabled_check(cni: CNIConfig, plugins: FakeExec) -> None:
    """Where checks are disabled no plugin is asked."""
    cni.check_network_list(network("a", disableCheck=True), RT)
    assert plugins.log == []


def test_failed_add_is_undone(cni: CNIConfig, plugins: FakeExec, tmp_path: Path) -> None:
    """Plugins before the one that failed are told to delete; code and text are the plugin's."""
    plugins.failing["ADD", "c"] = CNIError(11, "busy", "very")
    plugins.failing["DEL", "a"] = CNIError(999, "stuck")
    with pytest.raises(CNIError) as error:
        cni.add_network_list(network("a", "b", "c", "d"), RT)
    assert (error.value.code, error.value.msg) == (11, 'plugin type="c" failed (add): busy')
    assert error.value.details == "very"
    assert error.value.__notes__ == ['while undoing: plugin type="a" failed (delete): stuck']
    assert plugins.log == ["ADD a", "ADD b", "ADD c", "DEL b", "DEL a"]
    assert names(plugins.asked[-1]) == ["a", "b"]
    assert list((tmp_path / "results").iterdir()) == []
    assert plugins.open == 0


def test_undoing_goes_on_after_failures(cni: CNIConfig, plugins: FakeExec) -> None:
    """A plugin that cannot undo its part is named, and those before it are asked all the same."""
    plugins.failing["ADD", "c"] = CNIError(11, "busy")
    plugins.failing["DEL", "b"] = CNIError(999, "no")
    with pytest.raises(CNIError, match="busy") as error:
        cni.add_network_list(network("a", "b", "c"), RT)
    assert plugins.log == ["ADD a", "ADD b", "ADD c", "DEL b", "DEL a"]
    assert error.value.__notes__ == ['while undoing: plugin type="b" failed (delete): no']


def test_missing_plugin_is_found_out_first(cni: CNIConfig, plugins: FakeExec) -> None:
    """When a plugin is not there none is run."""
    plugins.missing = {"c"}
    with pytest.raises(CNIError, match=r'failed to find plugin "c" in path \[/a:/b\]'):
        cni.add_network_list(network("a", "b", "c"), RT)
    assert plugins.log == []


def test_add_without_plugins(cni: CNIConfig) -> None:
    """A network without plugins cannot be attached to."""
    with pytest.raises(CNIError, match='network "net" has no plugins'):
        cni.add_network_list(conf_list_from_bytes(b'{"name": "net"}'), RT)


def test_what_has_no_json_form(cni: CNIConfig, plugins: FakeExec, tmp_path: Path) -> None:
    """A capability argument that cannot be kept is an error, and the attachment is undone."""
    rt = RuntimeConf("c1", "/run/netns/c1", capability_args={"x": object()})
    with pytest.raises(CNIError, match="has no JSON form"):
        cni.add_network_list(network("a"), rt)
    assert plugins.log == ["ADD a", "DEL a"]
    assert list((tmp_path / "results").iterdir()) == []


def test_failed_del_keeps_the_result(cni: CNIConfig, plugins: FakeExec) -> None:
    """After a failure the plugins before it are not asked, and DEL can be repeated."""
    net = network("a", "b", "c")
    cni.add_network_list(net, RT)
    plugins.failing["DEL", "b"] = CNIError(11, "busy")
    with pytest.raises(CNIError, match=r'plugin type="b" failed \(delete\): busy') as error:
        cni.del_network_list(net, RT)
    assert error.value.code == 11
    assert plugins.log[3:] == ["DEL c", "DEL b"]
    plugins.failing.clear()
    cni.del_network_list(net, RT)
    assert plugins.log[5:] == ["DEL c", "DEL b", "DEL a"]
    assert names(plugins.asked[-1]) == ["a", "b", "c"]


def test_result_that_cannot_be_read_is_kept(
    cni: CNIConfig, plugins: FakeExec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEL goes on without it, and it is there for the next DEL if this one fails."""
    net = network("a")
    cni.add_network_list(net, RT)
    plugins.failing["DEL", "a"] = CNIError(11, "busy")
    with monkeypatch.context() as patch:
        patch.setattr(cached, "_read", _too_many_files)
        with pytest.raises(CNIError, match="busy"):
            cni.del_network_list(net, RT)
    assert plugins.asked[-1].previous is None
    plugins.failing.clear()
    cni.del_network_list(net, RT)
    assert names(plugins.asked[-1]) == ["a"]


def _too_many_files(path: str) -> bytes:
    """Fail as it does where no file can be opened."""
    raise CNIError(5, f"failed to read {path}: Too many open files")


def test_failed_check_says_which_plugin(cni: CNIConfig, plugins: FakeExec) -> None:
    """The first plugin that finds something ends the check."""
    net = network({"type": "a", "name": "x"}, "b")
    plugins.failing["CHECK", "a"] = CNIError(999, "gone")
    with pytest.raises(CNIError, match=r'plugin type="a" name="x" failed \(check\): gone'):
        cni.check_network_list(net, RT)
    assert plugins.log == ["CHECK a"]


def test_capabilities_reach_those_that_declare_them(cni: CNIConfig, plugins: FakeExec) -> None:
    """Every command gives a plugin the arguments of the capabilities it declares, and no others."""
    net = network("a", {"type": "b", "capabilities": {"mac": True}})
    rt = RuntimeConf("c1", "/run/netns/c1", capability_args={"mac": "02::01", "ips": []})
    cni.add_network_list(net, rt)
    cni.check_network_list(net, rt)
    cni.del_network_list(net, rt)
    given = {repr(asked): asked.conf.get("runtimeConfig") for asked in plugins.asked}
    assert given == {
        **dict.fromkeys(("ADD a", "CHECK a", "DEL a")),
        **{f"{command} b": {"mac": "02::01"} for command in ("ADD", "CHECK", "DEL")},
    }


def test_cache_directory(plugins: FakeExec, tmp_path: Path) -> None:
    """The object's directory counts, else the attachment's."""
    rt = RuntimeConf("c1", "/run/netns/c1", cache_dir=str(tmp_path / "rt"))
    CNIConfig("/a", plugins).add_network_list(network("a"), rt)
    assert (tmp_path / "rt" / "results" / "net-c1-eth0").exists()
    CNIConfig("/a", plugins, str(tmp_path / "own")).add_network_list(network("a"), rt)
    assert (tmp_path / "own" / "results" / "net-c1-eth0").exists()


def test_gc(cni: CNIConfig, plugins: FakeExec) -> None:
    """Stale attachments of this network are deleted as they were added; then plugins collect."""
    net, other = network("a", "b"), network("a", name="other")
    capable = RuntimeConf("c2", "/run/netns/c2", "eth1", [("K", "v")], {"mac": "02::01"})
    cni.add_network_list(net, RT)
    cni.add_network_list(net, capable)
    cni.add_network_list(other, RT)
    plugins.asked.clear()
    cni.gc_network_list(net, [("c1", "eth0")])
    assert plugins.log == ["DEL b", "DEL a", "GC a", "GC b"]
    deleted, collected = plugins.asked[0], plugins.asked[2]
    assert (deleted.args.container_id, deleted.args.ifname) == ("c2", "eth1")
    assert (deleted.args.netns, deleted.args.args) == ("/run/netns/c2", "K=v")
    valid = [{"containerID": "c1", "ifname": "eth0"}]
    assert collected.conf["cni.dev/valid-attachments"] == valid
    assert collected.conf["cni.dev/attachments"] == valid
    assert (collected.args.container_id, collected.args.path) == ("", "/a:/b")
    kept = [(a.network, a.rt.container_id) for a in cni.get_cached_attachments()]
    assert kept == [("net", "c1"), ("other", "c1")]
    assert [a.network for a in cni.get_cached_attachments("c1")] == ["net", "other"]
    assert cni.get_cached_attachments("c") == []
    plugins.asked.clear()
    cni.add_network_list(net, capable)
    assert "cni.dev/valid-attachments" not in plugins.asked[0].conf


def test_gc_goes_on_after_failures(cni: CNIConfig, plugins: FakeExec) -> None:
    """Everything is tried, and everything that failed is named."""
    net = network("a", "b")
    cni.add_network_list(net, RT)
    plugins.failing["DEL", "b"] = CNIError(11, "busy")
    plugins.failing["GC", "a"] = CNIError(999, "no")
    plugins.asked.clear()
    with pytest.raises(CNIError) as error:
        cni.gc_network_list(net)
    assert plugins.log == ["DEL b", "GC a", "GC b"]
    assert error.value.code == 11
    assert "failed to delete stale attachment c1 eth0" in str(error.value)
    assert "failed to GC plugin a: no" in str(error.value)
    plugins.failing.pop(("GC", "a"))
    with pytest.raises(CNIError, match="busy"):
        cni.gc_network_list(net)


def test_gc_without_a_cache_that_can_be_read(
    cni: CNIConfig, plugins: FakeExec, tmp_path: Path
) -> None:
    """Plugins collect all the same, and the failure is told."""
    (tmp_path / "results").write_text("no directory")
    with pytest.raises(CNIError, match="failed to read") as error:
        cni.gc_network_list(network("a"))
    assert error.value.code == 5
    assert plugins.log == ["GC a"]


def test_gc_of_old_versions_and_where_it_is_disabled(cni: CNIConfig, plugins: FakeExec) -> None:
    """Before 1.1.0 plugins have no GC, so only stale attachments are deleted; or nothing is."""
    old, disabled = network("a", cniVersion="1.0.0"), network("a", disableGC=True)
    cni.add_network_list(old, RT)
    plugins.asked.clear()
    cni.gc_network_list(disabled)
    assert plugins.log == []
    cni.gc_network_list(old)
    assert plugins.log == ["DEL a"]


def test_status(cni: CNIConfig, plugins: FakeExec) -> None:
    """The first plugin that is not ready answers, with its own code and text."""
    plugins.failing["STATUS", "b"] = CNIError(50, "not ready")
    with pytest.raises(CNIError) as error:
        cni.get_status_network_list(network("a", "b", "c"))
    assert (error.value.code, str(error.value)) == (50, "not ready")
    assert plugins.log == ["STATUS a", "STATUS b"]
    cni.get_status_network_list(network("b", cniVersion="1.0.0"))
    assert len(plugins.log) == 2


def test_validation(cni: CNIConfig, plugins: FakeExec) -> None:
    """Plugins must be there and speak the version; the capabilities are returned."""
    net = network({"type": "a", "capabilities": {"mac": True}}, "b")
    assert cni.validate_network_list(net) == ["mac"]
    alone = b'{"type": "a", "name": "n", "cniVersion": "0.4.0", "capabilities": {"ips": true}}'
    assert cni.validate_network(conf_from_bytes(alone)) == ["ips"]
    plugins.missing = {"a"}
    plugins.versions = {"b": ("0.3.1",)}
    with pytest.raises(CNIError) as error:
        cni.validate_network_list(net)
    assert 'failed to find plugin "a"' in str(error.value)
    assert 'plugin b does not support config version "1.1.0"' in str(error.value)
    plugins.versions = {"c": ("0.1.0",)}
    assert cni.validate_network(conf_from_bytes(b'{"type": "c"}')) == []


def test_version_info(cni: CNIConfig) -> None:
    """A plugin says which versions it speaks."""
    assert cni.get_version_info("a").supported_versions == ("0.4.0", "1.0.0", "1.1.0")


def test_version_that_is_none(cni: CNIConfig) -> None:
    """What cannot be compared with a version is refused."""
    net = network("a", cniVersion="x.y")
    for command in (cni.check_network_list, cni.del_network_list):
        with pytest.raises(CNIError, match="failed to convert major version"):
            command(net, RT)


def test_cancelled_add_is_undone(cni: CNIConfig, plugins: FakeExec, tmp_path: Path) -> None:
    """When nobody waits any longer no further plugin is run, and what was attached is detached."""
    cancel = Cancel()
    plugins.hook = lambda asked: cancel.set() if repr(asked) == "ADD b" else None
    with pytest.raises(CNIError, match="the call was cancelled") as error:
        cni.add_network_list(network("a", "b", "c"), RT, cancel=cancel)
    cancel.close()
    assert error.value.code == 11
    assert plugins.log == ["ADD a", "ADD b", "DEL a"]
    assert list((tmp_path / "results").iterdir()) == []


def test_many_threads(cni: CNIConfig, plugins: FakeExec) -> None:
    """One object and one network serve any number of threads."""
    net = network("a", {"type": "b", "capabilities": {"mac": True}})
    failed: list[BaseException] = []

    def work(number: int) -> None:
        mac = f"02:00:00:00:00:{number:02x}"
        rt = RuntimeConf(f"c{number}", f"/run/netns/c{number}", capability_args={"mac": mac})
        try:
            for _ in range(20):
                cni.add_network_list(net, rt)
                cni.check_network_list(net, rt)
                cni.del_network_list(net, rt)
        except BaseException as e:  # noqa: BLE001 - told to the test
            failed.append(e)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    for asked in plugins.asked:
        if asked.plugin == "b":
            number = int(asked.args.container_id[1:])
            assert asked.conf["runtimeConfig"] == {"mac": f"02:00:00:00:00:{number:02x}"}
    assert cni.get_cached_attachments() == []
