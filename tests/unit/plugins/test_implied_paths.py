"""Which files of the node plugins use without being told, by what they ask of a call's place."""

from __future__ import annotations

from typing import Any

import pytest

from cnifast.ipam import host_local
from cnifast.plugins import load
from cnifast.protocol.errors import RunCold
from cnifast.protocol.request import Place, Request

IPAM = {"type": "host-local", "subnet": "10.1.0.0/24"}
ENV = {"CNI_CONTAINERID": "c", "CNI_IFNAME": "eth0", "CNI_NETNS": "", "CNI_PATH": "/opt/cni/bin"}
IMPLIED: list[tuple[str, dict[str, Any], str]] = [
    ("host-local", {"ipam": IPAM}, "/var/lib/cni/networks"),
    ("bridge", {"ipam": IPAM}, "/var/lib/cni/networks"),
    ("bridge", {"ipam": {"type": "dhcp"}}, "/run/cni/dhcp.sock"),
    ("tuning", {}, "/run/cni/tuning"),
    ("tuning", {"dataDir": "/data"}, "/data"),
    ("tuning", {}, "/etc/cni/tuning/allowlist.conf"),
    ("flannel", {}, "/run/flannel/subnet.env"),
    ("flannel", {}, "/var/lib/cni/flannel"),
    ("host-device", {"device": "d0"}, "/run/cni/host-device"),
    ("host-device", {"pciBusID": "0000:00:00.0"}, "/sys"),
    ("host-device", {"kernelpath": "/sys/devices/x"}, "/sys"),
    ("host-device", {"runtimeConfig": {"deviceID": "0000:00:00.0"}}, "/sys"),
]


@pytest.mark.parametrize(("plugin", "keys", "path"), IMPLIED)
def test_what_the_caller_means_by_a_path(plugin: str, keys: dict[str, Any], path: str) -> None:
    """Where one of the plugin's paths is another for the caller, ADD does nothing and says so."""
    conf = {"cniVersion": "1.0.0", "name": "net", "type": plugin, **keys}
    place = Place(delegates=False, same_path=lambda asked: asked != path)
    req = Request(plugin, "ADD", ENV, None, conf, "net", "1.0.0", place)
    module = host_local if plugin == "host-local" else load(plugin)
    with pytest.raises(RunCold, match=path):
        module.add(req)
