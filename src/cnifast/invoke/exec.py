"""Executing a plugin's program: environment and standard input in, standard output out.

What the program is to read is a file in memory, there before it starts; what it writes is read
from pipes until it has ended.  So no stream can block the other two, and a process that the plugin
leaves behind keeps nobody waiting.
"""

from __future__ import annotations

import os
import time
from _signal import SIG_IGN, SIGCHLD, getsignal  # without the enumerations of signal

from cnifast.protocol.errors import INTERNAL, IO_FAILURE, TRY_AGAIN_LATER, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Self

    from cnifast.invoke.call import Cancel

OUTPUT_MAX = 16 << 20  # bytes of an output that are kept

_PIPE_MAX = 1 << 20  # bytes that a pipe can hold
_BUSY = os.strerror(26)  # ETXTBSY, in whatever language the process has
_BUSY_RETRIES = 5  # once a second, for a program that is just being installed
_RESTORED = (13, 25)  # SIGPIPE and SIGXFSZ, which the interpreter ignores and a child would, too


def exec_plugin(
    path: str,
    stdin: bytes,
    env: Mapping[str, str],
    *,
    stderr: int = 2,
    timeout: float | None = None,
    cancel: Cancel | None = None,
    meanwhile: Callable[[], object] | None = None,
    apart: bool = False,
) -> bytes:
    """Execute the program at ``path`` and return what it printed on standard output.

    What it prints on standard error is written to the file descriptor ``stderr``, unless it is
    part of the error raised.

    Args:
        path: of the program.
        stdin: what the program reads.
        env: its whole environment.
        stderr: a file descriptor.
        timeout: seconds until the program is killed; None waits for as long as it takes.
        cancel: what tells that the program is to be killed.
        meanwhile: what to do while the program is at work.
        apart: keep the program out of our process group, so that Ctrl-C does not reach it.

    Raises:
        CNIError: the program failed; code and text are the program's own if it gave any.  Code
            11 when it was killed because nobody waits any longer.
    """
    if getsignal(SIGCHLD) == SIG_IGN:
        raise CNIError(INTERNAL, f"cannot execute {path}: SIGCHLD is ignored, so no end is seen")
    try:
        with _Streams(stdin) as streams:
            group = {"setpgroup": 0} if apart else {}
            code, failure = _run(path, streams, env, timeout, cancel, meanwhile, group)
    except OSError as e:
        raise CNIError(IO_FAILURE, f"cannot execute {path}: {e.strerror}") from e
    output, errors = streams.written
    error = None
    if failure:
        from cnifast.invoke.answer import plugin_error  # noqa: PLC0415 - when it is needed

        error = plugin_error(code, failure, output, errors)
    if errors and (error is None or not error.has_stderr):
        try:  # noqa: SIM105 - contextlib would cost more than the call
            _write_all(stderr, errors)
        except OSError:
            pass  # it only informs
    if error is not None:
        raise error
    return output


class _Streams:
    """The standard streams of a program."""

    def __init__(self, stdin: bytes) -> None:
        """Open them.

        Raises:
            OSError: one cannot be opened.
        """
        self._theirs: list[int] = []
        self._ours: dict[int, bytearray] = {}
        try:
            self._theirs.append(os.memfd_create("stdin"))
            _write_all(self._theirs[0], stdin)
            os.lseek(self._theirs[0], 0, os.SEEK_SET)
            for _ in range(2):
                reading, writing = os.pipe()
                self._ours[reading] = bytearray()
                self._theirs.append(writing)
                os.set_blocking(reading, False)
        except OSError:
            self.close()
            raise

    @property
    def actions(self) -> list[tuple[int, int, int]]:
        """What posix_spawn is to do with them."""
        return [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(self._theirs)]

    @property
    def fds(self) -> list[int]:
        """What there is to read."""
        return list(self._ours)

    @property
    def written(self) -> tuple[bytes, ...]:
        """What the program has written to standard output and to standard error."""
        return tuple(map(bytes, self._ours.values()))

    def give(self) -> None:
        """Leave to the program what is its own."""
        while self._theirs:
            os.close(self._theirs.pop())

    def take(self, fd: int) -> bool:
        """Read what there is, at most as much as a pipe holds; tell whether there may be more."""
        try:
            found = os.read(fd, _PIPE_MAX)
        except BlockingIOError:
            return True
        kept = self._ours[fd]
        kept += found[: OUTPUT_MAX - len(kept)]
        return bool(found)

    def close(self) -> None:
        """Close all; what was read stays."""
        self.give()
        for fd in self._ours:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _run(
    path: str,
    streams: _Streams,
    env: Mapping[str, str],
    timeout: float | None,
    cancel: Cancel | None,
    meanwhile: Callable[[], object] | None,
    group: Mapping[str, Any],
) -> tuple[int, str]:
    """Run the program until it ends; return how it failed, "" if it did not, and with what code.

    The code is 0 when the program may have one of its own to tell.  It is killed when we are
    interrupted.
    """
    if cancel is not None:
        cancel.check()
    retries = _BUSY_RETRIES
    while True:
        try:
            pid = os.posix_spawn(
                path,
                [path],
                env,
                file_actions=streams.actions,
                setsigmask=(),
                setsigdef=_RESTORED,
                **group,
            )
            break
        except OSError as e:
            if e.strerror != _BUSY or not retries:
                why = (e.strerror or str(e)).lower()
                return INTERNAL, f"netplugin failed with no error message: fork/exec {path}: {why}"
            retries -= 1
            time.sleep(1)
    try:
        streams.give()
        if meanwhile is not None:
            meanwhile()
        why = _follow(pid, streams, timeout, cancel)
        if why:
            os.kill(pid, 9)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:
        _kill(pid)
        raise
    for fd in streams.fds:
        streams.take(fd)
    if why:
        return TRY_AGAIN_LATER, f"{path} was killed {why}"
    if status < 0:
        return 0, f"signal {-status}"
    return 0, f"exit status {status}" if status else ""


def _kill(pid: int) -> None:
    """End a child that nobody waits for any longer."""
    try:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        return  # it has ended


def _follow(pid: int, streams: _Streams, timeout: float | None, cancel: Cancel | None) -> str:
    """Read what a child writes until it ends; return why nobody waits any longer, if so."""
    from select import POLLIN, poll  # noqa: PLC0415 - only where something is executed

    deadline = None if timeout is None else time.monotonic() + timeout
    end = os.pidfd_open(pid)
    try:
        poller = poll()
        stop = None if cancel is None else cancel.fileno()
        for fd in (end, stop, *streams.fds):
            if fd is not None:
                poller.register(fd, POLLIN)
        while True:
            left = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
            ready = [fd for fd, _ in poller.poll(left)]
            if end in ready:
                return ""
            if stop in ready:
                return "because the call was cancelled"
            if not ready:
                return f"after {timeout:g} s without an answer"
            for fd in ready:
                if not streams.take(fd):
                    poller.unregister(fd)
    finally:
        os.close(end)


def _write_all(fd: int, data: bytes) -> None:
    """Write all of the data."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
