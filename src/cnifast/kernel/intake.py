"""Connections of plugin binaries: who and where the caller is, bytes and descriptors."""

from __future__ import annotations

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import check, new_error


def own_root() -> tuple[int, int]:
    """Return what tells this process's root directory from that of others: mount and inode.

    A process that has the same now sees the same files: a mount is in one namespace alone.
    """
    err = new_error()
    found = ffi.new("uint64_t [2]")
    check(lib.cnif_root_id(found, found + 1, err), err)
    return found[0], found[1]


def leads_to_the_same(pid: int, path: str) -> bool:
    """Tell whether an absolute path is known to lead process ``pid`` to what it leads us to.

    False where there is nothing, or a symbolic link is on the way, says nothing yet.
    """
    same: bool = lib.cnif_path_is_same(pid, c_text(path))
    return same


class Intake:
    """Room for one connection after the other; for use by one thread.

    Made in the network namespace that is the service's own.  With a connection, ``pid`` and
    ``uid`` are those of the process at its other end, even if it has not sent a thing.
    """

    __slots__ = ("_err", "_raw", "_room")

    def __init__(self) -> None:
        self._raw = ffi.new("struct cnif_intake *")
        self._room = ffi.buffer(self._raw.data)
        self._err = new_error()
        check(lib.cnif_intake_begin(self._raw, self._err), self._err)

    def accept(self, listener: int) -> None:
        """Wait for a connection and take what has come over it by then.

        Raises:
            KernelError: there will be none, or it cannot be had.
        """
        check(lib.cnif_intake_accept(self._raw, listener, self._err), self._err)

    def data(self) -> bytes | None:
        """Return the bytes that have come, none at the stream's end; None: nothing has come."""
        size = self._raw.size
        if size < 0:
            return None
        data: bytes = self._room[:size]
        return data

    def wait(self) -> bytes:
        """Return what comes, if nothing had; waits as long as the socket's time limit is.

        Raises:
            BlockingIOError: nothing has come.
            KernelError: the connection is broken.
        """
        check(lib.cnif_intake_wait(self._raw, self._err), self._err)
        return self.data() or b""

    def answer(self, data: bytes) -> int:
        """Send without waiting; return how many bytes there was room for.

        Raises:
            KernelError: nobody is there to take it.
        """
        sent = ffi.new("size_t *")
        check(lib.cnif_intake_answer(self._raw, data, len(data), sent, self._err), self._err)
        count: int = sent[0]
        return count

    def end(self) -> None:
        """Close the connection and all descriptors that came over it."""
        lib.cnif_intake_end(self._raw)

    @property
    def conn(self) -> int:
        """The connection's file descriptor."""
        fd: int = self._raw.conn
        return fd

    @property
    def root(self) -> tuple[int, int]:
        """What `own_root` said when the connection was taken."""
        return self._raw.root_mount, self._raw.root_inode

    @property
    def pid(self) -> int:
        """The caller's process ID, as seen from here."""
        pid: int = self._raw.pid
        return pid

    @property
    def uid(self) -> int:
        """The caller's user ID."""
        uid: int = self._raw.uid
        return uid

    @property
    def host_netns(self) -> int | None:
        """The caller's network namespace, None when it is the service's own.

        Raises:
            KernelError: the kernel does not give it to us.
        """
        check(self._raw.host_error, self._raw.host_err)
        fd: int = self._raw.host_netns
        return None if fd < 0 else fd

    @property
    def fds(self) -> list[int]:
        """The descriptors that came, at most two."""
        return list(self._raw.fds[0 : self._raw.n_fds])

    @property
    def truncated(self) -> bool:
        """Whether there were more descriptors; those are closed."""
        flag: bool = self._raw.truncated
        return flag

    @property
    def has_netns(self) -> bool:
        """Whether the second descriptor is a network namespace."""
        flag: bool = self._raw.has_netns
        return flag

    @property
    def own_netns(self) -> bool:
        """Whether that is the caller's own one."""
        flag: bool = self._raw.own_netns
        return flag
