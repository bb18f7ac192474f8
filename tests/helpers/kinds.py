"""Which kinds of links the kernel has; tests of others run in another kernel, see tests/uml."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .node import Node

OPTIONS = {"ipvlan": "mode l2", "vlan": "id 5", "dummy": ""}


def need_kinds(node: Node, words: Iterable[str]) -> None:
    """Skip the test when the kernel lacks a kind of link among the words."""
    for kind in OPTIONS.keys() & set(words):
        if not _has(node, kind):
            pytest.skip(f"this kernel has no {kind}; tests/uml has one that does")


def _has(node: Node, kind: str) -> bool:
    """Tell whether a link of a kind can be made; it is tried once."""
    if kind not in _found:
        _found[kind] = _try(node, kind)
    return _found[kind]


_found: dict[str, bool] = {}


def _try(node: Node, kind: str) -> bool:
    """Try to make a link of a kind."""
    below = "" if kind == "dummy" else "link probe0"
    node.ip("link add probe0 type veth peer name probe1")
    node.run(f"ip link add {below} name probe2 type {kind} {OPTIONS[kind]}", check=False)
    found = "probe2" in node.link_names()
    node.run("ip link del probe2", check=False)
    node.ip("link del probe0")
    return found
