"""CHECK of the bandwidth plugin, of what it made itself and of what the reference made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from helpers import traffic
from helpers.limited import BOTH, MBIT, Chain, ifbs
from helpers.plugin import BinaryRunner

if TYPE_CHECKING:
    from helpers.node import Node
    from helpers.plugin import Runner

TBF = "tc qdisc replace dev {end} root handle 1: tbf rate 8mbit burst 100000b limit"
MORE = "tc filter add dev {end} parent 1: protocol ip prio 16 u32 match ip src"
HTB = "tc class change dev {end} parent 1: classid 1:30 htb rate"


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"{TBF} 125001b", "queueing discipline of {end}"),
        ("tc qdisc del dev {end} root", "queueing discipline of {end}"),
        ("tc qdisc del dev {device} root", "queueing discipline of {device}"),
        ("tc qdisc del dev {end} ingress", "redirection to the ifb device of {end}"),
        ("tc filter del dev {end} ingress", "redirection to the ifb device of {end}"),
        ("ip link del {device}", "get link {device}: no such device"),
        ("ip link del {end}", "container's interface: get link eth0: no such device"),
    ],
)
def test_check_notices(node: Node, runner: Runner, command: str, words: str) -> None:
    """CHECK says what of the limits is missing or different."""
    chain = Chain(node, runner, **BOTH)
    chain.add()
    names = {"end": chain.host_end, "device": chain.device}
    node.run(command.format(**names))
    outcome = chain.check()
    assert outcome.code == 999
    assert words.format(**names) in outcome.message


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (f"{HTB} 9mbit burst 100000b", "limited class of {end}"),
        (f"{HTB} 8mbit burst 100001b", "limited class of {end}"),
        ("tc qdisc del dev {end} root", "queueing discipline of {end}"),
        ("tc filter del dev {end} parent 1: prio 16", "filter of a subnet of {end}"),
        (
            f"{MORE} 10.9.0.0/16 flowid 1:1",
            "list of filters of {end}",
        ),
    ],
)
def test_check_notices_with_subnets(node: Node, runner: Runner, command: str, words: str) -> None:
    """The same where there are classes."""
    chain = Chain(node, runner, **BOTH, unshapedSubnets=["10.2.0.0/16"])
    chain.add()
    assert chain.check().ok
    names = {"end": chain.host_end, "device": chain.device}
    node.run(command.format(**names))
    assert words.format(**names) in chain.check().message


@pytest.mark.parametrize("entry", [BOTH, {k: v for k, v in BOTH.items() if k[0] == "e"}])
def test_pods_of_the_reference(
    node: Node, runner: Runner, reference: str, entry: dict[str, int]
) -> None:
    """What one implementation has limited the other one checks and cleans up."""
    theirs = BinaryRunner("reference", reference)
    for first, second in ((theirs, runner), (runner, theirs)):
        chain = Chain(node, runner, **{**entry, "cniVersion": "1.0.0"})
        chain.limits.runner = first
        chain.limits.conf["prevResult"] = {**chain.bridge.result, "cniVersion": "1.0.0"}
        chain.add()
        chain.limits.runner = second
        assert chain.check().ok
        chain.delete()
        assert ifbs(node) == set()


def test_containerds_pods_of_the_reference(node: Node, runner: Runner, reference: str) -> None:
    """CHECK accepts what the reference made of a burst that means none."""
    for burst in (2**31 - 1, 2**32 - 1, (2**32 - 1) * 8 - 1):
        entry = {"ingressRate": 10 * MBIT, "ingressBurst": burst}
        entry |= {"egressRate": MBIT // 2, "egressBurst": burst}
        chain = Chain(node, runner, cniVersion="1.0.0", runtimeConfig={"bandwidth": entry})
        chain.limits.conf["prevResult"] = {**chain.bridge.result, "cniVersion": "1.0.0"}
        chain.limits.runner = BinaryRunner("reference", reference)
        chain.add()
        chain.limits.runner = runner
        outcome = chain.check()
        assert outcome.ok, (burst, outcome, json.dumps(traffic.qdiscs()))
        chain.delete()
