"""The firewall plugin where firewalld runs: one that tests play, and the real one."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import plugins
from cnifast.kernel import firewall
from cnifast.kernel.nft import NftSocket
from cnifast.protocol.errors import CNIError
from helpers.fakebus import FakeBus, Zones
from helpers.firewalled import SECOND, Firewalled, is_kept_from, reaches
from helpers.flavour import choose
from helpers.node import need_tools
from helpers.plugin import Attachment, BinaryRunner
from helpers.ways import Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

SOURCES = {"10.1.0.5/32", "fd00:1::5/128"}
BUS = Path("/run/dbus/system_bus_socket")
CONF = pytest.mark.parametrize("conf", [{}, {"backend": "firewalld"}], ids=["default", "named"])


@pytest.fixture
def scene(node: Node) -> Firewalled:
    """Pods on a fresh node."""
    need_tools("nft", "iptables-nft", "iptables-legacy")
    return Firewalled(node)


@pytest.fixture
def zones(scene: Firewalled) -> Iterator[Zones]:
    """The zones of a firewalld on the node's bus."""
    assert scene
    BUS.parent.mkdir()
    found = Zones(trusted=set(), internal=set())
    with FakeBus(BUS, found):
        yield found


def recorded(node: Node) -> dict[str, str]:
    """Return what is let through by firewalld: owners by address."""
    with NftSocket(node.fd) as nft:
        return {r.address: r.owner for r in firewall.recorded(nft, "firewalld")}


def rules(node: Node) -> list[str]:
    """Return the rules of iptables."""
    lines = node.run("iptables -S").splitlines() + node.run("ip6tables -S").splitlines()
    return [line for line in lines if line.startswith("-A")]


@CONF
def test_life(scene: Firewalled, zones: Zones, conf: dict[str, Any]) -> None:
    """ADD puts a pod's addresses into the trusted zone, CHECK looks there, DEL takes them out."""
    pod = scene.first
    for _ in range(2):
        pod.add(**conf)
        assert zones.sources["trusted"] == SOURCES
        assert set(recorded(scene.node)) == {"10.1.0.5", "fd00:1::5"}
    pod.check()
    zones.sources["trusted"].remove("10.1.0.5/32")
    with pytest.raises(CNIError, match="is not in firewalld's zone trusted"):
        pod.check()
    for _ in range(2):
        pod.delete()
        assert zones.sources["trusted"] == set()
        assert recorded(scene.node) == {}
    assert rules(scene.node) == []


def test_a_zone(scene: Firewalled, zones: Zones) -> None:
    """Another zone can be configured; one that firewalld does not have is an error of ADD alone."""
    scene.first.add(firewalldZone="internal")
    assert zones.sources == {"trusted": set(), "internal": SOURCES}
    scene.first.delete("prevResult", "netns")
    assert zones.sources["internal"] == set()
    with pytest.raises(CNIError, match="INVALID_ZONE: nothing"):
        scene.first.add(firewalldZone="nothing")
    assert recorded(scene.node) == {}
    scene.first.delete()


def test_failed_add_takes_back_what_it_did(scene: Firewalled, zones: Zones) -> None:
    """Where firewalld refuses one address, none stays in the zone or in the records."""
    zones.sources["internal"].add("fd00:1::5/128")
    with pytest.raises(CNIError, match="ZONE_CONFLICT"):
        scene.first.add()
    assert zones.sources == {"trusted": set(), "internal": {"fd00:1::5/128"}}
    assert recorded(scene.node) == {}


@pytest.mark.parametrize("backend", ["", "iptables", "firewalld"])
def test_delete_when_firewalld_is_gone(node: Node, scene: Firewalled, backend: str) -> None:
    """DEL succeeds when firewalld has gone with all its zones, whatever is configured then."""
    BUS.parent.mkdir()
    with FakeBus(BUS, Zones(trusted=set())):
        scene.first.add()
    BUS.unlink()
    scene.first.delete("prevResult", backend=backend)
    assert recorded(node) == {}


def test_delete_when_firewalld_has_come(scene: Firewalled) -> None:
    """DEL removes what iptables has of a pod although firewalld runs by then."""
    scene.first.add()
    assert len([rule for rule in rules(scene.node) if "10.1.0.5" in rule]) == 2
    BUS.parent.mkdir()
    with FakeBus(BUS, Zones(trusted=set())):
        scene.first.check()
        scene.first.delete()
    assert not any("10.1.0.5" in rule for rule in rules(scene.node))


def test_what_the_reference_has_added(scene: Firewalled, zones: Zones) -> None:
    """CHECK accepts and DEL removes sources that nobody recorded."""
    zones.sources["trusted"] |= SOURCES
    scene.first.conf = scene.first.configuration()
    scene.first.check()
    scene.first.delete()
    assert zones.sources["trusted"] == set()


def test_gc(scene: Firewalled, zones: Zones) -> None:
    """GC takes addresses out of the zone whose attachment is not valid, and no others."""
    scene.first.add()
    scene.second.add()
    valid = [{"containerID": "c6", "ifname": "eth0"}]
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "firewall"}
    plugins.gc("firewall", {**conf, "cni.dev/valid-attachments": valid})
    assert zones.sources["trusted"] == {"10.1.0.6/32", "fd00:1::6/128"}
    assert set(recorded(scene.node)) == {"10.1.0.6", "fd00:1::6"}


@pytest.mark.parametrize("kind", ["nft", "legacy"])
def test_policies_are_iptables_business(
    scene: Firewalled, zones: Zones, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With firewalld, too, a policy keeps bridges apart; iptables lets nobody through."""
    choose(scene.node, kind, monkeypatch)
    for family in (4, 6):
        scene.greet(family)
    for pod in (scene.first, scene.other):
        pod.add(ingressPolicy="same-bridge")
        pod.check()
    assert zones.sources["trusted"] > SOURCES
    assert is_kept_from(scene.other.fd, scene.first, "10.1.0.5")
    assert is_kept_from(scene.first.fd, scene.other, SECOND[6])
    assert reaches(scene.neighbour.fd, scene.first, "10.1.0.5")
    assert not any("CNI-FORWARD" in rule for rule in rules(scene.node))
    scene.node.run("iptables -F CNI-ISOLATION-STAGE-1")
    with pytest.raises(CNIError, match="lack"):
        scene.first.check()


def test_status(scene: Firewalled) -> None:
    """STATUS answers 50 where firewalld is asked for and does not run."""
    assert scene
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "firewall", "backend": "firewalld"}
    for _ in ("no bus", "a bus without firewalld"):
        with pytest.raises(CNIError, match="firewalld does not run") as refused:
            plugins.status("firewall", conf)
        assert refused.value.code == 50
        BUS.parent.mkdir(exist_ok=True)
        if not BUS.exists():
            bus = FakeBus(BUS, lambda *_: False).__enter__()
    bus.__exit__()
    BUS.unlink()
    with FakeBus(BUS, Zones(trusted=set())):
        plugins.status("firewall", conf)


def test_add_without_firewalld(scene: Firewalled) -> None:
    """ADD fails where firewalld is asked for and does not run, and nothing is left."""
    with pytest.raises(CNIError, match="no D-Bus at"):
        scene.first.add(backend="firewalld")
    assert recorded(scene.node) == {}
    scene.first.delete()


@pytest.mark.parametrize("way", ["cold", "warm"])
def test_where_the_bus_is(scene: Firewalled, plugin_directory: str, way: str) -> None:
    """Another bus is named by the environment: of the plugin, or of the service that answers."""
    zones = Zones(trusted=set())
    with FakeBus(Path("/run/elsewhere"), zones) as bus, pytest.MonkeyPatch.context() as patch:
        names = {"DBUS_SYSTEM_BUS_ADDRESS": bus.address, "CNIFAST_SERVICE": "off"}
        service = None
        if way == "warm":
            patch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
            service = Service("--threads", "1")
            names["CNIFAST_SERVICE"] = "required"
        try:
            runner = BinaryRunner(way, plugin_directory, names)
            one = Attachment(runner, scene.first.configuration(), scene.pods[0])
            assert one.add().ok
            assert zones.sources["trusted"] == SOURCES
            assert one.check().ok
            assert one.delete().ok
            assert zones.sources["trusted"] == set()
        finally:
            assert service is None or service.stop() == 0


@contextmanager
def running(*command: str) -> Iterator[None]:
    """Run a daemon until the end of the block."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as daemon:
        try:
            yield
        finally:
            daemon.terminate()
            daemon.wait()


def test_the_real_one(scene: Firewalled) -> None:
    """Through a real bus a real firewalld lets a pod through, and no longer after DEL."""
    need_tools("dbus-daemon", "firewalld", "firewall-cmd")
    BUS.parent.mkdir()
    scene.greet(4)
    with (
        running("dbus-daemon", "--system", "--nofork", "--nopidfile"),
        running("firewalld", "--nofork", "--nopid"),
    ):
        for _ in range(600):
            if scene.node.run("firewall-cmd --state", check=False).strip() == "running":
                break
        assert is_kept_from(scene.first.fd, scene.neighbour.fd, "192.0.2.2")
        scene.first.add()
        listed = scene.node.run("firewall-cmd --zone=trusted --list-sources").split()
        assert set(listed) == SOURCES
        assert reaches(scene.first.fd, scene.neighbour.fd, "192.0.2.2", 4001)
        scene.first.check()
        for _ in range(2):
            scene.first.delete()
        assert scene.node.run("firewall-cmd --zone=trusted --list-sources").split() == []
        with pytest.raises(CNIError, match="is not in firewalld's zone"):
            scene.first.check()
