"""The order of calls for one attachment: a DEL comes after an ADD that nobody waits for any more.

A process would have died with its caller; a thread goes on, and takes back what it has made.
"""

from __future__ import annotations

from threading import Condition

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 10.0


class Adds:
    """The ADDs at work, by attachment; any thread may use it."""

    __slots__ = ("_at_work", "_ended")

    def __init__(self) -> None:
        self._at_work: dict[object, list[Callable[[], bool]]] = {}
        self._ended = Condition()

    def begin(self, attachment: object, gone: Callable[[], bool]) -> None:
        """Note that an ADD is about to begin; ``gone`` tells whether its caller is, until `end`."""
        with self._ended:
            self._at_work.setdefault(attachment, []).append(gone)

    def end(self, attachment: object, gone: Callable[[], bool]) -> None:
        """Note that it has ended, with all that came of it."""
        with self._ended:
            left = self._at_work[attachment]
            left.remove(gone)
            if not left:
                del self._at_work[attachment]
            self._ended.notify_all()

    def forsaken(self, attachment: object) -> bool:
        """Tell whether an ADD is at work whose caller is gone."""
        if attachment not in self._at_work:
            return False
        with self._ended:
            return any(gone() for gone in self._at_work.get(attachment, ()))

    def wait(self, attachment: object) -> bool:
        """Wait until no such ADD is at work; return False when one still is after some seconds."""
        with self._ended:
            return self._ended.wait_for(lambda: not self.forsaken(attachment), PATIENCE_SECONDS)
