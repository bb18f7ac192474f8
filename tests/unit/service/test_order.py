"""A DEL comes after the ADDs that are at work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cnifast.service import order

if TYPE_CHECKING:
    import pytest


def test_waits_for_every_add() -> None:
    """It is over when the last of them has ended; those of others do not matter."""
    adds = order.Adds()
    adds.begin("a")
    adds.begin("a")
    adds.begin("b")
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(adds.wait("a")))
    thread.start()
    adds.end("a")
    assert adds.has("a")
    adds.end("a")
    thread.join(20)
    assert waited == [True]
    assert not adds.has("a")
    assert adds.has("b")


def test_waits_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ADD that does not end keeps nobody waiting for ever."""
    monkeypatch.setattr(order, "PATIENCE_SECONDS", 0.01)
    adds = order.Adds()
    adds.begin("a")
    assert not adds.wait("a")
