"""VLANs of the bridge plugin, on a kernel whose bridges have them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kernel import Handle
from cnifast.plugins import bridges
from helpers import ways
from helpers.packets import ping
from helpers.plugin import Attachment, BinaryRunner, must
from helpers.sessions import begin, fail
from helpers.vlans import BRIDGE, by_role, shown

if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.plugins.base import Session
    from helpers.node import Container, Node
    from helpers.plugin import Runner

pytestmark = pytest.mark.second_kernel("bridge VLANs")

OWN = "pvid untagged"
PATIENCE = 20.0  # seconds for a packet that must get through
V4 = {"type": "host-local", "subnet": "10.1.0.0/24"}
DUAL = {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]}


def conf(**keys: Any) -> dict[str, Any]:
    """Return a configuration of the bridge plugin."""
    return {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "bridge": BRIDGE, **keys}


def static(address: str) -> dict[str, Any]:
    """Return an "ipam" that gives this address."""
    return {"type": "static", "addresses": [{"address": address}]}


PORTS: dict[str, tuple[dict[str, Any], dict[int, str]]] = {
    "vlan": ({"vlan": 100}, {100: OWN}),
    "default kept": ({"vlan": 100, "preserveDefaultVlan": True}, {1: "untagged", 100: OWN}),
    "trunk": (
        {"vlanTrunk": [{"id": 7}, {"minID": 20, "maxID": 22}]},
        {1: OWN, 7: "tagged", 20: "tagged", 21: "tagged", 22: "tagged"},
    ),
    "overlapping": (
        {
            "vlanTrunk": [
                {"minID": 20, "maxID": 22},
                {"id": 21},
                {"minID": 22, "maxID": 23, "id": 9},
            ]
        },
        {1: OWN, 9: "tagged", 20: "tagged", 21: "tagged", 22: "tagged", 23: "tagged"},
    ),
    "trunk, default kept": (
        {"vlanTrunk": [{"id": 7}], "preserveDefaultVlan": True},
        {1: OWN, 7: "tagged"},
    ),
    "vlan and trunk": (
        {"vlan": 100, "vlanTrunk": [{"id": 4094}, {"id": 2}]},
        {2: "tagged", 100: OWN, 4094: "tagged"},
    ),
    # What comes last counts, as it does for the reference.
    "vlan in the trunk": (
        {"vlan": 100, "vlanTrunk": [{"minID": 99, "maxID": 100}]},
        {
            99: "tagged",
            100: "tagged",
        },
    ),
    "empty trunk": ({"vlanTrunk": []}, {1: OWN}),
    "every VLAN": (
        {"vlanTrunk": [{"minID": 1, "maxID": 4094}]},
        {1: OWN, **dict.fromkeys(range(2, 4095), "tagged")},
    ),
    "none": ({"vlan": 0}, {1: OWN}),
}


@pytest.mark.parametrize(("options", "vlans"), PORTS.values(), ids=PORTS.keys())
def test_port(node: Node, inproc: Runner, options: dict[str, Any], vlans: dict[int, str]) -> None:
    """The container's port has the VLANs asked for, and goes with DEL, also the second one."""
    one = Attachment(inproc, conf(**options), node.new_container())
    port = must(one.add()).json["interfaces"][1]["name"]
    assert shown(node)[port] == vlans
    (bridge,) = (link for link in node.links() if link["ifname"] == BRIDGE)
    filters = bridge["linkinfo"]["info_data"]["vlan_filtering"]
    assert bool(filters) == (options.get("vlan", 1) != 0)
    must(one.check())
    for netns in (None, None, ""):
        must(one.call("DEL", netns=netns))
        assert set(shown(node)) == {BRIDGE}


def test_each_way(node: Node, runner: Runner) -> None:
    """Each way of execution sets VLANs on ports, and makes the host's interface in them."""
    pods = [node.new_container() for _ in range(2)]
    ones = [
        Attachment(runner, conf(vlan=100, vlanTrunk=[{"id": 7}], isGateway=True, ipam=V4), pod)
        for pod in pods
    ]
    for one in ones:
        must(one.add())
        must(one.check())
    assert by_role(node) == [
        *([("a container's", {7: "tagged", 100: OWN})] * 2),
        ("of cni0.100", {100: OWN}),
        ("the bridge", {1: OWN}),
    ]
    assert ping(pods[0].fd, "10.1.0.1", timeout=PATIENCE)
    for one in ones:
        must(one.delete())
        must(one.delete())
    assert [role for role, _ in by_role(node)] == ["of cni0.100", "the bridge"]


def test_two_make_the_interface(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds that another ADD was faster uses its interface, and leaves it when it fails."""
    first, second = begin("one"), begin("two")
    for one in (first, second):
        index, _ = bridges.ensure_bridge(one, BRIDGE, mtu=0, promisc=False, vlan_filtering=True)

    def make(one: Session) -> Link:
        return bridges.ensure_vlan_interface(
            one, index, "cni0.100", 100, 1500, keep_default_vlan=False
        )

    look = Handle.link

    def look_too_early(handle: Handle, which: int | str) -> Link:
        if which != "cni0.100":
            return look(handle, which)
        monkeypatch.setattr(Handle, "link", look)
        make(first)
        raise FileNotFoundError

    monkeypatch.setattr(Handle, "link", look_too_early)
    assert make(second).index == make(first).index
    assert by_role(node) == [("of cni0.100", {100: OWN}), ("the bridge", {1: OWN})]
    fail(second)
    assert "cni0.100" in node.link_names()
    fail(first)
    assert node.link_names() == {"lo"}


def test_gateway(node: Node, inproc: Runner) -> None:
    """The gateway's addresses are on one interface of the host in the VLAN, not on the bridge."""
    pods = [node.new_container() for _ in range(2)]
    wanted = conf(vlan=100, isGateway=True, mtu=1400, ipam=DUAL)
    ones = [Attachment(inproc, wanted, pod) for pod in pods]
    results = [must(one.add()).json for one in ones]
    links = {link["ifname"]: link for link in node.links()}
    for result in results:
        assert result["interfaces"][3] == {"name": "cni0.100", "mac": links["cni0.100"]["address"]}
    assert [name for name in links if name.startswith("cni0")] == ["cni0", "cni0.100"]
    assert links["cni0.100"]["mtu"] == links["cni0"]["mtu"] == 1400
    assert _addresses(node, "cni0.100") == ["10.1.0.1/24", "fd01::1/64"]
    assert _addresses(node, "cni0") == []
    for pod in pods:
        for gateway in ("10.1.0.1", "fd01::1"):
            assert ping(pod.fd, gateway, timeout=PATIENCE)
    assert ping(pods[0].fd, "10.1.0.3", timeout=PATIENCE)
    must(ones[1].check())  # the bridge may have had another MAC before
    for one in ones:
        must(one.delete())
    assert _addresses(node, "cni0.100") == ["10.1.0.1/24", "fd01::1/64"]


def _addresses(node: Node, link: str) -> list[str]:
    """Return the global addresses of a link of the host."""
    (found,) = json.loads(node.ip(f"-j addr show dev {link}"))
    return sorted(
        f"{address['local']}/{address['prefixlen']}"
        for address in found["addr_info"]
        if address["scope"] == "global"
    )


def test_traffic(node: Node, inproc: Runner) -> None:
    """What is in the same VLAN is reached, nothing else is; a trunk has its VLANs by their tags."""
    pods: dict[str, Container] = {}

    def attach(name: str, address: str, **options: Any) -> None:
        pods[name] = node.new_container()
        must(Attachment(inproc, conf(ipam=static(address), **options), pods[name]).add())

    attach("a", "10.1.0.11/24", vlan=100)
    attach("b", "10.1.0.12/24", vlan=100)
    attach("c", "10.1.0.13/24", vlan=200)
    attach("trunk", "10.3.0.14/24", vlanTrunk=[{"id": 100}, {"id": 7}])
    attach("plain", "10.3.0.15/24")
    tagged = pods["trunk"].name
    for vlan, address in ((100, "10.1.0.16/24"), (200, "10.2.0.16/24")):
        node.ip(f"-n {tagged} link add link eth0 name eth0.{vlan} type vlan id {vlan}")
        node.ip(f"-n {tagged} link set eth0.{vlan} up")
        node.ip(f"-n {tagged} addr add {address} dev eth0.{vlan}")
    for name, address in (("c", "10.2.0.13/24"), ("plain", "10.1.0.15/24"), ("a", "10.3.0.11/24")):
        node.ip(f"-n {pods[name].name} addr add {address} dev eth0")

    def reaches(sender: str, target: str) -> bool:
        return ping(pods[sender].fd, target, timeout=PATIENCE)

    assert reaches("a", "10.1.0.12")
    assert reaches("b", "10.1.0.11")
    assert reaches("a", "10.1.0.16")
    assert reaches("trunk", "10.1.0.11")
    assert reaches("plain", "10.3.0.14")  # the trunk's own VLAN, 1
    # All of these would be answered as fast as those above.
    for sender, target in (
        ("a", "10.1.0.13"),
        ("a", "10.1.0.15"),
        ("a", "10.3.0.14"),
        ("c", "10.1.0.11"),
        ("plain", "10.1.0.12"),
        ("trunk", "10.2.0.13"),
    ):
        assert not ping(pods[sender].fd, target), (sender, target)


AS_THE_REFERENCE: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "l2": ({"vlan": 100}, ()),
    "default gateway, both families": ({"vlan": 4094, "isDefaultGateway": True, "ipam": DUAL}, ()),
    "hairpin, mtu": (
        {"vlan": 2, "isGateway": True, "hairpinMode": True, "mtu": 1400, "ipam": V4},
        (),
    ),
    "bridge without filtering": (
        {"vlan": 100, "isGateway": True, "ipam": V4},
        ("ip link add cni0 type bridge", "ip link set cni0 up"),
    ),
    "bridge without a default VLAN": (
        {"vlan": 100, "isGateway": True, "ipam": V4},
        (
            "ip link add cni0 type bridge vlan_filtering 1 vlan_default_pvid 0",
            "ip link set cni0 up",
        ),
    ),
    "VLAN interface of somebody else": (
        {"vlan": 100, "isGateway": True, "ipam": V4},
        (
            "ip link add cni0 type bridge vlan_filtering 1",
            "ip link add cni0.100 type veth peer name other",
            "ip link set cni0 up",
            "ip link set other up master cni0",
        ),
    ),
}


@pytest.mark.parametrize(
    ("options", "before"), AS_THE_REFERENCE.values(), ids=AS_THE_REFERENCE.keys()
)
def test_as_the_reference(
    node: Node,
    plugin_directory: str,
    reference: str,
    options: dict[str, Any],
    before: tuple[str, ...],
) -> None:
    """Result, VLANs and addresses are the reference's, after ADD and after each of two DELs.

    Its release 1.1.1, Debian's, always keeps the default VLAN.
    """
    wanted = conf(preserveDefaultVlan=True, **options)
    for command in before:
        node.run(command)
    theirs = _life(node, BinaryRunner("reference", reference), wanted)
    node.close()
    node.open()
    for command in before:
        node.run(command)
    runner = ways.InprocRunner(plugin_directory)
    assert _life(node, runner, wanted) == theirs
    runner.close()


def _life(node: Node, runner: Runner, wanted: dict[str, Any]) -> list[Any]:
    """Attach containers, detach each twice; return all that is to be seen."""
    names = ["pod1", "pod2"] if wanted.get("isDefaultGateway") else ["pod1"]
    ones = [Attachment(runner, wanted, node.new_container(name)) for name in names]
    seen: list[Any] = []
    for one in ones:
        result = must(one.add()).json
        ports = {interface["name"] for interface in result["interfaces"]}
        seen.append(_normal(node, result))
        seen.append((by_role(node, ports), _hosts(node)))
    for one in ones:
        for _ in range(2):
            must(one.delete())
            seen.append((by_role(node), _hosts(node)))
    return seen


def _normal(node: Node, result: dict[str, Any]) -> dict[str, Any]:
    """Return a result without what is random."""
    links = {link["ifname"]: link for link in node.links()}
    for interface in result["interfaces"]:
        link = links.get(interface["name"])
        if link is not None:
            assert interface.pop("mac") == link["address"]
            interface["mtu of the link"] = link["mtu"]
        else:
            interface.pop("mac")
        if interface["name"].startswith("veth"):
            interface["name"] = "veth"
    return {key: value for key, value in result.items() if value != {}}


def _hosts(node: Node) -> list[Any]:
    """Return the host's links and their addresses without what is random."""
    found = []
    for link in json.loads(node.ip("-j -d addr show")):
        name = "veth" if link["ifname"].startswith("veth") else link["ifname"]
        addresses = sorted(
            f"{address['local']}/{address['prefixlen']} {address.get('broadcast')}"
            for address in link["addr_info"]
            if address["scope"] == "global"
        )
        port = link.get("linkinfo", {}).get("info_slave_data", {})
        found.append((name, link["mtu"], link.get("master"), port.get("hairpin"), addresses))
    return sorted(found, key=str)


def test_port_that_goes_meanwhile(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ADD that fails takes its interface back, also when a port is deleted as it looks."""
    one = begin("one")
    index, _ = bridges.ensure_bridge(one, BRIDGE, mtu=0, promisc=False, vlan_filtering=True)
    bridges.ensure_vlan_interface(one, index, "cni0.100", 100, 1500, keep_default_vlan=False)
    node.ip(f"link add gone master {BRIDGE} type veth peer name going")
    listed = Handle.links

    def list_and_delete(handle: Handle, **which: Any) -> list[Link]:
        links = listed(handle, **which)
        if "gone" in node.link_names():
            node.ip("link del gone")
        return links

    monkeypatch.setattr(Handle, "links", list_and_delete)
    fail(one)
    assert node.link_names() == {"lo"}
