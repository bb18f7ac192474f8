"""The daemon: a keeper of leases and the socket that plugins reach it by.

`cnifast serve` hosts one, and `dhcp daemon` is nothing else.  Within the hosting process plugins
find the keeper by the socket's path and need no socket.
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import stat
import struct
import threading
import time

from cnifast.invoke import files
from cnifast.ipam.dhcp import hosting
from cnifast.ipam.dhcp.conf import DEFAULT_SOCKET, NetConf
from cnifast.ipam.dhcp.keeper import Keeper, forget
from cnifast.ipam.dhcp.lease import Order
from cnifast.ipam.dhcp.plugin import allocate
from cnifast.ipam.dhcp.rpc import ALLOCATE, COLLECT, RELEASE, UNKNOWN_METHOD, Args, Server
from cnifast.ipam.dhcp.store import Store
from cnifast.ipam.dhcp.system import System
from cnifast.protocol.codec import loads
from cnifast.protocol.errors import CNIError, DecodeError
from cnifast.protocol.netconf import valid_attachments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from cnifast.ipam.dhcp.exchange import Timing
    from cnifast.protocol.result import Result

_CALL_SECONDS = 10.0  # for a peer to say what it wants, or to take the answer
_PAUSE_SECONDS = 0.05  # where there is no descriptor for a connection
_PEERS_MAX = 128  # that are served at a time
_PEER = struct.Struct("iII")


class BusyError(RuntimeError):
    """There is a daemon on the socket already."""


class Daemon:
    """A daemon at work; a context manager that ends it.  The leases stay."""

    def __init__(
        self,
        path: str = DEFAULT_SOCKET,
        *,
        root: str = "",
        timing: Timing | None = None,
        broadcast: bool = False,
        given: socket.socket | None = None,
        log: Callable[..., None] | None = None,
    ) -> None:
        """Listen, and go on keeping what was kept before.

        Args:
            path: of the socket.
            root: put before that, and before the paths of namespaces.
            timing: how long to wait for servers.
            broadcast: ask servers to broadcast their answers.
            given: a socket that listens already, in place of one at the path.
            log: called with an event's name and its fields.

        Raises:
            BusyError: another daemon listens there.
            OSError: the socket cannot be made.
        """
        self._path = path
        self._bound = ""
        if given is None:
            self._bound = root + path
            self._sock, self._lock = _bind(self._bound)
        else:
            self._sock, self._lock = given, -1
        self.keeper = Keeper(
            Store(root + path), timing, broadcast=broadcast, system=System(root), log=log
        )
        self._log = log or forget
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._peers = threading.BoundedSemaphore(_PEERS_MAX)
        self.keeper.load()
        self._threads = [
            threading.Thread(target=self.keeper.run, name="dhcp-keeper", daemon=True),
            threading.Thread(target=self._accept, name="dhcp-socket", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        hosting.begin(path, self.keeper)

    def stop(self) -> None:
        """End: whoever waits for a lease is told to try again later."""
        hosting.end(self._path)
        self.keeper.stop()
        os.eventfd_write(self._stop, 1)
        for thread in self._threads:
            thread.join()
        self._sock.close()
        os.close(self._stop)
        self.keeper.close()
        if self._bound:
            files.unlink(self._bound)  # somebody may have removed it
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def _accept(self) -> None:
        """Take connections until told to stop; each has a thread of its own.

        A socket that somebody handed over goes on listening when we are gone.
        """
        self._sock.setblocking(False)
        waiting = select.poll()
        waiting.register(self._sock, select.POLLIN)
        waiting.register(self._stop, select.POLLIN)
        while True:
            if any(fd == self._stop for fd, _ in waiting.poll()):
                return
            try:
                peer, _ = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                continue
            except OSError as e:  # out of descriptors or memory: others must finish first
                self._log("accept", error=e)
                time.sleep(_PAUSE_SECONDS)
                continue
            self._peers.acquire()
            try:
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()
            except RuntimeError:  # there are no more threads to be had
                self._peers.release()
                peer.close()

    def _serve(self, peer: socket.socket) -> None:
        """Answer the calls of a connection."""
        try:
            with peer:
                if _user(peer) in (0, os.geteuid()):
                    server = Server(peer, _CALL_SECONDS)
                    while True:
                        self._answer(server, *server.next())
        except (OSError, DecodeError):
            return  # it hung up, or is none of those we serve
        finally:
            self._peers.release()

    def _answer(self, server: Server, method: str, number: int, args: Args) -> None:
        """Answer one call, whatever comes of it."""
        try:
            result = self._call(method, args)
        except (CNIError, OSError, ValueError) as e:
            server.refuse(method, number, str(e))
        else:
            server.answer(method, number, result)

    def _call(self, method: str, args: Args) -> Result | None:
        """Do what is asked.

        Raises:
            CNIError: it cannot be done.
            OSError: it cannot be done.
            ValueError: the configuration is not in order.
        """
        decoded = loads(args.stdin)
        conf = NetConf.decode(decoded)
        key = (args.container_id, conf.name, args.ifname)
        if method == ALLOCATE:
            ipam = conf.required_ipam
            return allocate(self.keeper, ipam, Order(*key, args.netns, ipam.options(args.args)))
        if method == RELEASE:
            self.keeper.release(key)
        elif method == COLLECT:
            self.keeper.collect(conf.name, valid_attachments(decoded))
        else:
            raise DecodeError(UNKNOWN_METHOD + method)
        return None


def _bind(path: str) -> tuple[socket.socket, int]:
    """Return a socket that listens at a path, and a descriptor that holds its lock.

    Raises:
        BusyError: somebody else listens there.
        OSError: it cannot be made.
    """
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    lock = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"another DHCP daemon holds {path}.lock") from None
        _clear(path)
        before = os.umask(0o177)
        try:
            sock.bind(path)
        finally:
            os.umask(before)
        sock.listen(_PEERS_MAX)
    except BaseException:
        sock.close()
        os.close(lock)
        raise
    return sock, lock


def _clear(path: str) -> None:
    """Remove a socket that nobody listens on any more; the reference's daemon takes no lock.

    Raises:
        BusyError: somebody does.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return  # let binding fail
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
    raise BusyError(f"another DHCP daemon listens on {path}")


def _user(peer: socket.socket) -> int:
    """Return the user at the other end of a connection."""
    data = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    _, uid, _ = _PEER.unpack(data)
    return int(uid)
