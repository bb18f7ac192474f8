"""The one place where an errno from C becomes a Python exception.

Every exception is an OSError, and the fitting built-in subclass of it where
there is one, so that callers can write ``except FileExistsError`` or
``except KernelError`` as suits them.  The message is the core's one line:
step, object, and the kernel's own words.
"""

from __future__ import annotations

import errno as _errno

from cnifast._native import ffi

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class KernelError(OSError):
    """A call into the kernel failed; ``errno`` and ``strerror`` say how."""

    def __str__(self) -> str:
        """Return the core's line as it is, without Python's "[Errno N]"."""
        return str(self.strerror)


class AlreadyExistsError(KernelError, FileExistsError):
    """The object is there already (EEXIST)."""


class NoSuchObjectError(KernelError, FileNotFoundError):
    """The object is not there (ENOENT, ENODEV, ESRCH, EADDRNOTAVAIL)."""


class InUseError(KernelError):
    """Somebody else has it (EADDRINUSE)."""


class UnreachableError(KernelError):
    """No route leads there (ENETUNREACH, EHOSTUNREACH)."""


class NotPermittedError(KernelError, PermissionError):
    """The caller may not do this (EPERM, EACCES)."""


class InterruptedDumpError(KernelError, BlockingIOError):
    """A dump raced with changes, or a lock could not be had in time (EAGAIN)."""


class TimedOutError(KernelError, TimeoutError):
    """The kernel did not report the expected state in time (ETIMEDOUT)."""


_CLASSES: dict[int, type[KernelError]] = {
    _errno.EEXIST: AlreadyExistsError,
    _errno.ENOENT: NoSuchObjectError,
    _errno.ENODEV: NoSuchObjectError,
    _errno.ESRCH: NoSuchObjectError,
    _errno.EADDRNOTAVAIL: NoSuchObjectError,
    _errno.EADDRINUSE: InUseError,
    _errno.ENETUNREACH: UnreachableError,
    _errno.EHOSTUNREACH: UnreachableError,
    _errno.EPERM: NotPermittedError,
    _errno.EACCES: NotPermittedError,
    _errno.EAGAIN: InterruptedDumpError,
    _errno.ETIMEDOUT: TimedOutError,
}


def new_error() -> Any:
    """Return a fresh ``struct cnif_err *`` to pass as the last argument of a C call."""
    return ffi.new("struct cnif_err *")


def check(rc: int, err: Any) -> int:
    """Return ``rc`` unless it is negative; then raise what ``err`` describes.

    Raises:
        KernelError: the subclass that fits the errno value.
    """
    if rc >= 0:
        return rc
    raise exception(err)


def exception(err: Any) -> KernelError:
    """Build the exception for a filled ``struct cnif_err *``."""
    code = int(err.code)
    text = ffi.string(err.msg).decode(errors="replace")
    return _CLASSES.get(code, KernelError)(code, text)
