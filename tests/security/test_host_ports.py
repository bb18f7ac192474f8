"""Host ports take what is meant for the host, and leave to kube-proxy what its services claim."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from helpers.exchange import Unanswered, exchange
from helpers.flavour import choose
from helpers.node import need_tools
from helpers.portmapped import Portmapped, mapping
from helpers.routed import NEIGHBOUR, NODE, pod_address

if TYPE_CHECKING:
    from helpers.node import Node

FAMILIES = pytest.mark.parametrize("family", [4, 6])


@pytest.fixture(params=["nftables", "iptables-nft", "iptables-legacy"])
def backend(
    request: pytest.FixtureRequest, node: Node, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """The configuration of each backend, with either kind of iptables as that of the node."""
    need_tools("nft")
    name, _, kind = request.param.partition("-")
    if kind:
        choose(node, kind, monkeypatch)
    return {"backend": name}


@pytest.fixture
def scene(node: Node) -> Portmapped:
    """Pods and a neighbour on a fresh node."""
    return Portmapped(node)


@FAMILIES
@pytest.mark.parametrize(("protocol", "certain"), [("tcp", False), ("udp", True)])
def test_only_the_host_s_own_addresses_are_meant(
    scene: Portmapped, backend: dict[str, Any], family: int, protocol: str, certain: bool
) -> None:
    """CVE-2025-67499: what is sent through the host to the same port elsewhere arrives there."""
    host_ip = NODE[family] if certain else ""
    scene.first.add(mapping(8080, 80, protocol, host_ip), **backend)
    there = (scene.neighbour.fd, 8080)
    for pod in (scene.second, scene.first):
        seen = exchange(there, pod.fd, protocol, NEIGHBOUR[family], 8080)
        assert seen == pod_address(pod.number, family)
    assert exchange(there, scene.node.fd, protocol, NEIGHBOUR[family], 8080) == NODE[family]
    # and the port is the pod's where it is meant
    here = (scene.first.fd, 80)
    assert exchange(here, scene.neighbour.fd, protocol, NODE[family], 8080) == NEIGHBOUR[family]


@FAMILIES
def test_a_rule_for_any_destination_would_be_noticed(scene: Portmapped, family: int) -> None:
    """Where a rule forgets to ask for the host's addresses, nothing arrives at the same port."""
    need_tools("nft")
    table = f"ip{6 if family == 6 else ''} wrong"
    pod = pod_address(5, family)
    target = f"[{pod}]:80" if family == 6 else f"{pod}:80"
    for command in (
        f"nft add table {table}",
        f"nft 'add chain {table} pre {{ type nat hook prerouting priority dstnat; }}'",
        f"nft add rule {table} pre tcp dport 8080 dnat to {target}",
    ):
        scene.node.run(command)
    with pytest.raises(Unanswered):
        exchange((scene.neighbour.fd, 8080), scene.second.fd, "tcp", NEIGHBOUR[family], 8080)


def _by_iptables(program: str, target: str) -> tuple[str, ...]:
    """Return what kube-proxy does to have a service: its jumps are the first rules."""
    nat = f"{program} -t nat"
    return (
        f"{nat} -N KUBE-SERVICES",
        f"{nat} -I PREROUTING -j KUBE-SERVICES",
        f"{nat} -I OUTPUT -j KUBE-SERVICES",
        f"{nat} -A KUBE-SERVICES -p tcp --dport 8080 -j DNAT --to-destination {target}",
    )


def _service(kind: str, family: int) -> tuple[tuple[str, ...], str]:
    """Return how port 8080 becomes a service with port 81 of the second pod, and ends to be one."""
    pod = pod_address(6, family)
    target = f"[{pod}]:81" if family == 6 else f"{pod}:81"
    if kind == "nftables":
        table = f"ip{6 if family == 6 else ''} kube-proxy"
        hooks = {"nat-prerouting": "prerouting", "nat-output": "output"}
        chains = [
            f"nft 'add chain {table} {name} {{ type nat hook {hook} priority -100; }}'"
            for name, hook in hooks.items()
        ]
        rules = [f"nft add rule {table} {name} tcp dport 8080 dnat to {target}" for name in hooks]
        return (f"nft add table {table}", *chains, *rules), f"nft delete table {table}"
    program = kind.replace("iptables", "ip6tables") if family == 6 else kind
    return _by_iptables(program, target), f"{program} -t nat -F KUBE-SERVICES"


# Backends, and how kube-proxy may be there: what both do by iptables is done by the same one.
NEIGHBOURS = [
    *(("nftables", kind) for kind in ("iptables-nft", "iptables-legacy", "nftables")),
    *((kind, kind) for kind in ("iptables-nft", "iptables-legacy")),
]


@FAMILIES
@pytest.mark.parametrize(("backend", "kind"), NEIGHBOURS, indirect=["backend"])
@pytest.mark.parametrize("first", [True, False], ids=["service-first", "port-first"])
def test_services_go_before_host_ports(
    scene: Portmapped, backend: dict[str, Any], kind: str, first: bool, family: int
) -> None:
    """CVE-2019-9946: a port that kube-proxy's chains claim is the service's, whoever came first."""
    need_tools("iptables-nft", "iptables-legacy")
    commands, end = _service(kind, family)
    if not first:
        scene.first.add(mapping(8080), **backend)
    for command in commands:
        scene.node.run(command)
    if first:
        scene.first.add(mapping(8080), **backend)
    for client in (scene.neighbour.fd, scene.node.fd):
        exchange((scene.second.fd, 81), client, "tcp", NODE[family], 8080)
    scene.node.run(end)
    exchange((scene.first.fd, 80), scene.neighbour.fd, "tcp", NODE[family], 8080)
