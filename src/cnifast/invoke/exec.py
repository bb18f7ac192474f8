"""Executing a plugin's program: environment and standard input in, standard output out.

The three standard streams of the program are files in memory: what it is to read is there
before it starts, and what it wrote is read when it has ended.  So no stream can block the
other two, and a process that the plugin leaves behind keeps nobody waiting.
"""

from __future__ import annotations

import os
import time

from cnifast.protocol.errors import INTERNAL, TRY_AGAIN_LATER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from cnifast.invoke.call import Cancel

OUTPUT_MAX = 16 << 20  # bytes of an output that are read

_BUSY = "Text file busy"
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
    streams: list[int] = []
    try:
        streams.extend(os.memfd_create(name) for name in ("stdin", "stdout", "stderr"))
        _write_all(streams[0], stdin)
        os.lseek(streams[0], 0, os.SEEK_SET)
        group = {"setpgroup": 0} if apart else {}
        code, failure = _run(path, streams, env, timeout, cancel, meanwhile, group)
        output, errors = _read_all(streams[1]), _read_all(streams[2])
    finally:
        for fd in streams:
            os.close(fd)
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


def _run(
    path: str,
    streams: list[int],
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
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams)]
    retries = _BUSY_RETRIES
    while True:
        try:
            pid = os.posix_spawn(
                path,
                [path],
                env,
                file_actions=actions,
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
    why = ""
    try:
        if meanwhile is not None:
            meanwhile()
        if timeout is not None or cancel is not None:
            why = _unwanted(pid, timeout, cancel)
            if why:
                os.kill(pid, 9)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except BaseException:
        _kill(pid)
        raise
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


def _unwanted(pid: int, timeout: float | None, cancel: Cancel | None) -> str:
    """Wait for the end of a child; return why nobody waits for it any longer, "" when it ended."""
    from select import POLLIN, poll  # noqa: PLC0415 - only where there is such a reason

    fd = os.pidfd_open(pid)
    try:
        poller = poll()
        poller.register(fd, POLLIN)
        if cancel is not None:
            poller.register(cancel.fileno(), POLLIN)
        ready = [found for found, _ in poller.poll(None if timeout is None else timeout * 1000)]
    finally:
        os.close(fd)
    if fd in ready:
        return ""
    return "because the call was cancelled" if ready else f"after {timeout:g} s without an answer"


def _write_all(fd: int, data: bytes) -> None:
    """Write all of the data."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _read_all(fd: int) -> bytes:
    """Return the content of a file in memory, up to OUTPUT_MAX bytes."""
    return os.pread(fd, min(os.fstat(fd).st_size, OUTPUT_MAX), 0)
