"""Run by systemd on its own host: attach, check and detach by the service, and say how it went.

    systemd_calls.py PLUGINS COMMAND RESULT

RESULT is a JSON file: what each call printed by its name, and what systemd and the kernel know of
the service afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PLUGINS, COMMAND, RESULT = sys.argv[1:]
BASE = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "bridge",
    "isDefaultGateway": True,
    "ipMasq": True,
    "macspoofchk": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.9.0.0/16"}], [{"subnet": "fd00:9::/64"}]],
    },
}


def run(*command: str) -> str:
    """Run a program; return what it printed, its errors included."""
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout.strip()


def call(command: str, conf: dict[str, object]) -> str:
    """Call a plugin through the service; return what it printed."""
    done = subprocess.run(
        [f"{PLUGINS}/{conf['type']}"],
        env={
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": "container",
            "CNI_NETNS": "/run/netns/container",
            "CNI_IFNAME": "eth0",
            "CNI_PATH": PLUGINS,
            "CNIFAST_SERVICE": "required",
        },
        input=json.dumps(conf),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def main() -> None:
    """Make the calls and write the result."""
    run("ip", "netns", "add", "container")
    said = {}
    for backend in ("nftables", "iptables"):
        conf = {**BASE, "ipMasqBackend": backend}
        said[f"{backend} ADD"] = added = call("ADD", conf)
        said[f"{backend} rules"] = run("nft", "list", "ruleset")
        said[f"{backend} CHECK"] = call("CHECK", {**conf, "prevResult": json.loads(added)})
        said[f"{backend} DEL"] = call("DEL", conf)
    tap: dict[str, object] = {"cniVersion": "1.0.0", "name": "net", "type": "tap"}
    said["tap ADD"] = call("ADD", tap)
    said["tap"] = run("ip", "-n", "container", "-d", "link", "show", "eth0")
    said["tap DEL"] = call("DEL", tap)
    os.environ["CNI_PATH"] = PLUGINS
    Path("/etc/cni/net.d").mkdir(parents=True)
    Path("/etc/cni/net.d/net.conf").write_text(json.dumps(BASE))
    said["command add"] = run(COMMAND, "add", "net", "/run/netns/container")
    said["command del"] = run(COMMAND, "del", "net", "/run/netns/container")
    said["mode"] = run("stat", "-c", "%a %U:%G", "/var/lib/cni")
    held = Path("/var/lib/cni/networks/net")
    said["held"] = " ".join(sorted(path.name for path in held.iterdir() if path.name[:2] in "10fd"))
    said["links"] = run("ip", "-br", "link", "show", "type", "veth")
    show = ("systemctl", "show", "cnifast.service", "--value", "-p")
    said["restarts"] = run(*show, "NRestarts")
    said["state"] = run(*show, "ActiveState")
    process = Path("/proc", run(*show, "MainPID"))
    said["status"] = (process / "status").read_text()
    same = os.path.samefile(process / "ns" / "mnt", "/proc/self/ns/mnt")
    said["mounts"] = "the node's" if same else "its own"
    run("systemctl", "stop", "cnifast.service")
    said["stopped"] = run(*show, "Result")
    said["again"] = call("ADD", BASE)
    Path(RESULT).write_text(json.dumps(said))


main()
