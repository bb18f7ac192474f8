"""The procedure behind the questions about one ADD and one DEL at a time."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from benchmarks.harness import Plan, Report, alternate
from benchmarks.node import Node
from benchmarks.workloads import (
    Network,
    Pod,
    check_attached,
    check_detached,
    link_names,
    prepare,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.targets import Attacher

A = TypeVar("A", bound="Attacher")
PODS = 4
WARM_UP = 3


@contextmanager
def seated(
    kinds: Sequence[type[A]],
    report: Report,
    network: Network,
    *,
    pods: int = PODS,
    furnish: Callable[[Node], None] | None = None,
) -> Iterator[list[A]]:
    """Give each competitor that can run here a node of its own, all prepared identically."""
    with ExitStack() as stack:
        competitors = []
        for kind in kinds:
            reason = kind.missing()
            if reason:
                report.notes.append(f"{kind.name} left out: {reason}")
                continue
            node = stack.enter_context(Node(kind.name))
            prepare(node, network)
            node.make_pods(pods)
            if furnish:
                furnish(node)
            competitor = kind(node)
            stack.callback(competitor.close)
            competitor.open(network)
            report.versions[competitor.name] = competitor.version()
            competitors.append(competitor)
        yield competitors


def measure(
    plan: Plan,
    report: Report,
    competitors: Sequence[Attacher],
    network: Network,
    rounds: int,
    *,
    add: str = "ADD",
    delete: str = "DEL",
    patience: int = 1,
) -> None:
    """Attach and detach one pod per round with each competitor in turn; check each end state.

    The first rounds are not counted: bridges, rules and page caches come into being in them.
    """
    warm_up = 0 if plan.once else WARM_UP
    for number, competitor in alternate(competitors, plan.rounds(rounds) + warm_up):
        pod = Pod(f"/run/netns/pod{number % PODS}", f"c{number}", number % PODS)
        before = link_names(competitor.node)
        attached = competitor.attach(pod, network)
        check_attached(competitor.node, pod, network, attached.address, patience)
        plan.settle()
        detached = competitor.detach(pod, network, attached)
        check_detached(competitor.node, pod, network, attached.address, before)
        plan.settle()
        if number >= warm_up:
            report.add(add, competitor.name, attached.ns)
            report.add(delete, competitor.name, detached)
