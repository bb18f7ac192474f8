"""The procedure behind the questions about one ADD and one DEL at a time."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeVar

from benchmarks.harness import IN_A_ROW, Plan, Report, alternate
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
T = TypeVar("T")
PODS = ROW = 10
WARM_UP = 3
FEWER_ROWS = 4  # than rounds with one pod


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


def paced(
    plan: Plan, competitors: Sequence[T], rounds: int
) -> Iterator[tuple[str, int, T, list[Pod]]]:
    """Yield (what comes behind a case's name, round, competitor, pods) at both paces.

    First one pod after a pause, then ``ROW`` pods that are called for one right after the other,
    as on a node that starts and stops pods all day.  The first rounds have a negative number and
    are not to be counted: bridges, rules and page caches come into being in them.
    """
    warm_up = 0 if plan.once else WARM_UP
    for suffix, size in (("", 1), (IN_A_ROW, plan.size(ROW, 2))):
        usual = rounds if size == 1 else max(1, rounds // FEWER_ROWS)
        for number, competitor in alternate(competitors, plan.rounds(usual) + warm_up):
            first = number * size
            pods = [_pod(first + i) for i in range(size)]
            yield suffix, number - warm_up, competitor, pods


def _pod(number: int) -> Pod:
    """Return one of the pods by turns, with a container ID of its own."""
    return Pod(f"/run/netns/pod{number % PODS}", f"c{number}", number % PODS)


def measure(
    plan: Plan,
    report: Report,
    competitors: Sequence[Attacher],
    network: Network,
    rounds: int,
    *,
    add: str = "ADD",
    delete: str = "DEL",
    in_a_row: bool = False,
) -> None:
    """Attach and detach pods with each competitor in turn; check each end state.

    One pod after a pause, and with ``in_a_row`` at both paces.
    """
    for suffix, number, competitor, pods in paced(plan, competitors, rounds):
        if suffix and not in_a_row:
            return
        before = link_names(competitor.node)
        attached = [competitor.attach(pod, network) for pod in pods]
        for pod, one in zip(pods, attached, strict=True):
            check_attached(competitor.node, pod, network, one.address)
        plan.settle()
        rows = list(zip(pods, attached, strict=True))
        detached = [competitor.detach(pod, network, one) for pod, one in rows]
        for pod, one in rows:
            check_detached(competitor.node, pod, network, one.address, before)
        plan.settle()
        if number >= 0:
            report.add(f"{add}{suffix}", competitor.name, *(one.ns for one in attached))
            report.add(f"{delete}{suffix}", competitor.name, *detached)


def compare(
    report: Report,
    case: str,
    slow: str,
    fast: str,
    goal: float | None = None,
    *,
    label: str,
) -> None:
    """Note the ratio of a case at both paces; the same is asked of both."""
    for suffix in ("", IN_A_ROW):
        report.compare(f"{case}{suffix}", slow, fast, goal, label=f"{label}{suffix}")
