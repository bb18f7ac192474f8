"""podman with deploy/podman: real containers on our bridge, in a chain with other plugins."""

from __future__ import annotations

import http.client
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers.node import need_tools
from helpers.nsutil import covered

from .conftest import DEPLOY, need_plugins
from .runtime import Podman

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

NETWORK = Path("/var/lib/cni/networks/podman")


@pytest.fixture(params=["off", "auto"])
def podman(installed: Node, rootfs: str, request: pytest.FixtureRequest) -> Iterator[Podman]:
    """Podman on a node, with and without the service."""
    need_tools("podman", "crun", "iptables")
    need_plugins("portmap", "firewall", "tuning")
    target = Path("/etc/cni/net.d/87-podman.conflist")
    target.write_bytes((DEPLOY / "podman" / target.name).read_bytes())
    with covered(*filter(os.path.isdir, ["/var/lib/containers"])):
        made = Podman(rootfs, request.param)
        yield made
        made("rm", "-a", "-f", "-t", "0")
        assert installed.strays() == []


def held() -> set[str]:
    """Return the addresses that are reserved."""
    return {path.name for path in NETWORK.iterdir()} - {"lock", "last_reserved_ip.0"}


def test_container_has_its_address(podman: Podman) -> None:
    """A container gets the next address of the network, and gives it back."""
    first, second = podman.run("first"), podman.run("second")
    assert (first["IPAddress"], second["IPAddress"]) == ("10.88.0.2", "10.88.0.3")
    shown = podman("exec", "second", "/bin/ip", "-4", "addr", "show", "eth0")
    assert "inet 10.88.0.3/16 brd 10.88.255.255" in shown
    assert second["MacAddress"] in podman("exec", "second", "/bin/ip", "link", "show", "eth0")
    podman("exec", "first", "/bin/ping", "-c", "1", "-W", "5", "10.88.0.3")
    assert held() == {"10.88.0.2", "10.88.0.3"}
    podman("rm", "-f", "-t", "0", "first")
    assert held() == {"10.88.0.3"}


def test_address_and_mac_of_choice(podman: Podman) -> None:
    """The address and MAC that a user asks for are the container's."""
    found = podman.run("chosen", "--ip", "10.88.7.7", "--mac-address", "02:00:00:00:07:07")
    assert (found["IPAddress"], found["MacAddress"]) == ("10.88.7.7", "02:00:00:00:07:07")
    shown = podman("exec", "chosen", "/bin/ip", "link", "show", "eth0")
    assert "02:00:00:00:07:07" in shown


def page(address: str) -> str:
    """Return what a web server says, from the node."""
    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", "/hello")
    return connection.getresponse().read().decode()


def test_published_port(podman: Podman) -> None:
    """A published port leads to the container, as its address does."""
    web = "/bin/httpd -f -p 80 -h /etc"
    address = podman.run("web", "-p", "8080:80", command=web)["IPAddress"]
    podman.run("client")
    assert page(f"{address}:80") == page("10.88.0.1:8080") == "hello from the container\n"
    inside = podman("exec", "client", "/bin/wget", "-q", "-O", "-", f"http://{address}/hello")
    assert inside == "hello from the container"


def test_many_at_once(podman: Podman) -> None:
    """Containers that start at the same time have different addresses."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(podman.run, [f"c{i}" for i in range(8)]))
    assert len({one["IPAddress"] for one in found}) == 8
    assert held() == {one["IPAddress"] for one in found}
    podman("rm", "-a", "-f", "-t", "0")
    assert held() == set()
