"""Links that are in the container alone: what passes, what CHECK sees, who assigns addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.packets import ping
from helpers.plugin import Attachment

if TYPE_CHECKING:
    from helpers.node import Node
    from helpers.plugin import Runner

V4 = {"type": "host-local", "subnet": "10.1.0.0/24"}
OPTIONS: dict[str, dict[str, Any]] = {
    "macvlan": {"master": "m0"},
    "ipvlan": {"master": "m0"},
    "vlan": {"master": "m0", "vlanId": 100},
    "dummy": {},
    "tap": {},
    "ptp": {},
}
KIND = {"tap": "tun", "ptp": "veth"}
PROGRAM = """#!/bin/sh
# Assigns an address to an interface that must be there already.
cat > /dev/null
[ "$CNI_COMMAND" = ADD ] || exit 0
nsenter --net="$CNI_NETNS" ip -o link show "$CNI_IFNAME" > /run/seen || exit 3
[ ! -e /run/refuse ] || { echo '{"code": 77, "msg": "no lease"}'; exit 1; }
echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.4.0.5/24", "gateway": "10.4.0.1"}]}'
"""


def conf(plugin: str, **options: Any) -> dict[str, Any]:
    """Build a configuration on the master m0."""
    common = {"cniVersion": "1.1.0", "name": "net", "type": plugin, "ipam": V4}
    return {**common, **OPTIONS[plugin], **options}


@pytest.fixture
def master(node: Node) -> Node:
    """A node with the devices m0 and m1, one the other's peer."""
    node.ip("link add m0 type veth peer name m1")
    node.ip("link set m0 up")
    node.ip("link set m1 up")
    return node


@pytest.mark.kind_of("plugin")
@pytest.mark.parametrize("plugin", OPTIONS)
def test_a_program_finds_the_interface(master: Node, runner: Runner, plugin: str) -> None:
    """An IPAM plugin that is executed, as a DHCP client is, finds the link it is asked for."""
    directory = Path("/run/ipam")
    directory.mkdir()
    (directory / "lease").write_text(PROGRAM)
    (directory / "lease").chmod(0o755)
    pod = master.new_container()
    attachment = Attachment(
        runner,
        conf(plugin, ipam={"type": "lease"}),
        pod,
        path=f"{runner.plugin_path}:{directory}",
    )
    outcome = attachment.add()
    assert outcome.ok, outcome
    assert "eth0" in Path("/run/seen").read_text()
    shown = json.loads(master.ip(f"-n {pod.name} -j -d addr show eth0"))[0]
    assert [a["local"] for a in shown["addr_info"] if a["family"] == "inet"] == ["10.4.0.5"]
    assert "UP" in shown["flags"]
    assert shown["linkinfo"]["info_kind"] == KIND.get(plugin, plugin)
    assert attachment.delete().ok
    before = master.link_names()
    Path("/run/refuse").touch()
    refused = attachment.add()
    assert (refused.code, refused.message) == (77, "no lease")
    assert (master.link_names(), master.link_names(pod)) == (before, {"lo"})


@pytest.mark.second_kernel("ipvlan")
@pytest.mark.parametrize("mode", ["l2", "l3", "l3s"])
def test_ipvlan_packets(master: Node, runner: Runner, mode: str) -> None:
    """Two containers on one master reach each other in every mode."""
    pods = [master.new_container(name) for name in ("one", "two")]
    found = []
    for pod in pods:
        outcome = Attachment(runner, conf("ipvlan", mode=mode), pod).add()
        assert outcome.ok, outcome
        found.append(outcome.json["ips"][0]["address"].partition("/")[0])
    assert ping(pods[0].fd, found[1], timeout=5)
    assert ping(pods[1].fd, found[0], timeout=5)


@pytest.mark.second_kernel("vlan")
def test_vlan_packets(master: Node, runner: Runner) -> None:
    """Containers in the same VLAN reach each other over the wire, in different ones they do not."""
    found = []
    for master_name, vlan in (("m0", 100), ("m1", 100), ("m1", 101)):
        pod = master.new_container()
        outcome = Attachment(runner, conf("vlan", master=master_name, vlanId=vlan), pod).add()
        assert outcome.ok, outcome
        found.append((pod, outcome.json["ips"][0]["address"].partition("/")[0]))
    assert ping(found[0][0].fd, found[1][1], timeout=5)
    assert not ping(found[2][0].fd, found[0][1])


DAMAGES = {
    "ipvlan": (
        ({"mode": "l3"}, "", "mode"),
        ({"master": "nobody"}, "", "failed to lookup master"),
        ({}, "addr flush dev eth0", "is not on interface"),
        ({}, "link del eth0", "not found"),
        ({}, "link add eth0 type bridge", "is not a ipvlan"),
    ),
    "vlan": (
        ({"vlanId": 101}, "", "VLAN ID"),
        ({"mtu": 1400}, "", "MTU"),
        ({"master": "nobody"}, "", "failed to lookup master"),
        ({}, "link set eth0 address 02:00:00:00:00:09", "MAC"),
        ({}, "link del eth0", "not found"),
        ({}, "link add eth0 type bridge", "is not a vlan"),
    ),
    "dummy": (
        ({}, "link set eth0 down", "is down"),
        ({}, "link del eth0", "not found"),
        ({}, "link add eth0 type bridge", "is not a dummy"),
    ),
}


@pytest.mark.kind_of("plugin")
@pytest.mark.parametrize("plugin", DAMAGES)
def test_check(master: Node, runner: Runner, plugin: str) -> None:
    """CHECK names what is not as ADD left it, or not as the configuration says."""
    pod = master.new_container()
    attachment = Attachment(runner, conf(plugin), pod)
    assert attachment.add().ok
    assert attachment.check().ok
    for changes, damage, word in DAMAGES[plugin]:
        if damage:
            master.ip(f"-n {pod.name} {damage}")
        checked = attachment.call("CHECK", **changes)
        assert (checked.code, word in checked.message) == (999, True), (changes, damage, checked)
    assert attachment.delete().ok


@pytest.mark.kind_of("plugin")
@pytest.mark.parametrize("plugin", ["macvlan", "ipvlan", "vlan"])
def test_the_master_is_gone(master: Node, runner: Runner, plugin: str) -> None:
    """Without its master DEL succeeds, gives the address back, and STATUS says what is missing."""
    attachment = Attachment(runner, conf(plugin), master.new_container())
    assert attachment.call("STATUS").ok
    assert attachment.add().ok
    master.ip("link del m0")
    status = attachment.call("STATUS")
    assert (status.code, "m0" in status.message) == (50, True), status
    assert attachment.delete().ok
    assert not Path("/var/lib/cni/networks/net/10.1.0.2").exists()


@pytest.mark.second_kernel("vlan")
def test_one_vlan_twice(master: Node, runner: Runner) -> None:
    """A VLAN that the master has already is refused in the kernel's words; nothing is left."""
    master.ip("link add first link m0 type vlan id 100")
    pod = master.new_container()
    refused = Attachment(runner, conf("vlan"), pod).add()
    assert refused.message.startswith("create link eth0: file exists (")
    assert refused.message.endswith("VLAN device already exists)")
    assert master.link_names(pod) == {"lo"}
    assert not Path("/var/lib/cni/networks/net/10.1.0.2").exists()
