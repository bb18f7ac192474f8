"""cnifast as a Python library: pytest-benchmark functions, to be run inside a node.

``test_attach`` is what the bridge plugin does to the kernel for one pod. ``test_created`` and
``test_cycle`` do a pair by single requests, as pyroute2 does: the handle in the pod is opened for
each pod, the host's is open all the time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.inprocess import POD, measure, must, repeat, rounds, settle
from benchmarks.workloads import BRIDGE, Network
from cnifast.kernel import Handle, NetNS
from cnifast.kernel.attach import Endpoint, attach_veth, detach
from cnifast.protocol.result import Route

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

HOST_END = "bare0"
HOST_MAC, POD_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
ALIAS = "cnifast bench 0123456789abcdef0123456789abcdef eth0"
NETWORK = Network()
ADDRESS = f"{NETWORK.address(0)}/16"
SYSCTLS = (
    ("net/ipv6/conf/eth0/accept_dad", "0", True),
    ("net/ipv4/conf/eth0/arp_notify", "1", True),
)


def test_attach(benchmark: BenchmarkFixture) -> None:
    """A whole bridge attachment in one call of the kernel package."""
    with NetNS(POD) as pod, Handle() as host:
        bridge = host.link(BRIDGE).index

        def work() -> None:
            endpoint = Endpoint(
                pod.fileno(),
                "eth0",
                mac=POD_MAC,
                sysctls=SYSCTLS,
                addresses=(ADDRESS,),
                routes=(Route("0.0.0.0/0", NETWORK.gateway),),
            )
            attach_veth(host, endpoint, name=HOST_END, alias=ALIAS, bridge=bridge, mac=HOST_MAC)

        measure(benchmark, work, lambda: _delete(host))


def test_created(benchmark: BenchmarkFixture) -> None:
    """Create a pair with one end in the pod; address, up, default route there."""
    with Handle() as host:
        bridge = host.link(BRIDGE).index
        measure(benchmark, lambda: _create(host, bridge), lambda: _delete(host))


def test_cycle(benchmark: BenchmarkFixture) -> None:
    """The same, and delete the pair again."""
    with Handle() as host:
        bridge = host.link(BRIDGE).index

        def work() -> None:
            _create(host, bridge)
            must(detach(HOST_END), f"no {HOST_END}")

        def look() -> None:
            must(HOST_END not in _names(host), "pair left")
            settle()

        measure(benchmark, work, look)


def test_dump(benchmark: BenchmarkFixture) -> None:
    """List all links of the node with their attributes."""
    with Handle() as host:
        found = repeat(benchmark, host.links, rounds=max(1, rounds()), warmup_rounds=1)
    seen = {(link.index, link.name, link.mac, link.mtu, link.operstate) for link in found}
    must(len(seen) == len(found) > 1, f"{len(found)} links, {len(seen)} different")
    benchmark.extra_info["links"] = len(found)


def _create(host: Handle, bridge: int) -> None:
    with NetNS(POD) as pod:
        host.add_link(
            "veth",
            HOST_END,
            mac=HOST_MAC,
            master=bridge,
            up=True,
            peer="eth0",
            peer_netns=pod.fileno(),
        )
        with Handle(pod) as inside:
            index = inside.link("eth0").index
            inside.add_address(index, ADDRESS)
            inside.set_link(index, up=True)
            inside.add_route("0.0.0.0/0", gateway=NETWORK.gateway, oif=index)


def _delete(host: Handle) -> None:
    """Delete the pair; returns when the kernel is through with it."""
    host.delete_link(host.link(HOST_END).index)


def _names(host: Handle) -> set[str]:
    return {link.name for link in host.links()}
