"""The private node itself: what tests rely on before they test anything else."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from helpers import nsutil
from helpers.node import FALLBACK_DEVICES, Node
from helpers.packets import frames_through, ping, source_seen
from helpers.snapshot import Snapshot, changes


def test_a_node_has_no_way_out(node: Node) -> None:
    """A fresh node has no link but the kernel's own and no route to anywhere."""
    assert node.link_names() <= FALLBACK_DEVICES
    assert node.run("ip route show default") == ""


@pytest.mark.usefixtures("node")
def test_directories_are_fresh() -> None:
    """What plugins write to is empty on every node, and /sys shows the node's links."""
    assert list(Path("/var/lib/cni").iterdir()) == []
    assert list(Path("/run/netns").iterdir()) == []
    assert set(os.listdir("/sys/class/net")) <= FALLBACK_DEVICES | {"bonding_masters"}


def test_programs_run_on_the_node(node: Node) -> None:
    """A program started by a test is in the node's network namespace."""
    seen = node.run("stat -L -c %i /proc/self/ns/net").strip()
    assert int(seen) == nsutil.netns_id(node.fd)[1]


def test_containers_are_namespaces_of_their_own(node: Node) -> None:
    """A container is a named namespace with lo down, and one taken away is gone from its path."""
    container = node.new_container()
    assert node.links(container)[0]["operstate"] == "DOWN"
    assert nsutil.netns_id(container.fd) != nsutil.netns_id(node.fd)
    node.remove_container(container)
    assert not Path(container.path).exists()


def test_leaving_kills_what_runs_there(node: Node) -> None:
    """A program left running in a container ends with the node."""
    container = node.new_container()
    with node.inside(container):
        left = subprocess.Popen(["sleep", "1000"])
    assert left.pid in node.processes()
    node.kill_processes()
    assert node.processes() == []
    left.wait()


def test_strays_are_seen(node: Node) -> None:
    """Links left on the host are reported; bridges and lo are not."""
    node.ip("link add br0 type bridge")
    assert node.strays() == []
    node.ip("link add v0 type veth peer name v1")
    assert node.strays() == ["v0", "v1"]


def _pair(node: Node) -> None:
    """Join the host (10.9.0.1, fd09::1) and the container pod1 (10.9.0.2, fd09::2) by a bridge."""
    node.new_container("pod1")
    node.ip("link add br0 type bridge")
    node.ip("addr add 10.9.0.1/24 dev br0")
    node.ip("addr add fd09::1/64 dev br0 nodad")
    node.ip("link set br0 up")
    node.ip("link add v0 master br0 up type veth peer name eth0 netns pod1")
    node.ip("-n pod1 addr add 10.9.0.2/24 dev eth0")
    node.ip("-n pod1 addr add fd09::2/64 dev eth0 nodad")
    node.ip("-n pod1 link set eth0 up")
    Snapshot(node)  # waits for the carrier


@pytest.mark.parametrize("target", ["10.9.0.1", "fd09::1"])
def test_ping_hears_answers(node: Node, target: str) -> None:
    """One ping succeeds where something answers, and fails once the answer is forbidden."""
    _pair(node)
    pod = node.containers["pod1"]
    assert ping(pod.fd, target)
    node.ip("link set v0 nomaster")
    assert not ping(pod.fd, target, timeout=0.2)


def test_source_seen_tells_the_sender(node: Node) -> None:
    """A datagram arrives with the sender's address when nothing rewrites it."""
    _pair(node)
    assert source_seen(node.containers["pod1"].fd, node.fd, "10.9.0.1") == "10.9.0.2"


def test_frames_through_counts_what_arrives(node: Node) -> None:
    """Frames of any source pass a bridge without rules."""
    _pair(node)
    sources = ["02:00:00:00:00:01", "02:00:00:00:00:02"]
    assert frames_through(node.containers["pod1"], "eth0", node.fd, "br0", sources) == sources


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("ip -n pod1 addr del 10.9.0.2/24 dev eth0", "pod1 addr eth0 10.9.0.2/24"),
        ("ip -n pod1 route add 10.8.0.0/16 via 10.9.0.1", "pod1 route v4 10.8.0.0/16 via 10.9.0.1"),
        ("ip -n pod1 -6 route add fd08::/64 via fd09::1", "pod1 route v6 fd08::/64 via fd09::1"),
        ("ip link set br0 promisc on", "host link br0 bridge PROMISC,UP"),
        (
            "ip link set v0 nomaster",
            "+ host link <peer of pod1/eth0> veth UP mtu 1500 running",
        ),
        ("bridge link set dev v0 hairpin on", "master br0 hairpin"),
        ("ip link set v0 mtu 1400", "mtu 1400"),
        ("sysctl -qw net.ipv4.ip_forward=1", "host sysctl - ipv4.ip_forward=1"),
        ("sysctl -qw net.ipv6.conf.v0.accept_ra=0", "ipv6.accept_ra=0"),
        ("mkdir -p /var/lib/cni/networks/n", "file /var/lib/cni/networks/n/ 0755"),
        (
            "nft add table ip t '{ comment \"10.9.0.2\"; }'",
            "host firewall speaks of address 10.9.0.2",
        ),
        ("ip rule add from 10.9.0.7 table 7", "host rule"),
        ("ip route add 10.7.0.0/16 dev br0 table 7", "host route v4 10.7.0.0/16 dev br0 table 7"),
    ],
)
def test_snapshots_see_every_change(node: Node, command: str, expected: str) -> None:
    """Each kind of change appears as an added or removed line of the snapshot."""
    _pair(node)
    before = Snapshot(node).lines()
    node.run(command)
    assert any(expected in line for line in changes(before, Snapshot(node).lines()))


def test_snapshots_of_the_same_state_are_equal() -> None:
    """Two nodes that went through the same show the same lines, whatever names are random."""
    seen = []
    for _ in range(2):
        node = Node()
        node.open()
        try:
            _pair(node)
            seen.append(Snapshot(node).lines())
        finally:
            node.close()
    assert seen[0] == seen[1]
    assert seen[0]
