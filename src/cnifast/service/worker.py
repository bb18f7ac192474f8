"""A thread of the service: it takes a connection, runs the call, answers, and starts anew."""

from __future__ import annotations

import json
import os
import select
import threading
import time
import traceback

from cnifast import __version__
from cnifast.kernel.intake import Intake
from cnifast.protocol import wire
from cnifast.protocol.errors import INTERNAL, CNIError, RunCold
from cnifast.protocol.request import Place
from cnifast.protocol.skel import Response, dispatch
from cnifast.service.connection import Connection, Rejected
from cnifast.service.paths import CallersPaths, named_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from cnifast.protocol.skel import Plugin
    from cnifast.protocol.wire import WireRequest
    from cnifast.service.log import Log
    from cnifast.service.order import Adds

    class Pool(Protocol):
        """What a worker asks of the service it belongs to; any thread may call it."""

        adds: Adds

        def find(self, name: str, /) -> Plugin:
            """Return the plugin of a name."""

        def took(self) -> None:
            """Note that a connection was taken."""

        def surplus(self, worker: Worker) -> bool:
            """Tell a worker whether there are enough without it; it is to end then."""

        def drain(self) -> None:
            """End the service when what was taken is done."""

        @property
        def command(self) -> Callable[[Command], Response] | None:
            """What runs commands of networks, if anything does."""


STDERR_MAX = 4096  # bytes; a pipe that polls as writable takes that many at once
LOGGED_MAX = 500  # characters of an error


class Warm:
    """What a thread keeps ready between calls; the layers that use it decide what is in it."""

    __slots__ = ("kept",)

    def __init__(self) -> None:
        self.kept: dict[str, object] = {}


class Home:
    """Where the service itself lives: its user namespace, and its user."""

    __slots__ = ("uid", "user")

    def __init__(self) -> None:
        self.user = _namespace("/proc/self/ns/user")
        self.uid = os.geteuid()

    def admit(self, uid: int) -> None:
        """Let only root and the service's own user in.

        Raises:
            Rejected: it is somebody else.
        """
        if uid not in (self.uid, 0):
            raise Rejected(f"user {uid} may not use this service")


class Command:
    """A command of networks, which a program handed over.

    Attributes:
        words: its own, without the program's name.
        env: what of the environment is for it.
        place: where it takes effect; nothing in it is of a container.
        told: whether the program has something to say by now: None when not, the number of the
            signal that is to end it, 0 when it is gone.
    """

    __slots__ = ("env", "place", "told", "words")

    def __init__(
        self,
        words: list[str],
        env: dict[str, str],
        place: Place,
        told: Callable[[], int | None],
    ) -> None:
        self.words = words
        self.env = env
        self.place = place
        self.told = told


class Worker(threading.Thread):
    """Serves calls until its acceptor ends.

    ``busy`` and ``last`` (monotonic seconds) tell whether it works and when it last did;
    ``waiting`` that its call waits for somebody else, so that it does not count as one of those
    that work.
    """

    def __init__(
        self,
        number: int,
        accept: Callable[[Intake], bool],
        pool: Pool,
        home: Home,
        log: Log,
    ) -> None:
        super().__init__(name=f"worker-{number}", daemon=True)
        self.busy = self.waiting = False
        self.last = time.monotonic()
        self._accept = accept
        self._pool = pool
        self._home = home
        self._log = log
        self._warm = Warm()
        self._intake = Intake()

    def run(self) -> None:
        """Serve connection after connection; no call can end the thread."""
        while True:
            try:
                if not self._accept(self._intake):
                    return
            except OSError as e:  # out of descriptors or memory: others must finish first
                self._log("accept", error=e)
                time.sleep(0.05)
                continue
            self.busy = True
            try:
                self._serve()
            except Exception:  # noqa: BLE001 - the next call may be served all the same
                self._log("defect", trace=traceback.format_exc())
            finally:
                self.last = time.monotonic()
                self.busy = self.waiting = False
            if self._pool.surplus(self):
                return

    def _wait(self, waiting: bool) -> None:
        """Have somebody else take the next connection while this call waits."""
        self.waiting = waiting
        if waiting:
            self._pool.took()

    def _serve(self) -> None:
        """Answer the one call of a connection."""
        conn = Connection(self._intake)
        try:
            self._pool.took()
            start = time.monotonic()
            request = conn.receive(self._home.admit)
            command = "" if request.command else request.env.get("CNI_COMMAND", "")
            if command == "ADD":
                self._add(conn, request, start)
                return
            if command == "DEL":
                self._let_adds_end(_attachment(request))
            self._reply(conn, request, start)
        except Rejected as e:
            self._log("rejected", reason=e)
        finally:
            conn.close()

    def _reply(self, conn: Connection, request: WireRequest, start: float) -> bool:
        """Run a call and answer it; tell whether it succeeded, and nobody was there to hear it.

        Raises:
            Rejected: what came with it is not what this build sends.
        """
        try:
            response = self._call(conn, request)
        except RunCold as e:
            conn.answer(wire.encode_run_cold(str(e)))
            self._log("cold", **_who(request), reason=e)
            return False
        sent = conn.answer(_result(response, request))
        us = int((time.monotonic() - start) * 1e6)
        outcome = _exit(response) if request.command else _outcome(response)
        self._log("call", **_who(request), us=us, **outcome, sent=sent)
        if response.stderr and request.command:
            self._log("defect", trace=response.stderr.decode("utf-8", "replace"))
        elif response.stderr:
            _write_stderr(conn.stderr, response.stderr)
        return response.exit_code == 0 and not sent

    def _add(self, conn: Connection, request: WireRequest, start: float) -> None:
        """Run an ADD as a process would that its caller can kill.

        Of a caller that is dead before it begins nothing is done, and of one that is dead when it
        ends nothing is left: what attached the container is detached again.
        """
        attachment = _attachment(request)
        gone = conn.gone
        self._pool.adds.begin(attachment, gone)
        try:
            if gone():
                raise Rejected("the caller of this ADD is gone")
            if self._reply(conn, request, start):
                request.env = {**request.env, "CNI_COMMAND": "DEL"}
                self._reply(conn, request, time.monotonic())
        finally:
            self._pool.adds.end(attachment, gone)

    def _let_adds_end(self, attachment: object) -> None:
        """Wait, within limits, for an ADD that will be taken back."""
        if self._pool.adds.forsaken(attachment):
            self._wait(True)
            self._pool.adds.wait(attachment)
            self._wait(False)

    def _call(self, conn: Connection, request: WireRequest) -> Response:
        """Run the call in the place it came from.

        Raises:
            Rejected: what came with it is not what this build sends.
            RunCold: it can only be run by a process of the caller's own.
        """
        home, pid = self._home, conn.pid
        if request.build != __version__:
            if _is_newer(request.build, __version__):
                self._pool.drain()
            raise RunCold(f"this service is {__version__}, the plugin is {request.build}")
        conn.require_descriptors(request)
        if home.uid != 0 and _namespace(f"/proc/{pid}/ns/user") != home.user:
            raise RunCold("the caller is in another user namespace")
        same_path = None if request.root == conn.root else CallersPaths(pid)
        if request.command:
            return self._command(conn, request, same_path)
        mount_same = same_path is None or _same_paths(same_path, request)
        # What is no network namespace is left to the plugin, which says so.
        netns = conn.netns
        path = request.env.get("CNI_NETNS", "")
        if (
            path
            and netns is None
            and not (mount_same and path.startswith("/") and (same_path is None or same_path(path)))
        ):
            raise RunCold(f"what {path} is cannot be seen from here")

        return dispatch(
            request.plugin,
            request.env,
            request.stdin,
            self._pool.find,
            place=self._place(conn, netns, same_path, mount_same=mount_same),
            is_own_netns=lambda _: conn.own_netns,
        )

    def _command(
        self, conn: Connection, request: WireRequest, same_path: CallersPaths | None
    ) -> Response:
        """Run a command of networks.

        Raises:
            Rejected: there is none.
            RunCold: it has to be run by a process of the caller's own.
        """
        words = request.words
        if not words:
            raise Rejected("a command without words")
        if self._pool.command is None:
            raise RunCold("this service runs no commands")
        place = self._place(conn, None, same_path, mount_same=True)
        return self._pool.command(Command(words, request.env, place, conn.told))

    def _place(
        self,
        conn: Connection,
        netns: int | None,
        same_path: CallersPaths | None,
        *,
        mount_same: bool,
    ) -> Place:
        """Return where a call takes effect.

        Raises:
            RunCold: the caller's network namespace cannot be had.
        """
        try:
            host_netns = conn.host_netns
        except OSError as e:
            raise RunCold(str(e)) from None
        return Place(
            host_netns,
            netns,
            self._warm,
            mount_same=mount_same,
            delegates=False,
            same_path=same_path,
            root=same_path.root if same_path is not None else "",
            waits=self._wait,
        )


def _attachment(request: WireRequest) -> tuple[str, ...]:
    """Return which plugin's part of which attachment a call is about."""
    given = request.env.get
    return request.plugin, given("CNI_CONTAINERID", ""), given("CNI_IFNAME", "")


def _same_paths(same_path: CallersPaths, request: WireRequest) -> bool:
    """Tell whether all that the configuration names is the same for caller and service."""
    try:
        conf = json.loads(request.stdin)
    except (ValueError, RecursionError):
        return True  # it is refused before anything is looked at
    return all(map(same_path, named_paths(conf, request.env)))


def _result(response: Response, request: WireRequest) -> bytes:
    """Return the frame of a response."""
    try:
        return wire.encode_result(response.exit_code, response.stdout)
    except wire.WireError as e:
        error = CNIError(INTERNAL, f"the answer cannot be sent: {e}")
        said = f"cnifast: {error}".encode() if request.command else error.to_json("1.1.0")
        return wire.encode_result(1, said + b"\n")


def _write_stderr(fd: int, data: bytes) -> None:
    """Write what the caller's standard error takes without waiting."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    try:
        if any(event & select.POLLOUT for _, event in poll.poll(0)):
            os.write(fd, data[:STDERR_MAX])
    except OSError:
        return


def _who(request: WireRequest) -> dict[str, object]:
    """Return the fields that say which call it was."""
    env = request.env
    fields: dict[str, object]
    if request.command:
        fields = {"command": " ".join(request.words)[:LOGGED_MAX]}
    else:
        fields = {
            "command": env.get("CNI_COMMAND", ""),
            "plugin": request.plugin,
            "container": env.get("CNI_CONTAINERID", ""),
            "ifname": env.get("CNI_IFNAME", ""),
        }
    if "TRACEPARENT" in env:
        fields["traceparent"] = env["TRACEPARENT"]
    return fields


def _outcome(response: Response) -> dict[str, object]:
    """Return the fields that say how it went: the CNI code, and for an error its message."""
    if response.exit_code == 0:
        return {"code": 0}
    error = json.loads(response.stdout)
    return {"code": error.get("code"), "error": error.get("msg", "")[:LOGGED_MAX]}


def _exit(response: Response) -> dict[str, object]:
    """Return the fields that say how a command went: its exit status, and what it said of that."""
    if response.exit_code == 0:
        return {"exit": 0}
    said = response.stdout.decode("utf-8", "replace").partition("\n")[0]
    return {"exit": response.exit_code, "error": said[:LOGGED_MAX]}


def _is_newer(theirs: str, ours: str) -> bool:
    """Tell whether a version is later; what is no version is not."""
    try:
        return [int(n) for n in theirs.split(".")] > [int(n) for n in ours.split(".")]
    except ValueError:
        return False


def _namespace(path: str) -> tuple[int, int]:
    """Return what tells the namespace at a path from others."""
    st = os.stat(path)
    return st.st_dev, st.st_ino
