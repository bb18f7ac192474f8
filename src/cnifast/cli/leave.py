"""Leaving a service behind after a cold call.

Of several calls at once, the one that gets the service's lock starts it, and hands the lock
over with the process: there is no instant at which two could.  The child has nothing of the
caller's: own session, /dev/null for standard streams, no other descriptor but the lock.
"""

from __future__ import annotations

import fcntl
import os
import sys

SCRIPT = __file__.removesuffix("leave.py") + "resident.py"
LOCK_FD = 3
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def leave_service(socket: str) -> bool:
    """Start a service on the socket; return False when another one is or cannot be there.

    Failing to is no failure of the call that was answered: the next one will try again.
    """
    try:
        lock = _take_lock(socket)
        if lock is None:
            return False
        _start(socket, lock)
    except OSError:
        return False
    return True


def _take_lock(socket: str) -> int | None:
    """Return a descriptor that holds the lock of the service, None when somebody has it."""
    os.makedirs(os.path.dirname(socket), mode=0o700, exist_ok=True)
    lock = os.open(socket + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return lock


def _start(socket: str, lock: int) -> None:
    """Start the process, which takes the lock with it."""
    # Out of the way of the numbers that the child uses.
    high = fcntl.fcntl(lock, fcntl.F_DUPFD_CLOEXEC, 64)
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)
    ]
    actions.append((os.POSIX_SPAWN_DUP2, high, LOCK_FD))
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > LOCK_FD and _is_inherited(fd):
            actions.append((os.POSIX_SPAWN_CLOSE, fd))
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-I", "-S", "-Xutf8", SCRIPT, socket, str(LOCK_FD)],
        {"PATH": os.environ.get("PATH", PATH)},
        file_actions=actions,
        setsid=True,
        setsigmask=(),
    )


def _is_inherited(fd: int) -> bool:
    """Tell whether a program that is executed now would find the descriptor open."""
    try:
        return not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
    except OSError:
        return False
