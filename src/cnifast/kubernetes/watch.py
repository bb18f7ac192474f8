"""Hearing of changes in a directory by inotify, whether it is there, goes or comes back.

Beside the directory, and those in it, every one above it is watched for the next one in the path:
when that is created, replaced or removed, the watches are set anew.  So no change is missed, and
nothing is ever looked at just in case.  Where a symbolic link is on the way, the way that it leads
is watched like this as well; so are the ways that links in the directory lead.
"""

from __future__ import annotations

import ctypes
import logging
import os
import select
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cnifast.kubernetes.confdir import EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_IN_CLOSE_WRITE = 0x8
_IN_MOVED_FROM, _IN_MOVED_TO, _IN_CREATE, _IN_DELETE = 0x40, 0x80, 0x100, 0x200
_IN_DELETE_SELF, _IN_MOVE_SELF, _IN_UNMOUNT, _IN_Q_OVERFLOW = 0x400, 0x800, 0x2000, 0x4000
_IN_ONLYDIR, _IN_DONT_FOLLOW, _IN_MASK_ADD = 0x1000000, 0x2000000, 0x20000000
_IN_NONBLOCK, _IN_CLOEXEC = os.O_NONBLOCK, os.O_CLOEXEC

_NAMES = _IN_MOVED_FROM | _IN_MOVED_TO | _IN_CREATE | _IN_DELETE
_ITSELF = _IN_DELETE_SELF | _IN_MOVE_SELF
_EVENT = struct.Struct("=iIII")
_READ = 1 << 16
_LINKS_MAX = 40  # as many as the kernel follows on the way to a file
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
        self._watched: dict[int, set[str]] = {}  # watch -> what names in it count, "" for all
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
                found |= bool(mask & (_ITSELF | _IN_UNMOUNT)) or not wanted.isdisjoint(("", name))
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
        former, self._watched = self._watched, {}
        directory = self._follow(Path("/"), self.path)
        if directory and self._add(directory, "", _NAMES | _ITSELF | _IN_CLOSE_WRITE):
            self._arm_inside(directory)
        for old in former.keys() - self._watched.keys():
            _libc.inotify_rm_watch(self._fd, old)  # fails where the directory is gone

    def _arm_inside(self, directory: Path) -> None:
        """Watch the directories in the directory, and what links in all of them lead to."""
        for entry in _entries(directory):
            with suppress(PermissionError):  # it is not for us to read
                inside = self._follow_entry(directory, entry)
                if inside and self._add(inside, "", _NAMES | _IN_CLOSE_WRITE):
                    for below in _entries(inside):
                        if below.name.endswith(EXTENSIONS):
                            self._follow_entry(inside, below)

    def _follow_entry(self, directory: Path, entry: os.DirEntry[str]) -> Path | None:
        """Watch what an entry is a link to, a file most likely; return where it really is."""
        if not entry.is_symlink():
            return directory / entry.name
        found = self._follow(directory, entry.name)
        if found:
            self._add(found.parent, found.name, _IN_CLOSE_WRITE)
        return found

    def _follow(self, directory: Path, way: str) -> Path | None:
        """Watch each directory on a way for the next name, also on those that links lead.

        Args:
            directory: where it begins; not by way of a link.
            way: the names.

        Returns:
            Where it ends, None where nothing is there.
        """
        names = way.split("/")[::-1]
        links = 0
        while names:
            name = names.pop()
            if name == "..":
                directory = directory.parent
            elif name not in ("", "."):
                there = self._add(directory, name, _NAMES | _ITSELF)
                if not there or not os.path.lexists(directory / name):
                    return None
                target = _target(directory / name)
                links += bool(target)
                if links > _LINKS_MAX:
                    return None
                names += target.split("/")[::-1]
                if not target:
                    directory /= name
                elif target.startswith("/"):
                    directory = Path("/")
        return directory

    def _add(self, directory: Path, name: str, mask: int) -> bool:
        """Watch a directory for a name in it, "" for all; tell whether it is there.

        Several names in a directory share a watch, which is for all that they need.
        """
        mask |= _IN_ONLYDIR | _IN_DONT_FOLLOW | _IN_MASK_ADD
        watch = _libc.inotify_add_watch(self._fd, os.fsencode(directory), mask)
        try:
            self._watched.setdefault(_checked(watch, str(directory)), set()).add(name)
        except _GONE:
            return False
        return True

    def _close_files(self) -> None:
        """Close all but the end that ``close`` closes."""
        os.close(self._fd)
        os.close(self._stop)


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    """Return what is in a directory, nothing where it is gone."""
    try:
        with os.scandir(directory) as entries:
            return list(entries)
    except _GONE:
        return []


def _target(path: Path) -> str:
    """Return where a symbolic link leads, empty for what is none."""
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _checked(result: int, what: str) -> int:
    """Return the result of a system call.

    Raises:
        OSError: it failed; of the class that fits.
    """
    if result >= 0:
        return result
    code = ctypes.get_errno()
    raise OSError(code, f"watch {what}: {os.strerror(code).lower()}")
