"""The network plugin cni on a real kernel: networks of a directory, with plugins of both kinds."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kubernetes import (
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR,
    CNINetworkPlugin,
    NetworkPluginError,
    PortMapping,
    init_network_plugin,
)
from helpers.kubelet import NodeHost
from helpers.packets import ping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from helpers.node import Container, Node

CONF_DIR = Path("/etc/cni/net.d")
SECONDS = 30
FOREIGN = """#!/bin/sh
case $CNI_COMMAND in
VERSION) echo '{"cniVersion": "1.0.0", "supportedVersions": ["0.4.0", "1.0.0"]}' ;;
*) { echo "$CNI_COMMAND $CNI_ARGS"; cat; echo; } >>"$0.log" ;;
esac
[ "$CNI_COMMAND" != ADD ] || echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.9.0.2/16"}]}'
"""


def bridge_network(name: str, subnet: str, *more: dict[str, Any]) -> str:
    """Return the configuration of a bridge network, with other plugins behind it."""
    bridge = {
        "type": "bridge",
        "bridge": f"br-{name}",
        "isDefaultGateway": True,
        "ipam": {"type": "host-local", "subnet": subnet},
    }
    return json.dumps({"cniVersion": "1.0.0", "name": name, "plugins": [bridge, *more]})


class Kubelet:
    """The plugin cni on a node, with sandboxes that are the node's containers."""

    def __init__(self, node: Node, *bin_dirs: str) -> None:
        self.host = NodeHost(node)
        self._noticed = threading.Condition()
        own = CNINetworkPlugin(str(CONF_DIR), bin_dirs or ("/opt/cni/bin",), on_change=self._notice)
        self.close = own.close
        self.plugin = init_network_plugin([own], "cni", self.host)

    def _notice(self) -> None:
        with self._noticed:
            self._noticed.notify_all()

    def change(self, change: Callable[[], object], why: str = "") -> None:
        """Change the directory, and wait until status is in order, or says why it is not."""
        change()
        with self._noticed:
            assert self._noticed.wait_for(
                lambda: why in self.state() and bool(why) == bool(self.state()), SECONDS
            ), self.state()

    def state(self) -> str:
        """Return why nothing can be set up, empty when it can."""
        try:
            self.plugin.status()
        except NetworkPluginError as e:
            return str(e)
        return ""

    def up(self, id_: str) -> Container:
        """Start a sandbox and set up its network."""
        container = self.host.start(id_)
        self.plugin.set_up_pod("default", id_, id_, {})
        return container

    def down(self, id_: str) -> None:
        """Tear down a sandbox's network."""
        self.plugin.tear_down_pod("default", id_, id_)

    def ips(self, id_: str) -> tuple[str, ...]:
        """Return a pod's addresses."""
        status = self.plugin.get_pod_network_status("default", id_, id_)
        assert status is not None
        return status.ips


@pytest.fixture
def kubelet(clean_node: Node) -> Iterator[Kubelet]:
    """A kubelet on a node without configuration; the node has to be clean in the end."""
    started = Kubelet(clean_node)
    yield started
    started.close()


def test_a_network_that_comes_and_goes(clean_node: Node, kubelet: Kubelet) -> None:
    """Pods are attached to what the directory has, also when that is removed and made again."""
    kubelet.change(
        lambda: (CONF_DIR / "10.conflist").write_text(bridge_network("one", "10.11.0.0/16"))
    )
    first, second = kubelet.up("first"), kubelet.up("second")
    assert kubelet.ips("first") == ("10.11.0.2",)
    assert ping(first.fd, "10.11.0.1")
    assert ping(second.fd, "10.11.0.2")
    assert ping(second.fd, "127.0.0.1")
    kubelet.change(lambda: shutil.rmtree(CONF_DIR), "no networks found in /etc/cni/net.d")
    with pytest.raises(NetworkPluginError, match="no networks found"):
        kubelet.up("refused")
    kubelet.down("first")
    CONF_DIR.mkdir()
    kubelet.change(
        lambda: (CONF_DIR / "10.conflist").write_text(bridge_network("two", "10.12.0.0/16"))
    )
    third = kubelet.up("third")
    assert kubelet.ips("third") == ("10.12.0.2",)
    assert ping(third.fd, "10.12.0.1")
    assert ping(second.fd, "10.11.0.1")
    kubelet.down("second")
    kubelet.down("third")
    kubelet.down("third")
    networks = Path("/var/lib/cni/networks")
    assert sorted(p.name for p in networks.glob("*/10.*")) == []
    assert list(Path("/var/lib/cni/results").iterdir()) == []
    assert clean_node.link_names(first) & {"eth0"} == set()


def test_a_second_set_up_when_the_network_has_changed(kubelet: Kubelet) -> None:
    """A pod that is refused another network keeps the one it has, and its lo."""
    kubelet.change(
        lambda: (CONF_DIR / "10.conflist").write_text(bridge_network("one", "10.11.0.0/16"))
    )
    pod = kubelet.up("pod")
    kubelet.change((CONF_DIR / "10.conflist").unlink, "no networks found")
    kubelet.change(
        lambda: (CONF_DIR / "10.conflist").write_text(bridge_network("two", "10.12.0.0/16"))
    )
    with pytest.raises(NetworkPluginError, match="sandbox pod has been set up already"):
        kubelet.plugin.set_up_pod("default", "pod", "pod", {})
    assert ping(pod.fd, "127.0.0.1")
    assert kubelet.ips("pod") == ("10.11.0.2",)
    kubelet.down("pod")
    assert list(Path("/var/lib/cni/results").iterdir()) == []


def test_a_pod_whose_sandbox_has_ended(kubelet: Kubelet) -> None:
    """A pod whose namespace is gone is torn down completely, and has no status."""
    kubelet.change(
        lambda: (CONF_DIR / "10.conflist").write_text(bridge_network("one", "10.11.0.0/16"))
    )
    kubelet.up("pod")
    kubelet.host.end("pod")
    with pytest.raises(NetworkPluginError, match="there is no sandbox pod"):
        kubelet.ips("pod")
    kubelet.down("pod")
    assert list(Path("/var/lib/cni/networks/one").glob("10.*")) == []


def test_ranges_of_the_node(kubelet: Kubelet) -> None:
    """A network that wants ipRanges hands out addresses of the node's pod CIDRs."""
    conf = {
        "cniVersion": "1.0.0",
        "name": "ranges",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "br-ranges",
                "isGateway": True,
                "capabilities": {"ipRanges": True, "mac": True},
                "ipam": {"type": "host-local"},
            }
        ],
    }
    kubelet.change(lambda: (CONF_DIR / "1.conflist").write_text(json.dumps(conf)), "needs ipRanges")
    detail = {NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR: "10.244.3.0/24,fd00:3::/64"}
    kubelet.plugin.event(NET_PLUGIN_EVENT_POD_CIDR_CHANGE, detail)
    kubelet.host.mac["pod"] = "02:00:00:00:00:77"
    pod = kubelet.up("pod")
    assert kubelet.ips("pod") == ("10.244.3.2", "fd00:3::2")
    (eth0,) = [link for link in kubelet.host.node.links(pod) if link["ifname"] == "eth0"]
    assert eth0["address"] == "02:00:00:00:00:77"
    kubelet.down("pod")


def test_a_plugin_of_somebody_else(clean_node: Node, tmp_path: Path) -> None:
    """A plugin that is a program is executed, with pod and capabilities; ours are not needed."""
    program = tmp_path / "foreign"
    program.write_text(FOREIGN)
    program.chmod(0o755)
    foreign = {"type": "foreign", "capabilities": {"portMappings": True}}
    (CONF_DIR / "1.conflist").write_text(bridge_network("one", "10.11.0.0/16", foreign))
    kubelet = Kubelet(clean_node, str(tmp_path))
    kubelet.host.ports["pod"] = [PortMapping(8080, 80)]
    kubelet.up("pod")
    kubelet.down("pod")
    kubelet.close()
    lines = program.with_suffix(".log").read_text().splitlines()
    assert [line.split()[0] for line in lines[::2]] == ["ADD", "DEL"]
    assert "K8S_POD_NAME=pod;K8S_POD_INFRA_CONTAINER_ID=pod" in lines[0]
    given = json.loads(lines[1])
    assert given["runtimeConfig"]["portMappings"][0]["hostPort"] == 8080
    assert given["prevResult"]["ips"][0]["address"] == "10.11.0.2/16"
    assert clean_node.strays() == []


def test_a_plugin_that_is_missing(kubelet: Kubelet) -> None:
    """A network with a plugin that is nowhere is none; the status names it and where it is not."""
    kubelet.change(
        lambda: (CONF_DIR / "1.conflist").write_text(
            bridge_network("one", "10.11.0.0/16", {"type": "nowhere"})
        ),
        'failed to find plugin "nowhere" in path [/opt/cni/bin]',
    )
