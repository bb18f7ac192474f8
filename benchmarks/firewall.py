"""What the firewall plugins add to the chains of iptables, and the proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.harness import require

if TYPE_CHECKING:
    from benchmarks.node import Node


def rules(address: str) -> tuple[str, str]:
    """Return what lets an address through."""
    return (
        f"-d {address}/32 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
        f"-s {address}/32 -j ACCEPT",
    )


def check(node: Node, address: str, *, there: bool) -> None:
    """Check that iptables lets an address through, or does not.

    Raises:
        WrongResultError: it does not, or does.
    """
    found = node.do("iptables", "-S", "CNI-FORWARD").decode().splitlines()
    wanted = [f"-A CNI-FORWARD {rule}" for rule in rules(address)]
    seen = [rule for rule in found if rule in wanted]
    require(seen == (wanted if there else []), f"{node.name}: {address} has {seen}")
