"""Finding and executing programs."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from cnifast.invoke.call import Cancel
from cnifast.invoke.exec import exec_plugin
from cnifast.invoke.find import find_in_path
from cnifast.protocol.errors import CNIError
from helpers.script import script

ENV = {"PATH": "/usr/bin:/bin", "CNI_COMMAND": "ADD"}


def test_streams_and_environment(tmp_path: Path) -> None:
    """The program reads its input to the end, has the given environment and no other."""
    path = script(tmp_path, 'echo "$CNI_COMMAND ${HOME-none}"; cat; echo note >&2')
    reader, writer = os.pipe()
    try:
        assert exec_plugin(path, b"input", ENV, stderr=writer) == b"ADD none\ninput"
        assert os.read(reader, 100) == b"note\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_large_streams_do_not_block(tmp_path: Path) -> None:
    """Output before input is read, and more of both than a pipe holds, is no trouble."""
    path = script(tmp_path, "head -c 300000 /dev/zero; cat; head -c 300000 /dev/zero >&2")
    with open(os.devnull, "wb") as sink:
        found = exec_plugin(path, b"x" * 300_000, ENV, stderr=sink.fileno())
    assert found == b"\0" * 300_000 + b"x" * 300_000


def test_streams_by_their_paths(tmp_path: Path) -> None:
    """A program may open its own streams again, and loses nothing by it."""
    lines = "echo one >/dev/stdout; echo two >/dev/stdout; echo 3 >/dev/stderr; echo 4 >/dev/stderr"
    reader, writer = os.pipe()
    try:
        path = script(tmp_path, f"{lines}; cat /dev/stdin")
        assert exec_plugin(path, b"input", ENV, stderr=writer) == b"one\ntwo\ninput"
        assert os.read(reader, 100) == b"3\n4\n"
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("step", ["memfd_create", "pipe", "pidfd_open"])
def test_without_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Where no file can be opened, the error has a code and names the program; none is left."""
    path = script(tmp_path, "exec sleep 100")
    before = os.listdir("/proc/self/fd"), _children()

    def fail(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(CNIError, match=f"cannot execute {path}: Too many open files") as error:
        exec_plugin(path, b"", ENV)
    assert error.value.code == 5
    assert (os.listdir("/proc/self/fd"), _children()) == before


def _children() -> str:
    """Return the processes that this thread has begun."""
    return Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text()


def test_ends_that_nobody_sees(tmp_path: Path) -> None:
    """Where the process ignores the ends of children, nothing is begun."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(CNIError, match="SIGCHLD is ignored"):
            exec_plugin(script(tmp_path, f"touch {tmp_path}/begun"), b"", ENV)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert not (tmp_path / "begun").exists()


def test_left_behind_process_does_not_delay(tmp_path: Path) -> None:
    """A process that the program leaves behind with its streams keeps nobody waiting."""
    began = time.monotonic()
    assert exec_plugin(script(tmp_path, "sleep 3 & echo done"), b"", ENV) == b"done\n"
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    ("text", "code", "msg"),
    [
        (
            'echo \'{"cniVersion": "1.0.0", "code": 11, "msg": "later", "details": "d"}\'; exit 1',
            11,
            "later; d",
        ),
        ("exit 3", 999, "no error message: exit status 3"),
        ("echo oops >&2; exit 1", 999, r'"oops\\n": exit status 1'),
        ("echo oops; exit 1", 999, r'"oops\\n" cannot be parsed'),
        ("kill -9 $$", 999, "signal 9"),
    ],
)
def test_failures(tmp_path: Path, text: str, code: int, msg: str) -> None:
    """A failure has the program's own code and text, or says what is known of it."""
    with pytest.raises(CNIError, match=msg) as error:
        exec_plugin(script(tmp_path, text), b"", ENV)
    assert error.value.code == code


def test_not_a_program(tmp_path: Path) -> None:
    """A file that cannot be executed is an error that names it."""
    path = tmp_path / "plugin"
    path.write_text("text")
    with pytest.raises(CNIError, match=f"{path}: permission denied"):
        exec_plugin(str(path), b"", ENV)


def test_timeout(tmp_path: Path) -> None:
    """A program that takes too long is killed: code 11."""
    began = time.monotonic()
    with pytest.raises(CNIError, match=r"killed after 0\.1 s") as error:
        exec_plugin(script(tmp_path, "exec sleep 5"), b"", ENV, timeout=0.1)
    assert error.value.code == 11
    assert time.monotonic() - began < 3
    assert exec_plugin(script(tmp_path, "echo ok"), b"", ENV, timeout=10) == b"ok\n"


@pytest.mark.parametrize(
    ("text", "msg", "details"),
    [
        ("echo half a result; echo oops >&2; exec sleep 5", "was killed after", "oops"),
        ("echo oops >&2; kill -9 $$", "signal 9", ""),
        ("echo rubbish; echo oops >&2; kill -11 $$", r"rubbish.*signal 11", "oops"),
        ("echo rubbish; echo oops >&2; exit 1", r"rubbish.*exit status 1", "oops"),
        ("echo '{}'; exit 4", "no error message: exit status 4", ""),
    ],
)
def test_all_that_is_known_of_a_failure(tmp_path: Path, text: str, msg: str, details: str) -> None:
    """Whatever ends a program, what it said on standard error is kept, and nothing printed."""
    reader, writer = os.pipe()
    try:
        with pytest.raises(CNIError, match=msg) as error:
            exec_plugin(script(tmp_path, text), b"", ENV, stderr=writer, timeout=2)
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        os.close(reader)
        os.close(writer)
    assert details in error.value.details
    assert "oops" not in text or "oops" in str(error.value)


def test_stderr_beside_an_error(tmp_path: Path) -> None:
    """What a program says beside its error goes where its standard error goes."""
    reader, writer = os.pipe()
    try:
        path = script(tmp_path, """echo note >&2; echo '{"msg": "later"}'; exit 1""")
        with pytest.raises(CNIError, match=r"^later$"):
            exec_plugin(path, b"", ENV, stderr=writer)
        assert os.read(reader, 100) == b"note\n"
    finally:
        os.close(reader)
        os.close(writer)


def test_cancelled(tmp_path: Path) -> None:
    """A program is killed when nobody waits any longer, and not begun after that: code 11."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    cancel = Cancel()
    path = script(tmp_path, f"echo ready > {fifo}; exec sleep 5")

    def wait_and_cancel() -> None:
        fifo.read_text()
        cancel.set()

    thread = threading.Thread(target=wait_and_cancel)
    thread.start()
    with pytest.raises(CNIError, match="was killed because the call was cancelled") as error:
        exec_plugin(path, b"", ENV, cancel=cancel, timeout=60)
    thread.join()
    assert error.value.code == 11
    with pytest.raises(CNIError, match="the call was cancelled"):
        exec_plugin(script(tmp_path, f"touch {tmp_path}/begun"), b"", ENV, cancel=cancel)
    assert not (tmp_path / "begun").exists()
    cancel.close()


def test_meanwhile(tmp_path: Path) -> None:
    """Something can be done while the program is at work."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    path = script(tmp_path, f"cat {fifo}")
    assert exec_plugin(path, b"", ENV, meanwhile=lambda: fifo.write_text("done")) == b"done"


def test_default_signals(tmp_path: Path) -> None:
    """The program is not born with signals ignored that the interpreter ignores."""
    status = exec_plugin(script(tmp_path, "exec cat /proc/self/status"), b"", ENV).decode()
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(fields["SigIgn"], 16) & (1 << 12) == 0
    assert int(fields["SigBlk"], 16) == 0


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """Neither success nor failure leaves a file open."""
    before = os.listdir("/proc/self/fd")
    exec_plugin(script(tmp_path, "true"), b"", ENV)
    with pytest.raises(CNIError):
        exec_plugin(script(tmp_path, "false"), b"", ENV)
    assert os.listdir("/proc/self/fd") == before


def test_find_takes_the_first(tmp_path: Path) -> None:
    """The first directory with a regular file of that name counts."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "plugin").mkdir()
    (tmp_path / "b" / "plugin").write_text("")
    (tmp_path / "c" / "plugin").write_text("")
    path = ":".join(str(tmp_path / name) for name in ("none", "a", "b", "c"))
    assert find_in_path("plugin", path) == str(tmp_path / "b" / "plugin")


@pytest.mark.parametrize(
    ("plugin", "path", "text"),
    [
        ("", "/bin", "no plugin name"),
        ("../sh", "/bin", "invalid plugin name"),
        ("sh", "", "no paths"),
        ("no-such-plugin", "/bin:/sbin", r'"no-such-plugin" in path \[/bin /sbin\]'),
    ],
)
def test_not_found(plugin: str, path: str, text: str) -> None:
    """What is not found, or must not be looked for, is an error that says so."""
    with pytest.raises(CNIError, match=text):
        find_in_path(plugin, path)
