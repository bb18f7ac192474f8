"""portmap and the reference's: the same calls give the same answers and lead the same packets.

The reference at hand uses iptables, ours nftables; what is compared is who reaches whom, and as
whom it is seen there.  The rules of our iptables backend are compared in tests/kernel.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from helpers.exchange import Unanswered, exchange
from helpers.node import need_tools
from helpers.plugin import BinaryRunner, environment
from helpers.portmapped import Pod, Portmapped, mapping
from helpers.routed import INSIDE, NEIGHBOUR, NODE, pod_prefix

if TYPE_CHECKING:
    from helpers.node import Node
    from helpers.plugin import Outcome, Runner

OTHER = "192.0.2.9"  # a second address of the node
TARGETS = (NODE[4], NODE[6], INSIDE[4], OTHER)
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "without snat": {"snat": False},
    "a mark": {"markMasqBit": 4},
    "conditions": {"conditionsV4": ["-s", NEIGHBOUR[4]], "conditionsV6": ["!", "-s", "fd00:1::6"]},
    "an external mark chain": {"externalSetMarkChain": "MARK-IT"},
    "letter case": {"SNAT": False, "MarkMasqBit": None},
}
MAPPINGS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "one": [mapping(8080)],
    "two ports": [mapping(8080), mapping(8081, 81)],
    "host IP": [mapping(8080, 80, host_ip=OTHER)],
    "IPv6 host IP": [mapping(8080, 80, host_ip=NODE[6])],
    "any IPv4": [mapping(8080, 80, host_ip="0.0.0.0")],  # noqa: S104 - not bound to
    "any IPv6": [mapping(8080, 80, host_ip="::")],
    "as containerd": [{"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": ""}],
    "UDP": [mapping(8080, 80, "udp")],
}
VERSIONS = ("0.3.0", "0.3.1", "0.4.0", "1.0.0")


def call(runner: Runner, pod: Pod, command: str, conf: dict[str, Any], netns: str = "") -> Outcome:
    """Make one call as a runtime does."""
    env = environment(
        command,
        container_id=pod.name,
        netns=netns or f"/run/netns/{pod.name}",
        ifname="eth0",
        path=runner.plugin_path,
    )
    return runner.call("portmap", env, json.dumps(conf).encode())


def configuration(
    pod: Pod, mappings: list[dict[str, Any]], version: str = "1.0.0", **options: Any
) -> dict[str, Any]:
    """Return what is sent for a pod."""
    result = {**pod.result(), "cniVersion": version}
    if version < "1.0.0":
        result["ips"] = [
            {"version": str(family), "address": pod_prefix(pod.number, family), "interface": 2}
            for family in (4, 6)
        ]
    return {
        "cniVersion": version,
        "name": "net",
        "type": "portmap",
        "prevResult": result,
        "runtimeConfig": {"portMappings": mappings},
        **options,
    }


def answer(outcome: Outcome) -> Any:
    """Return a result without what an older release prints although it is empty, or a code."""
    if not outcome.ok:
        return outcome.code
    found = outcome.json
    if isinstance(found, dict) and not found.get("dns"):
        found.pop("dns", None)
    return found


def reached(scene: Portmapped, protocol: str = "tcp", port: int = 8080) -> dict[str, str]:
    """Return who reaches the first pod by which address, and as whom it is seen there."""
    clients = {
        "neighbour": scene.neighbour.fd,
        "host": scene.node.fd,
        "other pod": scene.second.fd,
        "itself": scene.first.fd,
    }
    found = {}
    for name, fd in clients.items():
        for target in (*TARGETS, *(["127.0.0.1"] if name == "host" else [])):
            try:
                seen = exchange((scene.first.fd, 80), fd, protocol, target, port)
            except Unanswered as reason:
                seen = "refused" if "refused" in str(reason) else "unanswered"
            found[f"{name} by {target}"] = seen
    return found


def prepare(node: Node) -> Portmapped:
    """Build the scene on a fresh node, with a chain that somebody else marks by."""
    scene = Portmapped(node)
    node.ip(f"address add {OTHER}/24 dev up0")
    for command in ("iptables", "ip6tables"):
        node.run(f"{command} -t nat -N MARK-IT")
        node.run(f"{command} -t nat -A MARK-IT -j MARK --set-xmark 0x4000/0x4000")
        node.run(f"{command} -t nat -A POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE")
    return scene


def play(
    node: Node, runner: Runner, mappings: list[dict[str, Any]], options: dict[str, Any]
) -> list[Any]:
    """Attach and detach a pod's ports; return the answers, and who reaches it in between."""
    scene = prepare(node)
    protocol = mappings[0].get("protocol", "tcp") if mappings else "tcp"
    conf = configuration(scene.first, mappings, **options)
    seen: list[Any] = [answer(call(runner, scene.first, "ADD", conf))]
    if protocol == "tcp" and options.get("snat", options.get("SNAT", True)):
        seen.append(reached(scene))
    else:
        where = ((scene.first.fd, 80), scene.neighbour.fd, protocol, NODE[4], 8080)
        seen.append(exchange(*where))
    localnet = node.run("sysctl -n net.ipv4.conf.br0.route_localnet")
    seen.append(localnet)
    deletions = (conf, conf, {**conf, "prevResult": None})
    seen += (answer(call(runner, scene.first, "DEL", sent)) for sent in deletions)
    if protocol == "tcp":
        seen.append(reached(scene))
    return seen


def compare(
    node: Node,
    ours: str,
    theirs: str,
    mappings: list[dict[str, Any]],
    options: dict[str, Any],
) -> None:
    """Play the same with both on nodes of their own."""
    need_tools("iptables", "nft")
    expected = play(node, BinaryRunner("reference", theirs), mappings, options)
    node.close()
    node.open()
    runner = BinaryRunner("cold", ours, {"CNIFAST_SERVICE": "off"})
    assert play(node, runner, mappings, options) == expected


@pytest.mark.parametrize("name", OPTIONS)
def test_options(node: Node, plugin_directory: str, reference: str, name: str) -> None:
    """With each option the same clients reach the pod, and are seen as the same."""
    compare(node, plugin_directory, reference, MAPPINGS["one"], OPTIONS[name])


@pytest.mark.parametrize("name", MAPPINGS)
def test_mappings(node: Node, plugin_directory: str, reference: str, name: str) -> None:
    """With each kind of mapping the same clients reach the pod."""
    compare(node, plugin_directory, reference, MAPPINGS[name], {})


@pytest.mark.parametrize("version", VERSIONS)
def test_versions(node: Node, plugin_directory: str, reference: str, version: str) -> None:
    """The previous result is passed on in each version as the reference passes it on."""
    scene = Portmapped(node)
    conf = configuration(scene.first, MAPPINGS["one"], version)
    seen = []
    for runner in (
        BinaryRunner("reference", reference),
        BinaryRunner("cold", plugin_directory, {"CNIFAST_SERVICE": "off"}),
    ):
        added = call(runner, scene.first, "ADD", conf)
        seen.append(answer(added))
        assert call(runner, scene.first, "DEL", conf).ok
    assert seen[0] == seen[1]
    assert isinstance(seen[0], dict)


REFUSED: dict[str, dict[str, Any]] = {
    "no previous result": {"prevResult": None},
    "port 0": {"runtimeConfig": {"portMappings": [mapping(0)]}},
    "negative port": {"runtimeConfig": {"portMappings": [mapping(8080, -1)]}},
    "huge port": {"runtimeConfig": {"portMappings": [mapping(65536)]}},
    "unknown protocol": {"runtimeConfig": {"portMappings": [mapping(8080, 80, "xyz")]}},
    "no protocol": {"runtimeConfig": {"portMappings": [mapping(8080, 80, "")]}},
    "mark 32": {"markMasqBit": 32},
    "mark and chain": {"markMasqBit": 3, "externalSetMarkChain": "X"},
    "ports as text": {"runtimeConfig": {"portMappings": [{"hostPort": "8080"}]}},
    "unknown version": {"cniVersion": "9.0.0"},
    "no name": {"name": ""},
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("command", ["ADD", "CHECK"])
def test_refusals(
    node: Node, plugin_directory: str, reference: str, name: str, command: str
) -> None:
    """What the reference refuses is refused with its code."""
    scene = Portmapped(node)
    conf = {**configuration(scene.first, MAPPINGS["one"]), **REFUSED[name]}
    expected = call(BinaryRunner("reference", reference), scene.first, command, conf)
    runner = BinaryRunner("cold", plugin_directory, {"CNIFAST_SERVICE": "off"})
    outcome = call(runner, scene.first, command, conf)
    assert (outcome.exit_code, outcome.code) == (expected.exit_code, expected.code)
