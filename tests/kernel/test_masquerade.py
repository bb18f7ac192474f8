"""Masquerading by nftables: what happens to packets, whose elements are whose, and at what cost."""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kernel.nft import NftSocket, Owner
from helpers.node import need_tools
from helpers.packets import source_seen
from helpers.routed import (
    INSIDE,
    NEIGHBOUR,
    NODE,
    Routed,
    bound_source_seen,
    pod_address,
    pod_prefix,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from helpers.node import Node

FAMILIES = pytest.mark.parametrize("family", [4, 6])
C1 = Owner("c1", "eth0", "net")
C2 = Owner("c2", "eth0", "net")


@pytest.fixture
def nft(node: Node) -> Iterator[NftSocket]:
    """A socket on a fresh node."""
    need_tools("nft")
    with NftSocket(node.fd) as opened:
        yield opened


@pytest.fixture
def routed(node: Node) -> Routed:
    """Pods and a neighbour on the same node."""
    return Routed(node)


def ruleset(node: Node) -> list[dict[str, Any]]:
    """Return the objects that nft lists, each as (kind, object)."""
    found: list[dict[str, Any]] = json.loads(node.run("nft -j list ruleset"))["nftables"]
    return found


def elements(nft: NftSocket, network: str = "net") -> dict[str, str]:
    """Return owners by address."""
    return {element.address: element.owner for element in nft.masquerades(network)}


def rules_of(node: Node, chain: str) -> list[str]:
    """Return the rules of a chain as nft words them."""
    lines = node.run(f"nft list chain inet cnifast {chain}").splitlines()
    return [line.strip() for line in lines if line.startswith("\t\t") and "hook" not in line]


@FAMILIES
def test_packets_leave_the_subnet_with_the_node_s_address(
    node: Node, nft: NftSocket, routed: Routed, family: int
) -> None:
    """What a masqueraded pod sends beyond its subnet comes from the node, until it is deleted."""
    pod = routed.pods[0].fd
    where = (pod, routed.neighbour.fd, NEIGHBOUR[family])
    assert source_seen(*where) == pod_address(5, family)
    nft.add_masquerade([pod_prefix(5, family)], C1)
    # another port: the first connection is tracked and goes on as it began
    assert source_seen(*where, port=40001) == NODE[family]
    nft.delete_masquerade([pod_prefix(5, family)], C1)
    assert source_seen(*where, port=40002) == pod_address(5, family)
    assert node.run("nft list chain inet cnifast postrouting").count("return") == 2


@FAMILIES
def test_packets_inside_the_subnet_keep_their_address(
    node: Node, nft: NftSocket, routed: Routed, family: int
) -> None:
    """What a masqueraded pod sends to its own subnet is left alone, bridged or routed."""
    nft.add_masquerade([pod_prefix(5, family)], C1)
    first, second = routed.pods
    assert source_seen(first.fd, second.fd, pod_address(6, family)) == pod_address(5, family)
    # the same through the node's own stack: a detour over the gateway
    node.ip(f"-n {first.name} route add {pod_address(6, family)} via {INSIDE[family]}")
    node.run("sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.br0.send_redirects=0")
    seen = source_seen(first.fd, second.fd, pod_address(6, family), port=40001)
    assert seen == pod_address(5, family)


def test_multicast_keeps_its_address(node: Node, nft: NftSocket, routed: Routed) -> None:
    """Multicast of a masqueraded address leaves with that address, unicast does not."""
    node.ip("address add 10.1.7.7/32 dev lo")
    nft.add_masquerade(["10.1.7.7/16"], C1)
    where = (node.fd, "10.1.7.7", routed.neighbour.fd)
    assert bound_source_seen(*where, NEIGHBOUR[4]) == NODE[4]
    assert bound_source_seen(*where, "239.1.2.3") == "10.1.7.7"


@FAMILIES
def test_an_address_that_is_its_own_subnet(nft: NftSocket, routed: Routed, family: int) -> None:
    """With /32 and /128 everything but multicast is masqueraded, pods of the subnet included."""
    full = {4: 32, 6: 128}[family]
    nft.add_masquerade([f"{pod_address(5, family)}/{full}"], C1)
    where = (routed.pods[0].fd, routed.neighbour.fd, NEIGHBOUR[family])
    assert source_seen(*where) == NODE[family]


@FAMILIES
def test_nested_subnets_each_have_their_own_inside(
    node: Node, nft: NftSocket, routed: Routed, family: int
) -> None:
    """A pod of a narrow subnet is masqueraded towards the rest of another network's wide one."""
    narrow = {4: "10.1.0.5/29", 6: "fd00:1::5/126"}[family]
    nft.add_masquerade([narrow], C1)
    nft.add_masquerade([pod_prefix(6, family)], Owner("c2", "eth0", "wide"))
    assert sorted(elements(nft)) == [narrow]
    # an address of the wide subnet that is reached through the neighbour
    target = {4: "10.1.200.200", 6: "fd00:1::200"}[family]
    node.ip(f"-n {routed.neighbour.name} address add {target} dev eth0 {'nodad' * (family == 6)}")
    node.ip(f"route add {target} via {NEIGHBOUR[family]}")
    for pod in routed.pods:
        node.ip(f"-n {pod.name} route add {target} via {INSIDE[family]}")
    seen = [source_seen(pod.fd, routed.neighbour.fd, target) for pod in routed.pods]
    assert seen == [NODE[family], pod_address(6, family)]


def test_nft_lists_whose_elements_they_are(node: Node, nft: NftSocket) -> None:
    """`nft list ruleset` shows the owner of each element, and what it prints can be loaded."""
    nft.add_masquerade(["10.1.0.5/16", "fd00:1::5/64", "10.9.9.9/32"], C1)
    sets = [entry["set"] for entry in ruleset(node) if "set" in entry]
    assert {
        (entry["name"], element["elem"]["val"], element["elem"]["comment"])
        for entry in sets
        for element in entry["elem"]
    } == {
        ("pods-net-10.1.0.0-16", "10.1.0.5", "c1 eth0 net"),
        ("pods-net-fd00.1..-64", "fd00:1::5", "c1 eth0 net"),
        ("pods-net-hosts4-32", "10.9.9.9", "c1 eth0 net"),
    }
    listed = node.ruleset()
    Path("/run/saved.nft").write_text(listed)
    node.run("nft flush ruleset")
    node.run("nft -f /run/saved.nft")
    assert node.ruleset() == listed


def test_rules_are_made_once(node: Node, nft: NftSocket) -> None:
    """More pods, a repeated ADD and a second network on the subnet add no rule twice."""
    for number in range(2, 6):
        nft.add_masquerade([f"10.1.0.{number}/16"], Owner(f"c{number}", "eth0", "net"))
    nft.add_masquerade(["10.1.0.2/16"], Owner("c2", "eth0", "net"))
    nft.add_masquerade(["10.1.0.2/16"], Owner("c2", "eth0", "other"))
    nft.add_masquerade(["10.2.0.2/16"], Owner("c2", "eth1", "other"))
    assert rules_of(node, "postrouting") == [
        "ip daddr 224.0.0.0/4 return",
        "ip6 daddr ff00::/8 return",
        "ip saddr & 255.255.0.0 vmap @subnets4-16",
    ]
    assert rules_of(node, "masq-10.1.0.0-16") == [
        "ip daddr 10.1.0.0/16 return",
        "ip saddr @pods-net-10.1.0.0-16 masquerade",
        "ip saddr @pods-other-10.1.0.0-16 masquerade",
    ]


def test_networks_may_use_the_same_address(nft: NftSocket) -> None:
    """An address in two networks is two elements; deleting one leaves the other."""
    other = Owner("c1", "eth0", "other")
    nft.add_masquerade(["10.1.0.5/16"], C1)
    nft.add_masquerade(["10.1.0.5/16"], other)
    nft.delete_masquerade(["10.1.0.5/16"], C1)
    assert elements(nft) == {}
    assert elements(nft, "other") == {"10.1.0.5/16": "c1 eth0 other"}


def test_a_network_whose_name_begins_like_another_s_is_apart(nft: NftSocket) -> None:
    """Network "net" does not see the sets of "net-10.1.0.0" and "net-x"."""
    for name in ("net-10.1.0.0", "net-x", "net"):
        nft.add_masquerade(["10.1.0.5/16"], Owner("c1", "eth0", name))
    nft.delete_masquerade(None, C1)
    assert elements(nft) == {}
    assert len(elements(nft, "net-x")) == len(elements(nft, "net-10.1.0.0")) == 1


def test_the_latest_owner_of_an_address_keeps_it(nft: NftSocket) -> None:
    """An address left behind is taken over, and the late DEL of its former owner spares it."""
    nft.add_masquerade(["10.1.0.5/16"], C1)
    nft.add_masquerade(["10.1.0.5/16"], C2)
    assert elements(nft) == {"10.1.0.5/16": "c2 eth0 net"}
    for addresses in (["10.1.0.5/16"], ["10.1.0.5"], None):
        nft.delete_masquerade(addresses, C1)
    assert elements(nft) == {"10.1.0.5/16": "c2 eth0 net"}


@pytest.mark.parametrize("addresses", [["10.1.0.5", "fd00:1::5"], None])
def test_prefix_lengths_and_addresses_may_be_unknown(
    nft: NftSocket, addresses: list[str] | None
) -> None:
    """DEL finds the elements by address alone, or by nothing but the owner."""
    for owner, number in ((C1, 5), (C2, 6)):
        nft.add_masquerade([pod_prefix(number, family) for family in (4, 6)], owner)
    nft.delete_masquerade(addresses, C1)
    assert sorted(elements(nft)) == ["10.1.0.6/16", "fd00:1::6/64"]


def test_more_addresses_than_one_batch_takes(nft: NftSocket) -> None:
    """Twenty addresses of one interface are added, found by their owner and deleted."""
    addresses = [f"10.{number}.0.5/16" for number in range(20)]
    nft.add_masquerade(addresses, C1)
    assert sorted(elements(nft)) == sorted(addresses)
    nft.check_masquerade(addresses, C1)
    nft.delete_masquerade(None, C1)
    assert elements(nft) == {}


def test_deleting_what_is_not_there_is_success(node: Node, nft: NftSocket) -> None:
    """DEL on a node without any table, set or element succeeds and makes nothing."""
    nft.delete_masquerade(["10.1.0.5/16", "fd00:1::5"], C1)
    nft.delete_masquerade(None, C1)
    nft.delete_masquerade([], C1)
    assert [entry for entry in ruleset(node) if "metainfo" not in entry] == []
    nft.add_masquerade(["10.1.0.6/16"], C2)
    nft.delete_masquerade(["10.1.0.5/16"], C1)
    assert elements(nft) == {"10.1.0.6/16": "c2 eth0 net"}


def test_long_names_are_shortened_alike(nft: NftSocket) -> None:
    """Names beyond what a comment holds keep apart, and DEL finds what ADD made."""
    owners = [Owner("c" * 200 + tail, "eth0", "n" * 200) for tail in "ab"]
    for owner, address in zip(owners, ("10.1.0.5/16", "10.1.0.6/16"), strict=True):
        assert len(owner.text) < 236
        nft.add_masquerade([address], owner)
    assert set(elements(nft, "n" * 200).values()) == {owner.text for owner in owners}
    assert Owner.of_text(owners[0].text).text == owners[0].text
    nft.delete_masquerade(None, owners[0])
    assert list(elements(nft, "n" * 200)) == ["10.1.0.6/16"]


def test_check_notices_what_is_missing(node: Node, nft: NftSocket) -> None:
    """CHECK fails without the element, with another owner's, and when the rules are flushed."""
    nft.add_masquerade(["10.1.0.5/16"], C1)
    nft.check_masquerade(["10.1.0.5/16"], C1)
    for addresses, owner in ((["10.1.0.6/16"], C1), (["10.1.0.5/16"], C2)):
        with pytest.raises(FileNotFoundError, match="is not masqueraded"):
            nft.check_masquerade(addresses, owner)
    node.run("nft flush chain inet cnifast masq-10.1.0.0-16")
    with pytest.raises(FileNotFoundError, match=r"rules of masq-10\.1\.0\.0-16 are gone"):
        nft.check_masquerade(["10.1.0.5/16"], C1)


def test_rules_come_back_after_a_flush_of_the_ruleset(node: Node, nft: NftSocket) -> None:
    """An ADD after somebody removed everything makes the rules anew."""
    nft.add_masquerade(["10.1.0.5/16"], C1)
    node.run("nft flush ruleset")
    nft.add_masquerade(["10.1.0.6/16"], C2)
    nft.check_masquerade(["10.1.0.6/16"], C2)


def test_tables_of_others_stay_as_they_are(node: Node, nft: NftSocket) -> None:
    """Nothing outside the table inet cnifast changes."""
    node.run("nft add table ip nat")
    node.run("nft 'add chain ip nat POSTROUTING { type nat hook postrouting priority 100; }'")
    node.run("nft add rule ip nat POSTROUTING ip saddr 10.1.0.5 counter accept")
    before = node.run("nft list table ip nat")
    nft.add_masquerade(["10.1.0.5/16"], C1)
    nft.delete_masquerade(["10.1.0.5/16"], C1)
    assert node.run("nft list table ip nat") == before


def at_once(number: int, work: Callable[[int], None]) -> None:
    """Run work(0), work(1), ... in processes that start it at the same time."""
    ready, go = os.pipe(), os.pipe()
    children = []
    for index in range(number):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.close(go[1])
                os.write(ready[1], b".")
                os.read(go[0], 1)  # the end of the pipe is the signal
                work(index)
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    for _ in children:
        os.read(ready[0], 1)
    for fd in (go[1], go[0], *ready):
        os.close(fd)
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * number


def test_processes_that_make_the_rules_at_once(node: Node, nft: NftSocket) -> None:
    """Eight processes add the first pods of two networks on an empty node: every rule once."""

    def work(index: int) -> None:
        with NftSocket() as own:
            owner = Owner(f"c{index}", "eth0", f"net{index % 2}")
            own.add_masquerade([f"10.1.0.{index + 2}/16", f"fd00:1::{index + 2}/64"], owner)

    for _ in range(10):
        at_once(8, work)
        assert len(rules_of(node, "postrouting")) == 4
        assert len(rules_of(node, "masq-10.1.0.0-16")) == 3
        assert len(rules_of(node, "masq-fd00.1..-64")) == 3
        assert len(elements(nft, "net0")) == len(elements(nft, "net1")) == 8
        node.run("nft flush ruleset")


def test_threads_that_come_and_go(nft: NftSocket) -> None:
    """Four threads add and delete their pods in different subnets; what remains is right."""
    failures: list[BaseException] = []

    def work(index: int) -> None:
        try:
            with NftSocket(nft.netns) as own:
                for turn in range(50):
                    owner = Owner(f"c{index}-{turn}", "eth0", "net")
                    address = f"10.{turn % 3}.{index}.{turn + 1}/16"
                    own.add_masquerade([address], owner)
                    if turn % 10:
                        own.delete_masquerade([address] if turn % 2 else None, owner)
        except BaseException as error:  # noqa: BLE001 - the main thread reports it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(elements(nft)) == 4 * 5


def _fastest(nft: NftSocket) -> tuple[float, float]:
    """Return the shortest times of an addition and a deletion, in seconds."""
    added, deleted = [], []
    owner = Owner("measured", "eth0", "net")
    for _ in range(200):
        start = time.perf_counter()
        nft.add_masquerade(["10.1.255.1/16"], owner)
        middle = time.perf_counter()
        nft.delete_masquerade(["10.1.255.1/16"], owner)
        added.append(middle - start)
        deleted.append(time.perf_counter() - middle)
    return min(added), min(deleted)


def test_the_cost_does_not_grow_with_the_pods(nft: NftSocket) -> None:
    """With 10,000 elements an addition or deletion takes no more than twice what it takes alone."""
    nft.add_masquerade(["10.1.0.1/16"], C1)
    alone = _fastest(nft)
    for number in range(10_000):
        address = f"10.1.{number >> 8}.{number & 255}/16"
        nft.add_masquerade([address], Owner(f"c{number}", "eth0", "net"))
    assert len(elements(nft)) == 10_000
    crowded = _fastest(nft)
    assert crowded[0] < 2 * alone[0]
    assert crowded[1] < 2 * alone[1]
