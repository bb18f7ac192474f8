"""Host ports by nftables: which packets reach which pod, whom it sees, and what is left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kernel import Handle
from cnifast.plugins import load
from cnifast.protocol.request import Place, Request
from helpers import nsutil
from helpers.exchange import (
    GONE_SECONDS,
    Client,
    Server,
    Unanswered,
    exchange,
    is_refused,
    sctp_arrival,
)
from helpers.node import need_tools
from helpers.packets import source_seen
from helpers.portmapped import Pod, Portmapped, mapping
from helpers.routed import INSIDE, NEIGHBOUR, NODE, pod_address

if TYPE_CHECKING:
    from helpers.node import Node

FAMILIES = pytest.mark.parametrize("family", [4, 6])
PROTOCOLS = pytest.mark.parametrize("protocol", ["tcp", "udp"])
OTHER = {4: "192.0.2.9", 6: "2001:db8::9"}  # a second address of the node


@pytest.fixture
def scene(node: Node) -> Portmapped:
    """Pods and a neighbour on a fresh node."""
    need_tools("nft")
    return Portmapped(node)


def second_address(node: Node) -> None:
    """Give the node another address of each family."""
    node.ip(f"address add {OTHER[4]}/24 dev up0")
    with Handle(node.fd) as handle:  # which waits until the address can be asked
        handle.add_address(handle.link("up0").index, f"{OTHER[6]}/64", nodad=True)


@FAMILIES
@PROTOCOLS
def test_a_port_of_the_host_is_the_pod_s(scene: Portmapped, protocol: str, family: int) -> None:
    """Who asks the host's port is answered by the pod, which sees who asks; until DEL."""
    where = ((scene.first.fd, 80), scene.neighbour.fd, protocol, NODE[family], 8080)
    scene.first.add(mapping(8080, 80, protocol))
    assert exchange(*where) == NEIGHBOUR[family]
    scene.first.check()
    scene.first.delete()
    assert scene.elements() == []
    if protocol == "tcp":
        assert is_refused(scene.neighbour.fd, NODE[family], 8080)


@FAMILIES
@PROTOCOLS
def test_pods_of_the_subnet_and_the_pod_itself_are_masqueraded(
    scene: Portmapped, protocol: str, family: int
) -> None:
    """Asked by its neighbour on the bridge, or by itself, the pod sees the host."""
    scene.first.add(mapping(8080, 80, protocol))
    for client in (scene.second, scene.first):
        for target in (NODE[family], INSIDE[family]):
            where = ((scene.first.fd, 80), client.fd, protocol, target, 8080)
            assert exchange(*where) == INSIDE[family]


@FAMILIES
def test_the_host_reaches_its_own_port(node: Node, scene: Portmapped, family: int) -> None:
    """From the host itself an address of it leads to the pod."""
    scene.first.add(mapping(8080))
    seen = exchange((scene.first.fd, 80), node.fd, "tcp", NODE[family], 8080)
    assert seen == NODE[family]


@PROTOCOLS
def test_localhost_leads_to_the_pod(node: Node, scene: Portmapped, protocol: str) -> None:
    """127.0.0.1 leads to the pod, which sees the host; route_localnet is set on the way there."""
    scene.first.add(mapping(8080, 80, protocol))
    assert node.run("sysctl -n net.ipv4.conf.br0.route_localnet").strip() == "1"
    assert node.run("sysctl -n net.ipv4.conf.up0.route_localnet").strip() == "0"
    seen = exchange((scene.first.fd, 80), node.fd, protocol, "127.0.0.1", 8080)
    assert seen == INSIDE[4]


def test_sctp(scene: Portmapped) -> None:
    """The first packet of an SCTP association arrives at the pod's port."""
    scene.first.add(mapping(8080, 80, "sctp"), mapping(8080, 81, "tcp"))
    arrived = sctp_arrival(scene.neighbour.fd, scene.first.fd, NEIGHBOUR[4], NODE[4], 8080)
    assert arrived == (NEIGHBOUR[4], 40000, 80)


@FAMILIES
def test_host_ip(node: Node, scene: Portmapped, family: int) -> None:
    """With hostIP only that address leads to the pod; the same port of another is free."""
    second_address(node)
    scene.first.add(mapping(8080, 80, host_ip=OTHER[family]))
    where = (scene.neighbour.fd, "tcp")
    assert exchange((scene.first.fd, 80), *where, OTHER[family], 8080) == NEIGHBOUR[family]
    assert is_refused(scene.neighbour.fd, NODE[family], 8080)
    scene.second.add(mapping(8080, 81, host_ip=NODE[family]))
    assert exchange((scene.second.fd, 81), *where, NODE[family], 8080) == NEIGHBOUR[family]
    assert exchange((scene.first.fd, 80), *where, OTHER[family], 8080) == NEIGHBOUR[family]
    for pod in (scene.first, scene.second):
        pod.check()
        pod.delete()
    assert scene.elements() == []


@FAMILIES
def test_host_ip_is_masqueraded_by_itself(node: Node, scene: Portmapped, family: int) -> None:
    """What is masqueraded for a port with hostIP is not for the same port of another address."""
    second_address(node)
    scene.first.add(mapping(8080, 80, host_ip=OTHER[family]))
    scene.second.add(mapping(8080, 80), snat=False)
    seen = exchange((scene.first.fd, 80), scene.second.fd, "tcp", OTHER[family], 8080)
    assert seen == INSIDE[family]
    scene.first.delete()
    scene.second.delete()
    scene.second.add(mapping(8080, 80, "udp"), snat=False)
    scene.first.add(mapping(8080, 80, "udp", OTHER[family]))
    assert one_way(scene.first.fd, scene.second.fd, NODE[family], family) == pod_address(5, family)


def one_way(client: int, server: int, target: str, family: int) -> str:
    """Send a datagram to port 8080; return the source it arrives with at the server's port 80."""
    listening = Server(server, "udp", 80, family)
    asking = Client(client, "udp", target, 8080)
    try:
        asking.ask(1)
        return listening._answer()
    finally:
        asking.close()
        listening.close()


@FAMILIES
def test_a_certain_address_goes_before_any(node: Node, scene: Portmapped, family: int) -> None:
    """A port of one address leads to its pod, of all others to the pod that asked for none."""
    second_address(node)
    for order in ("certain first", "any first"):
        if order == "certain first":
            scene.first.add(mapping(8080, 80, host_ip=OTHER[family]))
        scene.second.add(mapping(8080, 81))
        if order == "any first":
            scene.first.add(mapping(8080, 80, host_ip=OTHER[family]))
        where = (scene.neighbour.fd, "tcp")
        exchange((scene.first.fd, 80), *where, OTHER[family], 8080)
        exchange((scene.second.fd, 81), *where, NODE[family], 8080)
        scene.first.delete()
        scene.second.delete()
    assert scene.elements() == []


@pytest.mark.parametrize(("host_ip", "family"), [("0.0.0.0", 4), ("::", 6)])  # noqa: S104
def test_unspecified_addresses_are_those_of_a_family(
    scene: Portmapped, host_ip: str, family: int
) -> None:
    """As hostIP 0.0.0.0 is any IPv4 address, :: any IPv6 address, and neither is the other's."""
    scene.first.add(mapping(8080, 80, host_ip=host_ip))
    exchange((scene.first.fd, 80), scene.neighbour.fd, "tcp", NODE[family], 8080)
    assert is_refused(scene.neighbour.fd, NODE[10 - family], 8080)


@FAMILIES
def test_services_inside_the_subnet_keep_their_clients(scene: Portmapped, family: int) -> None:
    """A pod with a host port, asked through somebody else's DNAT, sees which pod asks."""
    scene.first.add(mapping(8080, 80, "udp"))
    name, service = {4: ("ip", "10.96.0.1"), 6: ("ip6", "fd96::1")}[family]
    target = {4: "10.1.0.5:80", 6: "[fd00:1::5]:80"}[family]
    for command in (
        f"nft add table {name} kube",
        f"nft 'add chain {name} kube pre {{ type nat hook prerouting priority dstnat; }}'",
        f"nft add rule {name} kube pre {name} daddr {service} udp dport 8080 dnat to {target}",
    ):
        scene.node.run(command)
    assert one_way(scene.second.fd, scene.first.fd, service, family) == pod_address(6, family)


def test_without_snat_nothing_is_masqueraded(node: Node, scene: Portmapped) -> None:
    """With snat false pods see each other, and route_localnet stays as it is."""
    scene.first.add(mapping(8080, 80, "udp"), snat=False)
    for family in (4, 6):
        seen = one_way(scene.second.fd, scene.first.fd, NODE[family], family)
        assert seen == pod_address(6, family)
    assert node.run("sysctl -n net.ipv4.conf.br0.route_localnet").strip() == "0"
    assert {line.split()[0] for line in scene.elements()} == {
        "attachments",
        "hostports4",
        "hostports6",
    }


@FAMILIES
def test_masq_all(scene: Portmapped, family: int) -> None:
    """With masqAll the pod sees the host, whoever asks."""
    scene.first.add(mapping(8080), masqAll=True)
    for client in (scene.neighbour.fd, scene.second.fd, scene.first.fd):
        seen = exchange((scene.first.fd, 80), client, "tcp", NODE[family], 8080)
        assert seen == INSIDE[family]
    scene.first.check()
    scene.first.delete()
    assert scene.elements() == []


@pytest.mark.parametrize("bit", [None, 0, 5, 31])
def test_the_mark_is_the_configured_one(node: Node, scene: Portmapped, bit: int | None) -> None:
    """What is masqueraded carries the bit markMasqBit, 13 by default, and nothing else does."""
    node.run("nft add table inet watch")
    node.run("nft 'add chain inet watch post { type filter hook postrouting priority 95; }'")
    value = 1 << (13 if bit is None else bit)
    node.run(f"nft add rule inet watch post meta mark {value:#x} counter")
    node.run("nft add rule inet watch post meta l4proto udp meta mark 0 counter")
    conf: dict[str, Any] = {} if bit is None else {"markMasqBit": bit}
    scene.first.add(mapping(8080, 80, "udp"), **conf)

    def counted() -> list[int]:
        lines = node.run("nft list chain inet watch post").splitlines()
        return [int(line.split("packets ")[1].split()[0]) for line in lines if "counter" in line]

    exchange((scene.first.fd, 80), scene.second.fd, "udp", NODE[4], 8080)
    # the question is marked, as the first packet of its connection; the answer is none
    assert counted() == [1, 1]
    exchange((scene.first.fd, 80), scene.neighbour.fd, "udp", NODE[4], 8080)
    assert counted() == [1, 3]


def test_networks_with_different_marks_and_subnets(scene: Portmapped) -> None:
    """Two pods whose subnets and marks differ are each masqueraded for their own subnet."""
    scene.first.add(mapping(8080), markMasqBit=4)
    narrow = {**scene.second.result(), "ips": [{"address": "10.1.0.6/29", "interface": 2}]}
    scene.second.add(mapping(8081), network="other", prevResult=narrow)
    for pod, port in ((scene.first, 8080), (scene.second, 8081)):
        for client in (scene.first, scene.second):
            assert exchange((pod.fd, 80), client.fd, "tcp", NODE[4], port) == INSIDE[4]
        pod.check()
    scene.first.delete()
    exchange((scene.second.fd, 80), scene.first.fd, "tcp", NODE[4], 8081)
    scene.second.delete()
    assert scene.elements() == []


def test_an_address_that_is_its_own_subnet(node: Node, scene: Portmapped) -> None:
    """With /32 and /128 only the pod itself and 127.0.0.1 are masqueraded."""
    ips = [{"address": "10.1.0.5/32"}, {"address": "fd00:1::5/128"}]
    scene.first.add(mapping(8080, 80, "udp"), prevResult={**scene.first.result(), "ips": ips})
    scene.first.check()
    for family in (4, 6):
        itself = one_way(scene.first.fd, scene.first.fd, NODE[family], family)
        assert itself == INSIDE[family]
        other = one_way(scene.second.fd, scene.first.fd, NODE[family], family)
        assert other == pod_address(6, family)
    assert one_way(node.fd, scene.first.fd, "127.0.0.1", 4) == INSIDE[4]
    scene.first.delete()
    assert scene.elements() == []


def test_a_thousand_ports_are_one_lookup(scene: Portmapped) -> None:
    """However many ports there are, a connection is looked up once, and no rule comes with a port.

    The counter stands before the only lookup in a map that a connection passes.
    """
    scene.second.add(mapping(7999))
    rules = len(scene.rules())
    scene.first.add(*(mapping(8000 + number, 80) for number in range(1000)))
    assert len(scene.rules()) == rules
    assert len([line for line in scene.elements() if line.startswith("hostports4 ")]) == 1001
    before = scene.counter("dnat-hostports4")
    for port in (8000, 8500, 8999):
        exchange((scene.first.fd, 80), scene.neighbour.fd, "tcp", NODE[4], port)
    assert scene.counter("dnat-hostports4") - before == 3
    lookups = [rule for rule in scene.rules() if " map @" in rule and "ipv4" in rule]
    assert len(lookups) == 1
    # the packets of a connection that is there are not looked up at all
    listening = Server(scene.first.fd, "udp", 80)
    scene.second.add(mapping(7999, 80, "udp"))
    scene.second.delete()
    listening.close()
    scene.first.check()
    scene.first.delete()
    assert scene.elements() == []


def test_only_the_first_packet_is_looked_up(scene: Portmapped) -> None:
    """Of ten questions from one port one is looked up."""
    scene.first.add(mapping(8080, 80, "udp"))
    server = Server(scene.first.fd, "udp", 80)
    client = Client(scene.neighbour.fd, "udp", NODE[4], 8080)
    before = scene.counter("dnat-hostports4")
    for _ in range(10):
        assert server.asked_by(client) == NEIGHBOUR[4]
    assert scene.counter("dnat-hostports4") - before == 1
    client.close()
    server.close()


def test_udp_clients_are_led_to_the_pod_and_away(scene: Portmapped) -> None:
    """A client that keeps asking from one port finds the pod after ADD, and the host after DEL."""
    on_host = Server(scene.node.fd, "udp", 8080)
    in_pod = Server(scene.first.fd, "udp", 80)
    client = Client(scene.neighbour.fd, "udp", NODE[4], 8080)
    local = Client(scene.node.fd, "udp", "127.0.0.1", 8080)
    for _ in range(2):
        assert on_host.asked_by(client) == NEIGHBOUR[4]
        assert on_host.asked_by(local) == "127.0.0.1"
        scene.first.add(mapping(8080, 80, "udp"))
        assert in_pod.asked_by(client) == NEIGHBOUR[4]
        assert in_pod.asked_by(local) == INSIDE[4]
        scene.first.delete()
    for used in (client, local, on_host, in_pod):
        used.close()


def test_udp_clients_follow_the_port_to_another_pod(scene: Portmapped) -> None:
    """A client finds the second pod once the first has been deleted, without its own knowledge."""
    servers = [Server(pod.fd, "udp", 80) for pod in (scene.first, scene.second)]
    client = Client(scene.neighbour.fd, "udp", NODE[4], 8080)
    scene.first.add(mapping(8080, 80, "udp"))
    assert servers[0].asked_by(client) == NEIGHBOUR[4]
    scene.first.delete("runtimeConfig", "prevResult", "netns")
    scene.second.add(mapping(8080, 80, "udp"))
    assert servers[1].asked_by(client) == NEIGHBOUR[4]
    with pytest.raises(Unanswered):
        servers[0].asked_by(client, seconds=GONE_SECONDS)
    for used in (client, *servers):
        used.close()


@FAMILIES
def test_other_connections_go_on(scene: Portmapped, family: int) -> None:
    """ADD and DEL forget no connection to the same port elsewhere, and none to another port."""
    proc = "/proc/thread-self/net/nf_conntrack"
    kept = {
        (NEIGHBOUR[family], 8080): (scene.second.fd, scene.neighbour.fd),
        (NODE[family], 8081): (scene.neighbour.fd, scene.node.fd),
    }
    scene.second.add(mapping(9090))  # has connections tracked
    for (target, port), (sender, receiver) in kept.items():
        source_seen(sender, receiver, target, port)

    def tracked() -> int:
        with open(proc, encoding="ascii") as listed:
            lines = listed.read().splitlines()
        return sum("udp" in line and "dport=808" in line for line in lines)

    assert tracked() == 2
    scene.first.add(mapping(8080, 80, "udp"))
    scene.first.delete()
    assert tracked() == 2


def test_the_result_is_passed_on(scene: Portmapped) -> None:
    """ADD returns the previous result as it is, with ports and without."""
    expected = scene.first.result()
    for mappings in ([], [mapping(8080)]):
        result = scene.first.add(*mappings)
        assert result.to_json("1.1.0") == expected


def test_without_ports_nothing_is_made(node: Node, scene: Portmapped) -> None:
    """Without port mappings no command leaves anything in the packet filter."""
    for runtime in ({}, {"portMappings": []}, {"portMappings": None}):
        scene.first.add(runtimeConfig=runtime)
        scene.first.check()
        scene.first.delete()
    assert node.run("nft list tables") == ""


def test_a_pod_without_addresses_has_no_ports(node: Node, scene: Portmapped) -> None:
    """A previous result without addresses, or with addresses of others alone, is passed on."""
    for ips in ([], [{"address": "10.1.0.1/16", "interface": 0}]):
        scene.first.add(mapping(8080), prevResult={**scene.first.result(), "ips": ips})
        scene.first.delete()
    assert node.run("nft list tables") == ""


def test_it_works_in_the_namespace_it_is_told(node: Node) -> None:
    """Told of a host of the caller's, rules, programs and sysctls take effect there, not here."""
    other = node.new_container("other-host")
    with nsutil.inside(other.fd):
        node.ip("link set lo up")
        scene = Portmapped(node)
    place = Place(host_netns=other.fd)
    for options in ({}, {"conditionsV4": ["ip", "saddr", NEIGHBOUR[4]]}, {"backend": "iptables"}):
        call(scene.first, "add", place, mapping(8080), mapping(53, 53, "udp"), **options)
        with nsutil.inside(other.fd):
            exchange((scene.first.fd, 80), scene.neighbour.fd, "tcp", NODE[4], 8080)
            assert node.run("sysctl -n net.ipv4.conf.br0.route_localnet").strip() == "1"
        call(scene.first, "check", place, mapping(8080), mapping(53, 53, "udp"), **options)
        call(scene.first, "delete", place, mapping(8080), mapping(53, 53, "udp"), **options)
        with nsutil.inside(other.fd):
            assert is_refused(scene.neighbour.fd, NODE[4], 8080)
    assert node.run("nft list tables") == ""


def call(pod: Pod, command: str, place: Place, *mappings: dict[str, Any], **options: Any) -> None:
    """Call the plugin's function as the service does for a caller elsewhere."""
    conf = {"prevResult": pod.result(), "runtimeConfig": {"portMappings": list(mappings)}}
    env = {"CNI_CONTAINERID": pod.name, "CNI_IFNAME": "eth0", "CNI_NETNS": f"/run/netns/{pod.name}"}
    full = {**conf, **options}
    request = Request("portmap", command, env, b"", full, "net", "1.1.0", place)
    getattr(load("portmap"), command)(request)
