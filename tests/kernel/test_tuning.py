"""tuning on the kernel: what the records of tests/conformance do not show."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import plugins
from cnifast.plugins import tuning_sysctls
from cnifast.protocol.errors import CNIError
from helpers.plugin import Attachment, BinaryRunner

if TYPE_CHECKING:
    from helpers.node import Container, Node

MAC = "02:11:22:33:44:55"
WANTED: dict[str, Any] = {
    "mac": MAC,
    "promisc": True,
    "mtu": 1400,
    "allmulti": True,
    "txQLen": 500,
}
KEPT = Path("/run/cni/tuning/pod_eth0.json")
ARP = "net/ipv4/conf/eth0/arp_notify"


@pytest.fixture
def pod(node: Node) -> Container:
    """A container with an eth0 that stands for another plugin's."""
    container = node.new_container("pod")
    node.ip("link add h0 type veth peer name eth0 netns pod")
    node.ip("-n pod link set eth0 up")
    node.ip("link set h0 up")
    return container


def conf(**keys: Any) -> dict[str, Any]:
    """Return a configuration of tuning."""
    previous = {"cniVersion": "1.1.0", "interfaces": [{"name": "eth0", "sandbox": "x"}]}
    base = {"cniVersion": "1.1.0", "name": "net", "type": "tuning", "prevResult": previous}
    return {**base, **keys}


def attributes(node: Node, container: Container) -> dict[str, Any]:
    """Return what eth0 is like, by the keys of the configuration."""
    (link,) = (link for link in node.links(container) if link["ifname"] == "eth0")
    return {
        "mac": link["address"],
        "promisc": "PROMISC" in link["flags"],
        "mtu": link["mtu"],
        "allmulti": "ALLMULTI" in link["flags"],
        "txQLen": link["txqlen"],
    }


def sysctl(node: Node, container: Container, path: str) -> str:
    """Return the value of a sysctl in a container."""
    with node.inside(container):
        return Path("/proc/sys", path).read_text().strip()


def call(command: Any, container: Container, **keys: Any) -> Any:
    """Call tuning for the container's eth0."""
    return command("tuning", conf(**keys), container_id="pod", netns=container.path)


def test_everything_and_back(node: Node, pod: Container) -> None:
    """ADD changes all at once and the result says so; DEL gives everything back, twice too."""
    before = attributes(node, pod)
    result = call(plugins.add, pod, **WANTED)
    assert attributes(node, pod) == WANTED
    assert (result.interfaces[0].mac, result.interfaces[0].mtu) == (MAC, 0)
    call(plugins.check, pod, **WANTED)
    for _ in range(2):
        call(plugins.delete, pod, **WANTED)
        assert attributes(node, pod) == before
        assert list(KEPT.parent.iterdir()) == []


def test_a_second_add_is_undone_to_the_beginning(node: Node, pod: Container) -> None:
    """However often it was added, DEL restores what was there before the first time."""
    before = attributes(node, pod)
    call(plugins.add, pod, mtu=1400)
    for _ in range(3):
        call(plugins.add, pod, **WANTED)
    call(plugins.add, pod, mtu=1300)
    call(plugins.delete, pod)
    assert attributes(node, pod) == before


def test_the_result_tells_the_mtu_where_it_did(pod: Container) -> None:
    """An MTU that the plugin before reported is brought up to date."""
    previous = {
        "cniVersion": "1.1.0",
        "interfaces": [
            {"name": "eth0", "mtu": 1500, "mac": "02:00:00:00:00:01"},
            {"name": "eth1", "mtu": 1500},
        ],
    }
    result = call(plugins.add, pod, mtu=1400, prevResult=previous)
    told = [(link.name, link.mtu, link.mac) for link in result.interfaces]
    assert told == [("eth0", 1400, "02:00:00:00:00:01"), ("eth1", 1500, "")]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"mtu": 70000}, "change link"),
        ({"sysctl": {"net.ipv4.ip_forward": "1", "net.ipv4.nothing": "1"}}, "net/ipv4/nothing: no"),
        (
            {"sysctl": {"net.ipv4.conf.IFNAME.arp_notify": "1", "net.ipv4.ip_forward": "x"}},
            "write x to sysctl net/ipv4/ip_forward: invalid argument",
        ),
        (
            {"sysctl": {"net.ipv4.tcp_available_congestion_control": "reno"}},
            "open sysctl net/ipv4/tcp_available_congestion_control: permission denied",
        ),
        ({"dataDir": "/proc/nowhere"}, "failed to save what is changed to /proc/nowhere/pod_eth0"),
        ({"mac": "00:00:00:00:00:00"}, "not a unicast MAC address"),
        ({"mtu": -1}, "invalid MTU -1"),
        ({"mtu": 2**31}, "invalid MTU 2147483648"),
        ({"txQLen": -1}, "invalid txQLen -1"),
        ({"txQLen": 2**32}, "invalid txQLen 4294967296"),
        ({"sysctl": {"net.ipv4.ip_forward": "1\0"}}, "embedded NUL"),
        ({"sysctl": {"net.ipv4." + "x" * 300: "1"}}, "file name too long"),
    ],
)
def test_what_fails_changes_nothing(
    node: Node, pod: Container, wrong: dict[str, Any], words: str
) -> None:
    """Wherever an ADD fails, sysctls, interface and files are as before, and the error says why."""
    before = attributes(node, pod)
    keys = {"sysctl": {"net.ipv4.conf.IFNAME.arp_notify": "1"}, **WANTED, **wrong}
    with pytest.raises(CNIError, match=words):
        call(plugins.add, pod, **keys)
    assert attributes(node, pod) == before
    assert sysctl(node, pod, ARP) == "0"
    assert sysctl(node, pod, "net/ipv4/ip_forward") == "0"
    assert [*KEPT.parent.glob("*"), *KEPT.parent.glob(".*")] == []


def test_undoing_keeps_what_an_earlier_add_kept(node: Node, pod: Container) -> None:
    """A second ADD that fails leaves the first one as it was, and DEL undoes that."""
    before = attributes(node, pod)
    call(plugins.add, pod, mtu=1400)
    with pytest.raises(CNIError):
        call(plugins.add, pod, mac=MAC, mtu=70000)
    assert attributes(node, pod) == {**before, "mtu": 1400}
    call(plugins.delete, pod)
    assert attributes(node, pod) == before


def test_sysctls_are_written_in_any_case(node: Node, pod: Container) -> None:
    """A write that repeats a value has its effects: conf/all passes it on to every interface."""
    own = "net/ipv6/conf/eth0/disable_ipv6"
    node.run(f"ip netns exec pod sysctl -qw {own}=1")
    assert sysctl(node, pod, "net/ipv6/conf/all/disable_ipv6") == "0"
    call(plugins.add, pod, sysctl={"net.ipv6.conf.all.disable_ipv6": "0"})
    assert sysctl(node, pod, own) == "0"


def test_sysctls_that_cannot_be_read(pod: Container) -> None:
    """What is there only to be written is written; CHECK cannot say what it is."""
    keys = {"sysctl": {"net.ipv4.route.flush": "1"}}
    call(plugins.add, pod, **keys)
    with pytest.raises(CNIError, match="net/ipv4/route/flush: permission denied"):
        call(plugins.check, pod, **keys)


def test_long_values(node: Node, pod: Container) -> None:
    """A value of many words or numbers is written whole, and compared word by word."""
    ports = ",".join(str(port) for port in range(10001, 10801, 2))
    keys = {
        "sysctl": {
            "net.ipv4.ip_local_reserved_ports": ports,
            "net.ipv4.ip_local_port_range": "20000  30000",
        }
    }
    call(plugins.add, pod, **keys)
    assert sysctl(node, pod, "net/ipv4/ip_local_reserved_ports") == ports
    assert sysctl(node, pod, "net/ipv4/ip_local_port_range").split() == ["20000", "30000"]
    call(plugins.check, pod, **keys)
    with pytest.raises(CNIError, match=r"ports is 10001,10003,.*\.\.\., configured is 1,2"):
        call(plugins.check, pod, sysctl={"net.ipv4.ip_local_reserved_ports": "1,2"})


def test_an_empty_value_is_put_back(node: Node, pod: Container) -> None:
    """A list that was empty is empty again when ADD fails."""
    keys = {"sysctl": {"net.ipv4.ip_local_reserved_ports": "8080"}, "mtu": 70000}
    with pytest.raises(CNIError):
        call(plugins.add, pod, **keys)
    assert sysctl(node, pod, "net/ipv4/ip_local_reserved_ports") == ""


def test_an_interface_that_is_another_one_by_now(node: Node, pod: Container) -> None:
    """Where no DEL came, what the new interface is like counts, not what the old one was."""
    call(plugins.add, pod, mac=MAC)
    node.ip("-n pod link set eth0 address 02:00:00:00:00:77")
    call(plugins.add, pod, mac=MAC)
    call(plugins.delete, pod)
    assert attributes(node, pod)["mac"] == "02:00:00:00:00:77"


@pytest.mark.parametrize("gone", ["path", "namespace", "file", "interface"])
def test_del_without_what_it_restores(node: Node, pod: Container, gone: str) -> None:
    """Whatever is gone, or there is in its place, DEL succeeds and forgets what was kept."""
    call(plugins.add, pod, **WANTED)
    netns = pod.path
    if gone == "path":
        netns = ""
    elif gone == "namespace":
        node.remove_container(pod)
    elif gone == "file":
        netns = "/run/lock/file"
        Path(netns).write_text("")
    else:
        node.ip("-n pod link del eth0")
    for _ in range(2):
        plugins.delete("tuning", conf(), container_id="pod", netns=netns)
        assert list(KEPT.parent.iterdir()) == []


def test_del_needs_no_sense_in_the_rest(node: Node, pod: Container) -> None:
    """Neither prevResult nor sysctls nor CNI_ARGS have to be in order for DEL."""
    before = attributes(node, pod)
    call(plugins.add, pod, **WANTED)
    wrong = conf(prevResult={"ips": 5}, sysctl={"kernel.x": "1"}, mac="zz", mtu=-1)
    plugins.delete("tuning", wrong, container_id="pod", netns=pod.path, args="COLOUR=blue")
    assert attributes(node, pod) == before


def test_what_cannot_be_restored_does_not_keep_the_rest(node: Node, pod: Container) -> None:
    """Attributes that the kernel refuses do not keep DEL from restoring the others."""
    call(plugins.add, pod, mtu=1400, txQLen=500)
    kept = json.loads(KEPT.read_text())
    KEPT.write_text(json.dumps({**kept, "mac": "01:00:00:00:00:00", "mtu": 70000}))
    call(plugins.delete, pod)
    now = attributes(node, pod)
    assert (now["mtu"], now["txQLen"]) == (1400, 1000)
    assert list(KEPT.parent.iterdir()) == []


def test_the_references_del_undoes_our_add(node: Node, pod: Container, reference: str) -> None:
    """A node may go back to the reference while containers run."""
    before = attributes(node, pod)
    keys = {key: value for key, value in WANTED.items() if key != "txQLen"}
    call(plugins.add, pod, **keys)
    theirs = BinaryRunner("reference", reference)
    old = {**conf(**keys), "cniVersion": "1.0.0"}
    del old["prevResult"]
    assert Attachment(theirs, old, pod).delete().ok
    assert attributes(node, pod) == before
    assert list(KEPT.parent.iterdir()) == []


def test_our_del_undoes_the_references_add(node: Node, pod: Container, reference: str) -> None:
    """A node may change over from the reference while containers run."""
    before = attributes(node, pod)
    keys = {key: value for key, value in WANTED.items() if key != "txQLen"}
    previous = {"cniVersion": "1.0.0", "interfaces": []}
    old = {**conf(**keys), "cniVersion": "1.0.0", "prevResult": previous}
    theirs = BinaryRunner("reference", reference)
    assert Attachment(theirs, old, pod).add().ok
    assert attributes(node, pod) == {**before, **keys}
    call(plugins.delete, pod)
    assert attributes(node, pod) == before
    assert list(KEPT.parent.iterdir()) == []


def test_gc(node: Node, pod: Container) -> None:
    """GC forgets what was kept for stale attachments of its own network, and of no other."""
    other = node.new_container("other")
    node.ip("link add h1 type veth peer name eth0 netns other")
    call(plugins.add, pod, mtu=1400)
    for container, network in ((other, "net"), (other, "net2")):
        keys = conf(mtu=1400, name=network)
        plugins.add("tuning", keys, container_id=f"{network}-1", netns=container.path)
    valid = [{"containerID": "pod", "ifname": "eth0"}]
    plugins.gc("tuning", conf(**{"cni.dev/valid-attachments": valid}))
    assert sorted(path.name for path in KEPT.parent.iterdir()) == [
        "net2-1_eth0.json",
        "pod_eth0.json",
    ]
    plugins.gc("tuning", conf(**{"cni.dev/valid-attachments": []}))
    assert [path.name for path in KEPT.parent.iterdir()] == ["net2-1_eth0.json"]
    with pytest.raises(CNIError) as caught:
        plugins.gc("tuning", conf())
    assert caught.value.code == 7


def test_status(node: Node) -> None:
    """STATUS answers 50 where an ADD could not keep what it changes, or is not allowed to."""
    node.run("mkdir -p /etc/cni/tuning /run/lock")
    Path("/run/lock/file").write_text("")
    forward, nowhere = {"net.ipv4.ip_forward": "1"}, "/run/lock/file/x"
    plugins.status("tuning", conf(mtu=1400, sysctl=forward))
    plugins.status("tuning", conf(dataDir=nowhere, sysctl=forward))
    Path(tuning_sysctls.ALLOWLIST).write_text("^net.ipv6")
    for keys in ({"mtu": 1400, "dataDir": nowhere}, {"sysctl": forward}):
        with pytest.raises(CNIError) as caught:
            plugins.status("tuning", conf(**keys))
        assert caught.value.code == 50
    Path(tuning_sysctls.ALLOWLIST).unlink()
    Path(tuning_sysctls.ALLOWLIST).mkdir()
    with pytest.raises(CNIError, match=f"^{tuning_sysctls.ALLOWLIST}: is a directory$") as caught:
        plugins.status("tuning", conf(sysctl=forward))
    assert caught.value.code == 50


def test_the_machines_own_sysctls_stay(node: Node, pod: Container) -> None:
    """What is written is the container's, whatever namespace the caller is in."""
    call(plugins.add, pod, sysctl={"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "2"})
    assert sysctl(node, pod, "net/ipv4/ip_forward") == "1"
    assert Path("/proc/sys/net/ipv4/ip_forward").read_text() == "0\n"
    assert os.stat("/proc/thread-self/ns/net").st_ino != os.fstat(pod.fd).st_ino
