"""The bandwidth plugin behind a bridge: what tc shows, what traffic is counted where, what is left.

Whether something is limited is told by counters: what passed by which class, what was dropped.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from helpers import nsutil, traffic
from helpers.limited import BOTH, MBIT, Chain, ifbs
from helpers.packets import ping

if TYPE_CHECKING:
    from helpers.node import Node
    from helpers.plugin import Runner

GBIT100 = 100 * 10**9
GATEWAY = "10.1.0.1"
HEADERS = 14 + 20 + 8  # of a datagram in a frame


def test_both_directions(node: Node, runner: Runner) -> None:
    """Traffic control shows both limits; the result has the ifb device; DEL leaves nothing."""
    chain = Chain(node, runner, **BOTH)
    before = node.link_names()
    result = chain.add()
    end, device = chain.host_end, chain.device
    (link,) = (one for one in node.links() if one["ifname"] == device)
    assert result["interfaces"][3] == {"name": device, "mac": link["address"]}
    assert result["ips"] == chain.bridge.result["ips"]
    assert link["ifalias"] == "cnifast net pod1 eth0"
    assert traffic.qdisc(end)["options"] == {"rate": MBIT, "burst": 100_000, "lat": 25_000}
    assert traffic.qdisc(device)["options"] == {"rate": 2 * MBIT, "burst": 200_000, "lat": 25_000}
    assert traffic.filters(end, "ingress") == [f"all 1 00000000/00000000@0 -> device {device}"]
    assert chain.check().ok
    chain.delete()
    assert node.link_names() == before - {end}


@pytest.mark.parametrize("gone", ["namespace", "previous result", "limits", "all"])
def test_del_needs_little(node: Node, runner: Runner, gone: str) -> None:
    """DEL finds the ifb device without namespace, previous result and limits, and twice."""
    chain = Chain(node, runner, runtimeConfig={"bandwidth": BOTH})
    chain.add()
    changes: dict[str, Any] = {}
    if gone in ("previous result", "all"):
        changes["prevResult"] = None
    if gone in ("limits", "all"):
        changes["runtimeConfig"] = None
    netns = "" if gone in ("namespace", "all") else chain.pod.path
    assert ifbs(node)
    for _ in range(2):
        outcome = chain.limits.call("DEL", netns=netns, **changes)
        assert outcome.ok, outcome
        assert ifbs(node) == set()
    assert chain.bridge.delete().ok
    assert node.strays() == []


def test_passes_by_what_is_not_limited(node: Node, runner: Runner) -> None:
    """Without limits the previous result comes back and nothing is made."""
    chain = Chain(node, runner)
    assert chain.add() == chain.bridge.result
    assert traffic.lines() == []
    assert ifbs(node) == set()
    assert chain.check().ok
    chain.delete()


def test_as_containerd_sends_it(node: Node, runner: Runner) -> None:
    """Capital keys are understood, and a burst that means none is not one of half a gigabyte."""
    entry = {"IngressRate": 8 * MBIT, "IngressBurst": 4294967295}
    entry |= {"EgressRate": 8 * MBIT, "EgressBurst": 4294967295}
    chain = Chain(node, runner, runtimeConfig={"bandwidth": entry})
    chain.add()
    for link in (chain.host_end, chain.device):
        assert traffic.qdisc(link)["options"] == {"rate": MBIT, "burst": 131_072, "lat": 25_000}
    assert chain.check().ok


def test_a_hundred_gigabits(node: Node, runner: Runner) -> None:
    """A rate beyond 32 bits is set as it is."""
    burst = 10**9
    chain = Chain(node, runner, ingressRate=GBIT100, ingressBurst=burst, egressRate=GBIT100)
    chain.add()
    expected = {"rate": GBIT100 // 8, "burst": burst // 8, "lat": 25_000}
    assert traffic.qdisc(chain.host_end)["options"] == expected
    assert traffic.qdisc(chain.device)["options"]["rate"] == GBIT100 // 8
    assert chain.check().ok


def test_latency_is_bound(node: Node, runner: Runner) -> None:
    """So much waits as passes in the time that is configured."""
    chain = Chain(node, runner, **BOTH, latencyMs=100)
    chain.add()
    for link in (chain.host_end, chain.device):
        assert traffic.qdisc(link)["options"]["lat"] == 100_000
    assert chain.check().ok
    assert chain.limits.call("CHECK", prevResult=chain.limits.result, latencyMs=25).code == 999


def test_a_second_add_changes_nothing(node: Node, runner: Runner) -> None:
    """An ADD of what is limited already is refused, and the limits stay."""
    chain = Chain(node, runner, **BOTH)
    chain.add()
    before = traffic.lines()
    outcome = chain.limits.call("ADD")
    assert outcome.code == 999
    assert "file exists" in outcome.message
    assert traffic.lines() == before
    assert chain.check().ok


def test_two_interfaces_of_a_container(node: Node, runner: Runner) -> None:
    """The device is one interface's: another one of the network gets none, and does not delete it.

    The reference knows but one name for both.
    """
    first, second = Chain(node, runner, **BOTH), Chain(node, runner, "eth1", **BOTH)
    first.add()
    outcome = second.limits.call("ADD")
    assert "file exists" in outcome.message
    second.delete()
    assert ifbs(node) == {first.device}
    assert first.check().ok
    first.delete()
    assert ifbs(node) == set()


def _flood(sender: int, receiver: int, target: str, count: int, size: int) -> None:
    """Send datagrams of `size` bytes to an address in another namespace, where nobody may look."""
    with nsutil.inside(receiver):
        inbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with inbox:
        inbox.bind((target, 40000))
        with nsutil.inside(sender):
            outbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with outbox:
            for _ in range(count):
                outbox.sendto(bytes(size), (target, 40000))


def test_what_is_too_much_is_dropped(node: Node, runner: Runner) -> None:
    """Of a flood a burst passes, as much again waits, and the rest is dropped, in each direction.

    At 1000 bytes per second 200 kB would take three minutes.
    """
    slow = {"ingressRate": 8000, "ingressBurst": 80_000, "egressRate": 8000, "egressBurst": 160_000}
    chain = Chain(node, runner, **slow)
    chain.add()
    pod = chain.bridge.result["ips"][0]["address"].partition("/")[0]
    assert ping(chain.pod.fd, GATEWAY, timeout=5)
    _flood(node.fd, chain.pod.fd, pod, 200, 1000)
    _flood(chain.pod.fd, node.fd, GATEWAY, 200, 1000)
    for link, burst in ((chain.host_end, 10_000), (chain.device, 20_000)):
        seen = traffic.qdisc(link)
        assert seen["drops"] > 200 - 2 * burst // 1000 - 100, seen
        assert seen["bytes"] < burst + 100_000, seen


def test_everything_is_counted(node: Node, runner: Runner) -> None:
    """Each byte to the container passes the host's end, each byte from it the ifb device."""
    chain = Chain(node, runner, **BOTH)
    chain.add()
    pod = chain.bridge.result["ips"][0]["address"].partition("/")[0]
    assert ping(chain.pod.fd, GATEWAY, timeout=5)
    before = [traffic.qdisc(link)["bytes"] for link in (chain.host_end, chain.device)]
    _flood(node.fd, chain.pod.fd, pod, 30, 1000)
    _flood(chain.pod.fd, node.fd, GATEWAY, 20, 1000)
    after = [traffic.qdisc(link)["bytes"] for link in (chain.host_end, chain.device)]
    size = 1000 + HEADERS
    sent = [last - first for first, last in zip(before, after, strict=True)]
    assert 30 * size <= sent[0] < 50 * size
    assert 20 * size <= sent[1] < 30 * size


def test_many_subnets(node: Node, runner: Runner) -> None:
    """More subnets than fit into one transaction are all there, and one that is gone is missed."""
    subnets = [f"10.{n}.0.0/16" for n in range(70)] + [f"fd00:{n}::/32" for n in range(70)]
    chain = Chain(node, runner, **BOTH, unshapedSubnets=subnets)
    chain.add()
    end, device = chain.host_end, chain.device
    assert len(traffic.filters(end)) == len(traffic.filters(device)) == 140
    assert chain.check().ok
    node.run(f"tc filter del dev {device} parent 1: handle 800::810 prio 16 protocol ip u32")
    outcome = chain.check()
    assert f"filter of a subnet of {device}" in outcome.message
    chain.delete()


def test_gc(node: Node, runner: Runner) -> None:
    """GC deletes the devices of this network's attachments that are not valid, and no others."""
    chain = Chain(node, runner, **BOTH)
    chain.add()
    for name, alias in (
        ("bwp1", "cnifast net stale eth0"),
        ("bwp2", "cnifast net pod1 eth9"),
        ("bwp3", "cnifast other stale eth0"),
        ("bwp4", "somebody else's"),
    ):
        node.ip(f"link add {name} type ifb")
        node.run(["ip", "link", "set", name, "alias", alias])
    node.ip("link add bwp5 type ifb")
    node.ip("link add bwp6 type bridge")
    node.run(["ip", "link", "set", "bwp6", "alias", "cnifast net stale eth0"])
    valid = {"cni.dev/valid-attachments": [{"containerID": "pod1", "ifname": "eth0"}]}
    outcome = chain.limits.call("GC", **valid)
    assert outcome.ok, outcome
    assert ifbs(node) == {chain.device, "bwp3", "bwp4", "bwp5", "bwp6"}
    assert chain.check().ok
    refused = chain.limits.call("GC")
    assert refused.code == 7
    assert chain.limits.call("GC", **{"cni.dev/valid-attachments": None}).ok
    assert chain.device not in ifbs(node)


def test_status(node: Node, runner: Runner) -> None:
    """STATUS tells limits that can be set from those that cannot."""
    chain = Chain(node, runner, **BOTH)
    assert chain.limits.call("STATUS").ok
    assert "ingressRate" in chain.limits.call("STATUS", ingressRate=0).message
