"""What a process sends over a unix socket: bytes, descriptors, and who it is."""

from __future__ import annotations

from cnifast._native import ffi, lib
from cnifast._native.errors import check, new_error


class Intake:
    """Room for what comes over one connection after the other; for use by one thread.

    After `take`: ``pid`` and ``uid`` of the process, even if it has not sent a thing; then its
    descriptors ``fds``, which are the caller's to close, ``truncated`` when there were more
    than three, ``idents`` with device and inode of each, and ``has_netns`` when there are three
    and the last is a network namespace.
    """

    __slots__ = (
        "_err",
        "_room",
        "_struct",
        "fds",
        "has_netns",
        "idents",
        "pid",
        "truncated",
        "uid",
    )

    def __init__(self) -> None:
        self._struct = ffi.new("struct cnif_intake *")
        self._room = ffi.buffer(self._struct.data)
        self._err = new_error()
        self.fds: list[int] = []
        self.idents: list[tuple[int, int]] = []
        self.pid = self.uid = 0
        self.has_netns = self.truncated = False

    def take(self, conn: int, *, wait: bool = False) -> bytes:
        """Return the bytes that have come, none at the stream's end.

        With ``wait`` they are waited for, as long as the socket's time limit is.

        Raises:
            BlockingIOError: nothing has come.
            KernelError: the connection is broken.
        """
        struct = self._struct
        rc = lib.cnif_intake_take(conn, wait, struct, self._err)
        self.pid, self.uid = struct.pid, struct.uid
        check(rc, self._err)
        count = struct.n_fds
        self.fds = list(struct.fds[0:count])
        self.idents = [(struct.dev[i], struct.ino[i]) for i in range(count)]
        self.has_netns, self.truncated = struct.has_netns, struct.truncated
        data: bytes = self._room[: struct.size]
        return data
