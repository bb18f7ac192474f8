"""Addresses that a real DHCP server leases, for every way in which plugins are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers import dhcp, ways
from helpers.packets import ping
from helpers.plugin import Attachment

if TYPE_CHECKING:
    from helpers.node import Node


def test_bridge(node: Node, service: ways.Service, plugin_directory: str) -> None:
    """ADD gives the container what the server leases, and DEL gives it back."""
    runner = ways.warm(plugin_directory)
    pod = node.new_container()
    with dhcp.Dnsmasq(node, dhcp.bridge(node)) as server:
        attachment = Attachment(runner, dhcp.conf(), pod)
        outcome = attachment.add()
        assert outcome.ok, (outcome, server.log, service.log)
        print(outcome.json, service.log)
        (address,) = server.leases()
        assert outcome.json["ips"] == [
            {"address": f"{address}/24", "gateway": dhcp.SERVER, "interface": 2}
        ]
        assert outcome.json["routes"] == [{"dst": "0.0.0.0/0", "gw": dhcp.SERVER}]
        assert ping(pod.fd, dhcp.SERVER)
        assert attachment.check().ok
        assert attachment.delete().ok
        server.wait_for("DHCPRELEASE")
        assert attachment.delete().ok
    assert node.strays() == []
