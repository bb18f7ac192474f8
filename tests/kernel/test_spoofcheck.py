"""MAC anti-spoofing: which frames of a bridge port get through, and whose elements are whose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cnifast.kernel.nft import NftSocket, Owner
from helpers.node import need_tools
from helpers.packets import frames_through, ping
from helpers.routed import INSIDE, Routed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

MAC = "02:00:00:00:00:05"
FORGED = "02:00:00:00:00:66"
C1 = Owner("c1", "eth0", "net")
C2 = Owner("c2", "eth0", "net")


@pytest.fixture
def nft(node: Node) -> Iterator[NftSocket]:
    """A socket on a fresh node."""
    need_tools("nft")
    with NftSocket(node.fd) as opened:
        yield opened


def guarded(nft: NftSocket) -> dict[str, tuple[str, str]]:
    """Return (MAC, owner) by port."""
    return {entry.port: (entry.mac, entry.owner) for entry in nft.guarded_ports()}


def allowed(node: Node) -> list[list[str]]:
    """Return (port, MAC) of what is allowed, as nft lists it."""
    listed = json.loads(node.run("nft -j list set bridge cnifast allowed"))["nftables"][-1]["set"]
    return sorted(element["concat"] for element in listed.get("elem", []))


def test_a_forged_source_is_dropped(node: Node, nft: NftSocket) -> None:
    """Of a guarded port only frames with its own MAC get through; other ports are as before."""
    routed = Routed(node)
    first, second = routed.pods
    node.ip(f"-n {first.name} link set eth0 address {MAC}")
    sources = [FORGED, MAC]
    assert frames_through(first, "eth0", node.fd, "br0", sources) == sources
    nft.guard_port("port5", MAC, C1)
    assert frames_through(first, "eth0", node.fd, "br0", sources) == [MAC]
    assert frames_through(second, "eth0", node.fd, "br0", [FORGED]) == [FORGED]
    assert ping(first.fd, INSIDE[4], timeout=3)
    nft.unguard_port("port5", C1)
    assert frames_through(first, "eth0", node.fd, "br0", sources) == sources


def test_nft_lists_whose_ports_they_are(node: Node, nft: NftSocket) -> None:
    """`nft list` shows port, MAC and owner, and there are two rules however many the ports."""
    nft.guard_port("port5", MAC, C1)
    nft.guard_port("port6", FORGED, C2)
    nft.guard_port("port6", FORGED, C2)
    listed = node.run("nft list table bridge cnifast")
    assert f'"port5" comment "{MAC} c1 eth0 net"' in listed
    assert f'"port6" . {FORGED}' in listed
    assert listed.count("iifname @guarded drop") == listed.count("@allowed accept") == 1
    assert guarded(nft) == {
        "port5": (MAC, "c1 eth0 net"),
        "port6": (FORGED, "c2 eth0 net"),
    }


def test_a_new_mac_replaces_the_old_one(node: Node, nft: NftSocket) -> None:
    """Guarding a port again, for another MAC or owner, leaves nothing of the first time."""
    nft.guard_port("port5", FORGED, C1)
    nft.guard_port("port5", MAC, C1)
    assert allowed(node) == [["port5", MAC]]
    nft.guard_port("port5", MAC, C2)
    assert guarded(nft) == {"port5": (MAC, "c2 eth0 net")}
    nft.unguard_port("port5", C1)
    assert allowed(node) == [["port5", MAC]]
    nft.unguard_port("port5", C2)
    assert allowed(node) == []
    assert guarded(nft) == {}


def test_deleting_what_is_not_there_is_success(node: Node, nft: NftSocket) -> None:
    """DEL on a node without the table, or of a port that is not guarded, succeeds."""
    nft.unguard_port("port5", C1)
    assert "cnifast" not in node.ruleset()
    nft.guard_port("port6", MAC, C2)
    nft.unguard_port("port5", C1)
    assert list(guarded(nft)) == ["port6"]


def test_half_an_entry_is_completed_and_deleted(node: Node, nft: NftSocket) -> None:
    """What somebody removed by hand is made again by ADD, and does not stop DEL."""
    nft.guard_port("port5", MAC, C1)
    node.run(["nft", f'delete element bridge cnifast allowed {{ "port5" . {MAC} }}'])
    with pytest.raises(FileNotFoundError, match="port5 is not guarded"):
        nft.check_port("port5", MAC, C1)
    nft.guard_port("port5", MAC, C1)
    nft.check_port("port5", MAC, C1)
    node.run(["nft", f'delete element bridge cnifast allowed {{ "port5" . {MAC} }}'])
    nft.unguard_port("port5", C1)
    assert guarded(nft) == {}


def test_check_notices_flushed_rules(node: Node, nft: NftSocket) -> None:
    """CHECK fails when the elements are there but the rules are not."""
    nft.guard_port("port5", MAC, C1)
    nft.check_port("port5", MAC, C1)
    with pytest.raises(FileNotFoundError, match="not guarded"):
        nft.check_port("port5", FORGED, C1)
    node.run("nft flush chain bridge cnifast prerouting")
    with pytest.raises(FileNotFoundError, match="are gone"):
        nft.check_port("port5", MAC, C1)
