"""firewall and the reference's: the same calls give the same answers, rules and packets.

Debian's release words the comments of a policy's common rules otherwise than the releases that are
followed, so in rules that the two are compared by, those comments are made the same.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from helpers.firewalled import SECOND, Firewalled, Pod, is_kept_from, reaches
from helpers.flavour import choose
from helpers.node import need_tools
from helpers.plugin import BinaryRunner, environment
from helpers.routed import NEIGHBOUR

if TYPE_CHECKING:
    from helpers.node import Node
    from helpers.plugin import Outcome, Runner

OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "empty": {
        "backend": "",
        "iptablesAdminChainName": "",
        "firewalldZone": "",
        "ingressPolicy": "",
    },
    "iptables": {"backend": "iptables", "ingressPolicy": "open"},
    "admin chain": {"iptablesAdminChainName": "MY-OWN"},
    "same-bridge": {"ingressPolicy": "same-bridge"},
    "letter case": {"Backend": "iptables", "IPTABLESADMINCHAINNAME": "X", "firewalldZone": None},
    "a zone that nobody asks for": {"firewalldZone": "work"},
    "unknown keys": {"colour": "blue"},
}
VERSIONS = ("0.4.0", "1.0.0")
FAMILIES: dict[str, tuple[int, ...]] = {"IPv4": (4,), "IPv6": (6,), "both": (4, 6), "none": ()}


def call(runner: Runner, pod: Pod, command: str, conf: dict[str, Any]) -> Outcome:
    """Make one call as a runtime does."""
    env = environment(
        command,
        container_id=pod.name,
        netns=f"/run/netns/{pod.name}",
        ifname="eth0",
        path=runner.plugin_path,
    )
    return runner.call("firewall", env, json.dumps(conf).encode())


def configuration(pod: Pod, version: str = "1.0.0", **options: Any) -> dict[str, Any]:
    """Return what is sent for a pod."""
    result = {**pod.result(), "cniVersion": version}
    if version < "1.0.0":
        result["ips"] = [
            {**ip, "version": "6" if ":" in ip["address"] else "4"} for ip in result["ips"]
        ]
    return {
        "cniVersion": version,
        "name": "net",
        "type": "firewall",
        "prevResult": result,
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


def rules(node: Node) -> dict[str, list[str]]:
    """Return the rules and chains of both families, in order."""
    found = {}
    for command in ("iptables", "ip6tables"):
        lines = node.run(f"{command}-save -t filter", check=False).splitlines()
        # Without what is counted.
        kept = [line.partition(" [")[0] for line in lines if line[:1] in ("-", ":")]
        found[command] = [line.replace("same-bridge|isolated", "same-bridge") for line in kept]
    return found


def ours(directory: str) -> BinaryRunner:
    """Return our plugins."""
    return BinaryRunner("cold", directory, {"CNIFAST_SERVICE": "off", "PATH": os.environ["PATH"]})


def theirs(directory: str) -> BinaryRunner:
    """Return the reference's."""
    return BinaryRunner("reference", directory, {"PATH": os.environ["PATH"]})


def life(node: Node, runner: Runner, pods: tuple[Pod, Pod], **options: Any) -> list[Any]:
    """Attach two pods and detach one; return each answer, and the rules after it."""
    seen: list[Any] = []
    first, second = (configuration(pod, **options) for pod in pods)
    unknown = {key: value for key, value in first.items() if key != "prevResult"}
    for pod, command, conf in (
        (pods[0], "ADD", first),
        (pods[0], "ADD", first),
        (pods[1], "ADD", second),
        (pods[0], "CHECK", first),
        (pods[0], "DEL", first),
        (pods[0], "CHECK", first),
        (pods[0], "DEL", first),
        (pods[0], "DEL", unknown),
        (pods[1], "CHECK", second),
    ):
        seen += [answer(call(runner, pod, command, conf)), rules(node)]
    return seen


@pytest.fixture(params=["nft", "legacy"])
def kind(node: Node, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """One kind of iptables."""
    need_tools("iptables-nft", "iptables-legacy", "nft")
    found: str = request.param
    choose(node, found, monkeypatch)
    return found


def again(node: Node, kind: str) -> None:
    """Begin on a fresh node, with the same kind of iptables."""
    node.close()
    node.open()
    with pytest.MonkeyPatch.context() as patch:
        choose(node, kind, patch)  # PATH names the same place


@pytest.mark.parametrize("name", OPTIONS)
def test_options(node: Node, kind: str, plugin_directory: str, reference: str, name: str) -> None:
    """With each option there are the same answers, and the same rules in the same order."""
    scene = Firewalled(node)
    expected = life(node, theirs(reference), (scene.first, scene.second), **OPTIONS[name])
    again(node, kind)
    scene = Firewalled(node)
    found = life(node, ours(plugin_directory), (scene.first, scene.second), **OPTIONS[name])
    assert found == expected


@pytest.mark.parametrize("name", FAMILIES)
def test_families(node: Node, plugin_directory: str, reference: str, name: str) -> None:
    """There are rules of the families that there are addresses of, and of no other."""
    need_tools("iptables-nft", "nft")
    seen = []
    for runner in (theirs(reference), ours(plugin_directory)):
        scene = Firewalled(node)
        conf = configuration(scene.first, ingressPolicy="same-bridge")
        conf["prevResult"] = {**scene.first.result(FAMILIES[name]), "cniVersion": "1.0.0"}
        outcome = answer(call(runner, scene.first, "ADD", conf))
        found = rules(node)
        deleted = answer(call(runner, scene.first, "DEL", conf))
        accepted = {key: [r for r in lines if "ADMIN" not in r] for key, lines in found.items()}
        seen.append((outcome, {k: v for k, v in accepted.items() if name != "none"}, deleted))
        node.close()
        node.open()
    assert seen[0] == seen[1]


@pytest.mark.parametrize("version", VERSIONS)
def test_versions(node: Node, plugin_directory: str, reference: str, version: str) -> None:
    """The previous result is passed on in each version as the reference passes it on."""
    need_tools("iptables-nft", "nft")
    scene = Firewalled(node)
    conf = configuration(scene.first, version)
    answers = []
    for runner in (theirs(reference), ours(plugin_directory)):
        answers.append(answer(call(runner, scene.first, "ADD", conf)))
        assert call(runner, scene.first, "DEL", conf).ok
    assert isinstance(answers[0], dict)
    assert answers[0] == answers[1]


def test_either_undoes_what_the_other_did(
    node: Node, kind: str, plugin_directory: str, reference: str
) -> None:
    """Each checks and removes what the other one made, and adds nothing new where the other was."""
    assert kind
    scene = Firewalled(node)
    conf = configuration(scene.first)
    runners = (theirs(reference), ours(plugin_directory))
    for maker, other in (runners, runners[::-1]):
        assert call(maker, scene.first, "ADD", conf).ok
        made = rules(node)
        assert call(other, scene.first, "CHECK", conf).ok
        assert call(other, scene.first, "ADD", conf).ok
        # Ours does not look for rules of an address that nobody has recorded; DEL does.
        assert {k: set(lines) for k, lines in rules(node).items()} == {
            k: set(lines) for k, lines in made.items()
        }
        assert call(other, scene.first, "DEL", conf).ok
        left = rules(node)
        assert left != made
        assert call(maker, scene.first, "DEL", conf).ok
        assert rules(node) == left


@pytest.mark.parametrize("policy", ["open", "same-bridge"])
def test_packets(node: Node, plugin_directory: str, reference: str, policy: str) -> None:
    """The same clients reach the same pods where forwarding is closed otherwise."""
    need_tools("iptables-nft", "nft")
    seen = []
    for runner in (theirs(reference), ours(plugin_directory)):
        scene = Firewalled(node)
        scene.greet(4)
        node.run("iptables -P FORWARD DROP")
        for pod in (scene.first, scene.other):
            assert call(runner, pod, "ADD", configuration(pod, ingressPolicy=policy)).ok
        first, other, neighbour = scene.first, scene.other, scene.neighbour.fd
        seen.append(
            {
                "first to neighbour": reaches(first.fd, neighbour, NEIGHBOUR[4]),
                "neighbour to first": not is_kept_from(neighbour, first, "10.1.0.5"),
                "first to other": not is_kept_from(first.fd, other, SECOND[4]),
                "second to neighbour": not is_kept_from(scene.second.fd, neighbour, NEIGHBOUR[4]),
            }
        )
        node.close()
        node.open()
    assert seen[0] == seen[1]
    assert seen[0]["first to neighbour"]
    assert seen[0]["first to other"] is (policy == "open")


REFUSED: dict[str, dict[str, Any]] = {
    "no previous result": {"prevResult": None},
    "unknown policy": {"ingressPolicy": "closed"},
    "a policy without a bridge": {
        "ingressPolicy": "same-bridge",
        "prevResult": {"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.5/16"}]},
    },
    "a previous result of an unknown version": {"prevResult": {"cniVersion": "7.0.0"}},
    "backend as number": {"backend": 7},
    "unknown version": {"cniVersion": "9.0.0"},
    "version without the plugin": {"cniVersion": "0.3.1"},
    "no name": {"name": ""},
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(node: Node, plugin_directory: str, reference: str, name: str) -> None:
    """What the reference refuses is refused with its code, and before anything is done."""
    need_tools("iptables-nft", "nft")
    scene = Firewalled(node)
    conf = {**configuration(scene.first), **REFUSED[name]}
    outcome = call(ours(plugin_directory), scene.first, "ADD", conf)
    assert node.ruleset() == ""
    expected = call(theirs(reference), scene.first, "ADD", conf)
    assert not expected.ok
    assert (outcome.exit_code, outcome.code) == (expected.exit_code, expected.code)
