"""How long do ADD and DEL take on a node that starts ten pods in a row, and stops them in a row?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.attachments import seated
from benchmarks.harness import Report, alternate
from benchmarks.targets.both import PLUGINS
from benchmarks.workloads import Network, Pod, check_attached, check_detached, link_names

if TYPE_CHECKING:
    from benchmarks.harness import Plan

PODS = 10
ROUNDS = 20


def run(plan: Plan) -> Report:
    """Ask the question: one client, no pause within a row, no competitor beside it."""
    report = Report()
    for text, network in (("", Network()), (", ipMasq", Network(ip_masq=True))):
        with seated(PLUGINS, report, network, pods=PODS) as competitors:
            warm_up = 0 if plan.once else 1
            for number, competitor in alternate(competitors, plan.rounds(ROUNDS) + warm_up):
                pods = [Pod(f"/run/netns/pod{i}", f"c{number}-{i}", i) for i in range(PODS)]
                before = link_names(competitor.node)
                attached = [competitor.attach(pod, network) for pod in pods]
                for pod, one in zip(pods, attached, strict=True):
                    check_attached(competitor.node, pod, network, one.address, 1)
                plan.settle()
                rows = list(zip(pods, attached, strict=True))
                detached = [competitor.detach(pod, network, one) for pod, one in rows]
                for pod, one in rows:
                    check_detached(competitor.node, pod, network, one.address, before)
                plan.settle()
                if number >= warm_up:
                    report.add(f"ADD{text}", competitor.name, *(one.ns for one in attached))
                    report.add(f"DEL{text}", competitor.name, *detached)
        for command in ("ADD", "DEL"):
            label = f"bridge {command}{text}, ten in a row"
            report.compare(f"{command}{text}", "reference", "cnifast", label=label)
    return report
