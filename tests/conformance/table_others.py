"""What macvlan, loopback and the IPAM plugins are put through."""

from __future__ import annotations

from typing import Any

from helpers.case import Case

V4 = {"type": "host-local", "subnet": "10.1.0.0/24"}
V6 = {"type": "host-local", "subnet": "fd01::/64"}
MAC = "02:11:22:33:44:55"
MASTER = (
    "ip link add m0 mtu 1500 type veth peer name m1",
    "ip link set m1 up",
    "ip link set m0 up",
)
ROUTED = (*MASTER, "ip addr add 10.50.0.2/24 dev m0", "ip route add default via 10.50.0.1")
IN_CONTAINERS = tuple(
    f"ip {words}"
    for pod in ("pod1", "pod2")
    for words in (
        f"-n {pod} link add m0 type veth peer name m1",
        f"-n {pod} link set m0 up",
        f"-n {pod} link set m1 up",
    )
)


def _macvlan(name: str, before: tuple[str, ...] = MASTER, **conf: Any) -> Case:
    """Build a macvlan case on the master m0."""
    args = conf.pop("cni_args", "")
    since = conf.pop("since", "")
    pods = conf.pop("pods", 2)
    refused = conf.pop("refused", False)
    return Case(
        f"macvlan-{name}",
        {"master": "m0", "ipam": V4, **conf},
        plugin="macvlan",
        before=before,
        args=args,
        since=since,
        pods=pods,
        refused=refused,
    )


_MACVLAN = [
    _macvlan("plain"),
    _macvlan("l2", ipam={}),
    _macvlan("default-master", ROUTED, master=""),
    *(_macvlan(f"mode-{mode}", mode=mode) for mode in ("bridge", "private", "vepa")),
    _macvlan("mode-passthru", mode="passthru", pods=1),
    _macvlan("mtu", mtu=1400),
    _macvlan("mac", mac=MAC, pods=1),
    _macvlan("mac-cni-args", cni_args=f"IgnoreUnknown=1;MAC={MAC}", pods=1),
    _macvlan("mac-runtime-config", runtimeConfig={"mac": MAC}, mac="02:00:00:00:00:01", pods=1),
    _macvlan("mac-args-ignored", args={"cni": {"mac": MAC}}, pods=1),
    _macvlan("v6", ipam=V6, pods=1),
    _macvlan("routes", ipam={**V4, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16"}]}),
    _macvlan("dns", dns={"nameservers": ["10.0.0.1"], "search": ["a.test"]}, pods=1),
    _macvlan(
        "static",
        ipam={"type": "static", "addresses": [{"address": "10.4.0.5/24"}]},
        pods=1,
    ),
    _macvlan("in-container", IN_CONTAINERS, linkInContainer=True, since="1.2"),
    _macvlan("bcqueuelen", bcqueuelen=2000, since="1.2"),
    *(
        _macvlan(f"version-{version}", cniVersion=version, pods=1)
        for version in ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0")
    ),
    _macvlan("version-1.1.0", cniVersion="1.1.0", pods=1, since="1.6"),
]

_LOOPBACK = [
    Case("loopback-plain", {}, plugin="loopback"),
    Case(
        "loopback-as-containerd",
        {"cniVersion": "0.3.1", "name": "cni-loopback"},
        plugin="loopback",
        ifname="lo",
    ),
    *(
        Case(f"loopback-version-{version}", {"cniVersion": version}, plugin="loopback", pods=1)
        for version in ("0.1.0", "0.2.0", "0.3.0", "0.4.0")
    ),
    Case("loopback-version-1.1.0", {"cniVersion": "1.1.0"}, plugin="loopback", pods=1, since="1.6"),
    Case(
        "loopback-prev-result",
        {
            "prevResult": {
                "cniVersion": "1.0.0",
                "interfaces": [{"name": "eth0", "mac": MAC, "sandbox": "/run/netns/pod1"}],
                "ips": [{"address": "10.1.0.5/24", "gateway": "10.1.0.1", "interface": 0}],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dns": {"nameservers": ["10.1.0.1"]},
            }
        },
        plugin="loopback",
        pods=1,
    ),
    Case(
        "loopback-prev-result-0.3.1",
        {
            "cniVersion": "0.3.1",
            "prevResult": {
                "cniVersion": "0.3.1",
                "ips": [{"version": "4", "address": "10.1.0.5/24", "gateway": "10.1.0.1"}],
            },
        },
        plugin="loopback",
        pods=1,
    ),
    Case(
        "loopback-no-v6",
        {},
        plugin="loopback",
        before=("ip netns exec pod1 sysctl -qw net.ipv6.conf.lo.disable_ipv6=1",),
        pods=1,
    ),
]

_IPAM = [
    Case("host-local-alone", {"ipam": V4}, plugin="host-local"),
    Case(
        "host-local-dual",
        {
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]],
                "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "fd01::1"}],
            }
        },
        plugin="host-local",
    ),
    Case(
        "host-local-wraps",
        {"ipam": {**V4, "rangeStart": "10.1.0.5", "rangeEnd": "10.1.0.6"}},
        plugin="host-local",
        before=(
            "mkdir -p /var/lib/cni/networks/net",
            "sh -c 'printf 10.1.0.6 > /var/lib/cni/networks/net/last_reserved_ip.0'",
        ),
    ),
    Case(
        "host-local-skips-taken",
        {"ipam": V4},
        plugin="host-local",
        before=(
            "mkdir -p /var/lib/cni/networks/net",
            r"""sh -c "printf 'other\r\neth0' > /var/lib/cni/networks/net/10.1.0.2" """,
        ),
    ),
    Case(
        "host-local-old-format",
        {"ipam": V4},
        plugin="host-local",
        before=(
            "mkdir -p /var/lib/cni/networks/net",
            "sh -c 'printf pod1 > /var/lib/cni/networks/net/10.1.0.9'",
        ),
        tags=frozenset(["foreign"]),
        refused=True,
        pods=1,
    ),
    Case(
        "host-local-0.2.0",
        {"cniVersion": "0.2.0", "ipam": {**V4, "routes": [{"dst": "0.0.0.0/0"}]}},
        plugin="host-local",
    ),
    Case(
        "static-alone",
        {
            "ipam": {
                "type": "static",
                "addresses": [{"address": "10.4.0.5/24", "gateway": "10.4.0.1"}],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dns": {
                    "nameservers": ["10.4.0.1"],
                    "domain": "a",
                    "search": ["b"],
                    "options": ["c"],
                },
            }
        },
        plugin="static",
        pods=1,
    ),
    Case(
        "static-0.2.0",
        {
            "cniVersion": "0.2.0",
            "ipam": {
                "type": "static",
                "addresses": [{"address": "10.4.0.5/24"}, {"address": "fd04::5/64"}],
            },
        },
        plugin="static",
        pods=1,
    ),
    Case(
        "static-args",
        {"ipam": {"type": "static"}, "args": {"cni": {"ips": ["10.4.0.8/24", "fd04::8/64"]}}},
        plugin="static",
        pods=1,
    ),
    Case("static-empty", {"ipam": {"type": "static"}}, plugin="static", pods=1),
]

LIVES = [*(case for case in [*_MACVLAN, *_LOOPBACK, *_IPAM] if not case.refused)]

REFUSED = [
    _macvlan("master-missing", (), refused=True, pods=1),
    _macvlan("no-default-route", MASTER, master="", refused=True, pods=1),
    _macvlan("mode-unknown", mode="other", refused=True, pods=1),
    _macvlan("mtu-larger-than-master", mtu=9000, refused=True, pods=1),
    _macvlan("mtu-negative", mtu=-1, refused=True, pods=1),
    _macvlan("mac-malformed", mac="zz", refused=True, pods=1),
    _macvlan("mac-multicast", mac="01:00:5e:00:00:01", refused=True, pods=1),
    _macvlan("subnet-missing", ipam={"type": "host-local"}, refused=True, pods=1),
    _macvlan("wrong-type-mode", mode=1, refused=True, pods=1),
    _macvlan(
        "second-passthru",
        (*MASTER, "ip link add first link m0 type macvlan mode passthru"),
        mode="passthru",
        refused=True,
        pods=1,
    ),
    Case("host-local-no-ipam", {}, plugin="host-local", refused=True, pods=1),
    Case(
        "host-local-wrong-type",
        {"ipam": {**V4, "routes": {}}},
        plugin="host-local",
        refused=True,
        pods=1,
    ),
    Case("static-no-ipam", {}, plugin="static", refused=True, pods=1),
    Case(
        "static-gateway-malformed",
        {"ipam": {"type": "static"}},
        plugin="static",
        args="GATEWAY=x",
        refused=True,
        pods=1,
    ),
    Case(
        "loopback-prev-result-malformed",
        {"prevResult": {"ips": 5}},
        plugin="loopback",
        refused=True,
        pods=1,
    ),
    *(case for case in _IPAM if case.refused),
]
