"""What CHECK must notice, and what it must not mind.

Every expectation was measured with the reference 1.9.1, and is measured again with the reference at
hand by test_reference.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from table_bridge import DUAL, V4
from table_others import MASTER

from helpers.case import Case, Damage

if TYPE_CHECKING:
    from collections.abc import Callable

BRIDGE = Case(
    "check-bridge",
    {
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": True,
        "ipam": {**V4, "routes": [{"dst": "0.0.0.0/0"}, {"dst": "10.8.0.0/16", "gw": "10.1.0.9"}]},
    },
    pods=1,
)
DUAL_BRIDGE = Case("check-dual", {"bridge": "cni0", "isGateway": True, "ipam": DUAL}, pods=1)
L2_BRIDGE = Case("check-l2", {"bridge": "cni0"}, pods=1)
PROMISC_BRIDGE = Case("check-promisc", {"bridge": "cni0", "promiscMode": True, "ipam": V4}, pods=1)
MACVLAN = Case(
    "check-macvlan",
    {"master": "m0", "ipam": {**V4, "routes": [{"dst": "0.0.0.0/0"}]}},
    plugin="macvlan",
    before=MASTER,
    pods=1,
)
LOOPBACK = Case("check-loopback", {}, plugin="loopback", pods=1)
STATIC = Case(
    "check-static",
    {
        "bridge": "cni0",
        "ipam": {
            "type": "static",
            "addresses": [{"address": "10.4.0.5/24", "gateway": "10.4.0.1"}],
        },
    },
    pods=1,
)
SAVED = "/var/lib/cni/networks/net"


def _without(key: str) -> Callable[[Any], Any]:
    """Return an edit that takes a key out of the result."""

    def edit(result: Any) -> Any:
        return {name: value for name, value in result.items() if name != key}

    return edit


def _interface(index: int, **values: Any) -> Callable[[Any], Any]:
    """Return an edit that changes one interface of the result."""

    def edit(result: Any) -> Any:
        interfaces = [dict(interface) for interface in result["interfaces"]]
        interfaces[index].update(values)
        return {**result, "interfaces": interfaces}

    return edit


def _address(address: str) -> Callable[[Any], Any]:
    """Return an edit that changes the first address of the result."""

    def edit(result: Any) -> Any:
        return {**result, "ips": [{**result["ips"][0], "address": address}]}

    return edit


def _routes(*routes: dict[str, str]) -> Callable[[Any], Any]:
    """Return an edit that replaces the routes of the result."""
    return lambda result: {**result, "routes": list(routes)}


_BRIDGE_DAMAGES = [
    Damage("nothing", BRIDGE, (), 0),
    Damage("address-removed", BRIDGE, ("ip -n pod1 addr del 10.1.0.2/24 dev eth0",)),
    Damage(
        "address-other-prefix",
        BRIDGE,
        (
            "ip -n pod1 addr add 10.1.0.2/16 dev eth0",
            "ip -n pod1 addr del 10.1.0.2/24 dev eth0",
        ),
    ),
    Damage("address-added", BRIDGE, ("ip -n pod1 addr add 10.77.0.2/16 dev eth0",), 0),
    Damage("default-route-removed", BRIDGE, ("ip -n pod1 route del default",)),
    Damage("route-removed", BRIDGE, ("ip -n pod1 route del 10.8.0.0/16",)),
    Damage(
        "route-other-gateway",
        BRIDGE,
        ("ip -n pod1 route replace 10.8.0.0/16 via 10.1.0.10",),
    ),
    Damage("connected-route-removed", BRIDGE, ("ip -n pod1 route del 10.1.0.0/24",)),
    Damage("route-added", BRIDGE, ("ip -n pod1 route add 10.99.0.0/16 via 10.1.0.1",), 0),
    Damage("link-down", BRIDGE, ("ip -n pod1 link set eth0 down",)),
    Damage("link-gone", BRIDGE, ("ip -n pod1 link del eth0",)),
    Damage(
        "link-renamed",
        BRIDGE,
        ("ip -n pod1 link set eth0 down", "ip -n pod1 link set eth0 name eth9"),
    ),
    Damage(
        "link-of-other-kind",
        BRIDGE,
        ("ip -n pod1 link del eth0", "ip -n pod1 link add eth0 type bridge"),
    ),
    Damage("container-mac", BRIDGE, ("ip -n pod1 link set eth0 address 02:00:00:00:00:77",)),
    Damage("peer-mac", BRIDGE, ("ip link set {peer} address 02:00:00:00:00:77",)),
    Damage("bridge-mac", BRIDGE, ("ip link set cni0 address 02:00:00:00:00:77",)),
    Damage("no-master", BRIDGE, ("ip link set {peer} nomaster",)),
    Damage(
        "wrong-master",
        BRIDGE,
        ("ip link add br9 type bridge", "ip link set {peer} master br9"),
    ),
    Damage("bridge-gone", BRIDGE, ("ip link del cni0",)),
    Damage("bridge-promisc", BRIDGE, ("ip link set cni0 promisc on",)),
    Damage("bridge-not-promisc", PROMISC_BRIDGE, ("ip link set cni0 promisc off",)),
    Damage("promisc-kept", PROMISC_BRIDGE, (), 0),
    Damage("peer-down", BRIDGE, ("ip link set {peer} down",), 0),
    Damage("bridge-down", BRIDGE, ("ip link set cni0 down",), 0),
    Damage("bridge-address-gone", BRIDGE, ("ip addr flush dev cni0",), 0),
    Damage("mtu-changed", BRIDGE, ("ip -n pod1 link set eth0 mtu 1400",), 0),
    Damage("hairpin-changed", BRIDGE, ("bridge link set dev {peer} hairpin on",), 0),
    Damage("forwarding-off", BRIDGE, ("sysctl -qw net.ipv4.ip_forward=0",), 0),
    Damage("address-file-gone", BRIDGE, (f"rm {SAVED}/10.1.0.2",)),
    Damage(
        "address-file-of-other",
        BRIDGE,
        (rf"""sh -c "printf 'other\r\neth0' > {SAVED}/10.1.0.2" """,),
    ),
    Damage(
        "address-file-elsewhere",
        BRIDGE,
        (f"mv {SAVED}/10.1.0.2 {SAVED}/10.1.0.3",),
        0,
    ),
    Damage("store-gone", BRIDGE, (f"rm -r {SAVED}",)),
    Damage("no-prev-result", BRIDGE, (), edit=lambda _: None),
    Damage("empty-prev-result", BRIDGE, (), edit=lambda _: {"cniVersion": "1.0.0"}),
    Damage("prev-result-no-interfaces", BRIDGE, (), edit=_without("interfaces")),
    Damage("prev-result-no-ips", BRIDGE, (), 0, edit=_without("ips")),
    Damage("prev-result-no-routes", BRIDGE, (), 0, edit=_without("routes")),
    Damage("prev-result-other-sandbox", BRIDGE, (), edit=_interface(2, sandbox="/run/netns/x")),
    Damage("prev-result-no-sandbox", BRIDGE, (), edit=_interface(2, sandbox="")),
    Damage("prev-result-other-mac", BRIDGE, (), edit=_interface(2, mac="02:00:00:00:00:01")),
    Damage("prev-result-no-mac", BRIDGE, (), 0, edit=_interface(2, mac="")),
    Damage("prev-result-other-peer-mac", BRIDGE, (), edit=_interface(1, mac="02:00:00:00:00:01")),
    Damage("prev-result-other-peer", BRIDGE, (), edit=_interface(1, name="nothing")),
    Damage("prev-result-other-bridge-mac", BRIDGE, (), edit=_interface(0, mac="02:00:00:00:00:01")),
    Damage("prev-result-other-address", BRIDGE, (), edit=_address("10.1.0.9/24")),
    Damage("prev-result-other-route", BRIDGE, (), edit=_routes({"dst": "10.66.0.0/16"})),
    Damage(
        "prev-result-default-by-other-gateway",
        BRIDGE,
        (),
        0,
        edit=_routes({"dst": "0.0.0.0/0", "gw": "10.1.0.77"}),
    ),
    Damage(
        "prev-result-of-other-release",
        BRIDGE,
        (),
        edit=lambda result: {
            **result,
            "cniVersion": "0.4.0",
            "ips": [{**ip, "version": "4"} for ip in result["ips"]],
        },
    ),
    Damage("prev-result-malformed", BRIDGE, (), edit=lambda _: {"cniVersion": "1.0.0", "ips": 5}),
    Damage("prev-result-other-version", BRIDGE, (), edit=lambda r: {**r, "cniVersion": "9.9.9"}),
    Damage("other-bridge-configured", BRIDGE, (), conf={"bridge": "cni9"}),
    Damage("namespace-missing", BRIDGE, (), netns="/run/netns/nothing"),
    Damage("dual-nothing", DUAL_BRIDGE, (), 0),
    Damage("v6-address-removed", DUAL_BRIDGE, ("ip -n pod1 addr del fd01::2/64 dev eth0",)),
    Damage("v6-route-removed", DUAL_BRIDGE, ("ip -n pod1 -6 route del default",)),
    Damage("one-address-file-gone", DUAL_BRIDGE, (f"rm {SAVED}/10.1.0.2",), 0),
    # The reference runs the IPAM plugin even where there is none.
    Damage("l2-nothing", L2_BRIDGE, (), ours=0),
    Damage("static-nothing", STATIC, (), 0),
    Damage(
        "static-other-gateway",
        STATIC,
        (),
        edit=lambda r: {**r, "ips": [{**r["ips"][0], "gateway": "10.4.0.9"}]},
    ),
    Damage("static-address-removed", STATIC, ("ip -n pod1 addr del 10.4.0.5/24 dev eth0",)),
]

_OTHER_DAMAGES = [
    Damage("macvlan-nothing", MACVLAN, (), 0),
    Damage("macvlan-address-removed", MACVLAN, ("ip -n pod1 addr del 10.1.0.2/24 dev eth0",)),
    Damage("macvlan-route-removed", MACVLAN, ("ip -n pod1 route del default",)),
    Damage("macvlan-mac", MACVLAN, ("ip -n pod1 link set eth0 address 02:00:00:00:00:77",)),
    Damage("macvlan-mode", MACVLAN, ("ip -n pod1 link set eth0 type macvlan mode private",)),
    Damage("macvlan-gone", MACVLAN, ("ip -n pod1 link del eth0",)),
    Damage("macvlan-master-gone", MACVLAN, ("ip link del m0",)),
    Damage("macvlan-down", MACVLAN, ("ip -n pod1 link set eth0 down",)),
    Damage("macvlan-mtu", MACVLAN, ("ip -n pod1 link set eth0 mtu 1400",), 0),
    Damage("macvlan-file-gone", MACVLAN, (f"rm {SAVED}/10.1.0.2",)),
    Damage("macvlan-no-prev-result", MACVLAN, (), edit=lambda _: None),
    Damage("macvlan-other-mode-configured", MACVLAN, (), conf={"mode": "vepa"}),
    Damage("macvlan-other-sandbox", MACVLAN, (), edit=_interface(0, sandbox="/run/netns/x")),
    Damage(
        "macvlan-of-other-kind",
        MACVLAN,
        ("ip -n pod1 link del eth0", "ip -n pod1 link add eth0 type bridge"),
    ),
    Damage("loopback-nothing", LOOPBACK, (), 0),
    Damage("loopback-down", LOOPBACK, ("ip -n pod1 link set lo down",)),
    Damage("loopback-no-prev-result", LOOPBACK, (), 0, edit=lambda _: None),
    Damage("loopback-namespace-missing", LOOPBACK, (), netns="/run/netns/nothing"),
    Damage(
        "version-without-check",
        replace(BRIDGE, name="check-0.3.1", conf={**BRIDGE.conf, "cniVersion": "0.3.1"}),
        (),
        1,
    ),
]

DAMAGES = [*_BRIDGE_DAMAGES, *_OTHER_DAMAGES]
