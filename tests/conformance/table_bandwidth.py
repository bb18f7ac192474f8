"""What the bandwidth plugin is put through, behind a pair that stands for another plugin's."""

from __future__ import annotations

from typing import Any

from helpers.case import Case, Damage

PREVIOUS = {
    "cniVersion": "1.0.0",
    "interfaces": [
        {"name": "br0"},
        {"name": "host1"},
        {"name": "eth0", "sandbox": "/run/netns/pod1"},
    ],
    "ips": [{"address": "10.1.0.2/24", "interface": 2}],
    "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}],
}
PAIR = (
    "ip link add host1 type veth peer name eth0 netns pod1",
    "ip link set host1 up",
    "ip -n pod1 link set eth0 up",
    "ip link add other1 type veth peer name other2",
)
LINKS = ("host1", "other1", "other2")
JUMBO = (*PAIR, "ip link set host1 mtu 9000")
INGRESS = {"ingressRate": 8_000_000, "ingressBurst": 800_000}
EGRESS = {"egressRate": 2_345_678, "egressBurst": 123_456}
BOTH = {**INGRESS, **EGRESS}


def _case(name: str, before: tuple[str, ...] = PAIR, **conf: Any) -> Case:
    """Build a case; the previous result is in it."""
    since, refused = conf.pop("since", ""), conf.pop("refused", False)
    return Case(
        f"bandwidth-{name}",
        {"prevResult": PREVIOUS, **conf},
        plugin="bandwidth",
        before=before,
        pods=1,
        since=since,
        refused=refused,
    )


def _version(version: str) -> Case:
    """Build a case of an older version of the specification."""
    ips = [{"version": "4", **ip} for ip in PREVIOUS["ips"]]  # type: ignore[dict-item]
    previous = {**PREVIOUS, "cniVersion": version, "ips": ips}
    return _case(f"version-{version}", cniVersion=version, prevResult=previous, **BOTH)


def _capital(entry: dict[str, int]) -> dict[str, int]:
    """Spell keys as containerd does."""
    return {key[0].upper() + key[1:]: value for key, value in entry.items()}


LIVES = [
    _case("both", **BOTH),
    _case("ingress", **INGRESS),
    _case("egress", **EGRESS),
    _case("mtu", JUMBO, **BOTH),
    _case("runtime-config", runtimeConfig={"bandwidth": BOTH}),
    _case("letter-case", runtimeConfig={"bandwidth": _capital(BOTH)}),
    _case("static-wins", runtimeConfig={"bandwidth": BOTH}, **INGRESS),
    _case("static-zero-wins", runtimeConfig={"bandwidth": BOTH}, ingressRate=0),
    _case("static-null-wins", runtimeConfig={"bandwidth": BOTH}, EgressBurst=None),
    _case("nothing", since="1.9"),  # CHECK of 1.1.1 dies of it
    _case("nothing-at-runtime", runtimeConfig={"bandwidth": {}}),
    _case("fast", ingressRate=10**11, ingressBurst=10**9, egressRate=10**10, egressBurst=10**8),
    _case("slow", ingressRate=1234, ingressBurst=4567, egressRate=8, egressBurst=1600),
    _case("over-32-bits", ingressRate=8 * (2**32 + 1), ingressBurst=8 * 10**9),
    *map(_version, ("0.3.0", "0.3.1", "0.4.0")),
]

REFUSED = [
    _case("burst-alone", ingressBurst=1000, refused=True),
    _case("egress-burst-alone", egressBurst=1000, **INGRESS, refused=True),
    _case("burst-too-large", ingressRate=1000, ingressBurst=8 * (2**32 - 1), refused=True),
    _case("rate-negative", ingressRate=-1, ingressBurst=1000, refused=True),
    _case("rate-overflow", ingressRate=2**64, ingressBurst=1000, refused=True),
    _case("rate-text", ingressRate="1M", ingressBurst=1000, refused=True),
    _case("rate-fraction", ingressRate=1000.5, ingressBurst=1000, refused=True),
    _case("no-prev-result", prevResult=None, **BOTH, refused=True),
    _case("prev-result-empty", prevResult={"cniVersion": "1.0.0"}, **BOTH, refused=True),
    _case(
        "prev-result-other-host-end",
        prevResult={**PREVIOUS, "interfaces": [{"name": "other1"}]},
        **BOTH,
        refused=True,
    ),
    _case(
        "prev-result-host-end-in-container",
        prevResult={
            **PREVIOUS,
            "interfaces": [{"name": "host1", "sandbox": "/run/netns/pod1"}],
        },
        **BOTH,
        refused=True,
    ),
    _case("no-container-interface", (), **BOTH, refused=True),
    _case(
        "no-pair",
        ("ip -n pod1 link add eth0 type bridge", "ip link add host1 type bridge"),
        **BOTH,
        refused=True,
    ),
    _case(
        "limited-already",
        (*PAIR, "tc qdisc add dev host1 handle 1: root htb"),
        **BOTH,
        refused=True,
    ),
    _case("version-0.2.0", cniVersion="0.2.0", prevResult=None, **BOTH, refused=True),
]

_BOTH = _case("check-both", **BOTH)
_TBF = "tc qdisc replace dev host1 root handle 1: tbf"

DAMAGES = [
    Damage("bandwidth-kept", _BOTH, (), 0),
    Damage("bandwidth-rate", _BOTH, (f"{_TBF} rate 9mbit burst 100000b limit 125000b",)),
    Damage("bandwidth-burst", _BOTH, (f"{_TBF} rate 8mbit burst 100001b limit 125000b",)),
    Damage("bandwidth-limit", _BOTH, (f"{_TBF} rate 8mbit burst 100000b limit 125001b",)),
    Damage("bandwidth-other-rate-configured", _BOTH, (), conf={"ingressRate": 9_000_000}),
    Damage(
        "bandwidth-device-gone", _BOTH, ("sh -c 'ip link del $(cd /sys/class/net; echo bwp*)'",)
    ),
    # CHECK of the reference looks no further than at the first that is something else.
    Damage("bandwidth-root-gone", _BOTH, ("tc qdisc del dev host1 root",), 0, ours=999),
    Damage("bandwidth-redirection-gone", _BOTH, ("tc qdisc del dev host1 ingress",), 0, ours=999),
    Damage("bandwidth-no-prev-result", _BOTH, (), conf={"prevResult": None}),
    Damage("bandwidth-prev-result-empty", _BOTH, (), conf={"prevResult": {"cniVersion": "1.0.0"}}),
    Damage("bandwidth-pair-gone", _BOTH, ("ip link del host1",)),
    Damage("bandwidth-namespace-missing", _BOTH, (), netns="/run/netns/nothing"),
]
