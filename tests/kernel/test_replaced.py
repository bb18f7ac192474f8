"""A service goes on with what it is though its package is replaced, as an upgrade does it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cnifast
from helpers import ways
from helpers.bench import wait_for
from helpers.node import need_tools
from helpers.plugin import Attachment

if TYPE_CHECKING:
    from helpers.node import Node

SERVE = """
import sys
sys.path.insert(0, sys.argv[1])
from cnifast.cli.__main__ import main
sys.exit(main(["serve"]))
"""
BRIDGE: dict[str, Any] = {
    "cniVersion": "1.1.0",
    "name": "net",
    "type": "bridge",
    "bridge": "br0",
    "isGateway": True,
    "ipMasq": True,
    "macspoofchk": True,
    "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}]]},
}
NETWORK = {"cniVersion": "1.1.0", "name": "net", "plugins": [BRIDGE]}
BEHIND: list[dict[str, Any]] = [
    {
        "type": "portmap",
        "runtimeConfig": {
            "portMappings": [{"hostPort": 80, "containerPort": 80, "protocol": "tcp"}]
        },
    },
    {"type": "firewall"},
    {"type": "bandwidth", "ingressRate": 10_000_000, "ingressBurst": 10_000_000},
    {"type": "tuning", "mtu": 1400},
]


def test_package_is_gone(node: Node, plugin_directory: str, tmp_path: Path) -> None:
    """Every command of every plugin is answered as if nothing had happened."""
    need_tools("nft")
    package = tmp_path / "site" / "cnifast"
    shutil.copytree(Path(cnifast.__file__).parent, package)
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        command = [sys.executable, "-c", SERVE, str(package.parent)]
        service = subprocess.Popen(command, stderr=stderr)
    wait_for(lambda: "event=ready" in log.read_text())
    package.rename(tmp_path / "away")
    runner, pod = ways.warm(plugin_directory), node.new_container()
    first = Attachment(runner, BRIDGE, pod)
    added = first.add()
    assert added.ok, added
    chain = [first]
    for more in BEHIND:
        conf = {"cniVersion": "1.1.0", "name": "net", "prevResult": added.json, **more}
        chain.append(Attachment(runner, conf, pod))
        assert chain[-1].add().ok, more
    for one in chain:
        assert one.call("STATUS").ok, one.conf
        assert one.call("GC", **{"cni.dev/valid-attachments": []}).ok, one.conf
    for one in reversed(chain):
        assert one.delete().ok, one.conf
    Path("/etc/cni/net.d/net.conflist").write_text(json.dumps(NETWORK))
    for words in (["add"], ["check"], ["status"], ["del"], ["gc", "--none-valid"]):
        where = [] if words[0] in {"status", "gc"} else [pod.path]
        given = {"CNI_PATH": plugin_directory, "CNIFAST_SERVICE": "required"}
        command = [ways.COMMAND, words[0], "net", *where, *words[1:]]
        done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
    refused = Attachment(runner, {**BRIDGE, "bridge": "lo"}, pod).add()
    assert (refused.code, "ImportError" in refused.message) == (999, False)
    service.terminate()
    assert service.wait(20) == 0
    assert "event=defect" not in log.read_text()
