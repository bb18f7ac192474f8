"""What becomes of a lent device: it is the host's again, as it was, whatever happens meanwhile."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers.plugin import Attachment

if TYPE_CHECKING:
    from helpers.node import Container, Node
    from helpers.plugin import Runner

MAC = "02:00:00:00:00:d0"
RECORDS = Path("/run/cni/host-device")
V4 = {"type": "host-local", "subnet": "10.1.0.0/24"}


def conf(**options: Any) -> dict[str, Any]:
    """Build a configuration."""
    return {"cniVersion": "1.1.0", "name": "net", "type": "host-device", **options}


@pytest.fixture
def device(node: Node) -> str:
    """A device d0 of the host's that is up and has an alias."""
    node.ip(f"link add d0 address {MAC} type veth peer name d1")
    node.ip("link set d0 up alias uplink")
    return "d0"


def found(node: Node, name: str, pod: Container | None = None) -> dict[str, Any]:
    """Return a link of the host or of a container."""
    return next(link for link in node.links(pod) if link["ifname"] == name)


def require_restored(node: Node) -> None:
    """Check that d0 is the host's, up, and has its own alias."""
    link = found(node, "d0")
    assert ("UP" in link["flags"], link["ifalias"], link["address"]) == (True, "uplink", MAC)
    assert [*RECORDS.glob("*")] == []


def test_name_state_and_alias_come_back(node: Node, runner: Runner, device: str) -> None:
    """DEL restores name, alias and state; while it is lent the alias is its name on the host."""
    pod = node.new_container()
    attachment = Attachment(runner, conf(device=device, ipam=V4), pod, ifname="net1")
    assert attachment.add().ok
    assert found(node, "net1", pod)["ifalias"] == "d0"
    assert "d0" not in node.link_names()
    assert attachment.check().ok
    assert attachment.delete().ok
    require_restored(node)
    assert attachment.delete().ok
    assert attachment.call("DEL", netns="", prev=False).ok


def test_names_are_taken_on_the_other_side(node: Node, runner: Runner, device: str) -> None:
    """Neither a d0 of the container nor a net1 of the host is in the way, there and back."""
    pod = node.new_container()
    node.ip(f"-n {pod.name} link add d0 type bridge")
    node.ip("link add net1 type bridge")
    attachment = Attachment(runner, conf(device=device), pod, ifname="net1")
    assert attachment.add().ok
    assert found(node, "net1", pod)["address"] == MAC
    assert attachment.delete().ok
    require_restored(node)
    assert found(node, "net1")["linkinfo"]["info_kind"] == "bridge"
    assert found(node, "d0", pod)["linkinfo"]["info_kind"] == "bridge"


def test_its_name_has_been_given_to_another(node: Node, runner: Runner, device: str) -> None:
    """DEL says that the name is taken, changes nothing, and succeeds when it is free again."""
    pod = node.new_container()
    attachment = Attachment(runner, conf(device=device, ipam=V4), pod, ifname="net1")
    assert attachment.add().ok
    node.ip("link add d0 type bridge")
    refused = attachment.delete()
    assert (refused.code, "there is another one" in refused.message) == (999, True), refused
    assert "UP" in found(node, "net1", pod)["flags"]
    assert not Path("/var/lib/cni/networks/net/10.1.0.2").exists()
    node.ip("link del d0")
    assert attachment.delete().ok
    require_restored(node)


def return_from(node: Node, pod: Container, name: str) -> None:
    """End a container whose device comes to the host under a name."""
    host = Path("/run/netns/host")
    host.touch()
    node.run(f"mount --bind /proc/thread-self/ns/net {host}")
    node.ip(f"-n {pod.name} link set net1 netns host")
    if name != "net1":
        node.ip(f"link set net1 name {name}")
    node.run(f"umount {host}")
    node.remove_container(pod)


@pytest.mark.parametrize("name", ["net1", "dev7"])
def test_the_namespace_ended(node: Node, runner: Runner, device: str, name: str) -> None:
    """What the kernel took out of an ended namespace becomes d0 again; the address is free."""
    pod = node.new_container()
    attachment = Attachment(runner, conf(device=device, ipam=V4), pod, ifname="net1")
    assert attachment.add().ok
    return_from(node, pod, name)
    assert attachment.call("DEL", netns="", prev=False).ok
    require_restored(node)
    assert not Path("/var/lib/cni/networks/net/10.1.0.2").exists()


def test_it_comes_back_after_del(node: Node, runner: Runner, device: str) -> None:
    """A device that comes back only when DEL is over is found by the next ADD that wants it."""
    pod = node.new_container()
    attachment = Attachment(runner, conf(device=device), pod, ifname="net1")
    assert attachment.add().ok
    assert attachment.call("DEL", netns="", prev=False).ok
    return_from(node, pod, "net1")
    again = Attachment(runner, conf(device=device), node.new_container(), ifname="net1")
    assert again.add().ok
    assert again.delete().ok
    require_restored(node)


def test_gc(node: Node, runner: Runner, device: str) -> None:
    """GC restores what attachments left that are not valid, and touches no other."""
    node.ip("link add e0 type veth peer name e1")
    lost, kept = node.new_container("lost"), node.new_container("kept")
    first = Attachment(runner, conf(device=device, ipam=V4), lost, ifname="net1")
    assert first.add().ok
    assert Attachment(runner, conf(device="e0", ipam=V4), kept, ifname="net1").add().ok
    return_from(node, lost, "net1")
    valid = [{"containerID": "kept", "ifname": "net1"}]
    assert first.call("GC", **{"cni.dev/valid-attachments": valid}).ok
    assert "UP" in found(node, "d0")["flags"]
    assert [path.name for path in RECORDS.glob("*")] == ["kept:net1"]
    assert "net1" in node.link_names(kept)
    addresses = {path.name for path in Path("/var/lib/cni/networks/net").glob("10.*")}
    assert addresses == {"10.1.0.3"}


def test_gc_before_it_is_back(node: Node, runner: Runner, device: str) -> None:
    """A device that GC does not find yet is not forgotten: a GC after that restores it."""
    pod = node.new_container()
    attachment = Attachment(runner, conf(device=device), pod, ifname="net1")
    assert attachment.add().ok
    none: dict[str, Any] = {"cni.dev/valid-attachments": []}
    assert attachment.call("GC", netns="", **none).ok
    return_from(node, pod, "dev7")
    assert attachment.call("GC", netns="", **none).ok
    require_restored(node)


def test_who_has_it(node: Node, runner: Runner, device: str) -> None:
    """Who wants a device that a container has is told which container that is."""
    pod = node.new_container("owner")
    assert Attachment(runner, conf(device=device), pod, ifname="net1").add().ok
    for want in ({"device": device}, {"hwaddr": MAC}):
        refused = Attachment(runner, conf(**want), node.new_container()).add()
        assert "container owner has d0 as net1" in refused.message


def test_what_the_reference_has_lent(node: Node, runner: Runner, device: str) -> None:
    """Without a record the alias tells the name; the state is not known."""
    pod = node.new_container()
    attachment = Attachment(runner, conf(device=device), pod, ifname="net1")
    assert attachment.add().ok
    shutil.rmtree(RECORDS)
    assert attachment.delete().ok
    link = found(node, "d0")
    assert ("UP" in link["flags"], link.get("ifalias")) == (False, None)


def test_what_was_never_lent(node: Node, runner: Runner) -> None:
    """DEL leaves an interface alone that is no device of the host's."""
    pod = node.new_container()
    node.ip(f"-n {pod.name} link add net1 type bridge")
    attachment = Attachment(runner, conf(device="d0"), pod, ifname="net1")
    assert attachment.call("DEL", prev=False).ok
    node.ip(f"-n {pod.name} link set net1 alias 'cnifast net pod net1'")
    assert attachment.call("DEL", prev=False).ok
    assert "net1" in node.link_names(pod)


def test_refused_add_gives_it_back(node: Node, runner: Runner, device: str) -> None:
    """A device whose configuration the kernel refuses is the host's again, and up."""
    ipam = {
        "type": "static",
        "addresses": [{"address": "10.4.0.5/24"}],
        "routes": [{"dst": "10.9.0.0/16", "gw": "10.200.0.1"}],
    }
    pod = node.new_container()
    refused = Attachment(runner, conf(device=device, ipam=ipam), pod, ifname="net1").add()
    assert "network is unreachable" in refused.message
    require_restored(node)
    assert node.link_names(pod) == {"lo"}
