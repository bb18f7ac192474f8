"""The rules that a cluster's node has beside those of single pods: as they are asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cnifast.kernel.cluster import drop_repeats, masquerade_leaving
from cnifast.kernel.nft import NftSocket, Owner
from helpers.node import need_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

MAC = "02:00:00:00:00:01"
PODS, CLUSTER = ["10.244.1.0/24", "fd00:1::/64"], ["10.0.0.0/8", "fd00::/8"]
GATEWAYS = ["10.244.1.1/24", "fd00:1::1/64"]
LEAVING = [
    f'oifname != "lo" {ip} saddr {pods} {ip} daddr != {pods} {ip} daddr != {inside} '
    f'masquerade comment "from {pods} to outside of {inside}"'
    for ip, pods, inside in zip(("ip", "ip6"), PODS, CLUSTER, strict=True)
]
REPEATS = [
    f'oifname "veth*" ether saddr {MAC} {what} comment "{why} by {MAC}"'
    for what, why in (
        ("ip saddr 10.244.1.1 accept", "routed from 10.244.1.1/32"),
        ("ip saddr 10.244.1.0/24 drop", "repeated from 10.244.1.0/24"),
        ("ip6 saddr fd00:1::1 accept", "routed from fd00:1::1/128"),
        ("ip6 saddr fd00:1::/64 drop", "repeated from fd00:1::/64"),
    )
]


@pytest.fixture
def nft(node: Node) -> Iterator[NftSocket]:
    """A socket on a fresh node."""
    need_tools("nft")
    with NftSocket(node.fd) as opened:
        yield opened


def rules(node: Node, chain: str) -> list[str]:
    """Return the rules of a chain as nft lists them."""
    lines = node.run(f"nft list chain {chain}").splitlines()
    return [line.strip() for line in lines[3:-2]]


def test_nft_lists_what_was_asked_for(node: Node, nft: NftSocket) -> None:
    """`nft list` shows the rules in their order, with what they depend on as a comment."""
    masquerade_leaving(nft, PODS, CLUSTER)
    drop_repeats(nft, MAC, GATEWAYS)
    assert rules(node, "inet cnifast cluster") == LEAVING
    assert rules(node, "bridge cnifast repeats") == REPEATS


def test_rules_are_replaced_as_a_whole(node: Node, nft: NftSocket) -> None:
    """Other subnets or another MAC make for other rules, and none is left of the former."""
    masquerade_leaving(nft, ["10.244.9.0/24", *PODS], CLUSTER)
    drop_repeats(nft, "02:00:00:00:00:99", GATEWAYS)
    masquerade_leaving(nft, PODS, CLUSTER)
    drop_repeats(nft, MAC, GATEWAYS)
    assert rules(node, "inet cnifast cluster") == LEAVING
    assert rules(node, "bridge cnifast repeats") == REPEATS


def test_rules_that_were_removed_are_made_again(node: Node, nft: NftSocket) -> None:
    """Whoever removed a rule, a chain or all of them has them again the next time."""
    for damage in (
        "flush chain inet cnifast cluster; flush chain bridge cnifast repeats",
        "delete chain inet cnifast cluster; delete table bridge cnifast",
        "flush ruleset",
        "insert rule inet cnifast cluster accept; add rule bridge cnifast repeats drop",
    ):
        masquerade_leaving(nft, PODS, CLUSTER)
        drop_repeats(nft, MAC, GATEWAYS)
        node.run(["nft", damage])
        masquerade_leaving(nft, PODS, CLUSTER)
        drop_repeats(nft, MAC, GATEWAYS)
        assert rules(node, "inet cnifast cluster") == LEAVING
        assert rules(node, "bridge cnifast repeats") == REPEATS


def test_a_family_that_is_not_masqueraded(node: Node, nft: NftSocket) -> None:
    """A family without a part of the cluster, or all of which is inside, has no rule."""
    masquerade_leaving(nft, PODS, CLUSTER[:1])
    assert rules(node, "inet cnifast cluster") == LEAVING[:1]
    masquerade_leaving(nft, PODS, ["0.0.0.0/0", *CLUSTER[1:]])
    assert rules(node, "inet cnifast cluster") == LEAVING[1:]


def test_without_rules(node: Node, nft: NftSocket) -> None:
    """Asked for none, a node without chains stays so, and chains that are there are emptied."""
    masquerade_leaving(nft, [], CLUSTER)
    drop_repeats(nft, "", [])
    assert node.ruleset() == ""
    masquerade_leaving(nft, PODS, CLUSTER)
    drop_repeats(nft, MAC, GATEWAYS)
    masquerade_leaving(nft, [], CLUSTER)
    drop_repeats(nft, "", [])
    assert rules(node, "inet cnifast cluster") == []
    assert rules(node, "bridge cnifast repeats") == []


def test_rules_of_pods_are_left_alone(node: Node, nft: NftSocket) -> None:
    """Masquerading and guards of single pods stay as they are, in whatever order both come."""
    owner = Owner("c1", "eth0", "net")
    nft.add_masquerade(["10.1.0.5/16"], owner)
    masquerade_leaving(nft, PODS, CLUSTER)
    drop_repeats(nft, MAC, GATEWAYS)
    nft.guard_port("port5", MAC, owner)
    masquerade_leaving(nft, [], [])
    drop_repeats(nft, "", [])
    nft.check_masquerade(["10.1.0.5/16"], owner)
    nft.check_port("port5", MAC, owner)
    nft.unguard_port("port5", owner)
    drop_repeats(nft, MAC, GATEWAYS)
    assert rules(node, "bridge cnifast repeats") == REPEATS


def test_texts_that_are_no_subnets(node: Node, nft: NftSocket) -> None:
    """What is not a subnet or no MAC address is refused, and nothing is changed."""
    for pods, cluster in ((["10.244.1.0/33"], CLUSTER), (PODS, ["x"])):
        with pytest.raises(ValueError, match=r"10\.244\.1\.0/33|x"):
            masquerade_leaving(nft, pods, cluster)
    with pytest.raises(ValueError, match="02:00"):
        drop_repeats(nft, "02:00", GATEWAYS)
    assert node.ruleset() == ""
