"""CVE-2020-10749: no container becomes the host's router by advertising itself."""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers import nsutil
from helpers.bench import wait_for
from helpers.faulty import FaultyRunner
from helpers.networks import DUAL
from helpers.packets import ping
from helpers.plugin import Attachment, must

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Container, Node
    from helpers.plugin import Runner

ALL_NODES = "ff02::1"
ROUTER = "fe80::bad"
ROUTER_ADVERTISEMENT = 134
PLUGINS = pytest.mark.parametrize("plugin", ["bridge", "ptp"])


def conf(plugin: str) -> dict[str, Any]:
    """Return a configuration of a plugin that makes interfaces of the host."""
    if plugin == "bridge":
        return DUAL
    return {"type": plugin, **{key: DUAL[key] for key in ("cniVersion", "name", "ipam")}}


def listen_to_everybody(node: Node) -> None:
    """Have new interfaces of the host take advertisements, whether it forwards or not."""
    node.run("sysctl -qw net.ipv6.conf.default.accept_ra=2")


def advertise(container: Container) -> None:
    """Tell all nodes on the container's link that it is their router for the next half an hour."""
    with nsutil.inside(container.fd):
        sender = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        index = socket.if_nametoindex("eth0")
    with sender:
        for option in (socket.IPV6_MULTICAST_HOPS, socket.IPV6_UNICAST_HOPS):
            sender.setsockopt(socket.IPPROTO_IPV6, option, 255)
        sender.bind((ROUTER, 0, 0, index))
        body = struct.pack("!BBHBBHII", ROUTER_ADVERTISEMENT, 0, 0, 64, 0, 1800, 0, 0)
        sender.sendto(body, (ALL_NODES, 0, 0, index))


def learned(node: Node) -> list[str]:
    """Return the routes that somebody has advertised to the host."""
    return node.ip("-6 route show proto ra").splitlines()


def host_end(node: Node, plugin: str) -> str:
    """Return the interface of the host on which its containers' packets arrive."""
    if plugin == "bridge":
        return "cni0"
    (name,) = (link["ifname"] for link in node.links() if link["ifname"].startswith("veth"))
    return str(name)


@PLUGINS
def test_no_container_becomes_a_router(node: Node, runner: Runner, plugin: str) -> None:
    """What a container advertises is no route of the host, until somebody has it listen."""
    listen_to_everybody(node)
    pod = node.new_container("pod1")
    one = Attachment(runner, conf(plugin), pod)
    gateway = must(one.add()).json["ips"][1]["gateway"]
    node.ip(f"-n pod1 addr add {ROUTER}/64 dev eth0 nodad")
    assert ping(pod.fd, gateway)
    advertise(pod)
    assert ping(pod.fd, gateway)  # what was sent before has arrived before
    assert learned(node) == []
    name = host_end(node, plugin)
    node.run(f"sysctl -qw net.ipv6.conf.{name}.accept_ra=2")
    advertise(pod)
    assert wait_for(lambda: learned(node))[0].startswith(f"default via {ROUTER} dev {name}")
    must(one.delete())


@pytest.fixture
def stopping(node: Node, plugin_directory: str) -> Iterator[FaultyRunner]:  # noqa: ARG001 - on it
    """Call plugins of a build that can be stopped at each step."""
    program = FaultyRunner(plugin_directory)
    yield program
    program.close()


def listening(node: Node) -> set[tuple[bool, bool]]:
    """Return of the host's interfaces but lo: whether they are up, and take advertisements."""
    found = set()
    for link in node.links():
        if link.get("link_type") == "ether":
            value = Path(f"/proc/sys/net/ipv6/conf/{link['ifname']}/accept_ra").read_text()
            found.add(("UP" in link["flags"], value.strip() != "0"))
    return found


@PLUGINS
def test_nobody_listens_before(node: Node, stopping: FaultyRunner, plugin: str) -> None:
    """At whichever step ADD is stopped, no interface of the host is up and takes advertisements."""
    listen_to_everybody(node)
    one = Attachment(stopping, conf(plugin), node.new_container("pod1"))
    seen = set()
    for outcome in stopping.kill_each(one.add):
        assert outcome is None
        seen |= listening(node)
        must(one.delete())
        node.run("ip link delete cni0", check=False)
    seen |= listening(node)
    assert (False, True) in seen  # it was looked at early enough
    assert (True, False) in seen
    assert (True, True) not in seen
