"""The demonstration kubelet: hundreds of pods that come, have addresses and go."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from helpers.node import Node

MODULE = (sys.executable, "-m", "cnifast.kubernetes.demo")
PODS = 200


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the demo."""
    return subprocess.run(
        [*MODULE, *arguments], capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("workers", [1, 16, 64])
def test_pods_come_and_go(clean_node: Node, workers: int) -> None:
    """200 pods, 20 at a time: each has addresses of both families, and nothing is left of them."""
    done = demo("--here", "--workers", str(workers))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    pods = [re.fullmatch(r"default/pod-(\d+) +(10\.244\.\S+) (fd00:\S+)", line) for line in lines]
    found = [pod for pod in pods if pod]
    assert [int(pod[1]) for pod in found] == list(range(PODS))
    for first in range(0, PODS, 20):
        assert len({pod[2] for pod in found[first : first + 20]}) == 20
    assert lines[PODS] == f"200 pods, 20 at a time, {workers} workers"
    rates = [
        re.fullmatch(r"pods per second, [a-z ]+: (\d+)", line) for line in lines[PODS + 1 : -2]
    ]
    assert len(rates) == 3
    assert all(rate and int(rate[1]) > 0 for rate in rates)
    assert lines[-2] == "what is left of the pods: nothing"
    # All that an observer finds, and the records of the addresses.
    listed = json.loads(clean_node.run("nft -j list chains"))["nftables"]
    chains = [entry["chain"] for entry in listed if "chain" in entry]
    assert [(c["family"], c["table"], c["name"]) for c in chains] == [
        ("inet", "cnifast", "cluster")
    ]
    stays = lines[-1].removeprefix("what stays for the next ones: ").split(", ")
    assert stays[:2] == ["bridge cbr0", "table inet cnifast with cluster"]
    assert {"net.ipv4.ip_forward=1", "records of network kubenet"} <= set(stays)
    assert done.stderr == ""
    for folder in ("networks/kubenet", "results"):
        assert not [p for p in Path("/var/lib/cni", folder).iterdir() if "244" in p.name]
    assert clean_node.link_names() >= {"cbr0"}


def test_a_private_node(node: Node) -> None:
    """Unless told to stay here the demo happens elsewhere, and the node stays as it was."""
    before = node.link_names()
    done = demo("--pods", "3", "--at-a-time", "2", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert (figures["pods"], figures["at_a_time"], figures["workers"]) == (3, 2, 16)
    assert (figures["addresses"], figures["faults"], figures["left"]) == (6, [], [])
    assert set(figures["rates"]) == {"set up", "torn down", "both"}
    assert node.link_names() == before
    assert list(Path("/var/lib/cni").iterdir()) == []


def test_pods_that_cannot_be_set_up(clean_node: Node) -> None:
    """A pod without an address is reported, the others come and go, and the status says so."""
    done = demo("--here", "--pods", "4", "--at-a-time", "4", "--pod-cidr", "10.244.1.0/30")
    assert done.returncode == 1
    assert done.stderr.count("cannot set up pod default/pod-") == 3
    assert "no IP addresses available" in done.stderr
    assert done.stdout.count("default/pod-") == 1
    assert "what is left of the pods: nothing" in done.stdout
    assert clean_node.strays() == []


def test_once_more(clean_node: Node) -> None:
    """What was there before is not named."""
    arguments = ("--here", "--pods", "1", "--json")
    first, second = (json.loads(demo(*arguments).stdout) for _ in range(2))
    assert "bridge cbr0" in first["stays"]
    assert (first["left"], second["left"], second["stays"]) == ([], [], [])
    assert clean_node.link_names() >= {"cbr0"}


def test_networks_of_a_directory(clean_node: Node, tmp_path: Path) -> None:
    """With the plugin cni pods are on the network of a directory; without one the demo says so."""
    arguments = ("--here", "--network-plugin", "cni", "--conf-dir", str(tmp_path))
    done = demo(*arguments)
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1]
        == f"cnifast: cni has no network: no networks found in {tmp_path}"
    )
    bridge = {"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.55.0.0/16"}}
    conf = {"cniVersion": "1.0.0", "name": "dir", "plugins": [bridge]}
    (tmp_path / "1.conflist").write_text(json.dumps(conf))
    done = demo(*arguments, "--pods", "5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(" 10.55.0.") == 5
    assert clean_node.strays() == []


@pytest.mark.parametrize(
    "arguments",
    [("--pods", "0"), ("--workers", "x"), ("--network-plugin", "x"), ("--hairpin-mode", "x")],
)
def test_options_that_make_no_sense(arguments: tuple[str, str]) -> None:
    """A wrong option is refused with the usage before anything happens."""
    done = demo(*arguments)
    assert done.returncode == 2
    assert f"error: argument {arguments[0]}: " in done.stderr
