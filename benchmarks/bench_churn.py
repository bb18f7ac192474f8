"""How many pods per second can 16 clients at once attach and detach?"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from benchmarks.attachments import seated
from benchmarks.bench_attach import SYSCTLS
from benchmarks.harness import Report, alternate, require
from benchmarks.node import Node, compile_c
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import BRIDGE, Network, check_empty, make_bridge

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.targets import Plugins

CLIENTS = 16
PODS = 500
RUNS = 3
BARE = "bare C"
BARE_STARTS = "bare C, two starts a pod"


class Bare:
    """The kernel calls of a bridge attachment and nothing else, by a C program.

    It says how many pods the kernel itself has time for: without a process for a call, or with
    one for each that does nothing, reads nothing and writes nothing.
    """

    def __init__(self, node: Node, network: Network, pods: int, *, starts: bool) -> None:
        self.node = node
        self.name = node.name
        self._program = str(compile_c("attach_bare", "-pthread"))
        self._starts = f":{compile_c('nothing', '-static', '-nostdlib')}" if starts else ""
        make_bridge(node, network)
        node.make_pods(pods)

    def churn(self, network: Network, *, clients: int, pods: int, loops: int = 1) -> int:
        """Attach and detach pods; return the nanoseconds."""
        where = (BRIDGE, "/run/netns/pod", f"{network.address(0)}/16", network.gateway)
        how = f"{clients}x{pods}{self._starts}"
        ns = 0
        for _ in range(loops):
            done = self.node.call([self._program, *where, how, *SYSCTLS])
            require(done.exit_code == 0, f"{self.name}: {done.err.decode().strip()}")
            ns += int(done.out)
        return ns


def run(plan: Plan) -> Report:
    """Ask the question: each client runs ADD and DEL on its own pods, one after the other."""
    report = Report(unit="pods/s")
    pods = plan.size(PODS, CLIENTS)
    for text, network in (("bridge", Network()), ("bridge, ipMasq", Network(ip_masq=True))):
        with ExitStack() as stack:
            plugins = stack.enter_context(seated(PLUGINS, report, network, pods=pods))
            bare = []
            if network == Network():
                for name, starts in ((BARE, False), (BARE_STARTS, True)):
                    node = stack.enter_context(Node(name))
                    bare.append(Bare(node, network, pods, starts=starts))
            competitors: list[Plugins | Bare] = [*plugins, *bare]
            for competitor in competitors:
                competitor.churn(network, clients=1, pods=1, loops=1 if plan.once else 3)
            for _, competitor in alternate(competitors, plan.rounds(RUNS)):
                done = competitor.churn(network, clients=CLIENTS, pods=pods)
                ns = done if isinstance(done, int) else done.wall_ns
                report.add(text, competitor.name, pods / ns * 1e9)
                check_empty(competitor.node, network)
                plan.settle()
        goal = None if network.ip_masq else 8
        label = f"churn, {CLIENTS} clients, {text}: pods per second"
        report.compare(text, "cnifast", "reference", goal, label=label)
        for name, what in ((BARE, "kernel calls alone"), (BARE_STARTS, "and empty programs")):
            report.compare(text, name, "reference", label=f"the same, {what}: {name} / reference")
    return report
