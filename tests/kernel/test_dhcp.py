"""Addresses that a real DHCP server leases, for every way in which plugins are called."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers import dhcp, ways
from helpers.packets import ping
from helpers.plugin import Attachment, BinaryRunner

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node
    from helpers.plugin import Runner


@pytest.fixture
def kept(runner: Runner) -> Iterator[Runner]:
    """Each way to call plugins, with a daemon on the node: the service's, or one by itself."""
    if runner.name == "warm":
        yield runner
        return
    with dhcp.Daemon():
        yield runner


MACVLAN = {"type": "macvlan", "master": dhcp.MASTER, "bridge": None}


@pytest.mark.parametrize("interface", [{}, MACVLAN], ids=["bridge", "macvlan"])
def test_attachment(node: Node, kept: Runner, interface: dict[str, Any]) -> None:
    """ADD gives the container what the server leases, CHECK agrees, and DEL gives it back."""
    pod = node.new_container()
    with dhcp.Dnsmasq(dhcp.bridge(node)) as server:
        attachment = Attachment(kept, dhcp.conf() | interface, pod)
        outcome = attachment.add()
        assert outcome.ok, (outcome, server.log)
        ((address, client),) = server.leases().items()
        assert outcome.json["ips"] == [
            {
                "address": f"{address}/24",
                "gateway": dhcp.SERVER,
                "interface": len(outcome.json["interfaces"]) - 1,
            }
        ]
        assert outcome.json["routes"] == [{"dst": "0.0.0.0/0", "gw": dhcp.SERVER}]
        assert bytes.fromhex(client.replace(":", "")) == b"\0pod1/net/eth0"
        assert ping(pod.fd, dhcp.SERVER)
        assert attachment.check().ok
        assert attachment.delete().ok
        assert f"DHCPRELEASE(cni0) {address}" in server.wait_for("DHCPRELEASE")
        assert not server.leases()
        for netns in (pod.path, ""):
            assert attachment.call("DEL", netns=netns, prev=False).ok
    assert node.strays() == dhcp.WIRE
    assert dhcp.recorded() == []


def test_lease_of_a_namespace_that_is_gone(node: Node, kept: Runner) -> None:
    """DEL without the namespace forgets the lease, of which nobody can be told."""
    pod = node.new_container()
    with dhcp.Dnsmasq(dhcp.bridge(node)) as server:
        attachment = Attachment(kept, dhcp.conf(), pod)
        assert attachment.add().ok
        assert len(dhcp.recorded()) == 1
        node.remove_container(pod)
        assert attachment.call("DEL", netns="").ok
        assert dhcp.recorded() == []
        assert len(server.leases()) == 1
    assert node.strays() == dhcp.WIRE


def test_routes_without_classes(node: Node, kept: Runner) -> None:
    """Classless static routes that were asked for replace router and static routes."""
    routes = "--dhcp-option=121,10.9.0.0/16,10.5.0.7,0.0.0.0/0,10.5.0.8,10.8.3.0/24,0.0.0.0"
    pod = node.new_container()
    with dhcp.Dnsmasq(dhcp.bridge(node), routes, "--dhcp-option=33,10.7.0.0,10.5.0.9"):
        wanted = dhcp.conf(request=[{"option": "121"}], priority=77)
        attachment = Attachment(kept, wanted, pod)
        outcome = attachment.add()
        assert outcome.ok, outcome
        assert outcome.json["routes"] == [
            {"dst": "10.9.0.0/16", "gw": "10.5.0.7", "priority": 77},
            {"dst": "0.0.0.0/0", "gw": "10.5.0.8", "priority": 77},
            {"dst": "10.8.3.0/24", "gw": dhcp.NOWHERE, "priority": 77, "scope": 253},
        ]
        there = node.ip(f"-n {pod.name} -4 route")
        assert "default via 10.5.0.8 dev eth0 metric 77" in there
        assert "10.8.3.0/24 dev eth0 scope link metric 77" in there
        assert attachment.check().ok
        assert attachment.delete().ok


def test_routes_with_classes(node: Node, kept: Runner) -> None:
    """Static routes are by class, beside the router's."""
    pod = node.new_container()
    with dhcp.Dnsmasq(dhcp.bridge(node), "--dhcp-option=33,10.0.0.0,10.5.0.9"):
        attachment = Attachment(kept, dhcp.conf(request=[{"option": "33"}]), pod)
        outcome = attachment.add()
        assert outcome.ok, outcome
        assert outcome.json["routes"] == [
            {"dst": "10.0.0.0/8", "gw": "10.5.0.9"},
            {"dst": "0.0.0.0/0", "gw": dhcp.SERVER},
        ]
        assert attachment.delete().ok


def test_provided_options(node: Node, kept: Runner) -> None:
    """Options are sent with values of the configuration or of CNI_ARGS, by number or name."""
    provide = [
        {"option": "host-name", "value": "web"},
        {"option": "60", "fromArg": "K8S_POD_NAME"},
        {"option": "dhcp-client-identifier", "value": "me"},
    ]
    pod = node.new_container()
    with dhcp.Dnsmasq(dhcp.bridge(node), "--dhcp-vendorclass=set:pod,my-pod") as server:
        wanted = dhcp.conf(provide=provide)
        args = "IgnoreUnknown=1;K8S_POD_NAME=my-pod"
        attachment = Attachment(kept, wanted, pod, args=args)
        assert attachment.add().ok
        server.wait_for("DHCPACK")
        assert any("client provides name: web" in line for line in server.log), server.log
        assert any("vendor class: my-pod" in line for line in server.log)
        assert list(server.leases().values()) == [b"me".hex(":")]
        assert attachment.delete().ok


def test_defaults_skipped(node: Node, kept: Runner) -> None:
    """What is not asked for any more does not come."""
    pod = node.new_container()
    with dhcp.Dnsmasq(dhcp.bridge(node)) as server:
        request = [{"skipDefault": True}, {"option": "subnet-mask"}]
        attachment = Attachment(kept, dhcp.conf(request=request), pod)
        outcome = attachment.add()
        assert outcome.ok, outcome
        assert "requested options: 1:netmask\n" in server.wait_for("requested options")
        assert "routes" not in outcome.json
        assert "gateway" not in outcome.json["ips"][0]
        assert attachment.delete().ok


def test_no_answer(node: Node, plugin_directory: str) -> None:
    """Without a server ADD ends in bounded time, says so, and leaves nothing."""
    dhcp.bridge(node)
    pod = node.new_container()
    with dhcp.Daemon("-resendtimeout", "1500ms"):
        outcome = Attachment(ways.cold(plugin_directory), dhcp.conf(), pod).add()
        assert outcome.code == 999
        assert "no DHCP answer within 1.5 s" in outcome.message
        assert "eth0" in outcome.message
    assert node.strays() == dhcp.WIRE
    assert dhcp.recorded() == []


def test_no_daemon(node: Node, plugin_directory: str) -> None:
    """Without a daemon, and nobody who will be one, ADD fails; DEL does all the same."""
    runner = ways.cold(plugin_directory)
    pod = node.new_container()
    with dhcp.Dnsmasq(dhcp.bridge(node)) as server:
        attachment = Attachment(runner, dhcp.conf(), pod)
        outcome = attachment.add()
        assert outcome.code == 999
        assert "error dialing DHCP daemon: nobody listens on /run/cni/dhcp.sock" in outcome.message
        assert attachment.call("STATUS").code == 50
        assert attachment.delete().ok
        assert server.leases() == {}
    assert node.strays() == dhcp.WIRE


def test_daemon_that_is_restarted(node: Node, plugin_directory: str) -> None:
    """A daemon goes on with the leases of the one before; in between DEL works by what it wrote."""
    runner = ways.cold(plugin_directory)
    pods = [node.new_container() for _ in range(3)]
    with dhcp.Dnsmasq(dhcp.bridge(node, mac="")) as server:
        attachments = [Attachment(runner, dhcp.conf(), pod) for pod in pods]
        with dhcp.Daemon():
            assert all(attachment.add().ok for attachment in attachments)
        before = server.leases()
        assert len(before) == 3
        assert attachments[0].delete().ok
        server.wait_for("DHCPRELEASE")
        node.remove_container(pods[1])
        with dhcp.Daemon() as daemon:
            assert [line for line in daemon.log if "state=gone" in line]
            assert attachments[2].call("CHECK", type="dhcp").ok  # the bridge has another MAC by now
            assert attachments[2].delete().ok
            server.wait_for("DHCPRELEASE")
            assert attachments[1].call("DEL", netns="").ok
    assert dhcp.recorded() == []


def test_collected(node: Node, kept: Runner) -> None:
    """GC gives back what belongs to no valid attachment of the network, and STATUS is content."""
    pods = [node.new_container() for _ in range(3)]
    with dhcp.Dnsmasq(dhcp.bridge(node)) as server:
        first, second = (Attachment(kept, dhcp.conf(), pod) for pod in pods[:2])
        other = Attachment(kept, dhcp.conf() | {"name": "other"}, pods[2])
        assert all(attachment.add().ok for attachment in (first, second, other))
        assert first.call("STATUS").ok
        valid = [{"containerID": second.container_id, "ifname": "eth0"}]
        assert first.call("GC", **{"cni.dev/valid-attachments": valid}).ok
        server.wait_for("DHCPRELEASE")
        assert len(server.leases()) == 2
        assert "eth0" not in node.link_names(pods[0])
        assert second.check().ok
        for attachment in (first, second, other):
            assert attachment.delete().ok


def test_reference_plugin(node: Node, plugin_directory: str, reference: str) -> None:
    """The reference's plugins work with our daemon, and its bridge with our dhcp."""
    mixed = Path("/run/mixed")
    mixed.mkdir()
    (mixed / "bridge").symlink_to(f"{reference}/bridge")
    (mixed / "dhcp").symlink_to(f"{plugin_directory}/dhcp")
    for directory in (reference, str(mixed)):
        pod = node.new_container()
        with dhcp.Dnsmasq(dhcp.bridge(node)) as server, dhcp.Daemon() as daemon:
            wanted = dhcp.conf(request=[{"option": "121"}]) | {"cniVersion": "1.0.0"}
            runner = BinaryRunner("reference", directory, {"CNIFAST_SERVICE": "off"})
            attachment = Attachment(runner, wanted, pod)
            outcome = attachment.add()
            assert outcome.ok, (outcome, daemon.log)
            (address,) = server.leases()
            assert outcome.json["ips"][0]["address"] == f"{address}/24"
            assert outcome.json["ips"][0]["gateway"] == dhcp.SERVER
            assert outcome.json["routes"] == [{"dst": "0.0.0.0/0", "gw": dhcp.SERVER}]
            assert ping(pod.fd, dhcp.SERVER)
            assert attachment.check().ok
            assert attachment.delete().ok
            assert dhcp.recorded() == []
        dhcp.unbridge(node)


def test_reference_daemon(node: Node, kept_by_reference: str, plugin_directory: str) -> None:
    """Our plugins work with the daemon of the reference, also those in the service."""
    assert kept_by_reference
    for name in ("cold", "warm"):
        running = ways.Service() if name == "warm" else None
        pod = node.new_container()
        with dhcp.Dnsmasq(dhcp.bridge(node)) as server:
            runner = getattr(ways, name)(plugin_directory)
            attachment = Attachment(runner, dhcp.conf(), pod)
            outcome = attachment.add()
            assert outcome.ok, outcome
            (address,) = server.leases()
            assert outcome.json["ips"][0]["address"] == f"{address}/24"
            assert outcome.json["routes"] == [{"dst": "0.0.0.0/0", "gw": dhcp.SERVER}]
            assert attachment.check().ok
            assert attachment.call("STATUS").ok
            assert attachment.delete().ok
            gc = {"cni.dev/valid-attachments": []}
            assert attachment.call("GC", **gc).ok
        assert dhcp.recorded() == []
        if running is not None:
            assert any("hosted=False" in line for line in running.log)
            assert running.stop() == 0
        dhcp.unbridge(node)


@pytest.fixture
def kept_by_reference(node: Node, reference: str) -> Iterator[str]:  # noqa: ARG001 - it is there
    """The reference's daemon on the node."""
    with subprocess.Popen([f"{reference}/dhcp", "daemon"], stderr=subprocess.DEVNULL) as process:
        try:
            while not os.path.exists("/run/cni/dhcp.sock"):
                assert process.poll() is None
            yield f"{reference}/dhcp"
        finally:
            process.terminate()
            process.wait()


def test_left_behind(node: Node, plugin_directory: str) -> None:
    """The first call without a service leases itself, and the service that it leaves goes on."""
    runner = BinaryRunner("auto", plugin_directory, {"CNIFAST_SERVICE": "auto"})
    pod = node.new_container()
    with dhcp.Dnsmasq(dhcp.bridge(node)) as server:
        attachment = Attachment(runner, dhcp.conf(), pod)
        outcome = attachment.add()
        assert outcome.ok, outcome
        (address,) = server.leases()
        dhcp.await_socket()
        cold = Attachment(ways.cold(plugin_directory), dhcp.conf(), pod)
        cold.result = attachment.result
        assert cold.check().ok
        assert cold.delete().ok
        assert address in server.wait_for("DHCPRELEASE")
        assert dhcp.recorded() == []
    node.kill_processes()
