"""Whose a host port is: taken and stale ones, DEL without knowledge, CHECK, GC, STATUS."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import plugins
from cnifast.kernel import hostports, program
from cnifast.kernel.hostports import HostPort, HostPorts
from cnifast.kernel.nft import NftSocket, Owner
from cnifast.protocol.errors import CNIError
from helpers.exchange import exchange
from helpers.node import need_tools
from helpers.portmapped import Pod, Portmapped, mapping
from helpers.routed import NEIGHBOUR, NODE, pod_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

PORTS = (
    mapping(8080),
    mapping(53, 53, "udp"),
    mapping(8081, 81, host_ip=NODE[4]),
    mapping(8082, 82, host_ip=NODE[6]),
    mapping(8083, 83, "sctp", "0.0.0.0"),  # noqa: S104
)


@pytest.fixture
def scene(node: Node) -> Portmapped:
    """Pods and a neighbour on a fresh node."""
    need_tools("nft")
    return Portmapped(node)


@pytest.fixture
def nft(node: Node) -> Iterator[NftSocket]:
    """A socket on the node."""
    with NftSocket(node.fd) as opened:
        yield opened


def add(nft: NftSocket, owner: Owner, *ports: HostPort, number: int = 5, **more: Any) -> None:
    """Add ports as the plugin does, without one."""
    pods = [pod_prefix(number, family) for family in (4, 6)]
    hostports.add(nft, HostPorts(ports, pods, mark_bit=13, **more), owner)


def test_a_port_that_is_taken_is_refused(scene: Portmapped) -> None:
    """A port of a pod that lives is an error that names it, and changes nothing."""
    scene.first.add(mapping(8080), mapping(8081))
    before = scene.elements()
    with pytest.raises(CNIError) as caught:
        scene.second.add(mapping(9090), mapping(8080, 90))
    assert caught.value.code == 999
    assert str(caught.value) == ("hostPort 8080/tcp is taken by container c5 (eth0 on network net)")
    assert scene.elements() == before
    scene.second.delete()
    assert scene.elements() == before
    exchange((scene.first.fd, 80), scene.neighbour.fd, "tcp", NODE[4], 8080)


def test_another_protocol_or_address_is_another_port(scene: Portmapped) -> None:
    """The same number is free for another protocol, and for another address of the host."""
    scene.first.add(mapping(8080), mapping(8081, host_ip=NODE[4]))
    scene.second.add(mapping(8080, 80, "udp"), mapping(8081, host_ip="192.0.2.77"))
    with pytest.raises(CNIError, match=r"hostPort 8081/tcp on 192\.0\.2\.77 is taken by container"):
        Pod(7).add(mapping(8081, host_ip="192.0.2.77"))


def test_a_pod_whose_link_is_gone_loses_its_ports(node: Node, scene: Portmapped) -> None:
    """A port is taken over from a pod that DEL has never come for, and all else of it goes."""
    scene.first.add(mapping(8080), mapping(8081), mapping(53, 53, "udp"))
    node.ip("link delete port5")
    scene.second.add(mapping(8081))
    assert scene.owners() == {"c6"}
    exchange((scene.second.fd, 80), scene.neighbour.fd, "tcp", NODE[4], 8081)
    scene.first.delete()  # late
    scene.second.check()


def test_a_pod_whose_address_is_ours_loses_its_ports(scene: Portmapped) -> None:
    """A port is taken over from a pod that has the address of the new one on its network."""
    late = Pod(7)
    for network in ("net", "other"):
        result = {**scene.first.result(), "interfaces": scene.second.result()["interfaces"]}
        scene.second.add(mapping(8080), prevResult=result, network=network)
        if network == "net":
            late.add(mapping(8080), prevResult=scene.first.result())
            assert scene.owners() == {"c7"}
            late.delete()
            continue
        with pytest.raises(CNIError, match="taken by container c6"):
            late.add(mapping(8080), prevResult=scene.first.result())


def test_several_stale_pods_in_the_way(node: Node, scene: Portmapped) -> None:
    """Ports of many pods that are gone are taken over in one ADD."""
    for number in range(10, 20):
        node.ip(f"link add port{number} type veth peer name x{number}")
        Pod(number).add(mapping(8000 + number), mapping(9000 + number))
        node.ip(f"link delete port{number}")
    scene.first.add(*(mapping(8000 + number) for number in range(10, 20)))
    assert scene.owners() == {"c5"}


def test_a_pod_without_a_known_link_keeps_its_ports(scene: Portmapped) -> None:
    """Where nothing tells that a pod is gone, it keeps its ports."""
    result = {"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.5/16"}]}
    scene.first.add(mapping(8080), prevResult=result)
    with pytest.raises(CNIError, match="taken by container c5"):
        scene.second.add(mapping(8080))


def test_added_again_it_is_replaced(scene: Portmapped) -> None:
    """A second ADD of the same attachment leaves what it asks for, and nothing of the first."""
    scene.first.add(*PORTS)
    scene.first.add(mapping(8080), mapping(7000))
    once = scene.elements()
    scene.first.add(mapping(8080), mapping(7000))
    assert scene.elements() == once
    scene.first.check()
    assert len([line for line in once if line.startswith("hostports4")]) == 2


@pytest.mark.parametrize(
    "without",
    [
        (),
        ("netns",),
        ("prevResult",),
        ("runtimeConfig",),
        ("prevResult", "runtimeConfig"),
        ("prevResult", "runtimeConfig", "netns"),
    ],
    ids=lambda without: "-".join(without) or "all",
)
def test_delete_finds_what_is_there(scene: Portmapped, without: tuple[str, ...]) -> None:
    """DEL leaves nothing, whatever it is not told; it succeeds a second time."""
    scene.second.add(mapping(9090))
    before = scene.elements()
    scene.first.add(*PORTS)
    for _ in range(2):
        scene.first.delete(*without)
        assert scene.elements() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"runtimeConfig": {"portMappings": [mapping(8080)]}},
        {"runtimeConfig": {"portMappings": [*PORTS, mapping(7777)]}},
        {"runtimeConfig": {"portMappings": [mapping(0, 0, "?", "?")]}},
        {"runtimeConfig": {"portMappings": [mapping(8080, 80), mapping(8080, 81)]}},
        {"snat": False},
        {"masqAll": True},
        {"markMasqBit": 7},
        {"markMasqBit": 99},
        {"backend": "iptables"},
        {"backend": "nothing"},
        {"conditionsV4": ["ip", "saddr", "192.0.2.0/24"]},
        {"conditionsV6": ["-s", "::1"], "backend": "iptables"},
        {"prevResult": {"cniVersion": "1.1.0"}},
    ],
    ids=str,
)
def test_delete_with_another_configuration(scene: Portmapped, changes: dict[str, Any]) -> None:
    """DEL leaves nothing of an attachment whose configuration is another by now, or is bad."""
    scene.second.add(mapping(9090))
    before = scene.elements()
    scene.first.add(*PORTS)
    scene.first.delete(**changes)
    assert scene.elements() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"snat": "no"},
        {"runtimeConfig": {"portMappings": [{"hostPort": "8080"}]}},
        {"prevResult": {"cniVersion": "1.1.0", "ips": 5}},
    ],
    ids=str,
)
def test_delete_with_a_malformed_configuration(scene: Portmapped, changes: dict[str, Any]) -> None:
    """DEL that says that its input is malformed has cleaned up all the same."""
    scene.first.add(*PORTS)
    with pytest.raises(CNIError, match=r"cannot unmarshal|could not parse"):
        scene.first.delete(**changes)
    assert scene.elements() == []


def test_delete_after_elements_were_removed_by_hand(node: Node, scene: Portmapped) -> None:
    """DEL goes on where somebody has deleted some elements, and leaves none."""
    table = "inet cnifast-hostport"
    for command in (
        f"nft delete element {table} hostports4 {{ tcp . 8080 }}",
        f"nft delete element {table} masq-hostports4-16-13 {{ 10.1.0.0 . tcp . 8080 }}",
        f"nft flush map {table} attachments",
        f"nft flush map {table} hostports4",
    ):
        scene.first.add(*PORTS)
        node.run(command)
        scene.first.delete()
        if "attachments" in command:
            continue
        assert scene.elements() == []
    # without its attachment nobody looks for what was not asked for
    scene.first.add(*PORTS)
    node.run(f"nft flush map {table} attachments")
    scene.first.delete("runtimeConfig")
    assert scene.owners() == {"c5"}
    scene.first.add(*PORTS)
    scene.first.check()
    scene.first.delete()
    assert scene.elements() == []


def test_delete_of_a_pod_without_ports_reads_nothing(
    scene: Portmapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEL of a pod that has no ports leaves those of others, executes nothing and makes nothing."""
    monkeypatch.setattr(program, "_run", None)
    scene.first.add(*PORTS)
    before = scene.node.ruleset()
    Pod(9).delete("runtimeConfig", name="net", type="portmap", cniVersion="1.1.0")
    assert scene.node.ruleset() == before


DAMAGES = [
    "delete element inet cnifast-hostport hostports4 { tcp . 8080 }",
    "delete element inet cnifast-hostport hostports6 { udp . 53 }",
    "delete element inet cnifast-hostport masq-hostports4-16-13 { 10.1.0.0 . tcp . 8080 }",
    "delete element inet cnifast-hostport masq-hostports4-32-13 { 127.0.0.1 . tcp . 8080 }",
    "flush map inet cnifast-hostport attachments",
    "flush chain inet cnifast-hostport prerouting",
    "flush chain inet cnifast-hostport output",
    "flush chain inet cnifast-hostport local4",
    "flush chain inet cnifast-hostport local6",
    "flush chain inet cnifast-hostport dnat-hostports4",
    "flush chain inet cnifast-hostport dnat-hostips6",
    "flush chain inet cnifast-hostport masquerade-13",
    "flush ruleset",
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_check_notices(node: Node, scene: Portmapped, damage: str) -> None:
    """CHECK passes after ADD, and fails when an element or a rule is gone."""
    scene.first.add(*PORTS)
    scene.first.check()
    node.run(["nft", damage])
    with pytest.raises(CNIError) as caught:
        scene.first.check()
    assert caught.value.code == 999
    assert "c5" in str(caught.value) or "gone" in str(caught.value)
    scene.first.delete()


def test_check_compares(scene: Portmapped) -> None:
    """CHECK fails for another port, target, owner or address than ADD was given."""
    scene.first.add(*PORTS)
    mappings = list(PORTS)
    for changed in (mapping(8079), mapping(8080, 81), mapping(8080, 80, "udp")):
        with pytest.raises(CNIError):
            scene.first.check(runtimeConfig={"portMappings": [changed, *mappings[1:]]})
    with pytest.raises(CNIError):
        scene.first.check(prevResult=scene.second.result())
    with pytest.raises(CNIError):
        scene.first.check(name="other")
    with pytest.raises(CNIError, match="required prevResult missing"):
        scene.first.check(prevResult=None)
    scene.first.check(runtimeConfig={})


def test_gc_spares_what_is_valid(scene: Portmapped) -> None:
    """GC removes the ports of attachments that are not valid, and no other network's."""
    scene.first.add(*PORTS)
    scene.second.add(mapping(9090), mapping(9053, 53, "udp"))
    stranger = Pod(7)
    stranger.add(mapping(7070), network="network")
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "portmap"}
    key = "cni.dev/valid-attachments"
    plugins.gc("portmap", {**conf, key: [{"containerID": "c6", "ifname": "eth0"}]})
    assert scene.owners() == {"c6", "c7"}
    scene.second.check()
    plugins.gc("portmap", {**conf, key: [{"containerID": "c6", "ifname": "eth1"}]})
    assert scene.owners() == {"c7"}
    with pytest.raises(CNIError) as caught:
        plugins.gc("portmap", conf)
    assert caught.value.code == 7
    plugins.gc("portmap", {**conf, "name": "network", key: None})
    assert scene.elements() == []


def test_status(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """STATUS succeeds where an ADD can, and is error 50 where a program is missing."""
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "portmap"}
    conditions = {"conditionsV4": ["ip", "saddr", "192.0.2.2"]}
    plugins.status("portmap", conf)
    plugins.status("portmap", {**conf, **conditions})
    assert node.run("nft list tables") == ""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(program, "DIRECTORIES", "/nowhere/either")
    plugins.status("portmap", conf)
    for options, name in (({"backend": "iptables"}, "iptables-restore"), (conditions, "nft")):
        with pytest.raises(CNIError, match=f"{name} is not installed") as caught:
            plugins.status("portmap", {**conf, **options})
        assert caught.value.code == 50
    with pytest.raises(CNIError) as caught:
        plugins.status("portmap", {**conf, "backend": "ipvs"})
    assert caught.value.code == 999


CONDITIONS = {
    "conditionsV4": ["ip", "saddr", "{", "192.0.2.0/24,", "198.51.100.0/24", "}"],
    "conditionsV6": ["ip6", "saddr", "2001:db8::/32"],
}


@pytest.mark.parametrize("family", [4, 6])
def test_conditions(node: Node, scene: Portmapped, family: int) -> None:
    """With conditions in nft's words the port leads to the pod for those only who meet them."""
    scene.second.add(mapping(8080, 81))
    scene.first.add(mapping(8080), network="some", **CONDITIONS)
    exchange((scene.first.fd, 80), scene.neighbour.fd, "tcp", NODE[family], 8080)
    local = {4: "127.0.0.1", 6: None}[family]
    if local:  # who does not meet them finds what has no conditions
        exchange((scene.second.fd, 81), node.fd, "tcp", local, 8080)
    scene.first.check()
    scene.first.delete()
    exchange((scene.second.fd, 81), scene.neighbour.fd, "tcp", NODE[family], 8080)
    assert scene.owners() == {"c6"}


def test_conditions_are_made_once(scene: Portmapped, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program nft is executed for the first pod with conditions, and for no other."""
    scene.first.add(mapping(8080), **CONDITIONS)
    rules = scene.rules()
    monkeypatch.setattr(program, "_run", None)
    scene.second.add(mapping(8081), **CONDITIONS)
    assert scene.rules() == rules
    scene.second.delete("runtimeConfig")
    scene.first.delete()
    assert scene.elements() == []
    assert len([rule for rule in rules if rule.startswith("prerouting") and "saddr" in rule]) == 2


def test_conditions_of_networks_are_apart(scene: Portmapped) -> None:
    """Two networks with different conditions may use the same port."""
    one = {"conditionsV4": ["ip", "saddr", NEIGHBOUR[4]]}
    two = {"conditionsV4": ["ip", "saddr", "127.0.0.1"]}
    scene.first.add(mapping(8080), **one, prevResult=scene.first.result((4,)))
    scene.second.add(mapping(8080), network="two", **two, prevResult=scene.second.result((4,)))
    exchange((scene.first.fd, 80), scene.neighbour.fd, "tcp", NODE[4], 8080)
    exchange((scene.second.fd, 80), scene.node.fd, "tcp", "127.0.0.1", 8080)
    with pytest.raises(CNIError, match="taken by container c5"):
        Pod(7).add(mapping(8080), **one, prevResult=Pod(7).result((4,)))


def test_conditions_that_nft_refuses(node: Node, scene: Portmapped) -> None:
    """What nft does not understand is an error with its words; nothing leads to the pod."""
    with pytest.raises(CNIError, match=r"nft refused the conditions 'ip nothing'.*rror"):
        scene.first.add(mapping(8080), conditionsV4=["ip", "nothing"])
    scene.first.delete()
    assert scene.elements() == []
    assert scene.rules() == []
    del node


def at_once(number: int, work: Any) -> list[int]:
    """Run work(0), work(1), ... in processes that start it at the same time; their statuses."""
    ready, go = os.pipe(), os.pipe()
    children = []
    for index in range(number):
        pid = os.fork()
        if pid == 0:
            status = 2
            try:
                os.close(go[1])
                os.write(ready[1], b".")
                os.read(go[0], 1)
                status = work(index)
            finally:
                os._exit(status)
        children.append(pid)
    for _ in children:
        os.read(ready[0], 1)
    for fd in (go[1], go[0], *ready):
        os.close(fd)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def test_one_of_many_gets_a_port(node: Node, scene: Portmapped) -> None:
    """Of eight processes that want the same port on an empty node one gets it, with all its own."""

    def work(index: int) -> int:
        try:
            with NftSocket() as own:
                owner = Owner(f"c{index}", "eth0", "net")
                ports = [HostPort("tcp", 8080, 80), HostPort("udp", 9000 + index, 80)]
                add(own, owner, *ports)
        except hostports.PortTakenError:
            return 1
        return 0

    for _ in range(10):
        statuses = at_once(8, work)
        assert sorted(statuses) == [0] + [1] * 7
        assert scene.owners() == {f"c{statuses.index(0)}"}
        assert len(scene.rules()) == len(set(scene.rules()))
        node.run("nft flush ruleset")


def test_threads_that_come_and_go(nft: NftSocket, scene: Portmapped) -> None:
    """Four threads add and delete attachments with ports of their own; what remains is right."""
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            with NftSocket(nft.netns) as own:
                for turn in range(40):
                    owner = Owner(f"c{index}-{turn}", "eth0", "net")
                    first = 1000 + index * 1000 + turn * 3
                    ports = [HostPort("tcp", first + n, 80) for n in range(3)]
                    add(own, owner, *ports)
                    if turn % 10:
                        known = HostPorts(ports) if turn % 2 else None
                        assert len(hostports.delete(own, known, owner)) == 6
        except BaseException as error:  # noqa: BLE001 - the main thread reports it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(scene.owners()) == 4 * 4
    assert len(hostports.mapped(nft)) == 4 * 4 * 7


def test_a_failure_in_the_middle_leaves_nothing(
    scene: Portmapped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An ADD that fails after the ports were added has taken them back."""

    def fail(*_: object) -> None:
        raise OSError("no sysctls today")

    monkeypatch.setattr("cnifast.plugins.hostports.write_sysctls", fail)
    with pytest.raises(CNIError, match="no sysctls today"):
        scene.first.add(*PORTS)
    assert scene.elements() == []


def test_tables_of_others_stay_as_they_are(node: Node, scene: Portmapped) -> None:
    """Nothing outside the table inet cnifast-hostport changes."""
    node.run("nft add table ip nat")
    node.run("nft 'add chain ip nat PREROUTING { type nat hook prerouting priority -100; }'")
    node.run("nft add rule ip nat PREROUTING ip saddr 10.1.0.5 counter accept")
    before = node.run("nft list table ip nat")
    scene.first.add(*PORTS)
    scene.first.delete("runtimeConfig")
    assert node.run("nft list table ip nat") == before
    assert node.run("nft list tables").split("\n")[:-1] == [
        "table ip nat",
        "table inet cnifast-hostport",
    ]


def test_what_nft_lists_can_be_loaded(node: Node, scene: Portmapped) -> None:
    """The listing of the ruleset shows whose the ports are, and is what nft reads."""
    scene.first.add(*PORTS)
    scene.second.add(mapping(9090), masqAll=True, markMasqBit=2, network="all", **CONDITIONS)
    listed = node.ruleset()
    assert 'tcp . 8080 comment "c5 eth0 net" : 10.1.0.5 . 80' in listed
    with open("/run/saved.nft", "w", encoding="ascii") as saved:
        saved.write(listed)
    node.run("nft flush ruleset")
    node.run("nft -f /run/saved.nft")
    assert node.ruleset() == listed
    scene.first.check()
    scene.first.delete()
    scene.second.delete()
    assert scene.elements() == []


def test_long_names(nft: NftSocket, scene: Portmapped) -> None:
    """Names beyond what a comment holds keep apart, and DEL finds what ADD made."""
    owners = [Owner("c" * 200 + tail, "eth0", "n" * 200) for tail in "ab"]
    ports = [HostPort("tcp", number, 80) for number in (1, 65535)]
    for owner, port in zip(owners, ports, strict=True):
        add(nft, owner, port, link="a-very-long-one")
    hostports.delete(nft, HostPorts([ports[0]]), owners[0])
    left = hostports.mapped(nft)
    assert {entry.owner for entry in left} == {owners[1].text}
    assert {entry.link for entry in left if entry.port is None} == {"a-very-long-one"}
    assert hostports.delete(nft, None, Owner.of_text(left[0].owner))
    assert scene.elements() == []


def _fastest(nft: NftSocket) -> tuple[float, float]:
    """Return the shortest times of an addition and a deletion, in seconds."""
    owner = Owner("measured", "eth0", "net")
    ports = [HostPort("tcp", 60000 + number, 80) for number in range(4)]
    added, deleted = [], []
    for _ in range(100):
        start = time.perf_counter()
        add(nft, owner, *ports)
        middle = time.perf_counter()
        hostports.delete(nft, HostPorts(ports), owner)
        added.append(middle - start)
        deleted.append(time.perf_counter() - middle)
    return min(added), min(deleted)


@pytest.mark.usefixtures("scene")
def test_the_cost_does_not_grow_with_the_ports(nft: NftSocket) -> None:
    """With 10,000 ports of others ADD and DEL take no more than twice what they take alone."""
    alone = _fastest(nft)
    for number in range(100):
        owner = Owner(f"c{number}", "eth0", "net")
        add(nft, owner, *(HostPort("tcp", 1000 + number * 100 + n, 80) for n in range(100)))
    crowded = _fastest(nft)
    assert crowded[0] < 2 * alone[0]
    assert crowded[1] < 2 * alone[1]
