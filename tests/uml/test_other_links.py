"""What the machine's own kernel has no drivers for: links of these kinds beside and below ours."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.cli.features import missing
from cnifast.kernel import Handle
from helpers import flannel
from helpers.packets import ping
from helpers.plugin import Attachment, must
from helpers.vlans import shown

if TYPE_CHECKING:
    from helpers.node import Node
    from helpers.plugin import Runner

PATIENCE = 20.0  # seconds for a packet that must get through
V4 = {"type": "host-local", "subnet": "10.1.0.0/24"}
LOWER = ("link add m0 type veth peer name m1", "link set m1 up", "link set m0 up")


@pytest.mark.second_kernel("bridge VLANs")
def test_what_the_kernel_can_do(node: Node) -> None:  # noqa: ARG001 - it is there
    """`cnifast doctor` finds that bridges filter VLANs here."""
    assert [text for text in missing() if "VLAN" in text] == []


@pytest.mark.second_kernel("bridge VLANs")
def test_handle_sets_vlans(node: Node) -> None:
    """A handle adds VLANs and ranges of them to a port, lists them and removes them."""
    for command in (
        "link add br0 type bridge vlan_filtering 1",
        "link add p0 master br0 type veth peer name p1",
    ):
        node.ip(command)
    with Handle() as handle:
        port = handle.link("p0").index
        assert handle.link("br0").vlan_filtering
        assert handle.port_vlans(port) == [1]
        handle.add_port_vlan(port, 10, 13)
        handle.add_port_vlan(port, 4094)
        handle.add_port_vlan(port, 12, pvid_untagged=True)
        assert handle.port_vlans(port) == [1, 10, 11, 12, 13, 4094]
        assert shown(node)["p0"] == {
            1: "untagged",
            10: "tagged",
            11: "tagged",
            12: "pvid untagged",
            13: "tagged",
            4094: "tagged",
        }
        handle.delete_port_vlan(port, 11, 13)
        handle.delete_port_vlan(port, 1)
        assert handle.port_vlans(port) == [10, 4094]
        assert shown(node)["p0"] == {10: "tagged", 4094: "tagged"}
        with pytest.raises(OSError, match="add VLAN to"):
            handle.add_port_vlan(handle.link("p1").index, 10)


@pytest.mark.second_kernel("bond")
@pytest.mark.second_kernel("dummy")
@pytest.mark.second_kernel("ipvlan")
@pytest.mark.second_kernel("vlan")
@pytest.mark.second_kernel("vrf")
def test_handle_lists_links_of_every_kind(node: Node) -> None:
    """A handle tells kind, device below and master of links that it cannot make itself."""
    for command in (
        *LOWER,
        "link add d0 type dummy",
        "link add b0 type bond",
        "link add vrf0 type vrf table 10",
        "link add link m0 name m0.5 type vlan id 5",
        "link add link m0 name i0 type ipvlan",
        "link set d0 master vrf0",
    ):
        node.ip(command)
    with Handle() as handle:
        links = {link.name: link for link in handle.links()}
        kinds = {"d0": "dummy", "b0": "bond", "vrf0": "vrf", "m0.5": "vlan", "i0": "ipvlan"}
        assert {name: links[name].kind for name in kinds} == kinds
        below, master = links["m0"].index, links["vrf0"].index
        assert (links["m0.5"].parent, links["i0"].parent) == (below, below)
        assert links["d0"].master == master
        for name, link in links.items():
            single = handle.link(name)
            assert (single.kind, single.parent, single.master) == (
                *(link.kind, link.parent),
                link.master,
            )
        assert [link.name for link in handle.links(kind="vlan")] == ["m0.5"]
        assert [link.name for link in handle.links(master=master)] == ["d0"]


MASTERS = {
    "vlan": ("link add link m0 name low type vlan id 5", "link set low up"),
    "dummy": ("link add low type dummy", "link set low up"),
    "bond": (
        "link add low type bond mode active-backup",
        "link set m0 down",
        "link set m0 master low",
        "link set low up",
    ),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.second_kernel(kind)) for kind in MASTERS]
)
def test_macvlan_on_top(node: Node, inproc: Runner, kind: str) -> None:
    """A macvlan is made on top of devices of these kinds, also where the default route goes by."""
    for command in (*LOWER, *MASTERS[kind]):
        node.ip(command)
    node.ip("addr add 10.50.0.2/24 dev low")
    node.ip("route add default via 10.50.0.1")
    conf = {"cniVersion": "1.0.0", "name": "net", "type": "macvlan", "ipam": V4}
    pods = [node.new_container() for _ in range(2)]
    ones = [
        Attachment(inproc, {**conf, "master": name}, pod)
        for name, pod in zip(("low", ""), pods, strict=True)
    ]
    for one in ones:
        must(one.add())
        must(one.check())
    assert ping(pods[0].fd, "10.1.0.3", timeout=PATIENCE)
    for one in ones:
        must(one.delete())
        must(one.delete())
    assert [node.link_names(pod) for pod in pods] == [{"lo"}] * 2


@pytest.mark.second_kernel("vrf")
def test_bridge_in_a_vrf(node: Node, inproc: Runner) -> None:
    """A bridge that somebody has put into a VRF stays there, and is a gateway there."""
    for command in (
        "link add vrf0 type vrf table 10",
        "link set vrf0 up",
        "link add cni0 master vrf0 type bridge",
    ):
        node.ip(command)
    conf = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "isGateway": True, "ipam": V4}
    pods = [node.new_container() for _ in range(2)]
    ones = [Attachment(inproc, conf, pod) for pod in pods]
    for one in ones:
        must(one.add())
        must(one.check())
    routes = json.loads(node.ip("-j route show table 10 10.1.0.0/24"))
    assert [route["dev"] for route in routes] == ["cni0"]
    for target in ("10.1.0.1", "10.1.0.3"):
        assert ping(pods[0].fd, target, timeout=PATIENCE)
    for one in ones:
        must(one.delete())
    assert {link["ifname"]: link.get("master") for link in node.links()}["cni0"] == "vrf0"


@pytest.mark.second_kernel("ipvlan")
def test_flannel_with_ipvlan(node: Node, inproc: Runner, reference: str) -> None:
    """The reference's ipvlan plugin is a delegate of flannel, executed for ADD and for DEL."""
    programs = Path("/run/programs")
    programs.mkdir()
    shutil.copy(f"{reference}/ipvlan", programs)
    for command in LOWER:
        node.ip(command)
    flannel.flanneld()
    pods = [node.new_container() for _ in range(2)]
    conf = flannel.conf(cniVersion="1.0.0", delegate={"type": "ipvlan", "master": "m0"})
    path = f"{programs}:{inproc.plugin_path}"
    ones = [Attachment(inproc, conf, pod, path=path) for pod in pods]
    for one in ones:
        must(one.add())
    (eth0,) = (link for link in node.links(pods[0]) if link["ifname"] == "eth0")
    assert (eth0["linkinfo"]["info_kind"], eth0["mtu"]) == ("ipvlan", 1450)
    assert ping(pods[0].fd, "10.1.17.3", timeout=PATIENCE)
    flannel.SUBNET_FILE.unlink()
    for one in ones:
        must(one.delete())
        must(one.delete())
    assert ([node.link_names(pod) for pod in pods], flannel.saved()) == ([{"lo"}] * 2, set())
