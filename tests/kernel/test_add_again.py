"""ADD on what earlier calls, or other programs, have left; and DEL of it."""

from __future__ import annotations

import fcntl
import json
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.ipam import Allocator
from helpers.plugin import Attachment, must

if TYPE_CHECKING:
    from helpers.node import Node
    from helpers.plugin import Runner

L2 = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": "cni0"}
GATEWAY = {**L2, "isGateway": True, "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}}


def test_bridge_that_lost_its_last_port_becomes_a_gateway(node: Node, runner: Runner) -> None:
    """The kernel took the bridge's MAC with the port: the bridge gets another and keeps that."""
    pod = node.new_container()
    first = Attachment(runner, L2, pod)
    assert first.add().ok
    assert first.delete().ok
    second = Attachment(runner, GATEWAY, pod)
    outcome = second.add()
    assert outcome.ok, outcome
    mac = next(link["address"] for link in node.links() if link["ifname"] == "cni0")
    assert outcome.json["interfaces"][0]["mac"] == mac != "00:00:00:00:00:00"
    assert second.delete().ok
    assert mac == next(link["address"] for link in node.links() if link["ifname"] == "cni0")


def test_bridge_keeps_the_mac_that_was_reported(node: Node, runner: Runner) -> None:
    """A port with a lower MAC does not change that of a bridge that a plugin made."""
    outcome = Attachment(runner, L2, node.new_container()).add()
    assert outcome.ok, outcome
    node.ip("link add low address 00:00:5e:00:53:01 type veth peer name other")
    node.ip("link set low master cni0 up")
    mac = next(link["address"] for link in node.links() if link["ifname"] == "cni0")
    assert outcome.json["interfaces"][0]["mac"] == mac


def held(node: Node, family: int = 4) -> set[str]:
    """Return the bridge's addresses of a family, without those that the kernel makes."""
    (found,) = (link["addr_info"] for link in json.loads(node.ip("-j addr show dev cni0")))
    return {
        f"{one['local']}/{one['prefixlen']}"
        for one in found
        if one["scope"] == "global" and one["family"] == {4: "inet", 6: "inet6"}[family]
    }


def make_bridge(node: Node, *addresses: str) -> None:
    """Make the bridge with addresses and a port that is none of ours."""
    node.ip("link add cni0 type bridge")
    node.ip("link set cni0 up")
    node.ip("link add far type veth peer name near")
    node.ip("link set near master cni0 up")
    for address in addresses:
        node.ip(f"addr add {address} dev cni0 {'nodad' * (':' in address)}")


@pytest.mark.parametrize("others", [(), ("10.7.0.1/16",), ("10.1.0.253/24",)])
def test_forced_address_within_the_old_subnet(
    node: Node, runner: Runner, others: tuple[str, ...]
) -> None:
    """An address of the same subnet gives way to the gateway's, which must not go with it."""
    make_bridge(node, "10.1.0.254/24", *others)
    outcome = Attachment(runner, {**GATEWAY, "forceAddress": True}, node.new_container()).add()
    assert outcome.ok, outcome
    assert held(node) == {"10.1.0.1/24"}


@pytest.mark.parametrize("others", ["10.7.0.1/16", "10.1.0.254/24"])
def test_refused_gateway_is_refused_again(node: Node, runner: Runner, others: str) -> None:
    """A bridge with another address is left as it is, however often that is tried."""
    make_bridge(node, others)
    attachment = Attachment(runner, GATEWAY, node.new_container())
    for _ in range(3):
        outcome = attachment.add()
        assert (outcome.code, "different from 10.1.0.1/24" in outcome.message) == (999, True)
        assert held(node) == {others}


@pytest.mark.parametrize("force", [False, True])
def test_gateway_with_another_prefix_length(node: Node, runner: Runner, force: bool) -> None:
    """The same IPv6 address with another prefix length is another address."""
    make_bridge(node, "fd01::1/64")
    ipam = {"type": "host-local", "subnet": "fd01::/48"}
    conf = {**L2, "isGateway": True, "forceAddress": force, "ipam": ipam}
    outcome = Attachment(runner, conf, node.new_container()).add()
    assert outcome.ok == force, outcome
    if not force:
        assert "already has an IP address different from fd01::1/48" in outcome.message
    assert held(node, 6) == {"fd01::1/48" if force else "fd01::1/64"}


def test_refused_lo_is_down_again(node: Node, runner: Runner) -> None:
    """A lo with an address that is none for loopback is refused, and left as it was."""
    pod = node.new_container()
    node.ip(f"-n {pod.name} addr add 10.9.9.9/32 dev lo")
    conf = {"cniVersion": "1.0.0", "name": "net", "type": "loopback"}
    outcome = Attachment(runner, conf, pod).add()
    assert (outcome.code, "non-loopback" in outcome.message) == (999, True), outcome
    assert "UP" not in node.links(pod)[0]["flags"]


@pytest.mark.parametrize("args", ["FOO=bar", "malformed"])
def test_macvlan_goes_whatever_the_arguments_are(node: Node, runner: Runner, args: str) -> None:
    """ADD refuses arguments that nobody knows; DEL has no use for any."""
    node.ip("link add up0 type veth peer name up1")
    conf = {"cniVersion": "1.0.0", "name": "net", "type": "macvlan", "master": "up0"}
    attachment = Attachment(runner, conf, node.new_container())
    assert attachment.add().ok
    attachment.args = args
    assert attachment.add().code == 999
    outcome = attachment.delete()
    assert outcome.ok, outcome
    assert "eth0" not in node.link_names(node.containers[attachment.container_id])


def test_masquerading_ends_though_the_address_was_given_back(node: Node, runner: Runner) -> None:
    """DEL finds by the previous result what addresses that `cnifast ipam gc` took are behind."""
    conf = {**GATEWAY, "ipMasq": True}
    attachment = Attachment(runner, conf, node.new_container())
    assert attachment.add().ok
    assert attachment.container_id in node.ruleset()
    assert Allocator("net", ["10.1.0.0/24"]).gc([]) == ["10.1.0.2"]
    outcome = attachment.delete()
    assert outcome.ok, outcome
    assert attachment.container_id not in node.ruleset()


@pytest.mark.parametrize("plugin", ["bridge", "ptp"])
@pytest.mark.parametrize("previous", [{"cniVersion": "1.1.0", "ips": 5}, {"ips": [{}]}])
def test_del_again_whatever_the_previous_result_is(
    node: Node, runner: Runner, plugin: str, previous: Any
) -> None:
    """Where our IPAM knows of no address there is none, and nothing else needs the result."""
    conf = {**GATEWAY, "type": plugin, "ipMasq": True}
    pod = node.new_container()
    must(Attachment(runner, conf, pod).add())
    must(Attachment(runner, conf, pod).delete())
    must(Attachment(runner, {**conf, "prevResult": previous}, pod).delete())


def test_del_waits_once_for_a_lock(node: Node, inproc: Runner) -> None:
    """Where somebody has the addresses locked DEL says so once, having done everything else."""
    pod = node.new_container()
    one = Attachment(inproc, {**GATEWAY, "ipMasq": True}, pod)
    must(one.add())
    with open("/var/lib/cni/networks/net/lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = one.delete()
    assert (refused.code, refused.message.count("gave up")) == (11, 1), refused
    assert "eth0" not in node.link_names(pod)
    must(one.delete())


def test_attachment_of_an_earlier_namespace(node: Node, runner: Runner) -> None:
    """Where a container is attached in another namespace already, the error says so."""
    pod, later = node.new_container(), node.new_container()
    one = Attachment(runner, L2, pod)
    must(one.add())
    again = Attachment(runner, L2, pod)
    again.netns = later.path
    said = again.add().message
    assert said.startswith("veth")
    assert f" already exists: DEL of an earlier attachment of eth0 of {pod.name} is missing" in said
    must(one.delete())
    must(again.add())


@pytest.mark.parametrize("plugin", ["bridge", "ptp", "macvlan", "tap"])
def test_interface_that_is_there_is_named(node: Node, runner: Runner, plugin: str) -> None:
    """Where the container has the interface already that is what the error says."""
    node.ip("link add up0 type veth peer name up1")
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24"}
    conf = {"cniVersion": "1.0.0", "name": "net", "type": plugin, "ipam": ipam}
    if plugin == "macvlan":
        conf["master"] = "up0"
    pod = node.new_container()
    node.ip(f"-n {pod.name} link add eth0 type bridge")
    outcome = Attachment(runner, conf, pod).add()
    assert (outcome.code, outcome.message) == (999, f"eth0 already exists in {pod.path}")
    (eth0,) = [link for link in node.links(pod) if link["ifname"] == "eth0"]
    assert eth0["linkinfo"]["info_kind"] == "bridge"
