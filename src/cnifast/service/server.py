"""The life of the service: threads, signals, idle time, an orderly end."""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys
import threading
import time

from cnifast.service.order import Adds
from cnifast.service.worker import Home, Worker

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    from cnifast.protocol.skel import Plugin, Response
    from cnifast.service.listener import Listener
    from cnifast.service.log import Log
    from cnifast.service.worker import Command

    class Guest(Protocol):
        """What lives with the service."""

        def busy(self) -> bool:
            """Tell whether the service has to stay, though nobody calls."""

        def leave(self) -> None:
            """Keep no call waiting any longer: the service is about to end."""


DRAIN_SECONDS = 30  # for the calls that are in flight when the end comes
SWITCH_SECONDS = 0.0005  # how long one thread may keep the others from running
FIRST_THREADS = 2  # the fewer take turns, the more of what each needs is still in the caches
WAITING_MAX = 500  # threads whose calls wait for somebody else, beside those that work
YOUNG_OBJECTS = 20_000  # before the garbage collector looks for cycles; a call makes few, if any


class Server:
    """Answers calls on a listener until it is told to stop, or nobody called for long.

    ``load`` returns the plugin of a name; those of ``names`` are loaded before the first call.
    Threads are added, up to ``threads``, whenever all of them are busy; those whose calls wait for
    somebody else do not count.  ``idle`` is in seconds, 0 for ever.  ``guest`` is what else lives
    in this process, ``command`` what runs the commands that programs hand over.
    """

    def __init__(
        self,
        listener: Listener,
        load: Callable[[str], Plugin],
        *,
        names: Iterable[str] = (),
        threads: int,
        idle: float = 0,
        guest: Guest | None = None,
        command: Callable[[Command], Response] | None = None,
        log: Log,
    ) -> None:
        self._listener = listener
        self._load = load
        self._loaded: dict[str, Plugin] = {}
        self._home = Home()
        self._names = tuple(names)
        self._threads = threads
        self._idle = idle
        self._guest = guest
        self.command = command
        self.log = log
        self.adds = Adds()
        self._workers: list[Worker] = []
        self._started = 0
        self._growing = threading.Lock()
        self._wake_out, self._wake_in = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> bool:
        """Serve until the end; return whether every call in flight was finished.

        Must be called in the main thread: SIGTERM and SIGINT end it.
        """
        sys.setswitchinterval(SWITCH_SECONDS)
        self._warm_up()
        for sig in (signal.SIGTERM, signal.SIGINT):
            signal.signal(sig, _ignore)
        signal.set_wakeup_fd(self._wake_in, warn_on_full_buffer=False)
        for _ in range(min(FIRST_THREADS, self._threads)):
            self._grow()
        if not self._workers:
            raise RuntimeError("not a single thread can be started")
        notify("READY=1")
        self.log("ready", socket=self._listener.path, threads=self._threads, pid=os.getpid())
        reason = self._wait()
        notify("STOPPING=1")
        self._listener.stop()
        if self._guest is not None:
            self._guest.leave()
        finished = self._finish()
        self._listener.close()
        self.log("stopped", reason=reason, finished=finished)
        return finished

    def _warm_up(self) -> None:
        """Import the plugins, and let the garbage collector forget all that is there by now."""
        for name in self._names:
            try:
                self._loaded[name] = self._load(name)
            except ImportError as e:
                self.log("unavailable", plugin=name, error=e)
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS, 20, 50)

    def find(self, name: str) -> Plugin:
        """Return the plugin of a name, without a look at the import system if it is known."""
        return self._loaded.get(name) or self._load(name)

    def took(self) -> None:
        """Note that a thread took a connection: when none is left to take the next, add one."""
        if self._wanted():
            with self._growing:
                if self._wanted():
                    self._grow()

    def _wanted(self) -> bool:
        """Tell whether a thread is to be added."""
        working = 0
        for worker in tuple(self._workers):
            if not worker.busy:
                return False
            working += not worker.waiting
        return working < self._threads and len(self._workers) < self._threads + WAITING_MAX

    def _grow(self) -> None:
        """Start another thread; without the means to, go on with those that there are."""
        try:
            worker = Worker(self._started, self._listener.acceptor(), self, self._home, self.log)
            worker.start()
        except (RuntimeError, OSError) as e:
            self.log("threads", started=len(self._workers), error=e)
            return
        self._started += 1
        self._workers.append(worker)

    def surplus(self, worker: Worker) -> bool:
        """Tell a thread that is done whether there are enough without it; it is to end then."""
        if len(self._workers) <= self._threads:
            return False
        with self._growing:
            others = sum(not other.waiting for other in self._workers) - 1
            if others < self._threads:
                return False
            self._workers.remove(worker)
            return True

    def drain(self) -> None:
        """Have the main thread end the service."""
        try:
            os.write(self._wake_in, b"\0")
        except BlockingIOError:
            return  # it has been woken often enough

    def _wait(self) -> str:
        """Wait for a reason to stop, and return it."""
        poll = select.poll()
        poll.register(self._wake_out, select.POLLIN)
        while True:
            left = self._idle_left()
            if left is not None and left <= 0:
                return "idle"
            if poll.poll(None if left is None else left * 1000 + 1):
                woken_by = os.read(self._wake_out, 1)[0]
                return signal.Signals(woken_by).name if woken_by else "newer plugins"

    def _idle_left(self) -> float | None:
        """Return the seconds until the service has been idle for too long, None for never."""
        if not self._idle:
            return None
        if self._guest is not None and self._guest.busy():
            return self._idle
        now = time.monotonic()
        last = max(now if w.busy else w.last for w in tuple(self._workers))
        return self._idle - (now - last)

    def _finish(self) -> bool:
        """Wait for the workers; return False when some had to be left behind."""
        deadline = time.monotonic() + DRAIN_SECONDS
        workers = tuple(self._workers)
        for worker in workers:
            worker.join(max(0.0, deadline - time.monotonic()))
        return not any(worker.is_alive() for worker in workers)


def notify(state: str) -> None:
    """Tell systemd how the service is doing, if that is who started it."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return


def _ignore(_signum: int, _frame: object) -> None:
    """Take a signal; the byte that comes with it through the pipe is what counts."""
