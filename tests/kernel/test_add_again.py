"""ADD on what earlier calls, or other programs, have left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from helpers.plugin import Attachment

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


def test_refused_lo_is_down_again(node: Node, runner: Runner) -> None:
    """A lo with an address that is none for loopback is refused, and left as it was."""
    pod = node.new_container()
    node.ip(f"-n {pod.name} addr add 10.9.9.9/32 dev lo")
    conf = {"cniVersion": "1.0.0", "name": "net", "type": "loopback"}
    outcome = Attachment(runner, conf, pod).add()
    assert (outcome.code, "non-loopback" in outcome.message) == (999, True), outcome
    assert "UP" not in node.links(pod)[0]["flags"]
