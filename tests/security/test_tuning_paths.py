"""No name of an interface or a sysctl leads tuning out of its directories."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.plugin import environment, must

if TYPE_CHECKING:
    from helpers.node import Container, Node
    from helpers.plugin import Outcome, Runner

KEPT = Path("/run/cni/tuning")
VALUE = "net/core/somaxconn"  # of the container; by each of these names, if it were followed
BEFORE, WANTED = "500", "501"
INTERFACES = ("../../core", "../../../net/core", "x/../../../core", "..", ".", "a/b", "eth0/")


@pytest.fixture
def pod(node: Node) -> Container:
    """A container with an eth0, and something in a directory beside that of tuning."""
    container = node.new_container("pod1")
    node.ip("link add h0 up type veth peer name eth0 netns pod1")
    node.ip("-n pod1 link set eth0 up")
    node.run(f"ip netns exec pod1 sysctl -qw {VALUE}={BEFORE}")
    Path("/run/victim.json").write_text('{"mtu": 1300}')
    KEPT.mkdir(parents=True)
    (KEPT / "pod1_").mkdir()  # what a path through the file's name would go by
    return container


def execute(
    runner: Runner, pod: Container, command: str, ifname: str, container_id: str = "", **keys: Any
) -> Outcome:
    """Call tuning for the container."""
    previous = {"cniVersion": "1.1.0", "interfaces": [{"name": "eth0", "sandbox": pod.path}]}
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "tuning", "prevResult": previous, **keys}
    variables = environment(
        command,
        container_id=container_id or pod.name,
        netns=pod.path,
        ifname=ifname,
        path=runner.plugin_path,
    )
    return runner.call("tuning", variables, json.dumps(conf).encode())


def somaxconn(node: Node, pod: Container) -> str:
    """Return what would have been changed."""
    with node.inside(pod):
        return Path("/proc/sys", VALUE).read_text().strip()


@pytest.mark.parametrize("ifname", INTERFACES)
def test_no_interface_is_a_path(node: Node, runner: Runner, pod: Container, ifname: str) -> None:
    """IFNAME leads to no other sysctl, and to no other file of what is kept: code 4."""
    sysctl = {"net.ipv4.conf.IFNAME.somaxconn": WANTED, "net.IFNAME.core.somaxconn": WANTED}
    for name in sysctl:
        for command in ("ADD", "CHECK", "DEL"):
            only = {name: WANTED}
            outcome = execute(runner, pod, command, ifname, sysctl=only, mtu=1400)
            assert outcome.code == 4, (command, outcome)
    assert somaxconn(node, pod) == BEFORE
    assert [path.name for path in KEPT.rglob("*")] == ["pod1_"]


@pytest.mark.parametrize(
    ("container_id", "ifname"),
    [("pod1", "/../../../victim"), ("../../victim", "x"), ("pod1", "..")],
)
def test_no_file_elsewhere_is_removed(
    node: Node, runner: Runner, pod: Container, container_id: str, ifname: str
) -> None:
    """DEL neither reads nor removes a file that is not in its directory."""
    outcome = execute(runner, pod, "DEL", ifname, container_id)
    assert outcome.code == 4, outcome
    assert Path("/run/victim.json").exists()
    assert [link["mtu"] for link in node.links(pod) if link["ifname"] == "eth0"] == [1500]


@pytest.mark.parametrize(
    "name",
    [
        "kernel.domainname",
        "net/../kernel/domainname",
        "net.IFNAME.domainname",
        "/proc/sys/net.core.somaxconn",
        "net",
        "",
    ],
)
def test_no_sysctl_is_a_path(node: Node, runner: Runner, pod: Container, name: str) -> None:
    """Sysctls are below /proc/sys/net, by the names that they have there."""
    kernel = Path("/proc/sys/kernel/domainname")  # of the node alone
    before = kernel.read_text()
    outcome = execute(runner, pod, "ADD", "eth0", sysctl={name: WANTED})
    assert outcome.code == 999, outcome
    assert (somaxconn(node, pod), kernel.read_text()) == (BEFORE, before)


def test_what_is_meant_is_changed(node: Node, runner: Runner, pod: Container) -> None:
    """The same sysctl and interface by their names: a change would have been noticed."""
    must(execute(runner, pod, "ADD", "eth0", sysctl={"net.core.somaxconn": WANTED}, mtu=1400))
    assert somaxconn(node, pod) == WANTED
    assert {path.name for path in KEPT.iterdir()} == {"pod1_", "pod1_eth0.json"}
    must(execute(runner, pod, "DEL", "eth0"))
    assert {path.name for path in KEPT.iterdir()} == {"pod1_"}
