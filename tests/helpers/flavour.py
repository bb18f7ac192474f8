"""Either kind of iptables as the iptables of a node."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .node import need_tools

if TYPE_CHECKING:
    import pytest

    from .node import Node


class Flavour:
    """One kind of iptables: "nft" or "legacy"."""

    def __init__(self, node: Node, name: str) -> None:
        self.name = name
        self._node = node

    def rules(self, family: int = 4) -> list[str]:
        """Return the rules of the nat table, and the chains that do not belong to it."""
        command = {4: "iptables", 6: "ip6tables"}[family]
        lines = self._node.run(f"{command}-{self.name}-save -t nat").splitlines()
        return [line for line in lines if line.startswith(("-A", ":CNI"))]


def choose(node: Node, name: str, monkeypatch: pytest.MonkeyPatch) -> Flavour:
    """Have one kind found first on PATH under the plain names, with counters at zero."""
    need_tools("iptables-nft", "iptables-legacy", "nft")
    directory = Path("/run/iptables")
    directory.mkdir()
    for command in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            target = f"/usr/sbin/{command}-{name}{suffix}"
            (directory / f"{command}{suffix}").symlink_to(target)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return Flavour(node, name)
