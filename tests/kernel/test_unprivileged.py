"""Calls of those who may not do what they ask for: an answer, and soon."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from helpers.node import need_tools

if TYPE_CHECKING:
    from helpers.node import Node

CALL = """
import json, sys
from cnifast import plugins

conf, command, netns = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
try:
    getattr(plugins, command)(conf["type"], conf, container_id="c1", netns=netns, ifname="eth0")
except Exception as e:
    print(e)
"""
PORTS = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}
RESULT = {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "eth0", "sandbox": "/run/netns/c1"}],
    "ips": [{"address": "10.1.0.5/24", "interface": 0}],
}
CONFIGURATIONS = {
    "bridge": {"ipMasq": True, "macspoofchk": True},
    "ptp": {"ipMasq": True},
    "portmap": {"runtimeConfig": PORTS, "prevResult": RESULT},
    "firewall": {"backend": "nftables", "prevResult": RESULT},
}


@pytest.mark.parametrize("command", ["add", "delete"])
@pytest.mark.parametrize("plugin", CONFIGURATIONS)
def test_refused_at_once(node: Node, plugin: str, command: str) -> None:
    """Without CAP_NET_ADMIN every plugin says what it may not do."""
    need_tools("setpriv")
    conf = {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": plugin,
        "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"},
        **CONFIGURATIONS[plugin],
    }
    netns = node.new_container("c1").path
    command_line = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"]
    done = subprocess.run(
        [*command_line, sys.executable, "-c", CALL, json.dumps(conf), command, netns],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "operation not permitted" in done.stdout.lower(), done
