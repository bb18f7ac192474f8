"""System calls that Python 3.11 does not offer: namespaces and mounts.

Every function acts on the calling thread, as the kernel does.  Errors are OSError with the call's
name and object.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWNET = 0x40000000

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

_PR_SET_CHILD_SUBREAPER = 36
_OWN_NET = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)


def _check(result: int, what: str) -> None:
    """Raise what the last libc call failed with."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Give the calling thread new namespaces."""
    _check(_libc.unshare(ctypes.c_int(flags)), f"unshare {flags:#x}")


def setns(fd: int, kind: int = CLONE_NEWNET) -> None:
    """Move the calling thread into the namespace that fd holds."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)), f"setns to fd {fd}")


def mount(source: str, target: str, kind: str | None, flags: int = 0, options: str = "") -> None:
    """Mount a file system, or bind source to target."""
    _check(
        _libc.mount(
            source.encode(),
            target.encode(),
            kind.encode() if kind else None,
            flags,
            options.encode() or None,
        ),
        f"mount {source} on {target}",
    )


def umount(target: str) -> None:
    """Detach what is mounted on target and everything below it."""
    _check(_libc.umount2(target.encode(), ctypes.c_int(MNT_DETACH)), f"umount {target}")


@contextmanager
def covered(*directories: str) -> Iterator[None]:
    """Put empty file systems in memory over directories, as far as this mount namespace sees."""
    made = []
    try:
        for directory in directories:
            mount("tmpfs", directory, "tmpfs", options="mode=755")
            made.append(directory)
        yield
    finally:
        for directory in reversed(made):
            umount(directory)


def adopt_orphans() -> None:
    """Make this process the parent of orphans among its descendants, so that it can reap them."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def own_netns() -> int:
    """Open the calling thread's network namespace."""
    return os.open(_OWN_NET, os.O_RDONLY | os.O_CLOEXEC)


def new_netns() -> int:
    """Create a network namespace, stay in the old one, and return the new one's descriptor."""
    before = own_netns()
    try:
        unshare(CLONE_NEWNET)
        try:
            return own_netns()
        finally:
            setns(before)
    finally:
        os.close(before)


@contextmanager
def inside(fd: int) -> Iterator[None]:
    """Run a block in the network namespace that fd holds."""
    before = own_netns()
    try:
        setns(fd)
        try:
            yield
        finally:
            setns(before)
    finally:
        os.close(before)


def netns_id(fd: int) -> tuple[int, int]:
    """Return what names a namespace: device and inode of its nsfs file."""
    status = os.fstat(fd)
    return status.st_dev, status.st_ino
