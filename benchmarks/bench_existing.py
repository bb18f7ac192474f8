"""What does ADD and DEL cost on a node that has 0, 100 or 1,000 pods already?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import measure, seated
from benchmarks.harness import Report
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import BRIDGE, Network

if TYPE_CHECKING:
    from benchmarks.harness import Plan
    from benchmarks.node import Node

EXISTING = (0, 100, 1_000)
CLIENTS = 16
QUIET = "bcast_flood off mcast_flood off flood off"


def run(plan: Plan) -> Report:
    """Ask the question; each competitor has attached the existing pods itself."""
    report, network = Report(), Network(ip_masq=True)
    for existing in (0, 8) if plan.once else EXISTING:
        with seated(PLUGINS, report, network) as competitors:
            for competitor in competitors:
                competitor.node.make_pods(existing, "keep")
                if existing:
                    size = {"clients": CLIENTS, "pods": existing}
                    competitor.churn(network, **size, ops="A", prefix="keep")
                    _silence(competitor.node)
            add, delete = (f"{op}, {existing:,} pods" for op in ("ADD", "DEL"))
            measure(plan, report, competitors, network, 20, add=add, delete=delete)
        for case in (add, delete):
            label = f"bridge {case.replace(',', ', ipMasq,', 1)} already there"
            report.compare(case, "reference", "cnifast", label=label)
    return report


def _silence(node: Node) -> None:
    """Keep broadcasts from the ports that are there.

    A bridge copies each to every port, and the copies for 1,000 ports are more than the kernel
    queues (netdev_max_backlog): the answer to the first ping's ARP request would be lost.
    """
    ports = [link["ifname"] for link in node.links() if link.get("master") == BRIDGE]
    lines = [f"link set dev {port} type bridge_slave {QUIET}\n" for port in ports]
    node.path("/run/ports").write_text("".join(lines))
    node.do("ip", "-batch", "/run/ports")
