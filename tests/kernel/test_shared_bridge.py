"""A bridge that several ADDs use at once: what one of them takes back when it fails."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.plugins import bridges
from helpers.plugin import Attachment, must
from helpers.sessions import begin, fail, succeed

if TYPE_CHECKING:
    from cnifast.plugins.base import Session
    from helpers.node import Node
    from helpers.plugin import Runner

GATEWAY = "10.1.0.1/24"


def use_bridge(one: Session) -> tuple[int, str]:
    """Do what an ADD does before it has a port on the bridge."""
    index, mac = bridges.ensure_bridge(one, "cni0", mtu=0, promisc=True, vlan_filtering=False)
    bridges.ensure_gateway(one, index, "cni0", GATEWAY, mac, force=False, dad=False)
    return index, mac


def shown(node: Node) -> list[dict[str, Any]]:
    """Return the bridge, if there is one."""
    return [link for link in node.links() if link["ifname"] == "cni0"]


def test_failed_add_alone(node: Node) -> None:
    """Nothing is left of a bridge that only the failed ADD has used."""
    one = begin("one")
    use_bridge(one)
    fail(one)
    assert shown(node) == []


@pytest.mark.parametrize("order", ["maker", "user"])
def test_failed_add_beside_another(node: Node, order: str) -> None:
    """A bridge that another ADD is about to use stays as that has found it."""
    maker, user = begin("one"), begin("two")
    use_bridge(maker)
    use_bridge(user)
    fail(maker if order == "maker" else user)
    (bridge,) = shown(node)
    assert {"UP", "PROMISC"} <= set(bridge["flags"])
    assert GATEWAY in node.ip("addr show dev cni0")
    succeed(user if order == "maker" else maker)
    assert GATEWAY in node.ip("addr show dev cni0")


def test_failed_add_after_another(node: Node) -> None:
    """An ADD that has ended without a port on the bridge does not keep it."""
    maker, user = begin("one"), begin("two")
    use_bridge(maker)
    use_bridge(user)
    succeed(user)
    fail(maker)
    assert shown(node) == []


def test_stranger_with_the_lock(node: Node, runner: Runner) -> None:
    """Who locks the host's namespace, as anybody in it can, keeps no ADD from its end.

    A failed one leaves its bridge then, because somebody else might use it.
    """
    fcntl.flock(node.fd, fcntl.LOCK_EX)
    one = begin("one")
    use_bridge(one)
    fail(one)
    assert shown(node) != []
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24"}
    conf = {"cniVersion": "1.0.0", "name": "net", "type": "bridge", "ipam": ipam}
    assert Attachment(runner, conf, node.new_container()).add().ok
    fcntl.flock(node.fd, fcntl.LOCK_UN)


def test_result_names_the_bridge_as_it_is(node: Node, runner: Runner) -> None:
    """Its MAC in the result is the one it has, though it had another before."""
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "bridge"}
    macs = [None, None, "02:00:00:00:00:77", None, "02:00:00:00:00:78"]
    for number, mac in enumerate(macs):
        if mac:
            node.ip(f"link set cni0 address {mac}")
        result = must(Attachment(runner, conf, node.new_container(f"pod{number}")).add()).json
        host_end = result["interfaces"][1]["name"]
        now = {link["ifname"]: link["address"] for link in node.links()}
        assert [i["mac"] for i in result["interfaces"][:2]] == [now["cni0"], now[host_end]]
        inside = node.ip(f"-n pod{number} link show dev eth0")
        assert result["interfaces"][2]["mac"] in inside
