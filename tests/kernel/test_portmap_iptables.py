"""Host ports by iptables, and living with the reference: each removes what the other made."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import plugins
from cnifast.kernel import foreign, iptables, program
from cnifast.protocol.errors import CNIError
from helpers.exchange import exchange, is_refused, sctp_arrival
from helpers.flavour import Flavour, choose
from helpers.plugin import BinaryRunner, environment
from helpers.portmapped import Pod, Portmapped, mapping
from helpers.routed import INSIDE, NEIGHBOUR, NODE

if TYPE_CHECKING:
    from helpers.node import Node
    from helpers.plugin import Outcome

BY_IPTABLES = {"backend": "iptables"}
CHAIN = foreign.ports_chain("net", "c5")
COMMENT = '--comment "dnat name: \\"net\\" id: \\"c5\\""'

REQUIRING = "CNI portfwd requiring masquerade"
MARK = "CNI portfwd masquerade mark"


@pytest.fixture(params=["nft", "legacy"])
def flavour(request: pytest.FixtureRequest, node: Node, monkeypatch: pytest.MonkeyPatch) -> Flavour:
    """Either kind of iptables, found first on PATH under the plain names."""
    return choose(node, request.param, monkeypatch)


@pytest.fixture
def scene(node: Node, flavour: Flavour) -> Portmapped:
    """Pods and a neighbour on a node with that iptables."""
    del flavour
    return Portmapped(node)


def leftovers(flavour: Flavour) -> list[str]:
    """Return the rules and chains that belong to containers."""
    rules = [rule for family in (4, 6) for rule in flavour.rules(family)]
    return [rule for rule in rules if "CNI-DN" in rule]


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_port_of_the_host_is_the_pod_s(
    scene: Portmapped, flavour: Flavour, protocol: str, family: int
) -> None:
    """With backend iptables it does what the other does: for neighbours, pods, and the pod."""
    scene.first.add(mapping(8080, 80, protocol), **BY_IPTABLES)
    scene.first.check()
    pod = (scene.first.fd, 80)
    assert exchange(pod, scene.neighbour.fd, protocol, NODE[family], 8080) == NEIGHBOUR[family]
    for client in (scene.second.fd, scene.first.fd):
        assert exchange(pod, client, protocol, NODE[family], 8080) == INSIDE[family]
    if family == 4:
        assert exchange(pod, scene.node.fd, protocol, "127.0.0.1", 8080) == INSIDE[4]
    scene.first.delete()
    assert leftovers(flavour) == []
    if protocol == "tcp":
        assert is_refused(scene.neighbour.fd, NODE[family], 8080)


def test_the_rules_are_the_reference_s(scene: Portmapped, flavour: Flavour) -> None:
    """Chains, rules, order and comments are those that the reference makes."""
    scene.first.add(mapping(8080), mapping(53, 5353, "udp", NODE[4]), **BY_IPTABLES)
    local = "-m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT"
    bits = "0x2000/0x2000"
    said = f"-m comment {COMMENT} -m multiport"
    tcp, udp = "-p tcp -m tcp --dport 8080", f"-d {NODE[4]}/32 -p udp -m udp --dport 53"
    # nft lists matches in the order of the rule, legacy addresses first
    assert sorted(flavour.rules(4)) == sorted(
        [
            ":CNI-HOSTPORT-DNAT - [0:0]",
            ":CNI-HOSTPORT-MASQ - [0:0]",
            ":CNI-HOSTPORT-SETMARK - [0:0]",
            f":{CHAIN} - [0:0]",
            f"-A PREROUTING {local}",
            f"-A OUTPUT {local}",
            f'-A POSTROUTING -m comment --comment "{REQUIRING}" -j CNI-HOSTPORT-MASQ',
            f"-A CNI-HOSTPORT-DNAT -p tcp {said} --dports 8080 -j {CHAIN}",
            f"-A CNI-HOSTPORT-DNAT -p udp {said} --dports 53 -j {CHAIN}",
            f"-A CNI-HOSTPORT-MASQ -m mark --mark {bits} -j MASQUERADE",
            f'-A CNI-HOSTPORT-SETMARK -m comment --comment "{MARK}" -j MARK --set-xmark {bits}',
            f"-A {CHAIN} -s 10.1.0.0/16 {tcp} -j CNI-HOSTPORT-SETMARK",
            f"-A {CHAIN} -s 127.0.0.1/32 {tcp} -j CNI-HOSTPORT-SETMARK",
            f"-A {CHAIN} {tcp} -j DNAT --to-destination 10.1.0.5:80",
            f"-A {CHAIN} -s 10.1.0.0/16 {udp} -j CNI-HOSTPORT-SETMARK",
            f"-A {CHAIN} -s 127.0.0.1/32 {udp} -j CNI-HOSTPORT-SETMARK",
            f"-A {CHAIN} {udp} -j DNAT --to-destination 10.1.0.5:5353",
        ]
    )


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "snat off": {"snat": False},
    "masqAll": {"masqAll": True},
    "mark": {"markMasqBit": 3},
    "external mark chain": {"externalSetMarkChain": "KUBE-MARK-MASQ"},
    "conditions": {
        "conditionsV4": ["-s", "192.0.2.0/24", "-m", "comment", "--comment", 'a "b" c'],
        "conditionsV6": ["!", "-s", "fd00:2::/64"],
    },
}
MAPPINGS = (
    mapping(8080),
    mapping(8081, 81, host_ip=NODE[4]),
    mapping(8082, 82, host_ip=NODE[6]),
    mapping(53, 5353, "udp"),
    mapping(9999, 99, "sctp"),
    *(mapping(10000 + number, 80) for number in range(20)),
)


@pytest.mark.parametrize("name", sorted(set(VARIANTS) - {"masqAll"}))  # newer than Debian's
def test_the_reference_makes_the_same(
    scene: Portmapped, flavour: Flavour, reference: str, name: str
) -> None:
    """For the same input the reference leaves the same rules, in each chain in the same order.

    With legacy ip6tables it leaves out rules that differ in nothing but their ports: the question
    whether they are there is answered with yes.
    """
    forget_rules(scene.node)
    theirs = BinaryRunner("reference", reference, {"PATH": os.environ["PATH"]})
    scene.first.add(*MAPPINGS, **VARIANTS[name], **BY_IPTABLES)
    ours = {family: flavour.rules(family) for family in (4, 6)}
    forget_rules(scene.node)
    assert by_reference(theirs, scene.first, "ADD").ok
    assert by_chain(flavour.rules(4)) == by_chain(ours[4])
    if flavour.name == "legacy":
        assert set(flavour.rules(6)) < set(ours[6])
    else:
        assert by_chain(flavour.rules(6)) == by_chain(ours[6])


def forget_rules(node: Node) -> None:
    """Leave nothing in the nat tables but a chain that somebody else marks by."""
    for command in ("iptables", "ip6tables"):
        for rule in ("-F", "-X", "-N KUBE-MARK-MASQ"):
            node.run(f"{command} -t nat {rule}")


def by_chain(rules: list[str]) -> dict[str, list[str]]:
    """Return the rules of each chain in order; the chains themselves are in none."""
    found: dict[str, list[str]] = {}
    for rule in rules:
        found.setdefault(rule.split()[1] if rule.startswith("-A") else rule, []).append(rule)
    return found


def by_reference(runner: BinaryRunner, pod: Pod, command: str, **conf: Any) -> Outcome:
    """Have the reference's plugin do what ours is told, in a version that it knows."""
    sent = {**pod.conf, **conf, "cniVersion": "1.0.0"}
    sent["prevResult"] = {**sent["prevResult"], "cniVersion": "1.0.0"}
    env = environment(
        command,
        container_id=pod.name,
        netns=f"/run/netns/{pod.name}",
        ifname="eth0",
        path=runner.plugin_path,
    )
    return runner.call("portmap", env, json.dumps(sent).encode())


@pytest.mark.sampled("name", one_in=3)
@pytest.mark.parametrize("name", VARIANTS)
def test_we_remove_what_the_reference_made(
    scene: Portmapped, flavour: Flavour, reference: str, name: str
) -> None:
    """DEL of a pod that the reference attached leaves none of its rules, known or not."""
    forget_rules(scene.node)
    theirs = BinaryRunner("reference", reference, {"PATH": os.environ["PATH"]})
    scene.second.add(mapping(9090), **BY_IPTABLES)
    before = leftovers(flavour)
    scene.first.conf = {
        "name": "net",
        "type": "portmap",
        "prevResult": scene.first.result(),
        "runtimeConfig": {"portMappings": list(MAPPINGS)},
        **VARIANTS[name],
    }
    for without in ((), ("runtimeConfig", "prevResult", "conditionsV4", "conditionsV6")):
        assert by_reference(theirs, scene.first, "ADD").ok
        if name != "masqAll":  # Debian's does not know it
            scene.first.check(cniVersion="1.1.0")
        scene.first.delete(*without, cniVersion="1.1.0")
        assert leftovers(flavour) == before
        with pytest.raises(CNIError):
            scene.first.check(cniVersion="1.1.0")


@pytest.mark.sampled("name", one_in=3)
@pytest.mark.parametrize("name", VARIANTS)
def test_check_looks_at_each_rule(scene: Portmapped, flavour: Flavour, name: str) -> None:
    """CHECK fails where the container's chain, or what leads to it, lacks a rule."""
    forget_rules(scene.node)
    scene.first.add(*MAPPINGS, **VARIANTS[name], **BY_IPTABLES)
    scene.first.check()
    # Legacy ip6tables says that there is a rule where one differs from it in its ports alone.
    commands = {4: "iptables"} if flavour.name == "legacy" else {4: "iptables", 6: "ip6tables"}
    for family, command in commands.items():
        rules = [rule for rule in flavour.rules(family) if "CNI-DN" in rule and "-A" in rule]
        assert len(rules) > 5
        for rule in rules[0], rules[-1]:
            words = rule.removeprefix("-A ")
            scene.node.run(f"{command}-{flavour.name} -t nat -D {words}")
            with pytest.raises(CNIError, match="no host port leads to"):
                scene.first.check()
            scene.node.run(f"{command}-{flavour.name} -t nat -A {words}")
            scene.first.check()


def test_check_of_other_ports(scene: Portmapped, flavour: Flavour) -> None:
    """CHECK fails where other ports are configured than those that there are."""
    del flavour
    scene.first.add(mapping(8080, 80), **BY_IPTABLES)
    scene.first.conf["runtimeConfig"] = {"portMappings": [mapping(9090, 90)]}
    with pytest.raises(CNIError, match="no host port leads to"):
        scene.first.check()


def test_the_reference_removes_what_we_made(
    scene: Portmapped, flavour: Flavour, reference: str
) -> None:
    """The reference's DEL leaves none of our rules."""
    theirs = BinaryRunner("reference", reference, {"PATH": os.environ["PATH"]})
    scene.first.add(*MAPPINGS, **BY_IPTABLES)
    assert by_reference(theirs, scene.first, "DEL").ok
    assert leftovers(flavour) == []


def test_the_reference_s_nftables_rules_are_removed(node: Node) -> None:
    """Rules in the reference's own tables go with their container; CHECK accepts them."""
    scene = Portmapped(node)
    for name in ("ip", "ip6"):
        node.run(f"nft add table {name} cni_hostport")
        for chain in ("hostports", "hostip_hostports", "masquerading"):
            node.run(f"nft add chain {name} cni_hostport {chain}")
            for container_id in ("c5", "c55", "c6"):
                for _ in range(40):
                    rule = f'{name} saddr != :: counter comment "{container_id}"'
                    rule = rule if name == "ip6" else f'counter comment "{container_id}"'
                    node.run(["nft", f"add rule {name} cni_hostport {chain} {rule}"])

    def count(container_id: str) -> int:
        listed = "".join(node.run(f"nft list table {name} cni_hostport") for name in ("ip", "ip6"))
        return listed.count(f'"{container_id}"')

    scene.first.conf = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "portmap",
        "prevResult": scene.first.result(),
        "runtimeConfig": {"portMappings": [mapping(8080)]},
    }
    scene.first.check()
    scene.first.delete("runtimeConfig")
    assert [count(name) for name in ("c5", "c55", "c6")] == [0, 240, 240]
    with pytest.raises(CNIError, match="has no host ports"):
        scene.first.check()


def test_shared_chains_are_made_once(scene: Portmapped, flavour: Flavour) -> None:
    """A second pod adds its own chain and entries, and repeats nothing; both are reached."""
    scene.first.add(mapping(8080), **BY_IPTABLES)
    once = flavour.rules()
    scene.second.add(mapping(8081), **BY_IPTABLES)
    assert [
        rule for rule in flavour.rules() if foreign.ports_chain("net", "c6") not in rule
    ] == once
    scene.first.add(mapping(8080), **BY_IPTABLES)
    assert len(flavour.rules()) == len(once) + 5
    for pod, port in ((scene.first, 8080), (scene.second, 8081)):
        exchange((pod.fd, 80), scene.neighbour.fd, "tcp", NODE[4], port)
    scene.first.delete()
    exchange((scene.second.fd, 80), scene.neighbour.fd, "tcp", NODE[4], 8081)


def test_missing_jumps_come_back(scene: Portmapped, flavour: Flavour) -> None:
    """A rule that leads to the shared chains and was removed is made anew by the next ADD."""
    scene.first.add(mapping(8080), **BY_IPTABLES)
    once = sorted(flavour.rules())
    for base in ("PREROUTING", "OUTPUT", "POSTROUTING"):
        scene.node.run(f"iptables -t nat -F {base}")
        scene.first.add(mapping(8080), **BY_IPTABLES)
        assert sorted(flavour.rules()) == once


def test_one_program_per_protocol(scene: Portmapped, monkeypatch: pytest.MonkeyPatch) -> None:
    """ADD executes iptables-restore once per protocol, for the first pod and those after it."""
    executed = []
    run = program.run

    def note(netns: int, argv: Any, text: str = "") -> tuple[int, str]:
        executed.append(Path(argv[0]).name)
        return run(netns, argv, text)

    monkeypatch.setattr(program, "run", note)
    for pod in (scene.first, scene.second):
        pod.add(mapping(8080 + pod.number), **BY_IPTABLES)
        assert executed == ["iptables-restore", "ip6tables-restore"]
        executed.clear()


def test_other_kinds_of_iptables(
    scene: Portmapped, flavour: Flavour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the program does not tell its kind by its name, it is asked what is there."""
    for name in ("iptables", "ip6tables"):
        for suffix in ("", "-restore"):
            path = tmp_path / f"{name}{suffix}"
            path.write_text(f'#!/bin/sh\nexec {name}-{flavour.name}{suffix} "$@"\n')
            path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for pod in (scene.first, scene.second):
        pod.add(mapping(8080 + pod.number), **BY_IPTABLES)
        exchange((pod.fd, 80), scene.neighbour.fd, "tcp", NODE[4], 8080 + pod.number)
    assert len([rule for rule in flavour.rules() if "LOCAL" in rule]) == 2


def test_sctp(scene: Portmapped) -> None:
    """The first packet of an SCTP association arrives at the pod's port."""
    scene.first.add(mapping(8080, 80, "sctp"), **BY_IPTABLES)
    arrived = sctp_arrival(scene.neighbour.fd, scene.first.fd, NEIGHBOUR[4], NODE[4], 8080)
    assert arrived == (NEIGHBOUR[4], 40000, 80)


def test_options_of_iptables_choose_it(scene: Portmapped, flavour: Flavour) -> None:
    """Conditions in iptables' words, and an external mark chain, need no backend to be named."""
    scene.node.run("iptables -t nat -N KUBE-MARK-MASQ")
    scene.node.run("ip6tables -t nat -N KUBE-MARK-MASQ")
    for options in (
        {"conditionsV4": ["-s", "192.0.2.0/24"]},
        {"externalSetMarkChain": "KUBE-MARK-MASQ"},
    ):
        scene.first.add(mapping(8080), **options)
        exchange((scene.first.fd, 80), scene.neighbour.fd, "tcp", NODE[4], 8080)
        assert len(leftovers(flavour)) > 4
        scene.first.delete()
        assert leftovers(flavour) == []


def test_conditions_that_iptables_refuses(scene: Portmapped, flavour: Flavour) -> None:
    """What iptables does not understand is an error with its words; nothing is left."""
    before = [flavour.rules(family) for family in (4, 6)]
    with pytest.raises(CNIError, match=r"ip6tables-restore failed with exit code"):
        scene.first.add(mapping(8080), conditionsV6=["--nonsense"], **BY_IPTABLES)
    assert leftovers(flavour) == []
    assert before == [[], []]


@pytest.mark.usefixtures("scene")
def test_gc(flavour: Flavour) -> None:
    """GC removes the chains of containers without a valid attachment, and nobody else's."""
    pods = [Pod(number) for number in range(10, 50)]
    for pod in pods:
        pod.add(mapping(8000 + pod.number), **BY_IPTABLES, prevResult=pod.result((4,)))
    stranger = Pod(7)
    stranger.add(mapping(7070), network="net2", **BY_IPTABLES)
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "portmap"}
    valid = [{"containerID": name, "ifname": "eth0"} for name in ("c12", "c33")]
    plugins.gc("portmap", {**conf, "cni.dev/valid-attachments": valid})
    chains = {rule.split()[0][1:] for rule in leftovers(flavour) if rule.startswith(":")}
    assert chains == {
        foreign.ports_chain("net", "c12"),
        foreign.ports_chain("net", "c33"),
        foreign.ports_chain("net2", "c7"),
    }


def test_a_missing_program_is_named(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without iptables the error of ADD says what is not installed; DEL needs none."""
    scene = Portmapped(node)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        patch.setattr(program, "DIRECTORIES", "/nowhere/either")
        with pytest.raises(CNIError, match="iptables-restore is not installed"):
            scene.first.add(mapping(8080), **BY_IPTABLES)
        scene.first.delete()


def test_a_chain_without_entries_is_removed(scene: Portmapped, flavour: Flavour) -> None:
    """DEL removes a chain that nothing leads to, as a crash of the reference leaves it."""
    scene.node.run(f"iptables -t nat -N {CHAIN}")
    scene.first.delete("runtimeConfig", name="net", type="portmap", cniVersion="1.1.0")
    assert leftovers(flavour) == []
    assert iptables.find_legacy(-1, CHAIN) == ([], [])
