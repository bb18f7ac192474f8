"""The sessions that the early documents of CNI show, typed again; what they show is shown here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.flannel import V4, flanneld
from helpers.node import need_tools
from transcripts.session import Session, ifconfig

if TYPE_CHECKING:
    from helpers.node import Node

BRIDGE = {
    "cniVersion": "0.2.0",
    "name": "mynet",
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": {
        "type": "host-local",
        "subnet": "10.22.0.0/16",
        "routes": [{"dst": "0.0.0.0/0"}],
    },
}
LOOPBACK = {"cniVersion": "0.2.0", "name": "lo", "type": "loopback"}
MACVLAN = {
    "name": "mynet",
    "type": "macvlan",
    "master": "eth0",
    "ipam": {"type": "host-local", "subnet": "172.17.0.0/16"},
}
CACHE = Path("/var/lib/cni/results")
STORE = Path("/var/lib/cni/networks/mynet")


@pytest.fixture
def session(node: Node, plugin_directory: str) -> Session:
    """A session with the loopback network configured."""
    need_tools("ifconfig", "ip")
    assert node.strays() == []
    typed = Session(plugin_directory)
    typed.write("99-loopback.conf", LOOPBACK)
    return typed


def taken() -> list[str]:
    """Return the addresses that are assigned."""
    return sorted(path.name for path in STORE.glob("*.*.*.*"))


def nothing_left(node: Node) -> bool:
    """Tell whether all containers, their results and their addresses are gone."""
    gone = not node.strays() and not list(Path("/run/netns").iterdir())
    return gone and not list(CACHE.iterdir()) and not taken()


def check_container(shown: str, address: str, mask: str, mtu: int) -> None:
    """Compare what the documents show of a container: eth0 and lo, and nothing else."""
    links = ifconfig(shown)
    assert set(links) == {"eth0", "lo"}
    eth0, lo = links["eth0"], links["lo"]
    assert eth0.inet == [(address, mask)]
    assert eth0.mtu == mtu
    assert {"UP", "BROADCAST", "RUNNING", "MULTICAST"} <= eth0.flags
    [(link_local, prefix, scope)] = eth0.inet6
    assert (link_local[:6], prefix, scope) == ("fe80::", "64", "link")
    assert lo.inet == [("127.0.0.1", "255.0.0.0")]
    assert lo.inet6 == [("::1", "128", "host")]
    assert {"UP", "LOOPBACK", "RUNNING"} <= lo.flags


def test_private_namespace_on_a_bridge(node: Node, session: Session) -> None:
    """A command in a namespace of its own sees eth0 with the network's address, and lo."""
    session.write("10-mynet.conf", BRIDGE)
    shown = session.show("scripts/priv-net-run.sh ifconfig")
    check_container(shown, "10.22.0.2", "255.255.0.0", 1500)
    assert nothing_left(node)
    again = session.show("scripts/priv-net-run.sh ifconfig")
    check_container(again, "10.22.0.3", "255.255.0.0", 1500)
    assert nothing_left(node)


def test_from_the_folder_of_scripts(node: Node, session: Session) -> None:
    """It works as the documents type it: from the scripts' own folder."""
    session.write("10-mynet.conf", BRIDGE)
    shown = session.show("cd scripts && ./priv-net-run.sh ifconfig eth0")
    assert "inet 10.22.0.2" in shown
    assert nothing_left(node)


def test_private_namespace_reaches_the_gateway(node: Node, session: Session) -> None:
    """The route of the network is there, and the gateway on the bridge has its address."""
    session.write("10-mynet.conf", BRIDGE)
    shown = session.show("scripts/priv-net-run.sh ip route")
    assert shown.splitlines()[0].strip() == "default via 10.22.0.1 dev eth0"
    assert "10.22.0.1/16" in node.ip("-o -4 address show dev cni0")


def test_private_namespace_on_flannel(node: Node, session: Session) -> None:
    """With flanneld's file in place eth0 has an address of this node's subnet, and its MTU."""
    flanneld({**V4, "FLANNEL_MTU": "1472"})
    session.write("10-mynet.conf", {"name": "mynet", "type": "flannel"})
    shown = session.show("scripts/priv-net-run.sh ifconfig")
    check_container(shown, "10.1.17.2", "255.255.255.0", 1472)
    assert nothing_left(node)
    routes = session.show("scripts/priv-net-run.sh ip route").splitlines()
    assert "10.1.0.0/16 via 10.1.17.1 dev eth0" in [route.strip() for route in routes]


def test_macvlan_with_an_address(node: Node, session: Session) -> None:
    """CNI_ARGS gives a container on a macvlan network exactly the address that it names."""
    node.ip("link add eth0 type veth peer name wire")
    node.ip("link set eth0 mtu 1400 up")
    node.ip("link set wire up")
    session.write("10-mynet.conf", MACVLAN)
    shown = session.show("scripts/priv-net-run.sh ifconfig", CNI_ARGS="IP=172.17.20.20")
    check_container(shown, "172.17.20.20", "255.255.0.0", 1400)
    assert taken() == []
    refused = session.run("scripts/priv-net-run.sh ifconfig", CNI_ARGS="IP=10.1.1.1")
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "10.1.1.1" in refused.stderr
    assert list(Path("/run/netns").iterdir()) == []


def test_one_half_at_a_time(node: Node, session: Session) -> None:
    """exec-plugins.sh attaches a namespace to all networks, and detaches it, twice if need be."""
    session.write("10-mynet.conf", BRIDGE)
    pod = node.new_container("a1b2c3")
    assert session.show(f"scripts/exec-plugins.sh add {pod.name} {pod.path}") == ""
    check_container(
        session.show(f"ip netns exec {pod.name} ifconfig"), "10.22.0.2", "255.255.0.0", 1500
    )
    assert taken() == ["10.22.0.2"]
    session.show(f"scripts/exec-plugins.sh del {pod.name} {pod.path}")
    assert "eth0" not in node.link_names(pod)
    assert taken() == []
    session.show(f"scripts/exec-plugins.sh del {pod.name} {pod.path}")
    shown = session.show(f"scripts/exec-plugins.sh add {pod.name} {pod.path}", DEBUG="1")
    assert '"ip": "10.22.0.3/16"' in shown
    session.show(f"scripts/exec-plugins.sh del {pod.name} {pod.path}")


def test_scripts_say_how_they_are_used(session: Session) -> None:
    """Too few words, or others, are answered by the usage."""
    for command in ("priv-net-run.sh", "exec-plugins.sh add", "exec-plugins.sh mod a /run/netns/a"):
        done = session.run(f"scripts/{command}")
        assert done.returncode == 1
        assert "Usage:" in done.stderr


def test_by_hand(node: Node, session: Session) -> None:
    """The variables are exported and the plugin's binary is run with the configuration."""
    session.write("10-mynet.conf", BRIDGE)
    pod = node.new_container("byhand")
    session.env |= {
        "CNI_COMMAND": "ADD",
        "CNI_NETNS": pod.path,
        "CNI_CONTAINERID": pod.name,
        "CNI_IFNAME": "eth0",
    }
    result: dict[str, Any] = json.loads(
        session.show("$CNI_PATH/bridge < /etc/cni/net.d/10-mynet.conf")
    )
    assert result["cniVersion"] == "0.2.0"
    assert result["ip4"]["ip"] == "10.22.0.2/16"
    assert result["ip4"]["gateway"] == "10.22.0.1"
    assert result["ip4"]["routes"] == [{"dst": "0.0.0.0/0"}]
    session.show("$CNI_PATH/loopback < /etc/cni/net.d/99-loopback.conf")
    shown = session.show(f"ip netns exec {pod.name} ifconfig")
    check_container(shown, "10.22.0.2", "255.255.0.0", 1500)
    session.env["CNI_COMMAND"] = "DEL"
    assert session.show("$CNI_PATH/bridge < /etc/cni/net.d/10-mynet.conf") == ""
    assert "eth0" not in node.link_names(pod)
    assert taken() == []


def test_cnitool(node: Node, session: Session) -> None:
    """The session of cnitool: a network by name, a namespace by path, checks in between."""
    network = {**BRIDGE, "cniVersion": "0.4.0"}
    session.write("10-mynet.conf", network)
    session.show("ip netns add testing")
    shown = session.show("cnifast add mynet /run/netns/testing")
    result = json.loads(shown)
    assert result["ips"][0]["address"] == "10.22.0.2/16"
    assert shown.startswith('{\n    "cniVersion": "0.4.0",\n    "interfaces": [\n        {\n')
    assert session.show("cnifast check mynet /run/netns/testing") == ""
    assert "eth0" in session.show("ip -n testing addr")
    session.show("cnifast del mynet /run/netns/testing")
    session.show("cnifast del mynet /run/netns/testing")
    session.show("ip netns del testing")
    assert nothing_left(node)
