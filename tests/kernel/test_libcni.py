"""Networks attached by the library, with programs and in this process, on a real kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.libcni import (
    CNIConfig,
    InProcessExec,
    ProcessExec,
    RuntimeConf,
    conf_from_bytes,
    conf_list_from_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnifast.invoke.call import Exec
    from helpers.node import Node

LIST = {
    "cniVersion": "1.1.0",
    "name": "mynet",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "ipam": {"type": "host-local", "subnet": "10.22.0.0/16"},
        },
        {"type": "loopback"},
    ],
}
CACHE = Path("/var/lib/cni/results")


@pytest.fixture(params=["process", "in-process"])
def exec_(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exec]:
    """Each way to run plugins; no service is left behind."""
    monkeypatch.setenv("CNIFAST_SERVICE", "off")
    if request.param == "process":
        yield ProcessExec()
    else:
        with InProcessExec() as ours:
            yield ours


def test_attach_check_detach(node: Node, plugin_directory: str, exec_: Exec) -> None:
    """A chain is attached, checked and detached; the result is kept in between."""
    pod = node.new_container()
    net = conf_list_from_bytes(json.dumps(LIST).encode())
    cni = CNIConfig([plugin_directory], exec=exec_)
    rt = RuntimeConf(pod.name, pod.path)
    result = cni.add_network_list(net, rt)
    assert [ip.address for ip in result.ips] == ["10.22.0.2/16"]
    assert {"eth0", "lo"} <= node.link_names(pod)
    assert cni.get_network_list_cached_result(net, rt) == result
    assert [path.name for path in CACHE.iterdir()] == [f"mynet-{pod.name}-eth0"]
    cni.check_network_list(net, rt)
    cni.del_network_list(net, rt)
    assert list(CACHE.iterdir()) == []
    cni.del_network_list(net, RuntimeConf(pod.name))
    assert "eth0" not in node.link_names(pod)
    assert node.strays() == []


def test_single_configuration(node: Node, plugin_directory: str, exec_: Exec) -> None:
    """A configuration of one plugin, and of an old version, works as a network."""
    pod = node.new_container()
    net = conf_from_bytes(
        json.dumps({"cniVersion": "0.2.0", "name": "old", **LIST["plugins"][0]}).encode()
    )
    cni = CNIConfig(plugin_directory, exec=exec_)
    rt = RuntimeConf(pod.name, pod.path)
    result = cni.add_network(net, rt)
    assert (result.cni_version, result.ips[0].address) == ("0.2.0", "10.22.0.2/16")
    cni.del_network(net, rt)
    assert "eth0" not in node.link_names(pod)
    assert node.strays() == []
