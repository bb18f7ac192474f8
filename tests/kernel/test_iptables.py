"""The iptables backend, and living with the reference: each removes what the other made."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kernel import foreign, iptables, program
from cnifast.kernel.nft import NftSocket
from cnifast.plugins import masquerade, spoofcheck
from cnifast.protocol.errors import CNIError
from cnifast.protocol.request import Place, Request
from helpers import nsutil
from helpers.flavour import Flavour, choose
from helpers.node import need_tools
from helpers.packets import source_seen
from helpers.plugin import Attachment, BinaryRunner
from helpers.routed import NEIGHBOUR, NODE, Routed, pod_prefix

if TYPE_CHECKING:
    from helpers.node import Node

POD = ["10.1.0.5/16", "fd00:1::5/64"]
CONF = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "ipMasq": True,
    "macspoofchk": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00:1::/64"}]],
    },
}
COMMENT = '--comment "name: \\"net\\" id: \\"c5\\""'
SAID = '-m comment --comment \'name: "net" id: "c9"\''
CHAIN = foreign.iptables_chain("net", "c5")


def request(container_id: str = "c5", ifname: str = "eth0", place: Place | None = None) -> Request:
    """Return a request as plugins get it."""
    env = {"CNI_CONTAINERID": container_id, "CNI_IFNAME": ifname}
    return Request("bridge", "ADD", env, b"", {}, "net", "1.0.0", place)


@pytest.fixture(params=["nft", "legacy"])
def flavour(request: pytest.FixtureRequest, node: Node, monkeypatch: pytest.MonkeyPatch) -> Flavour:
    """Either kind of iptables, found first on PATH under the plain names."""
    return choose(node, request.param, monkeypatch)


@pytest.mark.parametrize("family", [4, 6])
def test_it_masquerades(node: Node, flavour: Flavour, family: int) -> None:
    """With ipMasqBackend iptables packets leave with the node's address, until DEL."""
    routed = Routed(node)
    where = (routed.pods[0].fd, routed.neighbour.fd, NEIGHBOUR[family])
    masquerade.setup(request(), [pod_prefix(5, family)], "iptables")
    masquerade.check(request(), [pod_prefix(5, family)], "iptables")
    assert source_seen(*where) == NODE[family]
    masquerade.teardown(request(), [])
    assert flavour.rules(family) == []
    assert source_seen(*where, port=40001) == pod_prefix(5, family).partition("/")[0]


def test_the_rules_are_the_reference_s(flavour: Flavour) -> None:
    """Chain, rules and comments are those that the reference makes."""
    masquerade.setup(request(), POD, "iptables")
    assert flavour.rules(4) == [
        f":{CHAIN} - [0:0]",
        f"-A POSTROUTING -s 10.1.0.5/32 -m comment {COMMENT} -j {CHAIN}",
        f"-A {CHAIN} -d 10.1.0.0/16 -m comment {COMMENT} -j ACCEPT",
        f"-A {CHAIN} ! -d 224.0.0.0/4 -m comment {COMMENT} -j MASQUERADE",
    ]
    assert flavour.rules(6) == [
        f":{CHAIN} - [0:0]",
        f"-A POSTROUTING -s fd00:1::5/128 -m comment {COMMENT} -j {CHAIN}",
        f"-A {CHAIN} -d fd00:1::/64 -m comment {COMMENT} -j ACCEPT",
        f"-A {CHAIN} ! -d ff00::/8 -m comment {COMMENT} -j MASQUERADE",
    ]


def test_added_again_it_changes_nothing(flavour: Flavour) -> None:
    """A second ADD, and one for another interface on the same subnet, repeat no rule."""
    masquerade.setup(request(), POD, "iptables")
    once = flavour.rules()
    masquerade.setup(request(), POD, "iptables")
    assert flavour.rules() == once
    masquerade.setup(request(ifname="eth1"), ["10.1.0.6/16"], "iptables")
    assert len(flavour.rules()) == len(once) + 1


def reference_pod(node: Node, reference: str, search: str) -> Attachment:
    """Return an attachment of container c5 by the reference's bridge."""
    runner = BinaryRunner("reference", reference, {"PATH": search})
    return Attachment(runner, {**CONF, "dns": {}}, node.new_container("c5"))


@pytest.mark.usefixtures("flavour")
def test_we_remove_what_the_reference_made(node: Node, reference: str) -> None:
    """DEL of a pod that the reference attached leaves none of its rules or chains."""
    pod = reference_pod(node, reference, os.environ["PATH"])
    before = everything(node)
    assert pod.add().ok
    assert everything(node) != before
    # as after a change-over: the node is empty but for what the reference made
    spoofcheck.teardown(request(), "not-its-port")
    masquerade.teardown(request(), None)
    assert everything(node) == before


@pytest.mark.usefixtures("flavour")
def test_check_accepts_what_the_reference_made(node: Node, reference: str) -> None:
    """CHECK of a pod that the reference attached passes, whatever the backend, until it is gone."""
    pod = reference_pod(node, reference, os.environ["PATH"])
    assert pod.add().ok
    addresses = [entry["address"] for entry in pod.result["ips"]]
    for backend in (None, "iptables"):
        masquerade.check(request(), addresses, backend)
    assert pod.delete().ok
    for backend in (None, "iptables"):
        with pytest.raises(FileNotFoundError, match="is not masqueraded"):
            masquerade.check(request(), addresses, backend)


@pytest.mark.usefixtures("flavour")
def test_the_reference_removes_what_we_made(node: Node, reference: str) -> None:
    """The reference's DEL of a pod leaves none of our iptables rules."""
    pod = reference_pod(node, reference, os.environ["PATH"])
    before = everything(node)
    assert pod.add().ok
    masquerade.teardown(request(), None)
    addresses = [entry["address"] for entry in pod.result["ips"]]
    masquerade.setup(request(), addresses, "iptables")
    assert pod.delete().ok
    assert everything(node) == before


def everything(node: Node) -> list[str]:
    """Return every rule, element and chain that is not a base chain, of all kinds."""
    found = node.ruleset().splitlines()
    for command in ("iptables-legacy-save", "ip6tables-legacy-save"):
        found += node.run(f"{command} -t nat").splitlines()
    words = ("cni", "CNI")
    return [line for line in found if any(word in line for word in words)]


def test_the_reference_s_nftables_rules_are_removed(node: Node) -> None:
    """Rules in the reference's own table go with their attachment, and with GC; others stay."""
    need_tools("nft")
    node.run("nft add table inet cni_plugins_masquerade")
    node.run("nft add chain inet cni_plugins_masquerade masq_checks")
    for container_id in ("c5", "c6", "c7"):
        comment = foreign.masquerade_prefix("net", container_id, "eth0") + ", net: net, if: eth0"
        for _ in range(40):
            rule = f'ip saddr 10.1.0.5 ip daddr != 10.1.0.0/16 masquerade comment "{comment}"'
            node.run(["nft", f"add rule inet cni_plugins_masquerade masq_checks {rule}"])
    node.run("nft add rule inet cni_plugins_masquerade masq_checks counter")
    assert masquerade_rules(node) == {"c5": 40, "c6": 40, "c7": 40, "": 1}
    masquerade.check(request(), POD)
    masquerade.teardown(request(), [])
    assert masquerade_rules(node) == {"c5": 0, "c6": 40, "c7": 40, "": 1}
    masquerade.gc(request(), [("c6", "eth0"), ("c5", "eth0")])
    assert masquerade_rules(node) == {"c5": 0, "c6": 40, "c7": 0, "": 1}


def masquerade_rules(node: Node) -> dict[str, int]:
    """Count the rules in the reference's table by container, "" for those of nobody."""
    listed = node.run("nft list table inet cni_plugins_masquerade")
    counts = {
        container_id: listed.count(foreign.masquerade_prefix("net", container_id, "eth0"))
        for container_id in ("c5", "c6", "c7")
    }
    return {**counts, "": listed.count("counter")}


def test_nothing_is_executed_or_made_without_need(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEL of a pod without iptables rules starts no program and makes no table."""

    def refuse(*_arguments: object) -> Any:
        raise AssertionError("a program was to be executed")

    monkeypatch.setattr(program, "run", refuse)
    masquerade.setup(request(), POD)
    masquerade.teardown(request(), POD)
    masquerade.teardown(request(), None)
    spoofcheck.teardown(request(), "port5")
    assert node.run("nft list tables").split() == ["table", "inet", "cnifast"]
    assert Path("/proc/thread-self/net/ip_tables_names").read_text() == ""


def test_other_chains_of_legacy_iptables_are_read_past(node: Node) -> None:
    """Among many chains and rules of others the right jumps are found, with their sources."""
    need_tools("iptables-legacy")
    lines = ["*nat"]
    for number in range(300):
        chain = foreign.iptables_chain("net", f"c{number}")
        lines += [
            f":{chain} - [0:0]",
            f"-A {chain} -p tcp --dport 80 -j ACCEPT",
            f"-A POSTROUTING -s 10.1.{number // 256}.{number % 256}/32 -j {chain}",
        ]
    lines += [f"-A POSTROUTING -s 10.2.0.0/20 -m comment --comment two -j {CHAIN}", "COMMIT", ""]
    Path("/run/rules").write_text("\n".join(lines))
    node.run("iptables-legacy-restore /run/rules")
    families, jumps = iptables.find_legacy(-1, CHAIN)
    assert families == [4]
    assert [(jump.family, jump.source, jump.comment) for jump in jumps] == [
        (4, "10.1.0.5/32", ""),
        (4, "10.2.0.0/20", "two"),
    ]
    assert iptables.find_legacy(-1, "CNI-none") == ([], [])
    masquerade.teardown(request(), [])
    assert iptables.find_legacy(-1, CHAIN) == ([], [])


def test_it_works_in_the_namespace_it_is_told(node: Node, flavour: Flavour) -> None:
    """With a host namespace of the caller's, rules and programs take effect there, not here."""
    other = node.new_container("other-host")
    place = Place(host_netns=other.fd)
    masquerade.setup(request(place=place), POD, "iptables")
    masquerade.setup(request(place=place), POD)
    spoofcheck.setup(request(place=place), "port5", "02:00:00:00:00:05")
    assert everything(node) == []
    with nsutil.inside(other.fd):
        assert len(flavour.rules()) == 4
        assert "10.1.0.5" in node.run("nft list table inet cnifast")
    masquerade.check(request(place=place), POD, "iptables")
    masquerade.teardown(request(place=place), None)
    spoofcheck.teardown(request(place=place), "port5")
    with nsutil.inside(other.fd):
        assert flavour.rules() == []
        assert "10.1.0.5" not in node.run("nft list table inet cnifast")


@pytest.mark.usefixtures("node")
def test_a_program_that_fails_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the program, its exit code and what it said; nothing is half done."""
    directory = Path("/run/bin")
    directory.mkdir()
    program = directory / "iptables-restore"
    program.write_text("#!/bin/sh\ncat >/run/input\necho nothing works >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    with pytest.raises(OSError, match="iptables-restore failed with exit code 3: nothing works"):
        masquerade.setup(request(), POD, "iptables")
    assert Path("/run/input").read_text().startswith("*nat\n")


@pytest.mark.usefixtures("node")
def test_a_program_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A program that does not end in time is killed, and the error says so."""
    path = tmp_path / "iptables-restore"
    path.write_text("#!/bin/sh\nexec sleep 1000\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(program, "TIMEOUT_MS", 200)
    start = time.monotonic()
    with pytest.raises(TimeoutError, match="did not end within 200 ms"):
        masquerade.setup(request(), POD, "iptables")
    assert time.monotonic() - start < 5


@pytest.mark.usefixtures("node")
def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without iptables the error says what is not installed."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(program, "DIRECTORIES", "/nowhere/either")
    with pytest.raises(FileNotFoundError, match="iptables-restore is not installed"):
        masquerade.setup(request(), POD, "iptables")


def test_unknown_backends_are_refused() -> None:
    """Anything but nftables, iptables or nothing is code 999 with the reference's words."""
    for backend in ("", "ipvs", "NFTABLES"):
        with pytest.raises(CNIError) as caught:
            masquerade.setup(request(), POD, backend)
        assert caught.value.code == 999
        assert str(caught.value.msg) == f'unknown ipmasq backend "{backend}"'


def test_gc_of_iptables_chains(node: Node, flavour: Flavour) -> None:
    """GC removes the chains of containers without a valid attachment, and nobody else's."""
    for number in range(40):
        masquerade.setup(request(f"c{number}"), [f"10.1.0.{number + 2}/16"], "iptables")
    masquerade.setup(request("c1"), ["fd00:1::3/64"], "iptables")
    stranger = request("c3")
    stranger.name = "net2"
    masquerade.setup(stranger, ["10.1.0.9/16"], "iptables")
    for command in ("iptables -t nat -N MINE", f"iptables -t nat -A POSTROUTING -j MINE {SAID}"):
        node.run(command)
    masquerade.gc(request(), [("c2", "eth0"), ("c33", "eth7")])
    left = {rule.rpartition(" ")[2] for rule in flavour.rules() if "POSTROUTING" in rule}
    assert left == {
        foreign.iptables_chain("net", "c2"),
        foreign.iptables_chain("net", "c33"),
        foreign.iptables_chain("net2", "c3"),
        "MINE",
    }
    assert flavour.rules(6) == []


@pytest.mark.usefixtures("node")
def test_gc_spares_what_is_valid() -> None:
    """GC deletes elements and ports of the network's other attachments, and no other network's."""
    need_tools("nft")
    for number, container_id in enumerate(("c5", "c6", "c7")):
        masquerade.setup(request(container_id), [f"10.1.0.{number + 2}/16"])
        spoofcheck.setup(request(container_id), f"port{number}", f"02:00:00:00:00:0{number}")
    stranger = request("c5")
    stranger.name = "other"
    masquerade.setup(stranger, ["10.1.0.2/16"])
    spoofcheck.setup(stranger, "port9", "02:00:00:00:00:09")
    valid = [("c6", "eth0"), ("c7", "eth9")]
    masquerade.gc(request(), valid)
    spoofcheck.gc(request(), valid)
    with NftSocket() as nft:
        assert [entry.owner for entry in nft.masquerades("net")] == ["c6 eth0 net"]
        assert [entry.owner for entry in nft.masquerades("other")] == ["c5 eth0 other"]
        assert {entry.owner for entry in nft.guarded_ports()} == {"c6 eth0 net", "c5 eth0 other"}
