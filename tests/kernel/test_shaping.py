"""Bandwidth limits that spare subnets: what traffic is counted in which class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cnifast.kernel import Handle
from cnifast.kernel.shaping import Bucket, Limits, add_limits, check_limits
from helpers import traffic
from helpers.limited import MBIT
from helpers.node import need_tools
from helpers.packets import ping
from helpers.routed import INSIDE, NEIGHBOUR, Routed

if TYPE_CHECKING:
    from helpers.node import Container, Node


class Limited:
    """A pod on a routed node, limited by the kernel layer."""

    def __init__(self, node: Node, limits: Limits) -> None:
        need_tools("tc")
        self.routed = Routed(node)
        self.pod: Container = self.routed.pods[0]
        for target in (*INSIDE.values(), *NEIGHBOUR.values()):
            assert ping(self.pod.fd, target, timeout=5)
        with Handle(node.fd) as host:
            end = host.link("port5")
            add_limits(host, end, limits, ifb="bwp5", alias="mine", mac="02:00:00:00:00:05")
            check_limits(host, end, limits, ifb="bwp5")

    def counted(self, target: str) -> dict[str, list[int]]:
        """Ping once; return how many bytes were counted by class, to the pod and from it."""
        before = self._bytes()
        assert ping(self.pod.fd, target, timeout=5)
        return {
            number: [now - was for now, was in zip(both, before[number], strict=True)]
            for number, both in self._bytes().items()
        }

    @staticmethod
    def _bytes() -> dict[str, list[int]]:
        seen = [traffic.classes(link) for link in ("port5", "bwp5")]
        return {number: [one[number]["bytes"] for one in seen] for number in ("1:1", "1:30")}


BUCKETS = (Bucket.of(8 * MBIT, 8 * MBIT), Bucket.of(8 * MBIT, 8 * MBIT))
SIZE = {4: 14 + 20 + 8 + 8, 6: 14 + 40 + 8 + 8}  # of an echo request or its answer


@pytest.mark.parametrize("only", [False, True], ids=["unshaped", "shaped"])
def test_subnets(node: Node, only: bool) -> None:
    """Whom the container speaks with decides what is limited, in both directions and families."""
    limits = Limits(*BUCKETS, ["192.0.2.0/28", "2001:db8::/64"], only_subnets=only)
    limited = Limited(node, limits)
    theirs, rest = ("1:30", "1:1") if only else ("1:1", "1:30")
    for family in (4, 6):
        seen = limited.counted(NEIGHBOUR[family])
        assert min(seen[theirs]) >= SIZE[family], (family, seen)
        assert max(seen[rest]) < SIZE[4] + 250, (family, seen)  # ARP, neighbour discovery
        seen = limited.counted(INSIDE[family])
        assert min(seen[rest]) >= SIZE[family], (family, seen)
        assert max(seen[theirs]) == 0, (family, seen)


def test_all_of_a_family(node: Node) -> None:
    """A subnet of length 0 stands for its family alone."""
    limited = Limited(node, Limits(*BUCKETS, ["0.0.0.0/0"]))
    assert min(limited.counted(NEIGHBOUR[4])["1:1"]) == SIZE[4]
    assert max(limited.counted(NEIGHBOUR[6])["1:1"]) == 0
