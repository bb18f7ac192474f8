"""kubenet without a kernel: host ports and limits, which take plugins behind the bridge's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cnifast.kubernetes import NetworkPluginError, PortMapping
from cnifast.plugins import MODULES

if TYPE_CHECKING:
    from helpers.kubenet import Kubenet


def need(plugin: str) -> None:
    """Skip the test when a plugin is not there."""
    if plugin not in MODULES:
        pytest.skip(f"there is no plugin {plugin}")


def test_host_ports(kubenet: Kubenet) -> None:
    """A pod with host ports has the portmap plugin in its chain, another one has not."""
    need("portmap")
    kubenet.ready()
    kubenet.host.ports["c1"] = [
        PortMapping(8080, 80, "TCP"),
        PortMapping(0, 81),
        PortMapping(53, 53, "udp", "192.0.2.1"),
    ]
    kubenet.up()
    kubenet.up("c2")
    assert kubenet.exec.made() == [
        ("ADD", "loopback", "c1"),
        ("ADD", "bridge", "c1"),
        ("ADD", "portmap", "c1"),
        ("ADD", "loopback", "c2"),
        ("ADD", "bridge", "c2"),
    ]
    kubenet.host.ports.clear()  # DEL goes by what ADD was given
    kubenet.down()
    portmap = kubenet.exec.calls[0]
    assert portmap.short == ("DEL", "portmap", "c1")
    assert portmap.runtime_config == {
        "portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""},
            {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "192.0.2.1"},
        ]
    }


def test_bandwidth(kubenet: Kubenet) -> None:
    """A pod with limits has the bandwidth plugin in its chain."""
    need("bandwidth")
    kubenet.ready()
    kubenet.up("c1", {"kubernetes.io/ingress-bandwidth": "10M"})
    bandwidth = kubenet.exec.calls[2]
    assert bandwidth.short == ("ADD", "bandwidth", "c1")
    assert bandwidth.runtime_config == {
        "bandwidth": {"ingressRate": 10_000_000, "ingressBurst": 2**31 - 1}
    }
    kubenet.exec.calls.clear()
    kubenet.down()
    assert kubenet.exec.made()[0] == ("DEL", "bandwidth", "c1")


def test_limits_that_make_no_sense(kubenet: Kubenet) -> None:
    """A limit that cannot be is refused before a plugin is called."""
    kubenet.ready()
    with pytest.raises(NetworkPluginError, match=r"ingress-bandwidth: .* is not a quantity"):
        kubenet.up("c1", {"kubernetes.io/ingress-bandwidth": "fast"})
    assert kubenet.exec.calls == []


def test_a_failure_behind_the_bridge_is_undone(kubenet: Kubenet) -> None:
    """When a host port is taken the pod's interfaces go again."""
    need("portmap")
    kubenet.ready()
    kubenet.host.ports["c1"] = [PortMapping(80, 80)]
    kubenet.exec.fail("ADD", "portmap", "port 80 is taken")
    with pytest.raises(NetworkPluginError, match="port 80 is taken"):
        kubenet.up()
    assert kubenet.exec.made("DEL") == [("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")]
