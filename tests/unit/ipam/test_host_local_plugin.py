"""host-local as a plugin: what goes beyond the reference, and what it leaves alone."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.ipam import host_local
from cnifast.protocol.errors import CNIError, RunCold
from cnifast.protocol.request import Place, Request
from helpers.ipam import InProcess, addresses, call, files
from helpers.ipam import host_local as configuration

if TYPE_CHECKING:
    from pathlib import Path

OURS = InProcess()
SMALL = {"subnet": "10.1.0.0/29"}


def request(conf: dict[str, Any], command: str = "ADD", **place: Any) -> Request:
    """Return a request as the skeleton makes it."""
    env = {"CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0"}
    version = conf["cniVersion"]
    return Request("host-local", command, env, b"", conf, conf["name"], version, Place(**place))


def test_owned_lists_what_add_handed_out(tmp_path: Path) -> None:
    """The owner's addresses are known from ADD until DEL."""
    conf = configuration(tmp_path, ranges=[[SMALL], [{"subnet": "fd00::/64"}]])
    req = request(conf)
    assert host_local.owned(req) == []
    result = host_local.add(req)
    assert sorted(host_local.owned(req)) == ["10.1.0.2", "fd00::2"]
    assert [ip.address for ip in result.ips] == ["10.1.0.2/29", "fd00::2/64"]
    host_local.delete(req)
    assert host_local.owned(req) == []


def test_gc_releases_all_but_the_valid(tmp_path: Path) -> None:
    """GC keeps what the list of valid attachments names, and returns what it released."""
    conf = {**configuration(tmp_path, **SMALL), "cniVersion": "1.1.0"}
    for owner in ("a", "b", "c"):
        assert call(OURS, "ADD", conf, container_id=owner).ok
    valid = [{"containerID": "b", "ifname": "eth0"}, {"containerID": "c", "ifname": "eth9"}]
    assert call(OURS, "GC", {**conf, "cni.dev/valid-attachments": valid}).ok
    assert addresses(tmp_path / "net") == {"10.1.0.3": "b\r\neth0"}
    released = host_local.gc(request({**conf, "cni.dev/valid-attachments": []}, "GC"))
    assert released == ["10.1.0.3"]


@pytest.mark.parametrize("key", ["cni.dev/valid-attachments", "cni.dev/attachments"])
@pytest.mark.parametrize("empty", [[], None])
def test_gc_takes_an_empty_list(tmp_path: Path, key: str, empty: object) -> None:
    """An empty list, or null as some runtimes write it, means that nothing is valid."""
    conf = {**configuration(tmp_path, **SMALL), "cniVersion": "1.1.0"}
    assert call(OURS, "ADD", conf).ok
    assert call(OURS, "GC", {**conf, key: empty}).ok
    assert addresses(tmp_path / "net") == {}


def test_gc_without_a_list_releases_nothing(tmp_path: Path) -> None:
    """GC that does not say what is valid is refused: it would release what is in use."""
    conf = {**configuration(tmp_path, **SMALL), "cniVersion": "1.1.0"}
    assert call(OURS, "ADD", conf).ok
    assert call(OURS, "GC", conf).code == 7
    assert len(addresses(tmp_path / "net")) == 1


def test_status_is_50_when_a_set_is_exhausted(tmp_path: Path) -> None:
    """STATUS succeeds as long as every set has an address left, and creates nothing."""
    conf = {**configuration(tmp_path, **SMALL), "cniVersion": "1.1.0"}
    assert call(OURS, "STATUS", conf).ok
    assert not (tmp_path / "net").exists()
    for owner in "abcde":
        assert call(OURS, "STATUS", conf).ok
        assert call(OURS, "ADD", conf, container_id=owner).ok
    outcome = call(OURS, "STATUS", conf)
    assert outcome.code == 50
    assert "10.1.0.1-10.1.0.6" in outcome.message
    assert call(OURS, "DEL", conf, container_id="c").ok
    assert call(OURS, "STATUS", conf).ok


def test_errors_name_the_step_and_the_reason(tmp_path: Path) -> None:
    """An ADD that cannot make the directory says which, and why."""
    (tmp_path / "file").write_text("")
    outcome = call(OURS, "ADD", configuration(tmp_path / "file", **SMALL))
    assert outcome.code == 999
    assert str(tmp_path / "file") in outcome.message
    assert "not a directory" in outcome.message


def test_failed_add_changes_nothing(tmp_path: Path) -> None:
    """An ADD that one set refuses leaves the others as they were."""
    conf = configuration(
        tmp_path, ranges=[[{"subnet": "10.1.0.0/24"}], [{"subnet": "10.2.0.0/30"}]]
    )
    assert call(OURS, "ADD", conf, container_id="a").ok
    before = files(tmp_path / "net")
    outcome = call(OURS, "ADD", conf, container_id="b")
    assert outcome.code == 999
    assert "range 1" in outcome.message
    assert files(tmp_path / "net") == before


def test_del_and_check_make_no_directory(tmp_path: Path) -> None:
    """DEL of a network that never was succeeds, CHECK fails, and neither creates anything."""
    conf = configuration(tmp_path / "data", **SMALL)
    assert call(OURS, "DEL", conf).ok
    assert call(OURS, "CHECK", conf).code == 999
    assert not (tmp_path / "data").exists()


def test_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    """Address files can be read by their owner only, as those of the reference."""
    assert call(OURS, "ADD", configuration(tmp_path, **SMALL)).ok
    for name in ("10.1.0.2", "last_reserved_ip.0"):
        assert stat.S_IMODE((tmp_path / "net" / name).stat().st_mode) == 0o600


def test_changed_configuration_counts_at_once(tmp_path: Path) -> None:
    """What is remembered of a configuration is not used for another one."""
    assert call(OURS, "ADD", configuration(tmp_path, **SMALL), container_id="a").ok
    other = configuration(tmp_path, subnet="10.1.0.0/29", gateway="10.1.0.3", routes=[])
    assert call(OURS, "ADD", other, container_id="b").json["ips"] == [
        {"address": "10.1.0.4/29", "gateway": "10.1.0.3"}
    ]


def test_results_are_not_shared(tmp_path: Path) -> None:
    """Who changes the routes of one result does not change those of the next."""
    conf = configuration(tmp_path, **SMALL, routes=[{"dst": "0.0.0.0/0"}])
    result = host_local.add(request(conf))
    result.routes[0].gw = "10.1.0.1"
    host_local.delete(request(conf))
    assert host_local.add(request(conf)).routes[0].gw is None


def test_argument_of_another_plugin(tmp_path: Path) -> None:
    """MAC=, which is meant for the interface's plugin, is no unknown argument."""
    assert call(OURS, "ADD", configuration(tmp_path, **SMALL), args="MAC=02:00:00:00:00:01").ok


def test_other_mount_namespace_runs_cold(tmp_path: Path) -> None:
    """Where paths mean something else than for the caller, nothing is done."""
    conf = configuration(tmp_path, **SMALL)
    for call_ in (host_local.add, host_local.delete, host_local.check, host_local.status):
        with pytest.raises(RunCold):
            call_(request(conf, mount_same=False))
    with pytest.raises(RunCold):
        host_local.add(request(configuration("relative", **SMALL), delegates=False))
    assert not (tmp_path / "net").exists()


def test_errors_are_cni_errors(tmp_path: Path) -> None:
    """Called in-process, a refusal is an exception that carries the code."""
    conf = configuration(tmp_path, **SMALL)
    host_local.add(request(conf))
    with pytest.raises(
        CNIError, match=r"10\.1\.0\.2 has been allocated to c1, duplicate allocation is not allowed"
    ):
        host_local.add(request(conf))


def test_nul_ends_no_path(tmp_path: Path) -> None:
    """A path with a NUL in it is refused, instead of leading to where its beginning leads."""
    conf = configuration(f"{tmp_path}/a\0b", **SMALL)
    outcome = call(OURS, "ADD", conf)
    assert (outcome.code, "NUL" in outcome.message) == (999, True)
    assert list(tmp_path.iterdir()) == []


def test_nul_ends_no_owner(tmp_path: Path) -> None:
    """GC keeps nothing for an attachment whose name only begins as a valid one, and says so."""
    conf = {**configuration(tmp_path, **SMALL), "cniVersion": "1.1.0"}
    assert call(OURS, "ADD", conf, container_id="a").ok
    valid = [{"containerID": "a\0b", "ifname": "eth0"}]
    assert call(OURS, "GC", {**conf, "cni.dev/valid-attachments": valid}).code == 999
    assert call(OURS, "CHECK", conf, container_id="a").ok
