"""What competitors are asked to do, and how it is checked that they did.

A `Network` says what is wanted; each competitor turns it into its own language. The checks look
at the kernel and at nothing a competitor says, except for the address it chose.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmarks.harness import require
from benchmarks.node import compile_c

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from benchmarks.node import Node

STORE = "/var/lib/cni/networks"
BRIDGE = "cni0"
MASTER, MASTER_PEER = "up0", "up1"
FLANNEL_MTU = 1450
UPLINK, OUTSIDE = "out0", "192.0.2.2"
EVERY = -1  # the number that stands for each pod's own


@dataclass(slots=True, frozen=True)
class Network:
    """A network that pods are attached to; the gateway is the first address of the /16."""

    kind: Literal["bridge", "macvlan", "flannel", "ptp"] = "bridge"
    ip_masq: bool = False
    name: str = "bench"
    prefix: str = "10.22"

    @property
    def subnet(self) -> str:
        """Return the network's range."""
        return f"{self.prefix}.0.0/16"

    @property
    def networks(self) -> tuple[Network, ...]:
        """Return what a pod is attached to, in this order."""
        return (self,)

    @property
    def gateway(self) -> str:
        """Return the address that pods ping."""
        return f"{self.prefix}.0.1"

    def address(self, number: int) -> str:
        """Return an address for pod ``number``, for competitors that have no IPAM of their own."""
        return f"{self.prefix}.{100 + number // 250}.{number % 250 + 2}"

    def conf(self, version: str = "1.0.0") -> dict[str, Any]:
        """Return the CNI configuration."""
        conf: dict[str, Any] = {"cniVersion": version, "name": self.name, "type": self.kind}
        if self.kind == "flannel":
            return {**conf, "delegate": {"isDefaultGateway": True}}
        if self.kind == "bridge":
            conf |= {"bridge": BRIDGE, "isGateway": True, "ipMasq": self.ip_masq}
        elif self.kind == "ptp":
            conf["ipMasq"] = self.ip_masq
        else:
            conf |= {"master": MASTER, "mode": "bridge"}
        routes = [{"dst": "0.0.0.0/0"}]
        ranges = {"subnet": self.subnet, "gateway": self.gateway, "routes": routes}
        return {**conf, "ipam": {"type": "host-local", **ranges}}

    def plugins(self, pod: Pod) -> list[dict[str, Any]]:  # noqa: ARG002 - for those who need it
        """Return what is called for a pod, one after the other, as it stands in a list."""
        return [{key: v for key, v in self.conf().items() if key not in ("cniVersion", "name")}]

    def whole(self, plugin: Mapping[str, Any], previous: Any = None) -> dict[str, Any]:
        """Return what a runtime sends a plugin of the list, with the result of the one before."""
        head = {"cniVersion": self.conf()["cniVersion"], "name": self.name}
        return {**head, **plugin, **({"prevResult": previous} if previous else {})}

    def look(self, node: Node, pod: Pod, address: str, *, attached: bool) -> None:
        """Check whatever else there has to be for a pod that is attached, and not without one."""


@dataclass(slots=True, frozen=True)
class Pod:
    """A container: its namespace's path in the node, and its container ID."""

    netns: str
    container_id: str
    number: int = 0

    def port(self, first: int) -> int | str:
        """Return a port that is this pod's alone, of those from ``first`` on."""
        return f"@POD+{first}@" if self.number == EVERY else first + self.number


def every_pod(prefix: str) -> Pod:
    """Return what stands for each of the pods of a churn."""
    return Pod(f"/run/netns/{prefix}@POD@", f"{prefix}@POD@", EVERY)


def host_local(name: str = "bench", prefix: str = "10.22") -> dict[str, Any]:
    """Return a configuration for the IPAM plugin alone."""
    return {
        "cniVersion": "1.0.0",
        "name": name,
        "type": "bridge",
        "ipam": {"type": "host-local", "subnet": f"{prefix}.0.0/16"},
    }


def cni_env(command: str, pod: Pod, path: str) -> dict[str, str]:
    """Return the environment of a plugin call."""
    return {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": pod.container_id,
        "CNI_NETNS": pod.netns,
        "CNI_IFNAME": "eth0",
        "CNI_PATH": path,
    }


def encode(conf: Mapping[str, Any]) -> bytes:
    """Return a configuration as a plugin reads it."""
    return json.dumps(conf, separators=(",", ":")).encode()


def conf_list(network: Network) -> dict[str, Any]:
    """Return the configuration list of a network whose plugins are told nothing about a pod."""
    return {"cniVersion": "1.0.0", "name": network.name, "plugins": network.plugins(Pod("", ""))}


def template(conf: Mapping[str, Any]) -> bytes:
    """Return the same for every pod of a churn; a placeholder that is a value has no quotes."""
    return encode(conf).replace(b'"@', b"@").replace(b'@"', b"@")


def prepare(node: Node, network: Network) -> None:
    """Give the node what the network needs to be there before the first pod."""
    if network.kind == "macvlan":
        node.do("ip", "link", "add", MASTER, "type", "veth", "peer", "name", MASTER_PEER)
        node.do("ip", "addr", "add", f"{network.gateway}/16", "dev", MASTER_PEER)
        for link in (MASTER_PEER, MASTER):
            node.do("ip", "link", "set", link, "up")
    if network.kind == "flannel":
        file = node.path("/run/flannel/subnet.env")
        file.parent.mkdir()
        file.write_text(
            f"FLANNEL_NETWORK=10.0.0.0/8\nFLANNEL_SUBNET={network.gateway}/16\n"
            f"FLANNEL_MTU={FLANNEL_MTU}\nFLANNEL_IPMASQ={str(not network.ip_masq).lower()}\n"
        )
    if network.ip_masq:
        _make_outside(node)


def _make_outside(node: Node) -> None:
    """Make a host beyond the node that knows no way back to pods: it answers masqueraded pings."""
    (netns,) = node.make_pods(1, "outside")
    name = Path(netns).name
    node.do(
        *("ip", "link", "add", UPLINK, "up", "type", "veth"),
        *("peer", "name", "eth0", "netns", name),
    )
    node.do("ip", "addr", "add", "192.0.2.1/24", "dev", UPLINK)
    node.do("ip", "-n", name, "addr", "add", f"{OUTSIDE}/24", "dev", "eth0")
    node.do("ip", "-n", name, "link", "set", "eth0", "up")


def make_bridge(node: Node, network: Network) -> None:
    """Make the bridge and its gateway address, for competitors that do not make it themselves."""
    node.do("ip", "link", "add", BRIDGE, "type", "bridge")
    node.do("ip", "addr", "add", f"{network.gateway}/16", "dev", BRIDGE)
    node.do("ip", "link", "set", BRIDGE, "up")


def fill_store(node: Node, taken: int, network: str = "bench", prefix: str = "10.22") -> None:
    """Reserve the first ``taken`` addresses of a /16, in host-local's own files."""
    folder = node.path(f"{STORE}/{network}")
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(taken):
        third, fourth = divmod(number + 2, 256)
        file = folder / f"{prefix}.{third}.{fourth}"
        file.write_bytes(f"other{number}\r\neth0".encode())
    if taken:
        third, fourth = divmod(taken + 1, 256)
        (folder / "last_reserved_ip.0").write_text(f"{prefix}.{third}.{fourth}")


def foreign_rules(node: Node, count: int) -> None:
    """Load ``count`` iptables rules that are none of any competitor's business."""
    if not count:
        return
    lines = [
        f"-A FORWARD -s 172.16.{n // 250}.{n % 250} -p tcp --dport {1000 + n} -j ACCEPT"
        for n in range(count)
    ]
    text = "\n".join(["*filter", *lines, "COMMIT", ""])
    node.path("/run/rules").write_text(text)
    node.do("sh", "-c", "iptables-restore --noflush </run/rules")


def check_attached(node: Node, pod: Pod, network: Network, address: str) -> None:
    """Check that a pod is attached: link up, address, default route, gateway answers at once.

    Where it has to be masqueraded, a host that knows no way back answers, too.

    Raises:
        WrongResultError: it is not.
    """
    where = f"{node.name}, {pod.container_id}"
    command = [str(compile_c("first_ping")), pod.netns, network.gateway]
    ping = node.call(command)
    links = {link["ifname"]: link for link in node.links(pod.netns)}
    require("eth0" in links, f"{where}: no eth0")
    eth0 = links["eth0"]
    require({"UP", "LOWER_UP"} <= set(eth0["flags"]), f"{where}: eth0 is {eth0['flags']}")
    found = [f"{a['local']}/{a['prefixlen']}" for a in eth0["addr_info"] if a["family"] == "inet"]
    require(found == [f"{address}/16"], f"{where}: eth0 has {found}, not {address}/16")
    defaults = [r.get("gateway") for r in node.routes(pod.netns) if r["dst"] == "default"]
    require(defaults == [network.gateway], f"{where}: default routes by {defaults}")
    require(ping.exit_code == 0, f"{where}: first ping: {ping.err.decode().strip()}")
    if network.kind in {"bridge", "flannel"}:
        ports = [link["ifname"] for link in node.links() if link.get("master") == BRIDGE]
        require(ports, f"{where}: {BRIDGE} has no port")
    if network.ip_masq:
        command[2] = OUTSIDE
        ping = node.call(command)
        require(ping.exit_code == 0, f"{where}: not masqueraded: {ping.err.decode().strip()}")
    network.look(node, pod, address, attached=True)


def check_detached(
    node: Node, pod: Pod, network: Network, address: str, before: Collection[str]
) -> None:
    """Check that nothing is left of a pod: no link on either side, no address file, no rule.

    ``before`` are the names of the node's links before the pod was attached.

    Raises:
        WrongResultError: something is.
    """
    where = f"{node.name}, {pod.container_id}"
    inside = [link["ifname"] for link in node.links(pod.netns) if link["ifname"] != "lo"]
    require(not inside, f"{where}: links left inside: {inside}")
    left = set(link_names(node)) - set(before) - {BRIDGE}
    require(not left, f"{where}: links left on the host: {left}")
    require(not node.path(f"{STORE}/{network.name}/{address}").exists(), f"{where}: address kept")
    if network.ip_masq:
        require(address not in _rules(node), f"{where}: a rule is left for {address}")
    network.look(node, pod, address, attached=False)


def check_empty(node: Node, network: Network) -> None:
    """Check that no pod is attached: no port, no address, no masqueraded address.

    Raises:
        WrongResultError: one is, or part of one.
    """
    left = set(link_names(node)) - {"lo", BRIDGE, UPLINK}
    require(not left, f"{node.name}: links left: {left}")
    require(store_size(node, network.name) == 0, f"{node.name}: addresses left")
    if network.ip_masq:
        rest = addresses_in(network, _rules(node))
        require(not rest, f"{node.name}: rules left for {rest}")


def addresses_in(network: Network, text: str) -> set[str]:
    """Return the addresses of the network's pods that a text names."""
    own = {network.subnet.partition("/")[0], network.gateway}
    return set(re.findall(rf"{re.escape(network.prefix)}\.\d+\.\d+", text)) - own


def link_names(node: Node) -> list[str]:
    """Return the names of the node's links."""
    return [link["ifname"] for link in node.links()]


def address_of(result: bytes) -> str:
    """Return the IPv4 address that a CNI result names, without its prefix length."""
    address: str = json.loads(result)["ips"][0]["address"]
    return address.partition("/")[0]


def address_kept(node: Node, network: Network, pod: Pod) -> str:
    """Return the address that is reserved for a pod.

    Raises:
        WrongResultError: none is, or several are.
    """
    files = [file for file in node.path(f"{STORE}/{network.name}").iterdir() if file.is_file()]
    names = [file.name for file in files if file.read_text().split()[:1] == [pod.container_id]]
    require(len(names) == 1, f"{node.name}, {pod.container_id}: addresses are {names}")
    return names[0]


def store_size(node: Node, network: str = "bench") -> int:
    """Return how many addresses are reserved."""
    folder: Path = node.path(f"{STORE}/{network}")
    return sum(1 for file in folder.iterdir() if file.name[:1].isdigit()) if folder.exists() else 0


def _rules(node: Node) -> str:
    """Return all rules but those of the table that foreign rules are in."""
    tables = node.do("nft", "list", "tables").decode().split("\n")
    mine = [table for table in tables if table and table != "table ip filter"]
    return "".join(node.do("nft", "list", *table.split()).decode() for table in mine)
