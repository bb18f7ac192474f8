"""What sbr is put through, on an interface with addresses and routes."""

from __future__ import annotations

from typing import Any

from table_tuning import ETH0

from helpers.case import Case, Damage

LINKS = ("h0", "h1")
_IN = "ip -n pod1"
V4 = (
    *ETH0,
    f"{_IN} addr add 10.1.0.5/24 dev eth0",
    f"{_IN} route add default via 10.1.0.1",
)
V6 = (f"{_IN} addr add fd01::5/64 dev eth0 nodad", f"{_IN} -6 route add default via fd01::1")
DUAL = (*V4, *V6)
MORE = (
    *DUAL,
    f"{_IN} route add 10.9.0.0/16 via 10.1.0.1 metric 50 mtu 1300 advmss 1200",
    f"{_IN} route add 10.8.0.0/16 dev eth0",
    f"{_IN} route add 10.7.0.0/16 via 10.1.0.9 src 10.1.0.5",
    f"{_IN} -6 route add fd09::/64 via fd01::9",
)
NET1 = (
    *V4,
    f"{_IN} link add net1 type veth peer name h1 netns 1",
    f"{_IN} link set net1 up",
    f"{_IN} addr add 10.2.0.5/24 dev net1",
    f"{_IN} route add 10.5.0.0/16 via 10.2.0.1",
)
TABLE = "1.2"  # the release that came with "table"
NEXT = "1.10"  # the release after the one that is followed


def previous(*ips: dict[str, Any], version: str = "1.0.0") -> dict[str, Any]:
    """Return what the plugin before sbr is said to have answered."""
    if version < "0.3.0":
        return {"cniVersion": version, "ip4": {"ip": "10.1.0.5/24", "gateway": "10.1.0.1"}}
    return {
        "cniVersion": version,
        "interfaces": [
            {"name": "h0"},
            {"name": "eth0", "sandbox": "/run/netns/pod1"},
            {"name": "net1", "sandbox": "/run/netns/pod1"},
        ],
        "ips": list(ips),
    }


IP4: dict[str, Any] = {"address": "10.1.0.5/24", "gateway": "10.1.0.1", "interface": 1}
IP6: dict[str, Any] = {"address": "fd01::5/64", "gateway": "fd01::1", "interface": 1}


def _sbr(name: str, before: tuple[str, ...], *ips: dict[str, Any], **conf: Any) -> Case:
    """Build a case of sbr on pod1's eth0."""
    known = {key: conf.pop(key) for key in ("since", "refused", "ifname") if key in conf}
    version = conf.get("cniVersion", "1.0.0")
    return Case(
        f"sbr-{name}",
        {"prevResult": previous(*ips, version=version), **conf},
        plugin="sbr",
        before=before,
        pods=1,
        tags=frozenset(["once"]),  # a second ADD finds no routes, fails, and leaves its rules
        **known,
    )


LIVES = [
    _sbr("v4", V4, IP4),
    _sbr("v6", (*ETH0, *V6), IP6),
    _sbr("dual", DUAL, IP4, IP6),
    _sbr("more-routes", MORE, IP4, IP6),
    _sbr("no-gateway", V4, {**IP4, "gateway": None}),
    _sbr("no-interface-index", V4, {**IP4, "interface": None}),
    _sbr(
        "two-of-a-subnet",
        (*V4, f"{_IN} addr add 10.1.0.6/24 dev eth0"),
        IP4,
        {**IP4, "address": "10.1.0.6/24"},
    ),
    _sbr(
        "two-subnets",
        (*V4, f"{_IN} addr add 10.3.0.5/24 dev eth0", f"{_IN} route add 10.9.0.0/16 via 10.3.0.1"),
        IP4,
        {**IP4, "address": "10.3.0.5/24", "gateway": "10.3.0.1"},
    ),
    _sbr(
        "second-interface",
        NET1,
        IP4,
        {"address": "10.2.0.5/24", "gateway": "10.2.0.1", "interface": 2},
        ifname="net1",
    ),
    _sbr("table-taken", (*V4, f"{_IN} rule add from 10.9.9.9 table 100"), IP4),
    _sbr(
        "no-routes",
        (*ETH0, f"{_IN} addr add 10.1.0.5/24 dev eth0 noprefixroute"),
        {**IP4, "gateway": None},
    ),
    _sbr("table", MORE, IP4, IP6, table=150, since=TABLE),
    _sbr("table-large", MORE, IP4, IP6, table=1000, since=TABLE),
    _sbr("table-without-interface", (), IP4, table=150, since=TABLE),
    *(
        _sbr(f"version-{version}", V4, {**IP4, "version": "4"}, cniVersion=version)
        for version in ("0.1.0", "0.3.1", "0.4.0")
    ),
    _sbr("version-1.1.0", V4, IP4, cniVersion="1.1.0", since="1.6"),
    _sbr("gateways", DUAL, IP4, IP6, gateways=["10.1.0.9", "fd01::9"], since=NEXT),
    _sbr("gateways-v6", DUAL, IP4, IP6, gateways=["fd01::9"], since=NEXT),
    _sbr("hints", MORE, IP4, IP6, addSourceHints=True, since=NEXT),
    _sbr(
        "hints-two-subnets",
        (*V4, f"{_IN} addr add 10.3.0.5/16 dev eth0"),
        IP4,
        {"address": "10.3.0.5/16", "interface": 1},
        addSourceHints=True,
        gateways=["10.1.0.9"],
        since=NEXT,
    ),
]

REFUSED = [
    _sbr("no-prev-result", V4, prevResult=None, refused=True),
    _sbr("prev-result-malformed", V4, prevResult={"ips": 5}, refused=True),
    _sbr("no-ips", V4, refused=True),
    _sbr("interface-missing", (), IP4, refused=True),
    _sbr("gateway-unreachable", V4, {**IP4, "gateway": "10.77.0.1"}, refused=True),
    _sbr("wrong-type-table", V4, IP4, table="100", refused=True, since=TABLE),
    _sbr("gateways-malformed", V4, IP4, gateways=["router"], refused=True, since=NEXT),
    _sbr("gateways-two", V4, IP4, gateways=["10.1.0.9", "10.1.0.8"], refused=True, since=NEXT),
    _sbr(
        "gateways-three",
        DUAL,
        IP4,
        gateways=["10.1.0.9", "fd01::9", "10.1.0.8"],
        refused=True,
        since=NEXT,
    ),
]

_CHECKED = _sbr("check", DUAL, IP4, IP6)
_TABLE = _sbr("check-table", DUAL, IP4, table=150, since=TABLE)
_HINTS = _sbr("check-hints", DUAL, IP4, IP6, addSourceHints=True, since=NEXT)

# CHECK of the reference does nothing.
DAMAGES = [
    Damage("sbr-nothing", _CHECKED, (), 0),
    Damage("sbr-table-nothing", _TABLE, (), 0),
    Damage("sbr-hints-nothing", _HINTS, (), 0),
    Damage("sbr-rule-gone", _CHECKED, (f"{_IN} rule del from 10.1.0.5",), 0, ours=999),
    Damage("sbr-v6-rule-gone", _CHECKED, (f"{_IN} -6 rule del from fd01::5",), 0, ours=999),
    Damage("sbr-default-gone", _CHECKED, (f"{_IN} route del default table 100",), 0, ours=999),
    Damage("sbr-table-rule-gone", _TABLE, (f"{_IN} rule del from 10.1.0.5",), 0, ours=999),
    Damage("sbr-other-table", _TABLE, (), 0, conf={"table": 151}, ours=999),
    Damage("sbr-hint-gone", _HINTS, (f"{_IN} route del 10.1.0.0/24",), 0, ours=999),
    Damage("sbr-rule-added", _CHECKED, (f"{_IN} rule add from 10.1.0.9 table 7",), 0),
]
