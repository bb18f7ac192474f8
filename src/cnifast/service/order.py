"""The order of calls for one attachment: a DEL comes after the ADDs that are at work."""

from __future__ import annotations

from threading import Condition

PATIENCE_SECONDS = 10.0


class Adds:
    """The ADDs at work, by attachment; any thread may use it."""

    __slots__ = ("_at_work", "_ended")

    def __init__(self) -> None:
        self._at_work: dict[object, int] = {}
        self._ended = Condition()

    def begin(self, attachment: object) -> None:
        """Note that an ADD is about to begin."""
        with self._ended:
            self._at_work[attachment] = self._at_work.get(attachment, 0) + 1

    def end(self, attachment: object) -> None:
        """Note that it has ended, with all that came of it."""
        with self._ended:
            left = self._at_work.pop(attachment) - 1
            if left:
                self._at_work[attachment] = left
            else:
                self._ended.notify_all()

    def has(self, attachment: object) -> bool:
        """Tell whether an ADD is at work."""
        return attachment in self._at_work

    def wait(self, attachment: object) -> bool:
        """Wait until no ADD is at work; return False when one still is after some seconds."""
        with self._ended:
            return self._ended.wait_for(lambda: not self.has(attachment), PATIENCE_SECONDS)
