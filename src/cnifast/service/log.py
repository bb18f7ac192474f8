"""What the service says on standard error: one line of key=value pairs per event."""

from __future__ import annotations

import json
import os
import stat
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Log = Callable[..., None]
    """Called with the event's name and its fields."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:/-+@,")


def logfmt(event: str, fields: dict[str, object]) -> bytes:
    """Return the line for an event; texts that are not plain are quoted as in JSON."""
    parts = [f"event={event}"]
    for key, value in fields.items():
        text = str(value)
        plain = text and _PLAIN.issuperset(text)
        parts.append(f"{key}={text if plain else json.dumps(text)}")
    return (" ".join(parts) + "\n").encode("ascii", "backslashreplace")


def to_stderr() -> Log:
    """Return the log that writes to standard error, or to nowhere when that leads nowhere."""
    try:
        st = os.fstat(2)
        lost = stat.S_ISCHR(st.st_mode) and st.st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        lost = True
    return _drop if lost else _write


def _drop(event: str, **fields: object) -> None:
    """Take an event and forget it."""


def _write(event: str, **fields: object) -> None:
    """Write an event in one piece, so that lines of several threads do not mix."""
    now = time.time()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    line = f"ts={stamp}.{int(now % 1 * 1000):03d}Z ".encode() + logfmt(event, fields)
    try:
        os.write(2, line)
    except OSError:
        return
