"""The gate that sandboxes pass to be set up, for those who need to know which ones have."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gate:
    """Any number of set-ups are under way, unless somebody has to be alone."""

    __slots__ = ("_condition", "_under_way", "_waiting")

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._under_way: set[str] = set()
        self._waiting = 0  # those who have to be alone

    @contextmanager
    def under_way(self, id_: str) -> Iterator[None]:
        """Set up a sandbox; waits while the gate is closed."""
        with self._condition:
            self._condition.wait_for(lambda: not self._waiting)
            self._under_way.add(id_)
        try:
            yield
        finally:
            with self._condition:
                self._under_way.discard(id_)
                self._condition.notify_all()

    @contextmanager
    def closed(self) -> Iterator[set[str]]:
        """Close the gate; get the sandboxes that are on the way, which may be the caller's own."""
        with self._condition:
            yield set(self._under_way)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Close the gate when nobody is on the way; whoever comes meanwhile waits."""
        with self._condition:
            self._waiting += 1
            try:
                self._condition.wait_for(lambda: not self._under_way)
                yield
            finally:
                self._waiting -= 1
                self._condition.notify_all()
