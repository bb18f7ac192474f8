"""Executing a plugin's program: environment and standard input in, standard output out.

The three standard streams of the program are files in memory: what it is to read is there
before it starts, and what it wrote is read when it has ended.  So no stream can block the
other two, and a process that the plugin leaves behind keeps nobody waiting.
"""

from __future__ import annotations

import os
import time

from cnifast.protocol.codec import DecodeError, loads, quote
from cnifast.protocol.errors import INTERNAL, TRY_AGAIN_LATER, CNIError
from cnifast.protocol.schema import TEXT, UINT, Struct, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

OUTPUT_MAX = 16 << 20  # bytes of an output that are read

_BUSY = "Text file busy"
_BUSY_RETRIES = 5  # once a second, for a program that is just being installed
_RESTORED = (13, 25)  # SIGPIPE and SIGXFSZ, which the interpreter ignores and a child would, too


class _Error(Struct):
    """The error that a plugin prints."""

    code = field("code", UINT, 0)
    msg = field("msg", TEXT, "")
    details = field("details", TEXT, "")


def exec_plugin(
    path: str,
    stdin: bytes,
    env: Mapping[str, str],
    *,
    stderr: int = 2,
    timeout: float | None = None,
) -> bytes:
    """Execute the program at ``path`` and return what it printed on standard output.

    What it prints on standard error is written to the file descriptor ``stderr``, as far as it
    is not part of the error raised.

    Args:
        path: of the program.
        stdin: what the program reads.
        env: its whole environment.
        stderr: a file descriptor.
        timeout: seconds until the program is killed; None waits for as long as it takes.

    Raises:
        CNIError: the program failed; code and text are the program's own if it gave any.  Code
            11 when it was killed for taking too long.
    """
    streams: list[int] = []
    try:
        streams.extend(os.memfd_create(name) for name in ("stdin", "stdout", "stderr"))
        _write_all(streams[0], stdin)
        os.lseek(streams[0], 0, os.SEEK_SET)
        failure = _run(path, streams, env, timeout)
        output, errors = _read_all(streams[1]), _read_all(streams[2])
    finally:
        for fd in streams:
            os.close(fd)
    if failure:
        raise _plugin_error(failure, output, errors)
    if errors:
        try:  # noqa: SIM105 - contextlib would cost more than the call
            _write_all(stderr, errors)
        except OSError:
            pass  # it only informs
    return output


def _run(path: str, streams: list[int], env: Mapping[str, str], timeout: float | None) -> str:
    """Run the program until it ends; return how it failed, "" if it did not."""
    actions = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(streams)]
    retries = _BUSY_RETRIES
    while True:
        try:
            pid = os.posix_spawn(
                path, [path], env, file_actions=actions, setsigmask=(), setsigdef=_RESTORED
            )
            break
        except OSError as e:
            if e.strerror != _BUSY or not retries:
                return f"fork/exec {path}: {(e.strerror or str(e)).lower()}"
            retries -= 1
            time.sleep(1)
    if timeout is not None and not _ended_within(pid, timeout):
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        raise CNIError(TRY_AGAIN_LATER, f"{path} was killed after {timeout:g} s without an answer")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status < 0:
        return f"signal {-status}"
    return f"exit status {status}" if status else ""


def _ended_within(pid: int, timeout: float) -> bool:
    """Tell whether a child ends within so many seconds."""
    from select import poll  # noqa: PLC0415 - only with a time limit

    fd = os.pidfd_open(pid)
    try:
        poller = poll()
        poller.register(fd)
        return bool(poller.poll(timeout * 1000))
    finally:
        os.close(fd)


def _write_all(fd: int, data: bytes) -> None:
    """Write all of the data."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _read_all(fd: int) -> bytes:
    """Return the content of a file in memory, up to OUTPUT_MAX bytes."""
    return os.pread(fd, min(os.fstat(fd).st_size, OUTPUT_MAX), 0)


def _plugin_error(failure: str, output: bytes, errors: bytes) -> CNIError:
    """Return the error for a program that failed, from what it printed."""
    if not output:
        if not errors:
            return CNIError(INTERNAL, f"netplugin failed with no error message: {failure}")
        shown = quote(errors.decode("utf-8", "replace"))
        return CNIError(INTERNAL, f"netplugin failed: {shown}: {failure}")
    try:
        error = _Error.decode(loads(output))
    except DecodeError as e:
        shown = quote(output.decode("utf-8", "replace"))
        return CNIError(
            INTERNAL, f"netplugin failed but its error message {shown} cannot be parsed: {e}"
        )
    return CNIError(error.code or INTERNAL, error.msg, error.details)
