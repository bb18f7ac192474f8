"""Hearing of changes in a directory by inotify, whether it is there, goes or comes back.

Beside the directory, and those in it, every one above it is watched for the next one in the path:
when that is created, replaced or removed, the watches are set anew.  So no change is missed, and
nothing is ever looked at just in case.
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_IN_CLOSE_WRITE = 0x8
_IN_MOVED_FROM, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x40, 0x80, 0x100, 0x200
_IN_DELETE_SELF, _IN_MOVE_SELF, _IN_UNMOUNT, _IN_Q_OVERFLOW = 0x400, 0x800, 0x2000, 0x4000
_IN_ONLYDIR = 0x1000000
_IN_NONBLOCK, _IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC

_NAMES = _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE
_ITSELF = _IN_DELETE_SELF | _IN_MOVE_SELF
_EVENT = struct.Struct("=iIII")
_READ = 1 << 16
_GONE = (FileNotFoundError, NotADirectoryError)

_log = logging.getLogger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)


class DirectoryWatch:
    """Calls back, from a thread of its own, after changes in a directory; ``close`` ends it.

    Many changes at a time make for few calls.  What is changed while a call is under way is told
    of by another one.

    Attributes:
        failed: there are no more calls: a call failed, or the system had no watches left.
    """

    def __init__(self, path: str, changed: Callable[[], None]) -> None:
        """Begin to watch; changes count from now on.

        Raises:
            OSError: the system has no watches left.
        """
        self.path = str(Path(path).absolute())
        self.failed = False
        self._changed = changed
        self._watched: dict[int, str] = {}  # watch -> what name in it counts, "" for all
        self._fd = _checked(_libc.inotify_init1(_IN_NONBLOCK | _IN_CLOEXEC), "inotify")
        self._stop, self._stopping = os.pipe2(os.O_CLOEXEC)
        try:
            self._arm()
        except BaseException:
            self._close_files()
            os.close(self._stopping)
            raise
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the watch; no call is made after this, unless it is called from one."""
        if self._stopping < 0:
            return
        os.close(self._stopping)
        self._stopping = -1
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        """Wait for changes and tell of them."""
        poller = select.poll()
        poller.register(self._fd, select.POLLIN)
        poller.register(self._stop, select.POLLIN)
        try:
            while self._stop not in {fd for fd, _ in poller.poll()}:
                if self._relevant():
                    self._arm()
                    self._changed()
        except Exception:  # noqa: BLE001 - whoever asks is told
            self.failed = True
            _log.warning("changes in %s will not be noticed any more", self.path, exc_info=True)
        finally:
            self._close_files()

    def _relevant(self) -> bool:
        """Take all events there are; tell whether one of them counts."""
        found = False
        for watch, mask, name in self._events():
            wanted = self._watched.get(watch)
            if mask & _IN_Q_OVERFLOW:
                found = True
            elif wanted is not None:
                found |= bool(mask & (_ITSELF | _IN_UNMOUNT)) or wanted in ("", name)
        return found

    def _events(self) -> Iterator[tuple[int, int, str]]:
        """Yield (watch, mask, name) of the events that have come."""
        while True:
            try:
                data = os.read(self._fd, _READ)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                watch, mask, _, size = _EVENT.unpack_from(data, at)
                at += _EVENT.size
                yield watch, mask, os.fsdecode(data[at : at + size].rstrip(b"\0"))
                at += size

    def _arm(self) -> None:
        """Watch the directory and those above it, as far as they are there.

        A directory that comes while this goes down the path is found: the one above it is
        watched already, so that this is done again.
        """
        watched: dict[int, str] = {}
        parts = self.path.split("/")[1:] if self.path != "/" else []
        directory = "/"
        for part in [*parts, ""]:
            mask = _NAMES | _ITSELF | (0 if part else _IN_CLOSE_WRITE)
            try:
                watch = self._add(directory, mask)
            except _GONE:
                break
            # Two names of one directory, by way of a link, have one watch: any name counts then.
            watched[watch] = "" if watched.get(watch, part) != part else part
            directory = f"{directory.rstrip('/')}/{part}"
        else:
            self._arm_inside(watched)
        for old in self._watched.keys() - watched.keys():
            _libc.inotify_rm_watch(self._fd, old)  # fails where the directory is gone
        self._watched = watched

    def _arm_inside(self, watched: dict[int, str]) -> None:
        """Watch the directories in the directory."""
        try:
            with os.scandir(self.path) as entries:
                inside = [entry.path for entry in entries if entry.is_dir()]
        except _GONE:
            return
        for directory in inside:
            try:
                watched[self._add(directory, _NAMES | _IN_CLOSE_WRITE)] = ""
            except _GONE:
                continue

    def _add(self, directory: str, mask: int) -> int:
        """Watch a directory; return the number that events carry."""
        watch = _libc.inotify_add_watch(self._fd, os.fsencode(directory), mask | _IN_ONLYDIR)
        return _checked(watch, directory)

    def _close_files(self) -> None:
        """Close all but the end that ``close`` closes."""
        os.close(self._fd)
        os.close(self._stop)


def _checked(result: int, what: str) -> int:
    """Return the result of a system call.

    Raises:
        OSError: it failed; of the class that fits.
    """
    if result >= 0:
        return result
    code = ctypes.get_errno()
    raise OSError(code, f"watch {what}: {os.strerror(code).lower()}")
