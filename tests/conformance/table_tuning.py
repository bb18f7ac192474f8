"""What tuning is put through, on an interface that stands for another plugin's."""

from __future__ import annotations

from typing import Any

from helpers.case import Case, Damage

DATA = "/var/lib/cni/tuning"
OWN_MAC = "02:00:00:00:00:aa"
MAC = "02:11:22:33:44:55"
OTHER_MAC = "02:66:77:88:99:aa"
ALLOWLIST = "/etc/cni/tuning/allowlist.conf"
LINKS = ("h0",)
ETH0 = (
    f"ip link add h0 type veth peer name eth0 address {OWN_MAC} netns pod1",
    "ip link set h0 up",
    "ip -n pod1 link set eth0 up",
)


def previous(version: str = "1.0.0") -> dict[str, Any]:
    """Return what the plugin before tuning is said to have answered."""
    address: dict[str, Any] = {"address": "10.1.0.5/24", "gateway": "10.1.0.1"}
    if version < "0.3.0":
        return {"cniVersion": version, "ip4": {"ip": "10.1.0.5/24", "gateway": "10.1.0.1"}}
    if version < "1.0.0":
        address["version"] = "4"
    return {
        "cniVersion": version,
        "interfaces": [
            {"name": "h0"},
            {"name": "eth0", "mac": OWN_MAC, "sandbox": "/run/netns/pod1"},
        ],
        "ips": [{**address, "interface": 1}],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dns": {"nameservers": ["10.1.0.1"]},
    }


def _tuning(name: str, before: tuple[str, ...] = ETH0, **conf: Any) -> Case:
    """Build a case of tuning on pod1's eth0."""
    args = conf.pop("cni_args", "")
    since = conf.pop("since", "")
    refused = conf.pop("refused", False)
    version = conf.get("cniVersion", "1.0.0")
    return Case(
        f"tuning-{name}",
        {"dataDir": DATA, "prevResult": previous(version), **conf},
        plugin="tuning",
        before=before,
        args=args,
        since=since,
        pods=1,
        refused=refused,
        tags=frozenset(["once"]),  # the second ADD of the reference forgets what was before
    )


def _allowing(*lines: str) -> tuple[str, ...]:
    """Return commands that make an allowlist of these lines."""
    text = "".join(f"{line}\\n" for line in lines)
    return (*ETH0, "mkdir -p /etc/cni/tuning", f"sh -c \"printf '{text}' > {ALLOWLIST}\"")


_SINCE = "1.2"  # what came after the oldest release compared with
_ARP = {"net.ipv4.conf.eth0.arp_notify": "1"}
_ARP_NEWER = {"net.ipv4.conf.IFNAME.arp_notify": "1"}
_RP_FILTER = "net.ipv4.conf.eth0.rp_filter"
MOST: dict[str, Any] = {
    "sysctl": {"net.ipv4.ip_forward": "1", _RP_FILTER: "2"},
    "mac": MAC,
    "promisc": True,
    "mtu": 1400,
    "allmulti": True,
}
ALL = {**MOST, "sysctl": {**_ARP_NEWER, "net.ipv4.ip_forward": "1"}, "txQLen": 500}

LIVES = [
    _tuning("nothing"),
    _tuning("sysctl", sysctl={"net.ipv4.ip_forward": "1"}),
    _tuning("sysctl-ifname", sysctl=_ARP_NEWER, since=_SINCE),
    _tuning("sysctl-slashes", sysctl={"net/ipv4/conf/eth0/rp_filter": "2"}),
    _tuning("sysctl-of-all", sysctl={"net.ipv6.conf.all.forwarding": "1"}),
    _tuning("sysctl-no-value", sysctl={"net.ipv4.ip_forward": ""}),
    _tuning("sysctl-args", sysctl=_ARP, args={"cni": {"sysctl": {"net.ipv4.ip_forward": "1"}}}),
    _tuning(
        "sysctl-args-replace",
        sysctl={_RP_FILTER: "1"},
        args={"cni": {"sysctl": {_RP_FILTER: "2"}}},
    ),
    _tuning(
        "allowed",
        _allowing("^net.ipv4.conf.IFNAME.arp_notify$", "", " other "),
        sysctl=_ARP_NEWER,
        since=_SINCE,
    ),
    _tuning("allowed-class", _allowing("^net.ipv4.conf.[[:alnum:]]+.arp_"), sysctl=_ARP),
    _tuning("mac", mac=MAC),
    _tuning("mac-upper-case", mac="02:AB:CD:EF:00:01"),
    _tuning("mac-dashes", mac="02-11-22-33-44-55"),
    _tuning("mac-args", mac=OTHER_MAC, cni_args=f"IgnoreUnknown=1;MAC={MAC}"),
    _tuning(
        "mac-runtime-config", cni_args=f"MAC={OTHER_MAC}", runtimeConfig={"mac": MAC}, mac=OWN_MAC
    ),
    _tuning(
        "mac-cni-args",
        cni_args=f"MAC={OTHER_MAC}",
        runtimeConfig={"mac": OTHER_MAC},
        args={"cni": {"mac": MAC}},
    ),
    _tuning("mac-none", mac=MAC, args={"cni": {"mac": ""}}),
    _tuning("promisc", promisc=True),
    _tuning("promisc-args", promisc=True, args={"cni": {"promisc": False}}),
    _tuning("mtu", mtu=1400),
    _tuning("mtu-args", mtu=1400, args={"cni": {"mtu": 1300}}),
    _tuning("allmulti", allmulti=True),
    _tuning("allmulti-off", (*ETH0, "ip -n pod1 link set eth0 allmulticast on"), allmulti=False),
    _tuning("allmulti-args", allmulti=False, args={"cni": {"allmulti": True}}),
    _tuning("txqlen", txQLen=500, since=_SINCE),
    _tuning("txqlen-0", txQLen=0, since=_SINCE),
    _tuning("txqlen-args", txQLen=500, args={"cni": {"txQLen": 5}}, since=_SINCE),
    _tuning("most", **MOST),
    _tuning("all", **ALL, since=_SINCE),
    _tuning("letter-case", MAC=MAC, MTU=1400, SysCtl=_ARP, DATADIR=DATA),
    _tuning("args-unknown", mtu=1400, cni_args="IgnoreUnknown=1;COLOUR=blue"),
    *(
        _tuning(f"version-{version}", cniVersion=version, mac=MAC)
        for version in ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0")
    ),
    _tuning("version-1.1.0", cniVersion="1.1.0", mac=MAC, since="1.6"),
]

REFUSED = [
    _tuning("no-prev-result", prevResult=None, mtu=1400, refused=True),
    _tuning("prev-result-malformed", prevResult={"ips": 5}, mtu=1400, refused=True),
    _tuning("no-interface", (), mtu=1400, refused=True),
    _tuning("sysctl-missing", sysctl={"net.ipv4.nothing": "1"}, mtu=1400, refused=True),
    _tuning("sysctl-no-number", sysctl={**_ARP, "net.ipv4.ip_forward": "x"}, refused=True),
    _tuning("sysctl-kernel", sysctl={"kernel.domainname": "x"}, refused=True),
    _tuning("sysctl-net-alone", sysctl={"net": "x"}, refused=True),
    _tuning("sysctl-networks", sysctl={"network.x": "x"}, refused=True),
    _tuning("not-allowed", _allowing("^net.ipv6"), sysctl=_ARP, refused=True, since=_SINCE),
    _tuning(
        "not-allowed-args",
        _allowing("^net.ipv6"),
        args={"cni": {"sysctl": _ARP}},
        sysctl={"net.ipv6.conf.all.forwarding": "1"},
        refused=True,
        since=_SINCE,
    ),
    _tuning("nothing-allowed", _allowing(), sysctl=_ARP, refused=True, since=_SINCE),
    _tuning("allowlist-malformed", _allowing("("), sysctl=_ARP, refused=True, since=_SINCE),
    _tuning("mac-malformed", mac="zz", refused=True),
    _tuning("mac-multicast", mac="01:00:5e:00:00:01", refused=True),
    _tuning("mtu-too-large", mtu=70000, refused=True),
    _tuning("mtu-too-small", mtu=5, sysctl=_ARP, refused=True),
    _tuning("wrong-type-mtu", mtu="1400", refused=True),
    _tuning("wrong-type-sysctl", sysctl={"net.ipv4.ip_forward": 1}, refused=True),
    _tuning("args-unknown-refused", mtu=1400, cni_args="COLOUR=blue", refused=True),
]

TUNED = _tuning("check", **MOST)
_NEWER = _tuning("check-newer", **ALL, since=_SINCE)
_NOT_PROMISC = _tuning("check-mtu", mtu=1400)
_IN = "ip -n pod1 link set eth0"
_SYSCTL = "ip netns exec pod1 sysctl -qw net.ipv4"

DAMAGES = [
    Damage("tuning-nothing", TUNED, (), 0),
    Damage("tuning-newer-nothing", _NEWER, (), 0),
    Damage("tuning-sysctl", TUNED, (f"{_SYSCTL}.ip_forward=0",)),
    Damage("tuning-sysctl-ifname", _NEWER, (f"{_SYSCTL}.conf.eth0.arp_notify=0",)),
    Damage("tuning-mac", TUNED, (f"{_IN} address {OTHER_MAC}",)),
    Damage("tuning-promisc", TUNED, (f"{_IN} promisc off",)),
    Damage("tuning-promisc-on", _NOT_PROMISC, (f"{_IN} promisc on",)),
    Damage("tuning-mtu", TUNED, (f"{_IN} mtu 1300",)),
    Damage("tuning-allmulti", TUNED, (f"{_IN} allmulticast off",)),
    Damage("tuning-txqlen", _NEWER, (f"{_IN} txqueuelen 5",)),
    Damage("tuning-link-down", TUNED, (f"{_IN} down",), 0),
    Damage("tuning-link-gone", TUNED, ("ip -n pod1 link del eth0",)),
    Damage("tuning-no-prev-result", TUNED, (), conf={"prevResult": None}),
    Damage("tuning-prev-result-malformed", TUNED, (), conf={"prevResult": {"ips": 5}}),
    Damage("tuning-namespace-missing", TUNED, (), netns="/run/netns/nothing"),
    Damage("tuning-file-gone", TUNED, (f"rm {DATA}/pod1_eth0.json",), 0),
    Damage("tuning-other-mtu-configured", TUNED, (), conf={"mtu": 1399}),
]
