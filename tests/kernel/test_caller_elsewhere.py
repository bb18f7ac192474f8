"""Callers with mounts of their own: whose files count, and whether the service may use its own."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers import nsutil
from helpers.flannel import SUBNET_FILE, flanneld
from helpers.node import need_tools
from helpers.plugin import Attachment, must
from helpers.ways import Elsewhere, Rooted, Service

if TYPE_CHECKING:
    from helpers.node import Container, Node

BASE = {"cniVersion": "1.1.0", "name": "net"}
FORWARDING = "net.ipv4.conf.eth0.forwarding"


@pytest.fixture
def pod(node: Node) -> Container:
    """A container with an eth0 that stands for another plugin's."""
    container = node.new_container("pod")
    node.ip("link add h0 type veth peer name eth0 netns pod")
    return container


def tuning(**keys: Any) -> dict[str, Any]:
    """Return a configuration of tuning."""
    previous = {"cniVersion": "1.1.0", "interfaces": [{"name": "eth0", "sandbox": "x"}]}
    return {**BASE, "type": "tuning", "prevResult": previous, **keys}


def cold(service: Service) -> list[str]:
    """Return what the service said of calls that it did not take."""
    return [line for line in service.log if "event=cold" in line]


def test_allowlist_of_the_caller(
    node: Node, service: Service, pod: Container, plugin_directory: str
) -> None:
    """A sysctl that the caller's allowlist does not have is refused, whatever the service's has."""
    Path("/run/mine").mkdir()
    Path("/run/mine/allowlist.conf").write_text("^net.core")
    Path("/etc/cni/tuning").mkdir()
    runner = Elsewhere(plugin_directory, "mount --bind /run/mine /etc/cni/tuning")
    one = Attachment(runner, tuning(sysctl={FORWARDING: "1"}), pod)
    refused = one.add()
    assert (refused.code, "is not allowed" in refused.message) == (999, True), refused
    assert "forwarding = 0" in node.run(f"ip netns exec pod sysctl {FORWARDING}")
    (said,) = cold(service)
    assert "/etc/cni/tuning/allowlist.conf" in said
    must(Attachment(Elsewhere(plugin_directory, "true"), one.conf, pod).add())
    assert len(cold(service)) == 1


def test_namespace_that_the_caller_does_not_see(
    node: Node, service: Service, plugin_directory: str
) -> None:
    """What is a namespace for the service, and nothing for the caller, is nothing."""
    pod = node.new_container()
    one = Attachment(
        Elsewhere(plugin_directory, "mount -t tmpfs none /run/netns"),
        {**BASE, "type": "bridge", "bridge": "cni0"},
        pod,
    )
    assert "no such file or directory" in one.add().message
    assert "is cannot be seen from here" in cold(service)[0]
    assert "eth0" not in node.link_names(pod)


def test_records_of_the_caller(
    node: Node, service: Service, pod: Container, plugin_directory: str
) -> None:
    """What tuning has changed is kept where the caller keeps it, and found there by DEL."""
    Path("/run/mine").mkdir()
    Path("/run/cni").mkdir(exist_ok=True)
    runner = Elsewhere(plugin_directory, "mount --bind /run/mine /run/cni")
    one = Attachment(runner, tuning(mtu=1400), pod)
    must(one.add())
    assert [path.name for path in Path("/run/mine/tuning").iterdir()] == ["pod_eth0.json"]
    must(one.delete())
    assert node.links(pod)[1]["mtu"] == 1500
    assert list(Path("/run/mine/tuning").iterdir()) == []
    assert not Path("/run/cni/tuning").exists()
    assert len(cold(service)) == 2


def test_addresses_of_a_caller_with_a_root_directory_of_its_own(
    node: Node, service: Service, plugin_directory: str
) -> None:
    """Addresses are taken where the caller keeps them, also where mounts are the service's."""
    root, conf = Path("/run/root"), {"type": "host-local", "subnet": "10.1.0.0/24"}
    root.mkdir()
    node.run(f"mount --rbind / {root}")
    node.run(f"mount -t tmpfs none {root}/var/lib/cni")
    one = Attachment(Rooted(plugin_directory, root), {**BASE, "ipam": conf}, node.new_container())
    one.conf["type"] = "host-local"
    must(one.add())
    assert Path(f"{root}/var/lib/cni/networks/net/10.1.0.2").exists()
    assert not Path("/var/lib/cni/networks/net").exists()
    must(one.delete())
    assert not Path(f"{root}/var/lib/cni/networks/net/10.1.0.2").exists()
    assert len(cold(service)) == 2


def test_subnet_file_of_the_caller(node: Node, service: Service, plugin_directory: str) -> None:
    """Flannel attaches by the subnet that the caller sees, also where the service sees another."""
    flanneld()
    there = Path("/run/there")
    shutil.copytree(SUBNET_FILE.parent, there)
    SUBNET_FILE.write_text(SUBNET_FILE.read_text().replace("10.1.17", "10.1.99"))
    pod = node.new_container()
    runner = Elsewhere(plugin_directory, f"mount --bind {there} {SUBNET_FILE.parent}")
    one = Attachment(runner, {**BASE, "type": "flannel"}, pod)
    must(one.call("STATUS"))
    must(one.add())
    assert one.result["ips"][0]["address"].startswith("10.1.17.")
    must(one.check())
    must(one.delete())
    assert len(cold(service)) == 4


def test_devices_of_the_caller(node: Node, service: Service, plugin_directory: str) -> None:
    """A device is on record where the caller looks; with the same files the service lends it."""
    node.ip("link add d0 type veth peer name d1")
    pod = node.new_container()
    conf = {**BASE, "type": "host-device", "device": "d0"}
    Path("/run/mine").mkdir()
    Path("/run/cni").mkdir(exist_ok=True)
    theirs = Elsewhere(plugin_directory, "mount --bind /run/mine /run/cni")
    one = Attachment(theirs, conf, pod)
    must(one.add())
    assert len(list(Path("/run/mine/host-device").iterdir())) == 1
    must(one.delete())
    assert len(cold(service)) == 2
    ours = Attachment(Elsewhere(plugin_directory, "true"), conf, pod)
    must(ours.add())
    must(ours.delete())
    assert len(cold(service)) == 2
    assert "d0" in node.link_names()


LEGACY = (
    "cp -a /etc/alternatives /run/alternatives; "
    "ln -sf /usr/sbin/iptables-legacy-restore /run/alternatives/iptables-restore; "
    "mount --bind /run/alternatives /etc/alternatives"
)
BRIDGE = {
    **BASE,
    "type": "bridge",
    "ipMasq": True,
    "ipMasqBackend": "iptables",
    "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"},
}


def test_iptables_of_the_caller(node: Node, service: Service, plugin_directory: str) -> None:
    """Rules go into the tables that the caller's iptables shows; each DEL finds them there."""
    need_tools("iptables-legacy-restore", "iptables-nft-restore")
    pods = [node.new_container() for _ in range(2)]
    theirs = Attachment(Elsewhere(plugin_directory, LEGACY), BRIDGE, pods[0])
    must(theirs.add())
    assert "10.1.0.2" in node.run("iptables-legacy -t nat -S POSTROUTING")
    (said,) = cold(service)
    assert "other tables" in said
    ours = Attachment(Elsewhere(plugin_directory, "true"), BRIDGE, pods[1])
    must(ours.add())
    assert "10.1.0.3" in node.run("iptables-nft -t nat -S POSTROUTING")
    must(ours.delete())
    theirs.runner = ours.runner
    must(theirs.delete())
    for kind in ("legacy", "nft"):
        assert "10.1.0." not in node.run(f"iptables-{kind} -t nat -S POSTROUTING")
    assert len(cold(service)) == 1


@pytest.mark.parametrize(
    "conf",
    [{"backend": "iptables"}, {"conditionsV4": ["tcp", "sport", "5"]}],
    ids=["iptables", "nft"],
)
def test_programs_that_the_service_lacks(
    node: Node, plugin_directory: str, conf: dict[str, Any]
) -> None:
    """What the service has no program for is done by a caller who may have it."""
    need_tools("iptables-restore", "nft")
    pod = node.new_container("pod")
    ports = [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]
    previous = {
        "cniVersion": "1.1.0",
        "interfaces": [{"name": "eth0", "sandbox": pod.path}],
        "ips": [{"address": "10.1.0.2/24", "interface": 0}],
    }
    conf = {**BASE, "type": "portmap", "runtimeConfig": {"portMappings": ports}, **conf}
    with nsutil.covered("/usr/sbin"):
        service = Service()
        one = Attachment(
            Elsewhere(plugin_directory, "umount /usr/sbin"), {**conf, "prevResult": previous}, pod
        )
        must(one.call("STATUS"))
        must(one.add())
        must(one.delete())
        assert service.stop() == 0
    assert len(cold(service)) == 2
    assert all("if there is one" in line or "nft is not" in line for line in cold(service))
