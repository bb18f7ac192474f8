"""How far is a bridge attachment in-process from a bare C program with the same kernel calls?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.harness import Report, alternate, require
from benchmarks.inprocess import BLOCK, POD, block, need
from benchmarks.node import Node, compile_c
from benchmarks.targets.service import installed_version
from benchmarks.workloads import BRIDGE, Network, Pod, check_attached, make_bridge

if TYPE_CHECKING:
    from benchmarks.harness import Plan

CASE = "attach"
ROUNDS = 120
SYSCTLS = (
    "host:net/ipv6/conf/@HOST@/accept_ra=0",
    "net/ipv6/conf/eth0/accept_dad=0",
    "net/ipv4/conf/eth0/arp_notify=1",
)


def run(plan: Plan) -> Report:
    """Ask the question; first each competitor's result is looked at, then blocks alternate."""
    need("cnifast", "pytest_benchmark")
    report, network = Report(), Network()
    report.versions = {"cnifast": installed_version(), "bare C": "benchmarks/c/attach_bare.c"}
    with ExitStack() as stack:
        nodes = {}
        for name in report.versions:
            node = nodes[name] = stack.enter_context(Node(name))
            make_bridge(node, network)
            node.make_pods(1)
            _block(name, node, network, 0)
            check_attached(node, Pod(POD, name), network, network.address(0))
            node.do("ip", "link", "del", "bare0")
            plan.settle()
        if plan.once:
            for name in nodes:
                report.add(CASE, name, 0)
            return report
        for _, name in alternate(list(nodes), plan.blocks(ROUNDS, BLOCK)):
            report.add(CASE, name, *_block(name, nodes[name], network, BLOCK))
    label = "in-process bridge attachment: cnifast / bare C"
    report.compare(CASE, "cnifast", "bare C", 1.3, label=label, sense="at most")
    return report


def _block(name: str, node: Node, network: Network, count: int) -> list[float]:
    if name == "cnifast":
        return block(node, "inproc", CASE, count)
    address, program = f"{network.address(0)}/16", str(compile_c("attach_bare", "-pthread"))
    done = node.call([program, BRIDGE, POD, address, network.gateway, str(count), *SYSCTLS])
    require(done.exit_code == 0, f"{name}: {done.err.decode().strip()}")
    return [float(line.split()[0]) for line in done.out.splitlines()]
