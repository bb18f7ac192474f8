"""What is special about ptp: the host routes to the container, and the container by its gateway."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.packets import ping
from helpers.plugin import Attachment

if TYPE_CHECKING:
    from helpers.node import Node
    from helpers.plugin import Runner

PODS = 20
DUAL = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00:1::/64"}]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}


def conf(ipam: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Build a configuration."""
    return {"cniVersion": "1.1.0", "name": "net", "type": "ptp", "ipam": ipam, **options}


def static(*addresses: dict[str, str]) -> dict[str, Any]:
    """Build a configuration with fixed addresses."""
    return conf({"type": "static", "addresses": list(addresses)})


@pytest.mark.parametrize("masquerade", [False, True], ids=["plain", "ipmasq"])
def test_first_packets(node: Node, runner: Runner, masquerade: bool) -> None:
    """In both families the gateway answers a new pod's first ping, and the pod that of another."""
    network = conf(DUAL, ipMasq=masquerade)
    older = node.new_container("older")
    assert Attachment(runner, network, older).add().ok
    unanswered = []
    for number in range(PODS):
        pod = node.new_container(f"pod{number}")
        attachment = Attachment(runner, network, pod)
        outcome = attachment.add()
        assert outcome.ok, outcome
        unanswered += [to for to in ("10.1.0.1", "fd00:1::1") if not ping(pod.fd, to)]
        for ip in outcome.json["ips"]:
            address = ip["address"].partition("/")[0]
            if not ping(older.fd, address):
                unanswered.append(address)
        assert attachment.delete().ok
        node.remove_container(pod)
    assert unanswered == []


def test_addresses_that_share_a_gateway(node: Node, runner: Runner) -> None:
    """Two addresses behind one gateway are both reached, and go away with DEL."""
    pod = node.new_container()
    gateway = {"gateway": "10.4.0.1"}
    network = static({"address": "10.4.0.5/24", **gateway}, {"address": "10.4.0.6/24", **gateway})
    attachment = Attachment(runner, network, pod)
    assert attachment.add().ok
    assert attachment.check().ok
    for address in ("10.4.0.5", "10.4.0.6"):
        assert ping(node.fd, address)
    assert attachment.delete().ok
    assert node.strays() == []


def test_address_that_is_its_own_network(node: Node, runner: Runner) -> None:
    """An address with all bits in its prefix needs no route to its network."""
    pod = node.new_container()
    network = static({"address": "10.4.0.5/32", "gateway": "169.254.1.1"})
    network["ipam"]["routes"] = [{"dst": "0.0.0.0/0"}]
    attachment = Attachment(runner, network, pod)
    outcome = attachment.add()
    assert outcome.ok, outcome
    assert attachment.check().ok
    assert ping(pod.fd, "169.254.1.1")
    assert node.ip(f"-n {pod.name} route").split("\n")[:2] == [
        "default via 169.254.1.1 dev eth0 ",
        "169.254.1.1 dev eth0 scope link src 10.4.0.5 ",
    ]


NEIGHBOURS = [{"dst": "10.9.0.0/16", "gw": "10.1.0.9"}, {"dst": "fd09::/64", "gw": "fd00:1::9"}]


def test_route_by_a_neighbour(node: Node, runner: Runner) -> None:
    """A route may lead by any address in the container's networks, which is found on the link."""
    pod = node.new_container()
    attachment = Attachment(runner, conf({**DUAL, "routes": NEIGHBOURS}), pod)
    outcome = attachment.add()
    assert outcome.ok, outcome
    for family, route in zip(("-4", "-6"), NEIGHBOURS, strict=True):
        shown = node.ip(f"-n {pod.name} {family} route show {route['dst']}")
        assert shown.startswith(f"{route['dst']} via {route['gw']} dev eth0 ")
        assert "onlink" in shown
    assert attachment.check().ok
    node.ip(f"-n {pod.name} route del fd09::/64")
    assert attachment.check().code == 999
    assert attachment.delete().ok


def test_routes_that_need_no_neighbour(node: Node, runner: Runner) -> None:
    """The gateway and the container's own address are found by routes that there are."""
    pod = node.new_container()
    routes = [{"dst": "10.8.0.0/16", "gw": "10.1.0.1"}, {"dst": "10.9.0.0/16", "gw": "10.1.0.2"}]
    outcome = Attachment(runner, conf({**DUAL, "routes": routes}), pod).add()
    assert outcome.ok, outcome
    for route in routes:
        shown = node.ip(f"-n {pod.name} route show {route['dst']}")
        assert shown.strip() == f"{route['dst']} via {route['gw']} dev eth0"


@pytest.mark.parametrize("gateway", ["10.2.0.9", "10.1.255.255"])
def test_route_by_nobody(node: Node, runner: Runner, gateway: str) -> None:
    """An address outside the networks, or one that is no host's, is no gateway."""
    ipam = {**DUAL, "routes": [{"dst": "10.9.0.0/16", "gw": gateway}]}
    attachment = Attachment(runner, conf(ipam), node.new_container())
    assert attachment.add().code == 999
    assert node.strays() == []


BOTH = (
    {"address": "10.4.0.5/24", "gateway": "10.4.0.1"},
    {"address": "fd04::5/64", "gateway": "fd04::1"},
)
ALONE = ("10.4.0.5", "fd04::5")


def ways(node: Node) -> list[str]:
    """Return the links by which the host reaches the addresses."""
    return [node.ip(f"route get {to}").partition(" dev ")[2].split()[0] for to in ALONE]


def test_route_that_somebody_left(node: Node, runner: Runner) -> None:
    """The host's route to an address leads to its present owner, whoever had it before."""
    node.ip("link add old type veth peer name older")
    node.ip("link set old up")
    node.ip("link set older up")
    node.ip("addr add 10.9.9.9/32 dev old")
    node.ip("route add 10.4.0.5/32 dev old scope host")
    node.ip("route add fd04::5/128 dev old")
    assert ways(node) == ["old", "old"]
    attachment = Attachment(runner, static(*BOTH), node.new_container())
    outcome = attachment.add()
    assert outcome.ok, outcome
    assert ways(node) == [outcome.json["interfaces"][0]["name"]] * 2
    assert [ping(node.fd, address) for address in ALONE] == [True, True]
    assert attachment.delete().ok
    assert ways(node) == ["old", "old"]


def test_address_of_two_containers(node: Node, runner: Runner) -> None:
    """The newest container of an address is reached; without it, the one before it."""
    attachments = []
    ends = []
    for name in ("first", "second", "third"):
        attachments.append(Attachment(runner, static(*BOTH), node.new_container(name)))
        outcome = attachments[-1].add()
        assert outcome.ok, outcome
        ends.append(outcome.json["interfaces"][0]["name"])
        assert ways(node) == [ends[-1]] * 2
    assert attachments[1].delete().ok
    assert ways(node) == [ends[2]] * 2
    assert attachments[2].delete().ok
    assert ways(node) == [ends[0]] * 2
    assert [ping(node.fd, address) for address in ALONE] == [True, True]
    assert attachments[0].delete().ok
    assert node.strays() == []


def test_failed_add_to_an_address_in_use(node: Node, runner: Runner) -> None:
    """An ADD that fails leaves the host's routes to another container with the addresses."""
    older = Attachment(runner, static(*BOTH), node.new_container("older"))
    assert older.add().ok
    before = node.ip("route"), node.ip("-6 route show fd04::5")
    unreachable = static(*BOTH)
    unreachable["ipam"]["routes"] = [{"dst": "0.0.0.0/0", "gw": "172.31.1.1"}]
    assert not Attachment(runner, unreachable, node.new_container("newer")).add().ok
    assert (node.ip("route"), node.ip("-6 route show fd04::5")) == before
    assert [ping(node.fd, address) for address in ALONE] == [True, True]


def test_address_with_two_prefix_lengths(node: Node, runner: Runner) -> None:
    """An address that is listed once more, with another network, needs one route on the host."""
    gateway = {"gateway": "10.4.0.1"}
    network = static({"address": "10.4.0.5/24", **gateway}, {"address": "10.4.0.5/16", **gateway})
    attachment = Attachment(runner, network, node.new_container())
    outcome = attachment.add()
    assert outcome.ok, outcome
    assert ping(node.fd, "10.4.0.5")
    assert attachment.delete().ok
    assert node.strays() == []


def test_gc(node: Node, runner: Runner) -> None:
    """GC takes the host's ends of attachments that are not valid, and of no other network."""
    network = conf(DUAL, ipMasq=True)
    other = {**network, "name": "other", "ipam": {"type": "host-local", "subnet": "10.2.0.0/16"}}
    pods = [Attachment(runner, network, node.new_container(name)) for name in ("kept", "lost")]
    pods.append(Attachment(runner, other, node.containers["lost"], ifname="eth1"))
    ends = [pod.add().json["interfaces"][0]["name"] for pod in pods]
    valid = [{"containerID": "kept", "ifname": "eth0"}]
    outcome = pods[0].call("GC", **{"cni.dev/valid-attachments": valid})
    assert outcome.ok, outcome
    assert set(ends) & node.link_names() == {ends[0], ends[2]}
    held = {path.name for path in Path("/var/lib/cni/networks/net").glob("*.*")}
    assert held & {"10.1.0.2", "10.1.0.3"} == {"10.1.0.2"}
    assert "10.1.0.3" not in node.ruleset()
    assert pods[0].check().ok


def test_mtu_is_that_of_both_ends(node: Node, runner: Runner) -> None:
    """The MTU asked for is that of the container's and of the host's end."""
    pod = node.new_container()
    outcome = Attachment(runner, conf(DUAL, mtu=1380), pod).add()
    assert outcome.ok, outcome
    mtus = {link["mtu"] for link in [*node.links(), *node.links(pod)] if "link_netnsid" in link}
    assert mtus == {1380}


def test_status(node: Node, runner: Runner) -> None:
    """STATUS says that no ADD can succeed when the addresses are used up, or nobody assigns any."""
    ipam = {"type": "host-local", "subnet": "10.1.0.0/29", "rangeStart": "10.1.0.6"}
    attachment = Attachment(runner, conf(ipam), node.new_container())
    assert attachment.call("STATUS").ok
    assert attachment.add().ok
    assert attachment.call("STATUS").code == 50
    assert attachment.call("STATUS", ipam={}).code == 999
