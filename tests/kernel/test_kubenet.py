"""kubenet on a real kernel: pods that reach each other, themselves and the world."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.kubernetes import (
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR,
    HairpinMode,
    KubenetNetworkPlugin,
    NetworkPluginError,
    PortMapping,
    ProcessHost,
    init_network_plugin,
)
from cnifast.plugins import MODULES
from helpers.kubelet import NodeHost
from helpers.node import need_tools
from helpers.packets import ping, source_seen
from helpers.services import ADDRESS, deliveries, serve

if TYPE_CHECKING:
    from helpers.node import Container, Node

CIDRS = "10.244.1.0/24,fd00:10:244:1::/64"
GATEWAYS = {4: "10.244.1.1", 6: "fd00:10:244:1::1"}
FAMILIES = (4, 6)
CLUSTER = "10.0.0.0/8,fd00::/8"
ADDRESSES = Path("/var/lib/cni/networks/kubenet")
RECORDS = Path("/var/lib/cni/results")
FILTERED = Path("/proc/sys/net/bridge")


class Kubelet:
    """kubenet on a node, with sandboxes that are the node's containers."""

    def __init__(self, node: Node, hairpin: str = HairpinMode.NONE, cidrs: str = CIDRS) -> None:
        self.node = node
        self.host = NodeHost(node)
        self.again(hairpin)
        self.event(cidrs)

    def again(self, hairpin: str = HairpinMode.NONE, mtu: int = 1400) -> None:
        """Start once more, knowing nothing."""
        self.plugin = init_network_plugin(
            [KubenetNetworkPlugin()], "kubenet", self.host, hairpin, CLUSTER, mtu
        )

    def event(self, cidrs: str) -> None:
        """Tell of the node's pod CIDRs."""
        detail = {NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR: cidrs}
        self.plugin.event(NET_PLUGIN_EVENT_POD_CIDR_CHANGE, detail)

    def up(self, id_: str, **annotations: str) -> Container:
        """Start a sandbox and set up its network."""
        container = self.host.start(id_)
        given = {f"kubernetes.io/{key}-bandwidth": value for key, value in annotations.items()}
        self.plugin.set_up_pod("default", id_, id_, given)
        return container

    def down(self, id_: str) -> None:
        """Tear down a sandbox's network."""
        self.plugin.tear_down_pod("default", id_, id_)

    def ips(self, id_: str) -> dict[int, str]:
        """Return a pod's addresses by family."""
        status = self.plugin.get_pod_network_status("default", id_, id_)
        assert status is not None
        return {6 if ":" in ip else 4: ip for ip in status.ips}


def in_use() -> set[str]:
    """Return the addresses that host-local has files for."""
    if not ADDRESSES.is_dir():
        return set()
    return {p.name for p in ADDRESSES.iterdir() if "." in p.name or ":" in p.name} - {
        p.name for p in ADDRESSES.glob("last_reserved_ip.*")
    }


def bridge_addresses(node: Node) -> set[str]:
    """Return the global addresses of cbr0."""
    lines = node.ip("-o addr show dev cbr0 scope global").splitlines()
    return {line.split()[3] for line in lines}


def need_filtering() -> None:
    """Skip the test where bridged packets cannot be filtered."""
    if not FILTERED.is_dir():
        pytest.skip("needs a kernel with br_netfilter")


def test_pods_reach_each_other(clean_node: Node) -> None:
    """Pods have lo and eth0 with addresses of both families, and reach gateway and each other."""
    kubelet = Kubelet(clean_node)
    first, second = kubelet.up("first"), kubelet.up("second")
    assert kubelet.ips("first") == {4: "10.244.1.2", 6: "fd00:10:244:1::2"}
    for family in FAMILIES:
        assert ping(first.fd, GATEWAYS[family])
        assert ping(first.fd, kubelet.ips("second")[family])
        assert ping(first.fd, {4: "127.0.0.1", 6: "::1"}[family])
        assert ping(second.fd, kubelet.ips("first")[family])
    (eth0,) = [link for link in clean_node.links(first) if link["ifname"] == "eth0"]
    (cbr0,) = [link for link in clean_node.links() if link["ifname"] == "cbr0"]
    assert (eth0["mtu"], cbr0["mtu"]) == (1400, 1400)
    assert bridge_addresses(clean_node) == {f"{GATEWAYS[4]}/24", f"{GATEWAYS[6]}/64"}
    for id_ in ("first", "second"):
        kubelet.down(id_)
        kubelet.down(id_)
    assert "eth0" not in clean_node.link_names(first)
    assert in_use() == set()
    assert list(RECORDS.iterdir()) == []


def test_no_plugin(clean_node: Node) -> None:
    """Without a name the plugin does nothing but have bridged packets filtered."""
    need_filtering()
    switches = [FILTERED / f"bridge-nf-call-{name}" for name in ("iptables", "ip6tables")]
    for switch in switches:
        switch.write_text("0")
    plugin = init_network_plugin([KubenetNetworkPlugin()], "", NodeHost(clean_node))
    assert plugin.name() == "kubernetes.io/no-op"
    assert plugin.capabilities() == frozenset()
    assert [switch.read_text() for switch in switches] == ["1\n", "1\n"]
    plugin.event(NET_PLUGIN_EVENT_POD_CIDR_CHANGE, {})
    plugin.status()
    plugin.set_up_pod("default", "pod", "pod", {})
    assert plugin.get_pod_network_status("default", "pod", "pod") is None
    plugin.tear_down_pod("default", "pod", "pod")


def test_the_least_mtu_of_the_host(node: Node) -> None:
    """Without an MTU pods get the smallest one of the host's interfaces that are up."""
    node.ip("link add up0 mtu 1300 up type veth peer name up1")
    node.ip("link add up2 mtu 1200 type veth peer name up3")  # is down
    node.ip("link set up1 mtu 1350 up")
    kubelet = Kubelet(node)
    kubelet.again(mtu=0)
    kubelet.event(CIDRS)
    pod = kubelet.up("pod")
    assert {link["mtu"] for link in node.links(pod) if link["ifname"] == "eth0"} == {1300}
    node.ip("link set up0 down")
    node.ip("link set up1 down")
    kubelet.again(mtu=0)  # of the pods' own interfaces there is none that counts
    kubelet.event(CIDRS)
    pod = kubelet.up("other")
    assert {link["mtu"] for link in node.links(pod) if link["ifname"] == "eth0"} == {1460}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("mode", HairpinMode)
def test_a_pod_reaches_itself(node: Node, mode: HairpinMode, family: int) -> None:
    """A pod that is a service's only endpoint reaches itself by hairpin-veth, and not by none.

    By a promiscuous bridge it depends on the kernel: newer ones do not track what only that mode
    has received, so that it is not masqueraded.  It never comes twice.
    """
    need_tools("nft")
    need_filtering()
    kubelet = Kubelet(node, mode)
    pod = kubelet.up("pod")
    own = kubelet.ips("pod")[family]
    serve(node, own)
    assert ping(pod.fd, GATEWAYS[family])
    possible = {
        HairpinMode.NONE: ([],),
        HairpinMode.HAIRPIN_VETH: ([GATEWAYS[family]],),
        HairpinMode.PROMISCUOUS_BRIDGE: ([], [GATEWAYS[family]]),
    }
    assert deliveries(pod, pod, ADDRESS[family], own) in possible[mode]
    (end,) = [link for link in node.links() if link["ifname"].startswith("veth")]
    hairpin = end["linkinfo"]["info_slave_data"]["hairpin"]
    assert hairpin == (mode == HairpinMode.HAIRPIN_VETH)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_promiscuous_bridge_delivers_once(node: Node, family: int) -> None:
    """What a pod sends to a service on the same bridge arrives once, thanks to the guard alone."""
    need_tools("nft")
    need_filtering()
    kubelet = Kubelet(node, HairpinMode.PROMISCUOUS_BRIDGE)
    client, server = kubelet.up("client"), kubelet.up("server")
    sender, own = kubelet.ips("client")[family], kubelet.ips("server")[family]
    serve(node, own)
    assert ping(client.fd, own)
    assert ping(node.fd, own)
    assert deliveries(client, server, ADDRESS[family], own) == [sender]
    node.run("nft flush chain bridge cnifast repeats")
    assert deliveries(client, server, ADDRESS[family], own) == [sender, sender]
    kubelet.up("another")  # has the guard back
    assert deliveries(client, server, ADDRESS[family], own) == [sender]


def test_no_guard_where_nothing_is_delivered_twice(node: Node) -> None:
    """Where bridged packets are not filtered services work without a guard, so there is none."""
    need_tools("nft")
    need_filtering()
    kubelet = Kubelet(node, HairpinMode.PROMISCUOUS_BRIDGE)
    for name in ("iptables", "ip6tables"):
        (FILTERED / f"bridge-nf-call-{name}").write_text("0")
    client, server = kubelet.up("client"), kubelet.up("server")
    own = kubelet.ips("server")[4]
    serve(node, own)
    assert ping(client.fd, own)
    assert deliveries(client, server, ADDRESS[4], own) == [kubelet.ips("client")[4]]
    assert "drop" not in node.ruleset()


def test_another_hairpin_mode_after_a_restart(node: Node) -> None:
    """What the promiscuous mode has left goes when another mode is configured."""
    need_tools("nft")
    need_filtering()
    kubelet = Kubelet(node, HairpinMode.PROMISCUOUS_BRIDGE)
    kubelet.up("pod")
    assert "PROMISC" in node.ip("link show dev cbr0")
    assert "drop" in node.run("nft list table bridge cnifast")
    kubelet.again(HairpinMode.HAIRPIN_VETH)
    assert "PROMISC" not in node.ip("link show dev cbr0")
    assert "drop" not in node.run("nft list table bridge cnifast")


def test_masquerading(node: Node) -> None:
    """Pods keep their addresses inside of the cluster, and have the node's outside of it."""
    need_tools("nft")
    neighbour = node.new_container("neighbour")
    node.ip(f"link add up0 up type veth peer name eth0 netns {neighbour.name}")
    outside = {4: "192.0.2.2", 6: "2001:db8::2"}
    inside = {4: "10.99.0.2", 6: "fd99::2"}
    for family, length in ((4, 24), (6, 64)):
        for there in (outside[family], inside[family]):
            here = f"{there[:-1]}1/{length}"
            node.ip(f"addr add {here} dev up0 {'nodad' * (family == 6)}")
            node.ip(f"-n neighbour addr add {there}/{length} dev eth0 {'nodad' * (family == 6)}")
    node.ip("-n neighbour link set eth0 up")
    kubelet = Kubelet(node)
    pod, other = kubelet.up("pod"), kubelet.up("other")
    for family in FAMILIES:
        own = kubelet.ips("pod")[family]
        node_address = f"{outside[family][:-1]}1"
        assert source_seen(pod.fd, neighbour.fd, outside[family]) == node_address
        assert source_seen(pod.fd, neighbour.fd, inside[family]) == own
        assert source_seen(pod.fd, other.fd, kubelet.ips("other")[family]) == own
    kubelet.again()
    node.run("nft flush ruleset")
    kubelet.event(CIDRS)
    assert source_seen(pod.fd, neighbour.fd, outside[4]) == "192.0.2.1"
    node.run("nft flush ruleset")
    kubelet.up("third")
    assert source_seen(pod.fd, neighbour.fd, outside[4]) == "192.0.2.1"


@pytest.mark.usefixtures("clean_node")
def test_addresses_of_dead_pods() -> None:
    """When addresses run out those of sandboxes that have ended are handed out again."""
    with ProcessHost() as host:
        plugin = init_network_plugin([KubenetNetworkPlugin()], "kubenet", host)
        detail = {NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR: "10.244.1.0/29"}
        plugin.event(NET_PLUGIN_EVENT_POD_CIDR_CHANGE, detail)

        def up(id_: str) -> None:
            host.start_pod(id_)
            plugin.set_up_pod("default", id_, id_, {})

        old = [f"old{number}" for number in range(5)]  # as many as there are addresses
        for id_ in old:
            up(id_)
        for id_ in old[1:]:
            host.stop_pod(id_)
        new = [f"new{number}" for number in range(4)]
        for id_ in new:
            up(id_)
        with pytest.raises(NetworkPluginError, match="no IP addresses available in range set"):
            up("one-too-many")
        live = [old[0], *new]
        owners = {(ADDRESSES / ip).read_text().split()[0] for ip in in_use()}
        assert owners == set(live)
        assert {path.name.split("-")[1] for path in RECORDS.glob("kubenet-[on]*")} == set(live)
        for id_ in [*live, *old, "one-too-many"]:
            plugin.tear_down_pod("default", id_, id_)
        assert in_use() == set()


def test_a_new_process_collects(node: Node) -> None:
    """What died while there was no kubelet is collected when it starts, what lives is spared."""
    kubelet = Kubelet(node)
    live = kubelet.up("live")
    kubelet.up("dead")
    kubelet.host.end("dead")
    kubelet.again()
    assert len(in_use()) == 4
    kubelet.event(CIDRS)
    assert in_use() == {"10.244.1.2", "fd00:10:244:1::2"}
    assert ping(live.fd, GATEWAYS[4])


def test_a_new_process_knows_its_pods(clean_node: Node) -> None:
    """Pods of an earlier process have their status, and are torn down before a CIDR is known."""
    kubelet = Kubelet(clean_node)
    kubelet.up("pod")
    kubelet.again()
    assert kubelet.ips("pod") == {4: "10.244.1.2", 6: "fd00:10:244:1::2"}
    kubelet.down("pod")
    assert in_use() == set()
    with pytest.raises(NetworkPluginError, match=r"pod default/pod: reading the addresses of eth0"):
        kubelet.ips("pod")


def test_a_failed_set_up_leaves_nothing(clean_node: Node) -> None:
    """A sandbox that has an eth0 already keeps it; address, record and host end are gone."""
    kubelet = Kubelet(clean_node)
    pod = kubelet.host.start("pod")
    clean_node.ip("-n pod link add eth0 type bridge")
    with pytest.raises(
        NetworkPluginError, match=r"cannot set up pod default/pod: .*eth0 already exists"
    ):
        kubelet.plugin.set_up_pod("default", "pod", "pod", {})
    assert in_use() == set()
    assert list(RECORDS.iterdir()) == []
    (eth0,) = [link for link in clean_node.links(pod) if link["ifname"] == "eth0"]
    assert eth0["linkinfo"]["info_kind"] == "bridge"
    clean_node.ip("-n pod link del eth0")
    kubelet.plugin.set_up_pod("default", "pod", "pod", {})
    kubelet.down("pod")


def test_a_sandbox_that_has_ended(clean_node: Node) -> None:
    """A pod whose namespace is gone is torn down completely."""
    kubelet = Kubelet(clean_node)
    kubelet.up("pod")
    kubelet.host.end("pod")
    kubelet.down("pod")
    assert in_use() == set()
    assert list(RECORDS.iterdir()) == []


def test_another_pod_cidr(clean_node: Node) -> None:
    """Pods of the former CIDR live on until they are torn down; new ones are of the new CIDR."""
    kubelet = Kubelet(clean_node)
    old = kubelet.up("old")
    kubelet.event("10.244.9.0/24,fd00:10:244:9::/64")
    new = kubelet.up("new")
    assert kubelet.ips("new") == {4: "10.244.9.2", 6: "fd00:10:244:9::2"}
    assert bridge_addresses(clean_node) == {
        *("10.244.1.1/24", "fd00:10:244:1::1/64"),
        *("10.244.9.1/24", "fd00:10:244:9::1/64"),
    }
    for family in FAMILIES:
        assert ping(old.fd, GATEWAYS[family])
        assert ping(new.fd, GATEWAYS[family].replace("1.1", "9.1").replace("1::", "9::"))
        assert ping(old.fd, kubelet.ips("new")[family])
        assert ping(new.fd, kubelet.ips("old")[family])
    assert "saddr 10.244.1.0/24" in clean_node.run("nft list chain inet cnifast cluster")
    kubelet.down("old")
    assert bridge_addresses(clean_node) == {"10.244.9.1/24", "fd00:10:244:9::1/64"}
    assert "saddr 10.244.1.0/24" not in clean_node.run("nft list chain inet cnifast cluster")
    assert ping(new.fd, "10.244.9.1")
    kubelet.down("new")


def test_another_pod_cidr_without_pods(node: Node) -> None:
    """A former gateway goes at once when no pod needs it."""
    kubelet = Kubelet(node)
    kubelet.up("pod")
    kubelet.down("pod")
    assert bridge_addresses(node) == {"10.244.1.1/24", "fd00:10:244:1::1/64"}
    kubelet.event("10.244.9.0/24")
    assert bridge_addresses(node) == set()
    pod = kubelet.up("new")
    assert ping(pod.fd, "10.244.9.1")


@pytest.mark.skipif("portmap" not in MODULES, reason="there is no plugin portmap")
def test_host_ports(clean_node: Node) -> None:
    """What is sent to a pod's host port arrives at the pod, until it is torn down."""
    need_tools("nft")
    client = clean_node.new_container("client")
    clean_node.ip("link add up0 up type veth peer name eth0 netns client")
    clean_node.ip("addr add 192.0.2.1/24 dev up0")
    clean_node.ip("-n client addr add 192.0.2.2/24 dev eth0")
    clean_node.ip("-n client link set eth0 up")
    kubelet = Kubelet(clean_node)
    kubelet.host.ports["pod"] = [PortMapping(40001, 40000, "UDP")]
    pod = kubelet.up("pod")
    sent = source_seen(client.fd, pod.fd, "10.244.1.2", via=("192.0.2.1", 40001))
    assert sent == "192.0.2.2"
    kubelet.down("pod")
    assert "40001" not in clean_node.ruleset()
    clean_node.ip("link del up0")


@pytest.mark.skipif("bandwidth" not in MODULES, reason="there is no plugin bandwidth")
def test_bandwidth(clean_node: Node) -> None:
    """Limits of a pod's annotations are set on its interface, and gone with it."""
    kubelet = Kubelet(clean_node)
    kubelet.up("pod", ingress="10M", egress="20M")
    (end,) = [name for name in clean_node.link_names() if name.startswith("veth")]
    assert "rate 10Mbit" in clean_node.run(f"tc qdisc show dev {end}")
    assert "rate 20Mbit" in clean_node.run("tc qdisc show")
    kubelet.down("pod")
