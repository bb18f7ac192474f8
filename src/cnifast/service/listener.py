"""The socket that shims connect to: made by us, or handed over by systemd.

A listener stops without losing a call.  Ours is shut down for reading: from that instant the
kernel refuses new connections, and those it had accepted can still be taken from the queue.
The one of systemd lives on without us, and so do the connections that wait in it.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

    from cnifast.kernel.intake import Intake

BACKLOG = 1024
FIRST_ACTIVATED = 3

_PID_MAX = 20  # bytes
_PEER = struct.Struct("iII")


class Busy(RuntimeError):  # noqa: N818 - not a fault: there is a service
    """Another service holds the socket."""


class Listener:
    """A listening socket that several threads take connections from."""

    path: str

    def acceptor(self) -> Callable[[Intake], bool]:
        """Return what one thread calls to take in the next connection; False: there are no more."""
        raise NotImplementedError

    def stop(self) -> None:
        """Take no new connections; every acceptor comes to its end."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the socket.  Call it when all acceptors have ended."""
        raise NotImplementedError


class _Own(Listener):
    """A socket that we made, and its lock."""

    def __init__(self, path: str, sock: socket.socket, lock: int) -> None:
        self.path = path
        self._sock = sock
        self._lock = lock
        self._stopped = False
        self._identity = _identity(path)

    def acceptor(self) -> Callable[[Intake], bool]:
        fd = self._sock.fileno()

        def wait(intake: Intake) -> bool:
            try:
                intake.accept(fd)
            except OSError:
                if self._stopped:
                    return False
                raise
            return True

        return wait

    def stop(self) -> None:
        self._stopped = True
        self._sock.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        if _identity(self.path) == self._identity:
            os.unlink(self.path)
        self._sock.close()
        os.close(self._lock)


class _Activated(Listener):
    """A socket of systemd, which goes on listening when we are gone."""

    def __init__(self, fd: int) -> None:
        self._sock = socket.socket(fileno=fd)
        self._sock.setblocking(False)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self.path = str(self._sock.getsockname())

    def acceptor(self) -> Callable[[Intake], bool]:
        epoll = select.epoll()
        epoll.register(self._sock, select.EPOLLIN | select.EPOLLEXCLUSIVE)
        epoll.register(self._stop, select.EPOLLIN)

        def wait(intake: Intake) -> bool:
            while True:
                ready = [fd for fd, _ in epoll.poll()]
                if self._stop in ready:
                    epoll.close()
                    return False
                try:
                    intake.accept(self._sock.fileno())
                except BlockingIOError:
                    continue
                return True

        return wait

    def stop(self) -> None:
        os.eventfd_write(self._stop, 1)

    def close(self) -> None:
        self._sock.close()
        os.close(self._stop)


def activated(env: MutableMapping[str, str]) -> Listener | None:
    """Return the socket that systemd handed over, None when it did not.

    The variables that say so are removed, so that no child takes them for its own.

    Raises:
        ValueError: what was handed over is not one listening unix stream socket.
    """
    pid = env.pop("LISTEN_PID", "")
    count = env.pop("LISTEN_FDS", "")
    env.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count:
        return None
    if count != "1":
        raise ValueError(f"systemd handed over {count} sockets, but one is expected")
    os.set_inheritable(FIRST_ACTIVATED, False)
    with socket.socket(fileno=os.dup(FIRST_ACTIVATED)) as probe:
        if (
            probe.family != socket.AF_UNIX
            or probe.type != socket.SOCK_STREAM
            or not probe.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            raise ValueError("what systemd handed over is not a listening unix stream socket")
    return _Activated(FIRST_ACTIVATED)


def bind(path: str, lock: int | None = None) -> Listener:
    """Make the socket at this path, and its directory when that is missing.

    ``lock`` is a descriptor that holds the socket's lock already; it becomes the listener's.

    Raises:
        Busy: another service has it.
        PermissionError: the directory belongs to, or can be written by, somebody else.
        OSError: it cannot be made.
    """
    directory = os.path.dirname(path)
    os.makedirs(directory, mode=0o700, exist_ok=True)
    check_directory(directory)
    held = _take_lock(path + ".lock") if lock is None else lock
    os.set_inheritable(held, False)
    try:
        _sign(held)
        return _Own(path, _replace_stale(path), held)
    except BaseException:
        os.close(held)
        raise


def check_directory(path: str) -> None:
    """Refuse a directory in which somebody else could replace the socket.

    Raises:
        PermissionError: it belongs to, or can be written by, somebody else.
        OSError: it cannot be examined.
    """
    st = os.lstat(path)
    if not stat.S_ISDIR(st.st_mode) or st.st_mode & 0o022 or st.st_uid not in (0, os.geteuid()):
        raise PermissionError(f"{path} belongs to or can be written by others")


def peer(conn: socket.socket) -> tuple[int, int]:
    """Return (process ID, user ID) of whoever connected, as seen from here."""
    pid, uid, _ = _PEER.unpack(conn.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    return pid, uid


def _take_lock(path: str) -> int:
    """Return a descriptor that holds the lock; it is released when the process ends."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(fd, _PID_MAX, 0).decode(errors="replace").strip()
        os.close(fd)
        if not pid.isdigit():
            raise Busy(f"another service holds {path}") from None
        raise Busy(f"another service, process {pid}, holds {path}") from None
    return fd


def _sign(lock: int) -> None:
    """Write into a lock who has it, for whoever finds it taken."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)


def _replace_stale(path: str) -> socket.socket:
    """Return a listening socket at the path; the lock says that nobody listens on the old one."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)
    except FileNotFoundError:
        pass
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _identity(path: str) -> tuple[int, int] | None:
    """Return what tells one file at a path from the next."""
    try:
        st = os.lstat(path)
    except FileNotFoundError:
        return None
    return st.st_dev, st.st_ino
