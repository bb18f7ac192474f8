"""Whether a path means the same here and to a caller with another root or other mounts."""

from __future__ import annotations

import os
import stat

from cnifast.kernel.intake import leads_to_the_same

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class CallersPaths:
    """Tells of paths whether they mean the same to a caller; each is looked at once for a call."""

    __slots__ = ("_known", "_pid", "root")

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.root = root_of(pid)
        self._known: dict[str, bool] = {}

    def __call__(self, path: str) -> bool:
        """Tell whether a path leads the caller to what it leads us to; see `same_path`."""
        known = self._known.get(path)
        if known is None:
            known = self._known[path] = same_path(self._pid, path)
        return known


def same_path(pid: int, path: str) -> bool:
    """Tell whether the absolute path leads process ``pid`` to what it leads us to.

    A path that exists for neither is the same when the deepest directory that exists for
    both is the same.  Symbolic links on the way count as different: where they lead the other
    process cannot be followed from here.
    """
    if pid <= 0 or not path.startswith("/") or ".." in path.split("/"):
        return False
    try:
        return leads_to_the_same(pid, path) or _walk(root_of(pid), path)
    except (OSError, ValueError):
        return False


def root_of(pid: int) -> str:
    """Return where the root directory of a process can be seen."""
    return f"/proc/{pid}/root"


def _walk(there: str, path: str) -> bool:
    """Follow a path from our root and from the one at ``there``, as long as both exist."""
    here = ""
    same = _identity(os.stat("/")) == _identity(os.stat(there))
    for part in path.split("/"):
        if part in ("", "."):
            continue
        here = f"{here}/{part}"
        there = f"{there}/{part}"
        mine, yours = _look(here), _look(there)
        if mine is None or yours is None:
            return same and mine is yours
        if stat.S_ISLNK(mine.st_mode) or stat.S_ISLNK(yours.st_mode):
            return False
        same = _identity(mine) == _identity(yours)
    return same


def named_paths(conf: object, env: Mapping[str, str]) -> Iterator[str]:
    """Yield the absolute paths that a configuration names; what it implies, its plugin knows.

    ``prevResult`` is left out: what it names was there before and is not opened.
    """
    for directory in env.get("CNI_PATH", "").split(":"):
        if directory:
            yield directory
    todo = [conf]
    while todo:
        value = todo.pop()
        if isinstance(value, dict):
            todo += [v for k, v in value.items() if k.lower() != "prevresult"]
        elif isinstance(value, list):
            todo += value
        elif isinstance(value, str) and value.startswith("/"):
            yield value


def _look(path: str) -> os.stat_result | None:
    """Return what is at a path, None when nothing is; other errors are raised."""
    try:
        return os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _identity(st: os.stat_result) -> tuple[int, int]:
    """Return what tells one file from another."""
    return st.st_dev, st.st_ino
