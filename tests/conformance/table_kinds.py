"""What ipvlan, vlan and dummy are put through, on a kernel that has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from table_others import IN_CONTAINERS, MASTER, ROUTED, V4, V6

from helpers.case import case_of

if TYPE_CHECKING:
    from helpers.case import Case

ROUTES = [{"dst": "0.0.0.0/0"}, {"dst": "10.9.0.0/16"}]
DNS = {"nameservers": ["10.0.0.1"], "search": ["a.test"]}
STATIC = {"type": "static", "addresses": [{"address": "10.4.0.5/24"}]}
CHAINED = {
    "cniVersion": "1.0.0",
    "interfaces": [{"name": "m0"}],
    "ips": [{"address": "10.3.0.5/24", "gateway": "10.3.0.1", "interface": 0}],
    "routes": [{"dst": "0.0.0.0/0"}],
    "dns": {"nameservers": ["10.3.0.1"]},
}
VERSIONS = ("0.1.0", "0.2.0", "0.3.1", "0.4.0")


def _ipvlan(name: str, before: tuple[str, ...] = MASTER, **conf: Any) -> Case:
    """Build an ipvlan case on the master m0."""
    return case_of("ipvlan", name, before, **{"master": "m0", "ipam": V4, **conf})


def _vlan(name: str, before: tuple[str, ...] = MASTER, **conf: Any) -> Case:
    """Build a case in VLAN 100 of the master m0; a device has each VLAN only once."""
    return case_of(
        "vlan", name, before, **{"master": "m0", "vlanId": 100, "ipam": V4, "pods": 1, **conf}
    )


def _dummy(name: str, **conf: Any) -> Case:
    """Build a dummy case."""
    return case_of("dummy", name, (), **{"ipam": V4, "since": "1.2", **conf})


_IPVLAN = [
    _ipvlan("plain"),
    *(_ipvlan(f"mode-{mode}", mode=mode) for mode in ("l2", "l3", "l3s")),
    _ipvlan("default-master", ROUTED, master=""),
    _ipvlan("mtu", mtu=1400),
    _ipvlan("v6", ipam=V6, pods=1),
    _ipvlan("routes", ipam={**V4, "routes": ROUTES}),
    _ipvlan("dns", dns=DNS, pods=1),
    _ipvlan("static", ipam=STATIC, pods=1),
    _ipvlan("in-container", IN_CONTAINERS, linkInContainer=True, since="1.2"),
    _ipvlan("chained", master="", ipam={}, prevResult=CHAINED, pods=1),
    _ipvlan("chained-ipam", master="", prevResult=CHAINED, pods=1),
    *(_ipvlan(f"version-{version}", cniVersion=version, pods=1) for version in VERSIONS),
    _ipvlan("version-1.1.0", cniVersion="1.1.0", pods=1, since="1.6"),
]

_VLAN = [
    _vlan("plain"),
    _vlan("id-0", vlanId=0),
    _vlan("id-4094", vlanId=4094),
    _vlan("mtu", mtu=1400),
    _vlan("v6", ipam=V6),
    _vlan("routes", ipam={**V4, "routes": ROUTES}),
    _vlan("dns", dns=DNS),
    _vlan("static", ipam=STATIC),
    _vlan("in-container", IN_CONTAINERS, linkInContainer=True, since="1.2", pods=2),
    *(_vlan(f"version-{version}", cniVersion=version) for version in VERSIONS),
    _vlan("version-1.1.0", cniVersion="1.1.0", since="1.6"),
]

_DUMMY = [
    _dummy("plain"),
    _dummy("v6", ipam=V6, pods=1),
    _dummy("routes", ipam={**V4, "routes": ROUTES}),
    _dummy("dns", dns=DNS, pods=1),
    _dummy("static", ipam=STATIC, pods=1),
    *(_dummy(f"version-{version}", cniVersion=version, pods=1) for version in VERSIONS),
    _dummy("version-1.1.0", cniVersion="1.1.0", pods=1, since="1.6"),
]

LIVES = [*_IPVLAN, *_VLAN, *_DUMMY]

REFUSED = [
    _ipvlan("no-ipam", ipam={}, refused=True, pods=1),
    _ipvlan("mode-unknown", mode="l4", refused=True, pods=1),
    _ipvlan("master-missing", (), refused=True, pods=1),
    _ipvlan("no-default-route", master="", refused=True, pods=1),
    _ipvlan(
        "chained-two",
        master="",
        prevResult={**CHAINED, "interfaces": [{"name": "m0"}, {"name": "m1"}]},
        refused=True,
        pods=1,
    ),
    _vlan("no-ipam", ipam={}, refused=True),
    _vlan("no-master", master="", refused=True),
    _vlan("master-missing", (), refused=True),
    _vlan("id-negative", vlanId=-1, refused=True),
    _vlan("id-too-large", vlanId=4095, refused=True),
    _vlan("mtu-larger-than-master", mtu=9000, refused=True),
    _vlan("taken", (*MASTER, "ip link add first link m0 type vlan id 100"), refused=True),
    _dummy("no-ipam", ipam={}, refused=True, pods=1),
]
