"""The state of a node as sorted lines of text: two states differ by added and removed lines.

The observers are iproute2 with tc, nftables, iptables and /proc, never cnifast itself.  What is
random by nature is named by what it is: the host end of a pair is `<peer of pod1/eth0>`.  Left out
is what happens by itself some time later: IPv6 link-local addresses and their routes, timers, the
operational state of bridges.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import nsutil, traffic

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .node import Node

HOST = "host"
_SETTLE_SECONDS = 2.0
_DROPPED_FLAGS = {"BROADCAST", "MULTICAST", "LOWER_UP", "LOOPBACK", "NO-CARRIER", "M-DOWN"}
_SYSCTLS = (
    *("ipv4.arp_notify", "ipv4.forwarding", "ipv4.proxy_arp", "ipv4.route_localnet"),
    *("ipv4.rp_filter", "ipv6.accept_dad", "ipv6.accept_ra", "ipv6.addr_gen_mode"),
    *("ipv6.disable_ipv6", "ipv6.enhanced_dad", "ipv6.forwarding", "ipv6.keep_addr_on_down"),
    "ipv6.ndisc_notify",
)
_TAP = ("type", "pi", "vnet_hdr", "multi_queue", "persist", "user", "group")
_TXQLEN = 1000  # what nobody has changed
_BATCH = "addr show\nroute show table all\nrule show\n"


class _View:
    """What one network namespace looks like."""

    def __init__(self, label: str, fd: int, batch: str) -> None:
        self.label = label
        self.id = nsutil.netns_id(fd)
        with nsutil.inside(fd):
            done = subprocess.run(
                ["ip", "-j", "-d", "-batch", batch], capture_output=True, text=True, check=True
            )
            self.links, self.routes, self.rules = _json_stream(done.stdout)
            self.rules += json.loads(_output("ip", "-6", "-j", "rule", "show") or "[]")
            self.sysctls = _sysctls(link["ifname"] for link in self.links)

    def pairs(self) -> Iterator[tuple[int, int, bool, bool]]:
        """Yield (index, index of the other end, up, carrier noticed) of the ends of pairs."""
        indices = {link["ifname"]: link["ifindex"] for link in self.links}
        for link in self.links:
            if link.get("linkinfo", {}).get("info_kind") == "veth":
                other = link.get("link_index") or indices.get(link.get("link"), 0)
                yield link["ifindex"], other, "UP" in link["flags"], link["operstate"] == "UP"


def _json_stream(text: str) -> list[Any]:
    """Decode JSON documents that follow each other."""
    decoder = json.JSONDecoder()
    found = []
    at = 0
    while at < len(text):
        document, at = decoder.raw_decode(text, at)
        found.append(document)
        while at < len(text) and text[at].isspace():
            at += 1
    return found


def _sysctl(path: str) -> str:
    """Read one value, empty when this kernel has no such setting."""
    try:
        return Path("/proc/sys/net", path).read_text().strip()
    except OSError:
        return ""


def _sysctls(names: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return (link or "", setting, value): global ones, and those of links that are not default."""
    found = [
        ("", "ipv4.ip_forward", _sysctl("ipv4/ip_forward")),
        ("", "ipv6.all.forwarding", _sysctl("ipv6/conf/all/forwarding")),
    ]
    defaults = {}
    for setting in _SYSCTLS:
        family, name = setting.split(".")
        defaults[setting] = _sysctl(f"{family}/conf/default/{name}")
    for link in names:
        if link == "lo":
            continue
        for setting, default in defaults.items():
            family, name = setting.split(".")
            value = _sysctl(f"{family}/conf/{link}/{name}")
            if value != default:
                found.append((link, setting, value))
    return found


class Snapshot:
    """The state of a node's host and containers at one moment."""

    def __init__(
        self, node: Node, literals: str = "", tokens: dict[str, str] | None = None
    ) -> None:
        """Take the snapshot, once every link that is up is seen to be up (2 s at most).

        Args:
            node: an open node.
            literals: text of the configuration: a MAC that stands in it is shown, others are not.
            tokens: what to look for in the firewall: word -> how it is shown.  The addresses and
                host ends of the containers that are there now are added to it.
        """
        self._literals = literals.lower()
        self._tokens = {} if tokens is None else tokens
        deadline = time.monotonic() + _SETTLE_SECONDS
        with tempfile.NamedTemporaryFile("w", prefix="batch.", dir="/run") as batch:
            batch.write(_BATCH)
            batch.flush()
            while True:
                self.views = {HOST: _View(HOST, node.fd, batch.name)}
                for container in node.containers.values():
                    self.views[container.name] = _View(container.name, container.fd, batch.name)
                if self._settled() or time.monotonic() > deadline:
                    break
        self._paths = {c.path: c.name for c in node.containers.values()}
        self._peers = self._pair_up()
        self._collect_tokens()
        self.firewall = _firewall()
        self.traffic = traffic.lines()
        self.files = _files(Path("/var/lib/cni"))

    def _settled(self) -> bool:
        """Whether ends that are up are seen to have a carrier just if the other end is up, too."""
        ends = [end for view in self.views.values() for end in view.pairs()]
        is_up = {(index, other): up for index, other, up, _ in ends}
        return all(
            seen == is_up[other, index]
            for index, other, up, seen in ends
            if up and (other, index) in is_up
        )

    # -- names ----------------------------------------------------------------------------------

    def _pair_up(self) -> dict[tuple[str, int], str]:
        """Name the host ends of pairs after their container ends."""
        named = {}
        for label, view in self.views.items():
            if label == HOST:
                continue
            for link in view.links:
                if link.get("linkinfo", {}).get("info_kind") != "veth":
                    continue
                for other in self.views[HOST].links:
                    if (
                        other["ifindex"] == link.get("link_index")
                        and other.get("link_index") == link["ifindex"]
                        and "link_netnsid" in other
                    ):
                        named[HOST, other["ifindex"]] = f"<peer of {label}/{link['ifname']}>"
        return named

    def link(self, label: str, name: str) -> dict[str, Any] | None:
        """Find a link by its real name in the host ("host") or a container."""
        if label not in self.views:
            return None
        for link in self.views[label].links:
            if link["ifname"] == name:
                found: dict[str, Any] = link
                return found
        return None

    def shown_name(self, label: str, name: str | None) -> str:
        """Return a link's name as snapshots show it."""
        link = self.link(label, name) if name else None
        if link is None:
            return name or "-"
        return self._peers.get((label, link["ifindex"]), str(link["ifname"]))

    def label_of(self, netns_path: str) -> str:
        """Return the container that a sandbox path belongs to, "host" for an empty one."""
        return self._paths.get(netns_path, netns_path) if netns_path else HOST

    # -- lines ----------------------------------------------------------------------------------

    def lines(self) -> list[str]:
        """Return the state, one fact per line, sorted."""
        found: list[str] = []
        for label, view in self.views.items():
            for link in view.links:
                if link["ifname"] == "lo" and label == HOST:
                    continue
                found.append(f"{label} link {self._link_text(label, link)}")
                found += (
                    f"{label} addr {text}"
                    for address in link["addr_info"]
                    if (text := self._address_text(label, link, address))
                )
            found += (
                f"{label} route {text}"
                for route in view.routes
                if (text := self._route_text(label, route))
            )
            found += (
                f"{label} rule {json.dumps(rule, sort_keys=True)}"
                for rule in view.rules
                if rule.get("protocol") != "kernel"
            )
            found += (
                f"{label} sysctl {self.shown_name(label, name)} {setting}={value}"
                for name, setting, value in view.sysctls
            )
        found += self._firewall_lines()
        found += (
            f"{HOST} {fact.partition(' ')[0]} {self.shown_name(HOST, link)} "
            f"{fact.partition(' ')[2]}"
            for link, fact in self.traffic
        )
        found += (
            f"file {path} {content}"
            for path, content in self.files
            if "/.cnifast/" not in path and not path.endswith("/.cnifast")
        )
        return sorted(found)

    def _link_text(self, label: str, link: dict[str, Any]) -> str:
        """Describe a link."""
        info = link.get("linkinfo", {})
        kind = info.get("info_kind", link["link_type"])
        flags = ",".join(sorted(set(link["flags"]) - _DROPPED_FLAGS)) or "-"
        words = [self.shown_name(label, link["ifname"]), kind, flags, f"mtu {link['mtu']}"]
        if kind != "bridge":
            words.append("running" if link["operstate"] in ("UP", "UNKNOWN") else "not-running")
        mac = str(link.get("address", ""))
        if mac and kind != "loopback" and mac in self._literals:
            words.append(f"mac {mac}")
        if link.get("txqlen", _TXQLEN) != _TXQLEN:
            words.append(f"txqlen {link['txqlen']}")
        if "master" in link:
            words.append(f"master {self.shown_name(label, link['master'])}")
        data = info.get("info_data", {})
        if kind == "bridge" and data.get("vlan_filtering"):
            words.append(f"vlan_filtering pvid {data.get('vlan_default_pvid')}")
        if kind in ("macvlan", "macvtap"):
            words += [f"mode {data.get('mode')}", f"bcqueuelen {data.get('bcqueuelen')}"]
        if kind == "ipvlan":
            words.append(f"mode {data.get('mode')}")
        if kind == "vlan":
            words.append(f"id {data.get('id')}")
        if kind == "tun":
            words += [f"{key} {data[key]}" for key in _TAP if key in data]
        slave = info.get("info_slave_data", {})
        words += (
            option
            for option in ("hairpin", "isolated", "guard", "neigh_suppress", "vlan_tunnel")
            if slave.get(option)
        )
        words += (
            f"{option} off"
            for option in ("learning", "flood", "mcast_flood")
            if not slave.get(option, True)
        )
        return " ".join(words)

    def _address_text(self, label: str, link: dict[str, Any], address: dict[str, Any]) -> str:
        """Describe an address; empty for the ones the kernel gives by itself."""
        local = str(address["local"])
        if local.startswith("fe80:") or (link["ifname"] == "lo" and label == HOST):
            return ""
        words = [
            self.shown_name(label, link["ifname"]),
            f"{local}/{address['prefixlen']}",
            f"scope {address['scope']}",
        ]
        words += (f"{key} {address[key]}" for key in ("broadcast", "address") if key in address)
        words += (
            key
            for key in ("nodad", "tentative", "dadfailed", "deprecated", "dynamic", "noprefixroute")
            if address.get(key) and (key, label) != ("tentative", HOST)
        )
        if address.get("label", link["ifname"]) != link["ifname"]:
            words.append(f"label {address['label']}")
        return " ".join(words)

    def _route_text(self, label: str, route: dict[str, Any]) -> str:
        """Describe a route; empty for the ones the kernel makes by itself for every address."""
        target = str(route["dst"])
        if (
            route.get("table") == "local"
            or target.startswith(("fe80:", "ff00:"))
            or route.get("type") == "multicast"
        ):
            return ""
        hops = route.get("nexthops", [route])
        words = ["v6" if "pref" in route else "v4"]
        if route.get("type", "unicast") != "unicast":
            words.append(str(route["type"]))
        words.append(target)
        for hop in hops:
            via = hop.get("gateway") or hop.get("via", {}).get("host")
            if via:
                words.append(f"via {via}")
            if hop.get("dev"):
                words.append(f"dev {self.shown_name(label, hop['dev'])}")
        words += (
            f"{key} {route[key]}"
            for key in ("table", "protocol", "scope", "metric", "prefsrc")
            if key in route and (key, route[key]) != ("table", "main")
        )
        words += (
            f"metrics {json.dumps(some, sort_keys=True)}" for some in route.get("metrics", ())
        )
        if "onlink" in route.get("flags", ()):
            words.append("onlink")
        return " ".join(words)

    def _collect_tokens(self) -> None:
        """Remember the containers' addresses and host ends as words to look for."""
        for label, view in self.views.items():
            for link in view.links:
                if label == HOST:
                    if (HOST, link["ifindex"]) in self._peers:
                        self._tokens[link["ifname"]] = self.shown_name(HOST, link["ifname"])
                    continue
                for address in link["addr_info"]:
                    if address["scope"] == "global":
                        self._tokens[address["local"]] = f"address {address['local']}"

    def _firewall_lines(self) -> list[str]:
        """Tell which containers' addresses and host ends the firewall speaks of."""
        return [
            f"host firewall speaks of {shown}"
            for token, shown in self._tokens.items()
            if self.firewall_mentions(token)
        ]

    def firewall_mentions(self, token: str) -> bool:
        """Whether a word (an address, a name, an ID) stands in some rule, set or comment."""
        text = self.firewall
        at = text.find(token)
        while at >= 0:
            before, after = text[at - 1 : at], text[at + len(token) : at + len(token) + 1]
            if not (_is_word(before) or _is_word(after)):
                return True
            at = text.find(token, at + 1)
        return False


def _is_word(character: str) -> bool:
    """Whether a character can continue an address or a name."""
    return bool(character) and (character.isalnum() or character in "_.:")


def _firewall() -> str:
    """Return the whole firewall of the calling thread's namespace as text."""
    text = _output("nft", "list", "ruleset")
    for family in ("ip", "ip6"):
        try:
            legacy = Path(f"/proc/thread-self/net/{family}_tables_names").read_text()
        except OSError:
            legacy = ""
        if legacy.strip():
            text += _output(f"{family}tables-legacy-save")
    return text


def _output(*command: str) -> str:
    """Run an observer; nothing where it is not installed."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        return ""


def _files(top: Path) -> list[tuple[str, str]]:
    """Return (path, mode and content) of every file and directory below top."""
    found = []
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        mode = f"{status.st_mode & 0o7777:04o}"
        if path.is_dir():
            found.append((f"{path}/", mode))
        elif path.is_file():
            content = path.read_bytes()
            shown = (
                json.dumps(content.decode("latin-1"))
                if len(content) < 400
                else f"{len(content)} bytes"
            )
            found.append((str(path), f"{mode} {shown}"))
        else:
            found.append((str(path), f"{mode} special"))
    return found


def changes(before: list[str], after: list[str]) -> list[str]:
    """Return what disappeared ("- line") and what appeared ("+ line"), sorted by line."""
    gone = set(before) - set(after)
    new = set(after) - set(before)
    return [f"- {line}" for line in sorted(gone)] + [f"+ {line}" for line in sorted(new)]
