"""Run on a throwaway host: pods' sandboxes by the CRI of containerd, and what is seen of them.

    cri_calls.py MODE EXAMPLE PLUGINS COMMAND IMAGE

MODE is how our plugins use the service (CNIFAST_SERVICE), or "reference" where PLUGINS is a
directory with those of others.  EXAMPLE is the one with containerd's configuration, COMMAND our
command.  The sandboxes' image, IMAGE, is in /run/results/image.tar; what was seen is left beside
it, in said.json.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cnifast.service.settings import SOCKET
from helpers.bench import wait_for
from helpers.cri import Cri, RefusedError
from helpers.node import TOOLS_PATH

MODE, EXAMPLE, PLUGINS, COMMAND, IMAGE = sys.argv[1:]
RESULTS = Path("/run/results")
CONTAINERD = "/run/containerd.sock"
HANDLERS = Path("/run/handlers")
STORES = Path("/var/lib/cni/networks")
CACHE = Path("/var/lib/cni/results")
NAMESPACES = Path("/run/netns")
PORT = {"container_port": 80, "host_port": 8080}
GATEWAYS = ("10.244.0.1", "fd00:244::1")
AT_ONCE = 8
# The web server may not have begun to listen; the reference's IPv6 addresses answer later still.
NOT_YET = OSError if MODE == "reference" else ConnectionRefusedError
# What this host needs besides the example.  It is appended: containerd takes all tables of a plugin
# from one file, so with `imports` they would replace the example's.  A test's process may lack some
# controllers of cgroups, and the right to go below its own oom_score_adj.
MORE = f"""
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{IMAGE}"
  restrict_oom_score_adj = true
  disable_cgroup = true
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""
# One more kind of sandbox, with networks of its own.
HANDLER = """
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.{name}]
  runtime_type = "io.containerd.runc.v2"
  cni_conf_dir = "{directory}"
"""


def run(*command: str) -> str:
    """Run a program; return what it printed."""
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


def ip(*arguments: str) -> Any:
    """Return what `ip` says, decoded."""
    return json.loads(run("ip", "-j", *arguments) or "[]")


def ctr(*arguments: str) -> str:
    """Tell containerd something that is no business of the CRI; return what it said."""
    return run("ctr", f"--address={CONTAINERD}", "--namespace=k8s.io", *arguments)


# -- the host -------------------------------------------------------------------------------------


def networks() -> dict[str, dict[str, Any]]:
    """Return the networks of handlers: one with a single address, one that no plugin takes."""
    example = (Path(EXAMPLE) / "10-cnifast.conflist").read_text()
    small, broken = json.loads(example), json.loads(example)
    small["name"] = "small"
    only = {"subnet": "10.245.0.0/24", "rangeStart": "10.245.0.2", "rangeEnd": "10.245.0.2"}
    small["plugins"][0].update(bridge="cni1", mtu=1400)
    small["plugins"][0]["ipam"]["ranges"] = [[only]]
    broken["name"] = "broken"
    broken["plugins"][0].update(bridge="cni2", vlan=5000)
    return {"small": small, "broken": broken}


def configure() -> Path:
    """Put plugins, networks and containerd's configuration in their places; return the last."""
    shutil.copytree(PLUGINS, "/opt/cni/bin")
    Path("/etc/cni/net.d").mkdir(parents=True)
    for path in Path(EXAMPLE).glob("*.conflist"):
        shutil.copy(path, "/etc/cni/net.d")
    text = (Path(EXAMPLE) / "config.toml").read_text() + MORE
    for name, network in networks().items():
        (HANDLERS / name).mkdir(parents=True)
        (HANDLERS / name / "10-list.conflist").write_text(json.dumps(network))
        text += HANDLER.format(name=name, directory=HANDLERS / name)
    path = Path("/run/config.toml")
    path.write_text(text)
    return path


def serve() -> subprocess.Popen[bytes]:
    """Start the service and wait until it listens."""
    with (RESULTS / "service.log").open("wb") as log:
        process = subprocess.Popen([COMMAND, "serve"], stderr=log)
    wait_for(lambda: "event=ready" in (RESULTS / "service.log").read_text())
    return process


def containerd(config: Path) -> Cri:
    """Start containerd with the sandboxes' image; return its CRI when that is ready."""
    where = ["--root=/run/containerd-root", "--state=/run/containerd-state"]
    with (RESULTS / "containerd.log").open("wb") as log:
        subprocess.Popen(
            ["containerd", f"--config={config}", f"--address={CONTAINERD}", *where],
            env={"PATH": TOOLS_PATH, "CNIFAST_SERVICE": MODE},
            stdout=log,
            stderr=log,
        )
    wait_for(Path(CONTAINERD).exists)
    cri = Cri(CONTAINERD)
    wait_for(cri.ready)
    ctr("image", "import", "--snapshotter=native", str(RESULTS / "image.tar"))
    wait_for(lambda: cri.has_image(IMAGE))
    return cri


# -- what is seen ---------------------------------------------------------------------------------


def rules() -> str:
    """Return all rules, of whichever kind, without counts of packets."""
    tables = (run("iptables-save") + run("ip6tables-save")).splitlines(keepends=True)
    appended = [line for line in tables if line.startswith("-A")]
    return run("nft", "--stateless", "list", "ruleset") + "".join(appended)


def veths() -> list[str]:
    """Return the names of the host's ends."""
    return [link["ifname"] for link in ip("link", "show", "type", "veth")]


def held() -> list[str]:
    """Return the addresses that are reserved, of all networks."""
    return sorted(path.name for path in STORES.glob("*/*") if path.name[:1] in "1f")


def left(cri: Cri, *sandboxes: str) -> dict[str, Any]:
    """Return what there is of sandboxes; `ruled` are those of these that rules are there for."""
    text = rules()
    return {
        "sandboxes": cri.sandboxes(),
        "links": veths(),
        "addresses": held(),
        "namespaces": sorted(path.name for path in NAMESPACES.iterdir()),
        "cache": sorted(path.name for path in CACHE.glob("*")),
        "ruled": [sandbox for sandbox in sandboxes if sandbox in text],
    }


def addresses(link: dict[str, Any]) -> list[str]:
    """Return a link's addresses that others can reach."""
    found = [one for one in link["addr_info"] if one["scope"] == "global"]
    return [f"{one['local']}/{one['prefixlen']}" for one in found]


def routes(namespace: str, family: str) -> list[str]:
    """Return the routes of a namespace but those to neighbours' link-local addresses."""
    found = ip("-n", namespace, family, "route")
    words = [(one["dst"], one.get("gateway", ""), one["dev"]) for one in found]
    return sorted(" ".join(filter(None, one)) for one in words if one[0] != "fe80::/64")


def inside(namespace: str) -> dict[str, Any]:
    """Return what a sandbox has in its namespace."""
    links = {link["ifname"]: link for link in ip("-n", namespace, "addr")}
    eth0 = links["eth0"]
    return {
        "up": sorted(name for name, link in links.items() if "UP" in link["flags"]),
        "addresses": addresses(eth0),
        "lo": [one["local"] for one in links["lo"]["addr_info"]],
        "mtu": eth0["mtu"],
        "routes": [*routes(namespace, "-4"), *routes(namespace, "-6")],
        "tentative": [one["local"] for one in eth0["addr_info"] if one.get("tentative")],
    }


def page(address: str) -> str:
    """Return what the sandbox's web server says through the port of the host."""

    def asked() -> str:
        connection = http.client.HTTPConnection(address, PORT["host_port"], timeout=20)
        try:
            connection.request("GET", "/hello")
            return connection.getresponse().read().decode()
        except NOT_YET:
            return ""

    return str(wait_for(asked))


def refused(address: str) -> bool:
    """Tell whether the host itself refuses the port, which then leads nowhere else."""
    try:
        http.client.HTTPConnection(address, PORT["host_port"], timeout=20).connect()
    except OSError as error:
        return isinstance(error, ConnectionRefusedError)
    return False


# -- what is done ---------------------------------------------------------------------------------


def one_pod(cri: Cri) -> dict[str, Any]:
    """Run one sandbox with a host port, stop it twice, remove it twice."""
    sandbox = cri.run("one", port_mappings=[PORT])
    said: dict[str, Any] = {"id": sandbox, "ips": cri.ips(sandbox), "up": left(cri, sandbox)}
    said["inside"] = inside(*said["up"]["namespaces"])
    said["masters"] = [link["master"] for link in ip("link", "show", "type", "veth")]
    said["pages"] = [page(address) for address in GATEWAYS]
    cri.stop(sandbox)
    said["stopped"] = left(cri, sandbox)
    said["refused"] = [refused(address) for address in GATEWAYS]
    cri.stop(sandbox)
    said["ips after"] = cri.ips(sandbox)
    cri.remove(sandbox)
    cri.remove(sandbox)
    said["removed"] = left(cri, sandbox)
    return said


def many_pods(cri: Cri) -> dict[str, Any]:
    """Run several sandboxes at once, each with a host port, and end them at once."""

    def begin(number: int) -> str:
        return cri.run(f"many{number}", port_mappings=[{**PORT, "host_port": 9000 + number}])

    def end(sandbox: str) -> None:
        cri.stop(sandbox)
        cri.remove(sandbox)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        sandboxes = list(pool.map(begin, range(AT_ONCE)))
        said: dict[str, Any] = {"up": left(cri, *sandboxes), "ips": list(map(cri.ips, sandboxes))}
        said["inside"] = list(map(inside, said["up"]["namespaces"]))
        list(pool.map(end, sandboxes))
    said["removed"] = left(cri, *sandboxes)
    return said


def lost_pod(cri: Cri) -> dict[str, Any]:
    """Run a sandbox, take it away behind the runtime's back, and give its host port to the next."""
    lost = cri.run("lost", port_mappings=[PORT])
    for path in NAMESPACES.iterdir():
        run("umount", str(path))
        path.unlink()
    ctr("task", "kill", "--signal=KILL", lost)
    wait_for(lambda: not veths())
    said: dict[str, Any] = {"lost": left(cri, lost)}
    following = cri.run("following", port_mappings=[PORT])
    cri.stop(lost)
    cri.remove(lost)
    said["following"] = left(cri, lost, following)
    said["ids"] = [lost, following]
    said["ips"] = cri.ips(following)
    said["page"] = page(GATEWAYS[0])
    cri.stop(following)
    cri.remove(following)
    said["removed"] = left(cri, lost, following)
    return said


def fails(cri: Cri, name: str, handler: str = "") -> dict[str, Any]:
    """Run a sandbox that cannot be attached; return the error, and what there is afterwards."""
    said = {"before": left(cri), "rules before": rules(), "error": ""}
    try:
        cri.run(name, handler, port_mappings=[PORT])
    except RefusedError as error:
        said["error"] = str(error)
    return {**said, "after": left(cri), "rules after": rules()}


def failures(cri: Cri) -> dict[str, Any]:
    """Run sandboxes whose attachment fails in the first plugin, or in a later one."""
    said = {"broken": fails(cri, "broken", "broken")}
    only = cri.run("only", "small")
    said["small"] = inside(*os.listdir(NAMESPACES))
    said["exhausted"] = fails(cri, "exhausted", "small")
    cri.stop(only)
    cri.remove(only)
    owner = cri.run("owner", port_mappings=[PORT])
    said["owner"] = {"id": owner}
    said["taken"] = fails(cri, "taken")
    said["owner"]["page"] = page(GATEWAYS[0])
    cri.stop(owner)
    cri.remove(owner)
    said["removed"] = left(cri, only, owner)
    return said


def main() -> None:
    """Do everything and write down what was seen."""
    config = configure()
    service = serve() if MODE == "required" else None
    cri = containerd(config)
    said: dict[str, Any] = {"mode": MODE, "one": one_pod(cri), "service": None}
    if MODE != "reference":
        for scenario in (many_pods, lost_pod, failures):
            said[scenario.__name__] = scenario(cri)
    said["serves"] = Path(SOCKET).exists()
    if service:
        service.terminate()
        said["service"] = service.wait(timeout=20)
    (RESULTS / "said.json").write_text(json.dumps(said))


main()
