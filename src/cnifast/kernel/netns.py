"""Network namespaces: opening, making and removing them, and sysctls inside them."""

from __future__ import annotations

from posix import close

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import check, new_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import NoReturn, Self


_LOCK_MS = 10_000


class NetNS:
    """An open network namespace; a context manager that closes it, as dropping it does.

    As long as it is open the namespace lives, even if nobody is left in it.
    """

    __slots__ = ("_fd", "path")

    def __init__(self, path: str) -> None:
        """Open the namespace at ``path``, such as "/run/netns/blue" or "/proc/123/ns/net".

        Raises:
            FileNotFoundError: there is nothing at ``path``.
            KernelError: it cannot be opened, or is not a network namespace.
        """
        self._fd = -1
        err = new_error()
        fd = ffi.new("int *", -1)
        check(lib.cnif_netns_open(c_text(path), fd, err), err)
        self._fd = int(fd[0])
        self.path = path

    def fileno(self) -> int:
        """Return the file descriptor.

        Raises:
            ValueError: the namespace is closed.
        """
        if self._fd < 0:
            raise ValueError(f"network namespace {self.path} is closed")
        return self._fd

    @property
    def ident(self) -> tuple[int, int]:
        """Device and inode: equal for two handles of one namespace.

        Raises:
            ValueError: the namespace is closed.
        """
        return identify(self.fileno())

    def close(self) -> None:
        """Let go of the namespace; closing twice is allowed."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<NetNS {self.path}>"


def identify(fd: int = -1) -> tuple[int, int]:
    """Return device and inode of the namespace ``fd``, of the calling thread's own for -1.

    Raises:
        KernelError: ``fd`` is not open.
    """
    err = new_error()
    ids = ffi.new("uint64_t [2]")
    check(lib.cnif_netns_id(fd, ids, ids + 1, err), err)
    return int(ids[0]), int(ids[1])


def settle() -> None:
    """Promise that every thread of this process stays in the namespace it is in now.

    What visits another namespace for it then need not find out first where to come back to.

    Raises:
        KernelError: the namespace cannot be opened.
    """
    err = new_error()
    check(lib.cnif_netns_settle(err), err)


def create(path: str) -> None:
    """Make a new namespace and pin it at ``path``, as "ip netns add" does.

    Raises:
        FileExistsError: something is there already.
        KernelError: the kernel refused.
    """
    err = new_error()
    check(lib.cnif_netns_create(c_text(path), err), err)


def remove(path: str) -> None:
    """Unpin the namespace at ``path``; it ends when nobody uses it.  Absent is success.

    Raises:
        KernelError: the kernel refused.
    """
    err = new_error()
    check(lib.cnif_netns_remove(c_text(path), err), err)


def become(netns: NetNS, argv: Sequence[str]) -> NoReturn:
    """Replace this process by a program in a namespace, with a /sys that shows it.

    The process must end when this fails: nobody knows where it is.

    Raises:
        KernelError: the kernel refused, or there is no such program.
    """
    err = new_error()
    kept = [ffi.new("char []", c_text(word)) for word in argv]
    words = ffi.new("char *[]", [*kept, ffi.NULL])
    check(lib.cnif_netns_exec(netns.fileno(), words, err), err)
    raise AssertionError("a program returned")


class NetNSLock:
    """A lock on a namespace against others that want to change it in several steps.

    The reference's sbr plugin takes the same one.
    """

    __slots__ = ("_lock",)

    def __init__(self, netns: int) -> None:
        """Take the lock.

        Raises:
            BlockingIOError: somebody has it for longer than ten seconds; the text says who.
            KernelError: the namespace cannot be locked.
        """
        self._lock = ffi.new("struct cnif_netns_lock *", (-1, -1))
        err = new_error()
        check(lib.cnif_netns_lock(netns, _LOCK_MS, self._lock, err), err)

    def release(self) -> None:
        """Let go of it; once more is allowed."""
        lib.cnif_netns_unlock(self._lock)


def read_sysctl(path: str, netns: int = -1) -> str:
    """Return the value of a sysctl such as "net/ipv4/ip_forward" in a namespace (-1: here).

    Raises:
        FileNotFoundError: there is no such sysctl.
        KernelError: it cannot be read.
    """
    err = new_error()
    value = ffi.new("char [4096]")
    check(lib.cnif_sysctl_read(netns, c_text(path), value, len(value), err), err)
    text: bytes = ffi.string(value)
    return text.decode()


class Sysctls:
    """Sysctls with the values they shall have, in the form C takes; it keeps its strings alive."""

    __slots__ = ("_kept", "array", "count")

    def __init__(self, wanted: Iterable[tuple[str, str, bool]]) -> None:
        """Take (path, value, optional); a failure of an optional one is no error."""
        self._kept = [
            (ffi.new("char []", c_text(path)), ffi.new("char []", c_text(value)), optional)
            for path, value, optional in wanted
        ]
        self.array = ffi.new("struct cnif_sysctl []", self._kept)
        self.count = len(self._kept)

    @classmethod
    def shared(cls, wanted: tuple[tuple[str, str, bool], ...]) -> Sysctls:
        """Return the same object for the same sysctls, which calls keep asking for."""
        found = _shared.get(wanted)
        if found is None:
            if len(_shared) >= _SHARED_MAX:
                _shared.clear()
            found = _shared[wanted] = cls(wanted)
        return found


_shared: dict[tuple[tuple[str, str, bool], ...], Sysctls] = {}
_SHARED_MAX = 64


def write_sysctls(wanted: Iterable[tuple[str, str, bool]], netns: int = -1) -> None:
    """Give sysctls, (path, value, optional) each, their values in a namespace (-1: here).

    One that has its value already is not written.

    Raises:
        KernelError: one that is not optional is missing or cannot be written.
    """
    err = new_error()
    sysctls = Sysctls.shared(tuple(wanted))
    check(lib.cnif_sysctl_write(netns, sysctls.array, sysctls.count, err), err)
