"""pyroute2, the usual Python library: pytest-benchmark functions, to be run inside a node.

As a program would use it: the host's IPRoute is open all the time, a NetNS is opened for each
pod. A deletion returns when the kernel is through with it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pyroute2 import IPRoute, NetNS

from benchmarks.inprocess import POD, measure, must, repeat, rounds, settle
from benchmarks.workloads import BRIDGE, Network

if TYPE_CHECKING:
    from pytest_benchmark.fixture import BenchmarkFixture

HOST_END = "bare0"
HOST_MAC, POD_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
NETWORK = Network()


def test_created(benchmark: BenchmarkFixture) -> None:
    """Create a pair with one end in the pod; address, up, default route there."""
    with IPRoute() as host:
        bridge = host.link_lookup(ifname=BRIDGE)[0]
        measure(benchmark, lambda: _create(host, bridge), lambda: _delete(host))


def test_cycle(benchmark: BenchmarkFixture) -> None:
    """The same, and delete the pair again."""
    with IPRoute() as host:
        bridge = host.link_lookup(ifname=BRIDGE)[0]

        def work() -> None:
            _create(host, bridge)
            _delete(host)

        def look() -> None:
            must(not host.link_lookup(ifname=HOST_END), "pair left")
            settle()

        measure(benchmark, work, look)


def test_dump(benchmark: BenchmarkFixture) -> None:
    """List all links of the node with their attributes."""
    with IPRoute() as host:
        found = repeat(
            benchmark, lambda: list(host.get_links()), rounds=max(1, rounds()), warmup_rounds=1
        )
    names = ("IFLA_IFNAME", "IFLA_ADDRESS", "IFLA_MTU", "IFLA_OPERSTATE")
    seen = {(link["index"], *(link.get_attr(name) for name in names)) for link in found}
    must(len(seen) == len(found) > 1, f"{len(found)} links, {len(seen)} different")
    benchmark.extra_info["links"] = len(found)


def _create(host: IPRoute, bridge: int) -> None:
    fd = os.open(POD, os.O_RDONLY | os.O_CLOEXEC)
    try:
        host.link(
            "add",
            ifname=HOST_END,
            kind="veth",
            address=HOST_MAC,
            master=bridge,
            state="up",
            peer={"ifname": "eth0", "net_ns_fd": fd},
        )
    finally:
        os.close(fd)
    with NetNS(Path(POD).name, flags=0) as inside:
        index = inside.link_lookup(ifname="eth0")[0]
        inside.addr("add", index=index, address=NETWORK.address(0), prefixlen=16)
        inside.link("set", index=index, state="up")
        inside.route("add", dst="0.0.0.0/0", gateway=NETWORK.gateway, oif=index)


def _delete(host: IPRoute) -> None:
    host.link("del", ifname=HOST_END)
