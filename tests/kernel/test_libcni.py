"""Networks attached by the library, with programs and in this process, on a real kernel."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import invoke
from cnifast.libcni import (
    CNIConfig,
    InProcessExec,
    ProcessExec,
    RuntimeConf,
    conf_from_bytes,
)
from cnifast.protocol.errors import CNIError
from helpers import nsutil
from helpers.flannel import flanneld
from helpers.networks import BRIDGE, CACHE, Nothing, network, taken
from helpers.script import script

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cnifast.invoke.call import Exec
    from helpers.node import Node


@pytest.fixture(params=["process", "in-process"])
def exec_(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exec]:
    """Each way to run plugins; no service is left behind."""
    monkeypatch.setenv("CNIFAST_SERVICE", "off")
    if request.param == "process":
        yield ProcessExec()
    else:
        with InProcessExec() as ours:
            yield ours


def test_attach_check_detach(node: Node, plugin_directory: str, exec_: Exec) -> None:
    """A chain is attached, checked and detached; the result is kept in between."""
    pod = node.new_container()
    net = network(BRIDGE, {"type": "loopback"})
    cni = CNIConfig([plugin_directory], exec=exec_)
    rt = RuntimeConf(pod.name, pod.path)
    result = cni.add_network_list(net, rt)
    assert [ip.address for ip in result.ips] == ["10.22.0.2/16"]
    assert {"eth0", "lo"} <= node.link_names(pod)
    assert cni.get_network_list_cached_result(net, rt) == result
    assert [path.name for path in CACHE.iterdir()] == [f"mynet-{pod.name}-eth0"]
    cni.check_network_list(net, rt)
    cni.get_status_network_list(net)
    assert cni.validate_network_list(net) == ["mac"]
    cni.del_network_list(net, rt)
    assert list(CACHE.iterdir()) == []
    cni.del_network_list(net, RuntimeConf(pod.name))
    assert "eth0" not in node.link_names(pod)
    assert node.strays() == []
    assert taken() == []


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"])
def test_every_version(node: Node, plugin_directory: str, exec_: Exec, version: str) -> None:
    """A configuration of one plugin works in every version; the result is of that version."""
    pod = node.new_container()
    conf = {"cniVersion": version, "name": "mynet", **BRIDGE}
    net = conf_from_bytes(json.dumps(conf).encode())
    cni = CNIConfig(plugin_directory, exec=exec_)
    rt = RuntimeConf(pod.name, pod.path)
    result = cni.add_network(net, rt)
    assert (result.cni_version, result.ips[0].address) == (version, "10.22.0.2/16")
    assert cni.get_network_cached_result(net, rt) == result
    if version >= "0.4.0":
        cni.check_network(net, rt)
    cni.del_network(net, rt)
    assert "eth0" not in node.link_names(pod)
    assert node.strays() == []


def test_both_ways_give_the_same(
    node: Node, plugin_directory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results and refusals of a plugin do not depend on how it is run."""
    monkeypatch.setenv("CNIFAST_SERVICE", "off")
    net = network(BRIDGE, {"type": "loopback"}, cniVersion="0.4.0")
    seen = []
    with InProcessExec(Nothing()) as ours:
        for number, way in enumerate((ProcessExec(), ours)):
            pod = node.new_container(f"pod{number}")
            cni = CNIConfig(plugin_directory, way)
            ip = [("IP", "10.22.0.9"), ("IgnoreUnknown", "1")]
            rt = RuntimeConf(pod.name, pod.path, "eth0", ip, {"mac": "02:00:00:00:00:09"})
            result = cni.add_network_list(net, rt)
            cni.del_network_list(net, rt)
            result.interfaces[1].name = result.interfaces[1].mac = result.interfaces[2].sandbox = ""
            result.interfaces[0].mac = ""
            errors = []
            for conf, asked in (
                (BRIDGE | {"vlan": 5000}, rt),
                (BRIDGE | {"mtu": "x"}, rt),
                (BRIDGE | {"ipam": {"type": "no-such"}}, rt),
                (BRIDGE, RuntimeConf(pod.name, "/run/netns/none")),
                (BRIDGE, RuntimeConf(pod.name, "/proc/self/ns/net")),
                (BRIDGE, RuntimeConf(pod.name, "")),
            ):
                with pytest.raises(CNIError) as error:
                    cni.add_network_list(network(conf), asked)
                errors.append((error.value.code, error.value.msg, error.value.details))
            seen.append((result, errors))
    assert seen[0] == seen[1]


def test_long_chain(node: Node, plugin_directory: str, exec_: Exec) -> None:
    """Plugins that build on each other's results do so however they are run."""
    flanneld()
    pod = node.new_container()
    net = network(
        {"type": "flannel", "delegate": {"isDefaultGateway": True}},
        {"type": "portmap", "capabilities": {"portMappings": True}},
        {"type": "bandwidth", "capabilities": {"bandwidth": True}},
        {"type": "tuning", "mtu": 1300, "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}},
    )
    given = {
        "portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}],
        "bandwidth": {"ingressRate": 1000000, "ingressBurst": 1000000},
    }
    rt = RuntimeConf(pod.name, pod.path, capability_args=given)
    cni = CNIConfig(plugin_directory, exec_)
    result = cni.add_network_list(net, rt)
    assert [ip.address for ip in result.ips] == ["10.1.17.2/24"]
    [eth0] = [link for link in node.links(pod) if link["ifname"] == "eth0"]
    assert eth0["mtu"] == 1300
    assert "8080" in node.ruleset()
    assert "tbf" in node.run("tc qdisc show")
    cni.check_network_list(net, rt)
    node.ip(f"-n {pod.name} link set eth0 mtu 1200")
    with pytest.raises(CNIError, match=r'type="(flannel|tuning)" failed \(check\)'):
        cni.check_network_list(net, rt)
    cni.get_status_network_list(net)
    cni.del_network_list(net, rt)
    cni.del_network_list(net, RuntimeConf(pod.name, capability_args=given))
    assert node.strays() == []
    assert "8080" not in node.ruleset()
    assert taken() == []
    cni.add_network_list(net, rt)
    cni.gc_network_list(net)
    assert node.strays() == []
    assert "8080" not in node.ruleset()


def test_nothing_is_executed(node: Node) -> None:
    """Where CNI_PATH has nothing of their names, plugins of ours are run without any program."""
    pod = node.new_container()
    net = network(BRIDGE, {"type": "loopback"})
    rt = RuntimeConf(pod.name, pod.path)
    with InProcessExec(Nothing()) as ours:
        cni = CNIConfig("/nowhere", ours)
        cni.add_network_list(net, rt)
        cni.check_network_list(net, rt)
        cni.get_status_network_list(net)
        assert cni.get_version_info("bridge").supported_versions[-1] == "1.1.0"
        cni.gc_network_list(net, [(pod.name, "eth0")])
        assert "eth0" in node.link_names(pod)
        cni.del_network_list(net, rt)
    assert node.strays() == []


def test_bridge_made_anew_beside_a_program(node: Node, tmp_path: Path) -> None:
    """That a bridge is another one is noticed as well where a program gives the addresses."""
    result = '{"cniVersion":"1.0.0","ips":[{"address":"10.9.9.9/24"}]}'
    script(tmp_path, f"[ $CNI_COMMAND = ADD ] && echo '{result}' || true", "our-ipam")
    net = network({**BRIDGE, "ipam": {"type": "our-ipam"}})
    with InProcessExec() as ours:
        cni = CNIConfig(str(tmp_path), ours)
        for _ in range(3):
            pod = node.new_container()
            rt = RuntimeConf(pod.name, pod.path)
            cni.add_network_list(net, rt)
            cni.del_network_list(net, rt)
            node.ip("link del cni0")
    assert node.strays() == []


def test_nothing_is_decoded_again(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the second attachment on no configuration is looked at, and no result is decoded."""
    from cnifast.libcni import inprocess  # noqa: PLC0415 - its functions are counted
    from cnifast.protocol.result import Result  # noqa: PLC0415

    net = network(BRIDGE, {"type": "loopback"})
    rts = [RuntimeConf(p.name, p.path) for p in (node.new_container(), node.new_container())]
    counted: list[str] = []
    with InProcessExec(Nothing()) as ours:
        cni = CNIConfig("/nowhere", ours)
        cni.add_network_list(net, rts[0])
        for place, name in ((inprocess, "examine"), (Result, "from_json"), (Result, "to_json")):
            real = getattr(place, name)

            def count(*args: Any, real: Any = real, name: str = name) -> Any:
                counted.append(name)
                return real(*args)

            monkeypatch.setattr(place, name, count)
        cni.add_network_list(net, rts[1])
        assert counted == ["to_json"]  # for the cache
        monkeypatch.undo()
        for rt in rts:
            cni.del_network_list(net, rt)


@pytest.mark.parametrize("third", ["keep", "bridge"])
def test_chain_with_a_third_party(
    node: Node, tmp_path: Path, plugin_directory: str, third: str
) -> None:
    """A plugin that is not ours is executed, also under a name of ours, with what came before."""
    pod = node.new_container()
    script(tmp_path, f"cat > {tmp_path}/$CNI_COMMAND; cat {tmp_path}/answer", third)
    answer = {"cniVersion": "1.1.0", "ips": [{"address": "10.9.9.9/24"}], "dns": {"domain": "x"}}
    (tmp_path / "answer").write_text(json.dumps(answer))
    first = {**BRIDGE, "type": "macvlan", "master": "up0"}
    node.ip("link add up0 type veth peer name up1")
    node.ip("link set up0 up")
    net = network(first, {"type": third}, {"type": "loopback"})
    rt = RuntimeConf(pod.name, pod.path)
    with InProcessExec() as ours:
        cni = CNIConfig(f"{tmp_path}:{plugin_directory}", ours)
        result = cni.add_network_list(net, rt)
        assert [ip.address for ip in result.ips] == ["10.9.9.9/24"]
        given = json.loads((tmp_path / "ADD").read_text())
        assert given["prevResult"]["ips"][0]["address"] == "10.22.0.2/16"
        assert (given["name"], given["cniVersion"]) == ("mynet", "1.1.0")
        cni.del_network_list(net, rt)
        given = json.loads((tmp_path / "DEL").read_text())
        assert given["prevResult"]["ips"][0]["address"] == "10.9.9.9/24"
    assert taken() == []


def test_third_party_that_fails(
    node: Node, tmp_path: Path, plugin_directory: str, exec_: Exec
) -> None:
    """When a later plugin fails what came before it is taken back; DEL works all the same."""
    pod = node.new_container()
    script(tmp_path, 'echo oops >&2; [ "$CNI_COMMAND" = DEL ] || kill -9 $$', "fails")
    net = network(BRIDGE, {"type": "fails"})
    rt = RuntimeConf(pod.name, pod.path)
    cni = CNIConfig([str(tmp_path), plugin_directory], exec_)
    with pytest.raises(CNIError, match=r'type="fails" failed \(add\): .*oops.*signal 9'):
        cni.add_network_list(net, rt)
    assert "eth0" not in node.link_names(pod)
    assert taken() == []
    assert list(CACHE.iterdir()) == []
    cni.del_network_list(net, rt)
    assert node.strays() == []


def test_delegate_in_process(node: Node) -> None:
    """A delegate of ours is run in this process, with its configuration as bytes."""
    pod = node.new_container()
    conf = json.dumps({"cniVersion": "1.0.0", "name": "mynet", **BRIDGE}).encode()
    env = {
        "CNI_CONTAINERID": pod.name,
        "CNI_NETNS": pod.path,
        "CNI_IFNAME": "net1",
        "CNI_PATH": "/nowhere",
    }
    with InProcessExec(Nothing()) as ours:
        result = invoke.delegate_add("bridge", conf, ours, env=env)
        assert result.ips[0].address == "10.22.0.2/16"
        assert "net1" in node.link_names(pod)
        previous = {**json.loads(conf), "prevResult": result.to_json("1.0.0")}
        invoke.delegate_check("bridge", json.dumps(previous).encode(), ours, env=env)
        invoke.delegate_del("bridge", conf, ours, env=env)
    assert "net1" not in node.link_names(pod)


def test_unwritable_cache(node: Node, plugin_directory: str, exec_: Exec) -> None:
    """Without a place for the result nothing is attached (code 5); DEL is possible."""
    pod = node.new_container()
    net, rt = network(BRIDGE), RuntimeConf(pod.name, pod.path)
    cni = CNIConfig(plugin_directory, exec_)
    CACHE.mkdir()
    nsutil.mount("tmpfs", str(CACHE), "tmpfs", options="size=4k,nr_inodes=2")
    try:
        (CACHE / "other").write_bytes(b"x" * 4096)
        with pytest.raises(CNIError, match='failed to set network "mynet" cached result') as error:
            cni.add_network_list(net, rt)
        assert error.value.code == 5
        assert "eth0" not in node.link_names(pod)
        assert taken() == []
        (CACHE / "other").unlink()
        cni.add_network_list(net, rt)
        nsutil.mount("tmpfs", str(CACHE), None, nsutil.MS_BIND | 32 | 1)  # remount, read-only
        cni.del_network_list(net, rt)
        assert "eth0" not in node.link_names(pod)
        assert taken() == []
    finally:
        nsutil.umount(str(CACHE))
