"""What ptp is put through."""

from __future__ import annotations

from typing import Any

from table_bridge import DUAL, V4, V6

from helpers.case import Case

STATIC = {"type": "static", "addresses": [{"address": "10.4.0.5/24", "gateway": "10.4.0.1"}]}
DEFAULT = [{"dst": "0.0.0.0/0"}]


def _ptp(name: str, before: tuple[str, ...] = (), **conf: Any) -> Case:
    """Build a ptp case."""
    return Case(
        f"ptp-{name}",
        {"ipam": V4, **{key: value for key, value in conf.items() if key not in _OF_THE_CASE}},
        plugin="ptp",
        before=before,
        **{key: value for key, value in conf.items() if key in _OF_THE_CASE},
    )


_OF_THE_CASE = ("args", "ifname", "since", "pods", "refused", "ipam_answer", "tags")

_PTP = [
    _ptp("plain"),
    _ptp("default-route", ipam={**V4, "routes": DEFAULT}),
    _ptp("routes", ipam={**V4, "routes": [*DEFAULT, {"dst": "10.9.0.0/16", "gw": "10.1.0.1"}]}),
    _ptp("v6", ipam=V6),
    _ptp("dual", ipam=DUAL),
    _ptp("mtu", mtu=1400),
    _ptp("other-ifname", ifname="net1.5"),
    _ptp("ipmasq", ipMasq=True, ipam={**V4, "routes": DEFAULT}),
    _ptp("ipmasq-dual", ipMasq=True, ipam=DUAL),
    _ptp("ipmasq-iptables", ipMasq=True, ipMasqBackend="iptables"),
    _ptp("ipmasq-nftables", ipMasq=True, ipMasqBackend="nftables", since="1.7"),
    _ptp("dns", dns={"nameservers": ["10.1.0.1"], "search": ["a.test"]}),
    _ptp("static", ipam=STATIC, pods=1),
    _ptp("own-gateway", ipam={**V4, "gateway": "10.1.0.254"}),
    _ptp("runtime-ips", runtimeConfig={"ips": ["10.1.0.77"]}, pods=1),
    _ptp("letter-case", IPAM={"Type": "host-local", "SUBNET": "10.1.0.0/24"}, MTU=1300),
    *(
        _ptp(f"version-{version}", cniVersion=version, pods=1)
        for version in ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0")
    ),
    _ptp("version-1.1.0", cniVersion="1.1.0", pods=1, since="1.6"),
]

LIVES = [*_PTP]

REFUSED = [
    _ptp("no-ipam", ipam={}, refused=True, pods=1),
    _ptp("mtu-too-small", mtu=10, refused=True, pods=1),
    _ptp("mtu-too-large", mtu=70000, refused=True, pods=1),
    _ptp("wrong-type-mtu", mtu="1400", refused=True, pods=1),
    _ptp("wrong-type-ipmasq", ipMasq="yes", refused=True, pods=1),
    _ptp("backend-unknown", ipMasq=True, ipMasqBackend="ipfw", refused=True, pods=1),
    _ptp(
        "no-gateway",
        ipam={"type": "static", "addresses": [{"address": "10.4.0.5/24"}]},
        refused=True,
        pods=1,
    ),
    _ptp(
        "exhausted",
        ipam={**V4, "rangeStart": "10.1.0.9", "rangeEnd": "10.1.0.9"},
        before=(
            "mkdir -p /var/lib/cni/networks/net",
            r"""sh -c "printf 'other\r\neth0' > /var/lib/cni/networks/net/10.1.0.9" """,
        ),
        refused=True,
        pods=1,
    ),
]
