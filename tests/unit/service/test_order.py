"""A DEL comes after the ADDs that are at work."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from cnifast.service import order

if TYPE_CHECKING:
    import pytest


def alive() -> bool:
    """Tell that a caller waits."""
    return False


def dead() -> bool:
    """Tell that a caller is gone."""
    return True


def test_waits_for_adds_that_nobody_waits_for() -> None:
    """It is over when the last of them has ended; others do not matter."""
    adds = order.Adds()
    adds.begin("a", dead)
    adds.begin("a", dead)
    adds.begin("a", alive)
    adds.begin("b", dead)
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(adds.wait("a")))
    thread.start()
    adds.end("a", dead)
    assert adds.forsaken("a")
    adds.end("a", dead)
    thread.join(20)
    assert waited == [True]
    assert not adds.forsaken("a")
    assert adds.forsaken("b")
    adds.end("a", alive)
    assert not adds.forsaken("a")


def test_waits_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ADD that does not end keeps nobody waiting for ever."""
    monkeypatch.setattr(order, "PATIENCE_SECONDS", 0.01)
    adds = order.Adds()
    adds.begin("a", dead)
    assert not adds.wait("a")
