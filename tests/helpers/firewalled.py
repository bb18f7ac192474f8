"""Pods on two bridges whose forwarding the firewall plugin sees to, called as a runtime does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cnifast import plugins

from .exchange import SECONDS, Client, Server, Unanswered
from .routed import NEIGHBOUR, Routed, pod_prefix

if TYPE_CHECKING:
    from .node import Container, Node

VERSION = "1.1.0"
SECOND = {4: "10.2.0.7", 6: "fd00:2::7"}  # the pod on the other bridge
SOON = 0.4  # seconds for what is not to come: nothing is retried in that time
_LENGTH = {4: 32, 6: 128}


class Pod:
    """A pod that is attached already."""

    def __init__(self, container: Container, bridge: str, addresses: dict[int, str]) -> None:
        self.name = container.name
        self.fd = container.fd
        self.bridge = bridge
        self.addresses = {family: text.partition("/")[0] for family, text in addresses.items()}
        self.conf: dict[str, Any] = {}
        self._prefixes = addresses

    def result(self, families: tuple[int, ...] = (4, 6)) -> dict[str, Any]:
        """Return what the bridge plugin says of it."""
        return {
            "cniVersion": VERSION,
            "interfaces": [
                {"name": self.bridge},
                {"name": f"port-{self.name}"},
                {"name": "eth0", "sandbox": f"/run/netns/{self.name}"},
            ],
            "ips": [{"address": self._prefixes[family], "interface": 2} for family in families],
        }

    def configuration(self, **conf: Any) -> dict[str, Any]:
        """Return what a runtime sends."""
        base = {"cniVersion": VERSION, "name": "net", "type": "firewall"}
        return {**base, "prevResult": self.result(), **conf}

    def add(self, **conf: Any) -> Any:
        """ADD; keep the configuration for the other commands."""
        self.conf = self.configuration(**conf)
        return plugins.add("firewall", self.conf, **self.who())

    def check(self, **conf: Any) -> None:
        """CHECK with what ADD was given."""
        plugins.check("firewall", {**self.conf, **conf}, **self.who())

    def delete(self, *without: str, **conf: Any) -> None:
        """DEL with what ADD was given but for the keys in ``without``; "netns" is one of them."""
        sent = {key: value for key, value in {**self.conf, **conf}.items() if key not in without}
        who = self.who()
        if "netns" in without:
            who["netns"] = ""
        plugins.delete("firewall", sent, **who)

    def who(self) -> dict[str, str]:
        """Return what identifies the attachment."""
        return {"container_id": self.name, "netns": f"/run/netns/{self.name}", "ifname": "eth0"}

    def rules(self, family: int) -> list[str]:
        """Return the rules of iptables that let it through."""
        whole = f"{self.addresses[family]}/{_LENGTH[family]}"
        return [
            f"-A CNI-FORWARD -d {whole} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            f"-A CNI-FORWARD -s {whole} -j ACCEPT",
        ]


class Firewalled(Routed):
    """Pods c5 and c6 on br0, c7 on br1, and a neighbour beyond the node."""

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        self.node = node
        self.first, self.second = (
            Pod(container, "br0", {family: pod_prefix(number, family) for family in (4, 6)})
            for number, container in zip((5, 6), self.pods, strict=True)
        )
        container = node.new_container("c7")
        node.ip("link add br1 up type bridge")
        node.ip(f"link add port7 up master br1 type veth peer name eth0 netns {container.name}")
        inside = f"-n {container.name} "
        for family, length in ((4, 16), (6, 64)):
            gateway = SECOND[family][:-1] + "1"
            nodad = "nodad" * (family == 6)
            node.ip(f"address add {gateway}/{length} dev br1 {nodad}")
            node.ip(f"{inside}address add {SECOND[family]}/{length} dev eth0 {nodad}")
        node.ip(f"{inside}link set eth0 up")
        for family in (4, 6):
            node.ip(f"{inside}route add default via {SECOND[family][:-1]}1")
        lengths = {4: f"{SECOND[4]}/16", 6: f"{SECOND[6]}/64"}
        self.other = Pod(container, "br1", lengths)

    def greet(self, family: int) -> None:
        """Have everybody be reached once, so that everybody knows where everybody is."""
        neighbour = self.neighbour.fd
        for pod in (self.first, self.second, self.other):
            assert reaches(pod.fd, neighbour, NEIGHBOUR[family], 3000)
            assert reaches(neighbour, pod, pod.addresses[family], 3001)
        for one, other in ((self.first, self.other), (self.second, self.first)):
            assert reaches(one.fd, other, other.addresses[family], 3002)
            assert reaches(other.fd, one, one.addresses[family], 3003)

    def filter_bridged(self) -> None:
        """Have packets between ports of a bridge pass the rules for forwarded ones."""
        for kind in ("iptables", "ip6tables"):
            self.node.run(f"sysctl -qw net.bridge.bridge-nf-call-{kind}=1")


def reaches(client: int, server: Pod | int, target: str, port: int = 4000) -> bool:
    """Tell whether a server in a namespace answers a client in another by UDP."""
    return _asked(client, server, target, port, SECONDS)


def is_kept_from(client: int, server: Pod | int, target: str, port: int = 4000) -> bool:
    """Tell whether a server that was reached before does not answer a client at once."""
    return not _asked(client, server, target, port, SOON)


def _asked(client: int, server: Pod | int, target: str, port: int, seconds: float) -> bool:
    fd = server.fd if isinstance(server, Pod) else server
    listening = Server(fd, "udp", port, 6 if ":" in target else 4)
    asking = Client(client, "udp", target, port)
    try:
        listening.asked_by(asking, seconds=seconds)
    except Unanswered:
        return False
    finally:
        asking.close()
        listening.close()
    return True
