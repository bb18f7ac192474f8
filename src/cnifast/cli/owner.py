"""Who could change what root runs: the files behind plugin binaries, and the way to them."""

from __future__ import annotations

import grp
import os
import pwd
import stat
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

LINKS_MAX = 40  # as the kernel has it
IDENTITY = ["0", "0", "4294967295"]  # the user namespace of the machine itself


def weakness(python: str, script: str) -> str:
    """Return who could change what a plugin binary runs, and where; "" when only root and we can.

    ``script`` is the one that enters the package which it is part of; it may be empty.
    """
    roots = [python, os.path.join(os.path.dirname(os.path.dirname(python)), "pyvenv.cfg")]
    if python == sys.executable:
        roots += [os.__file__, getattr(sys.modules.get("_cffi_backend"), "__file__", python)]
    found = _first(path for root in roots for path in way_to(root))
    if not found and script:
        package = os.path.dirname(os.path.dirname(script))
        found = _first(way_to(package)) or _first(_tree(package))
    return found


def way_weakness(path: str) -> str:
    """Return who could put something else where a path leads; "" when only root and we can."""
    return _first(way_to(os.path.abspath(path)))


def _first(paths: Iterator[str]) -> str:
    """Return what is wrong with the first of the paths that others can change."""
    trusted = _trusted()
    seen: set[str] = set()
    for path in paths:
        if path not in seen:
            seen.add(path)
            who = _who_can_change(path, trusted)
            if who:
                return f"{path} can be changed by {who}"
    return ""


def _trusted() -> set[int]:
    """Return whom we trust: root and ourselves."""
    found = {0, os.geteuid()}
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            if file.readline().split() != IDENTITY:
                # Whoever is outside of this user namespace, the machine's root among them.
                with open("/proc/sys/kernel/overflowuid", encoding="ascii") as overflow:
                    found.add(int(overflow.read()))
    except OSError:
        pass
    return found


def way_to(path: str) -> Iterator[str]:
    """Yield all that leads to a path: directories, symbolic links, and what the path is in the end.

    What is not there leads nowhere.
    """
    left = path.split("/")[::-1]
    at = "/"
    links = 0
    yield at
    while left:
        word = left.pop()
        if word in ("", "."):
            continue
        if word == "..":
            at = os.path.dirname(at)
            continue
        here = os.path.join(at, word)
        if not os.path.lexists(here):
            return
        yield here
        if os.path.islink(here) and links < LINKS_MAX:
            links += 1
            target = os.readlink(here)
            at = "/" if target.startswith("/") else at
            left += target.split("/")[::-1]
        else:
            at = here


def _tree(directory: str) -> Iterator[str]:
    """Yield everything in a directory, and below."""
    for path, directories, files in os.walk(directory):
        for name in (*directories, *files):
            yield os.path.join(path, name)


def _who_can_change(path: str, trusted: set[int]) -> str:
    """Return which others can change what is at a path, "" for nobody."""
    st = os.lstat(path)
    if st.st_uid not in trusted:
        return f"its owner, {_user(st.st_uid)}"
    if stat.S_ISLNK(st.st_mode):
        return ""  # it is its directory's to change
    if stat.S_ISDIR(st.st_mode) and st.st_mode & stat.S_ISVTX:
        return ""  # what is in it belongs to its owners
    if st.st_mode & stat.S_IWOTH:
        return "everybody"
    if st.st_mode & stat.S_IWGRP and st.st_gid != 0:
        return _members(st.st_gid, trusted)
    return ""


def _user(uid: int) -> str:
    """Return a user in words."""
    try:
        return f"user {pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"user {uid}"


def _members(gid: int, trusted: set[int]) -> str:
    """Return a group in words, "" if nobody is in it whom we do not trust."""
    try:
        group = grp.getgrgid(gid)
    except KeyError:
        return f"group {gid}"
    users = [user for user in pwd.getpwall() if user.pw_uid not in trusted]
    if any(user.pw_gid == gid or user.pw_name in group.gr_mem for user in users):
        return f"group {group.gr_name}"
    return ""
