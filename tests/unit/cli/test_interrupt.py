"""Taking signals, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAD = """
import os, signal, sys
from cnifast.cli.interrupt import Interrupted, Interruption
signals = Interruption()
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_DFL)
signals.watch()
"""


def run(text: str) -> subprocess.CompletedProcess[str]:
    """Run a program that takes signals."""
    return subprocess.run(
        [sys.executable, "-c", HEAD + text], capture_output=True, text=True, timeout=60, check=False
    )


def test_signal_before_the_program_begins() -> None:
    """What came before a program was forked ends the program."""
    done = run(
        """
signals.grace = 3600
os.kill(os.getpid(), signal.SIGTERM)
if signals.fork() == 0:
    signal.pause()
    os._exit(0)
sys.exit(signals.wait())
"""
    )
    assert (done.returncode, done.stderr) == (128 + 15, "")


@pytest.mark.parametrize(("number", "status"), [("SIGTERM", 128 + 15), ("SIGHUP", 128 + 1)])
def test_signal_while_the_program_runs(number: str, status: int) -> None:
    """It is passed on, but for what a terminal sends to the program as well."""
    done = run(
        f"""
if signals.fork() == 0:
    os.kill(os.getppid(), signal.SIGINT)
    os.kill(os.getppid(), signal.SIGQUIT)
    os.kill(os.getppid(), signal.{number})
    signal.pause()
    os._exit(0)
status = signals.wait()
os.kill(os.getpid(), signal.{number})
signals.check()
sys.exit(status)
"""
    )
    assert (done.returncode, done.stderr) == (status, "")


def test_signal_when_the_program_has_ended() -> None:
    """What comes just after the program was waited for is of no use, and does no harm."""
    done = run(
        """
waitpid = os.waitpid

def late(*arguments):
    ended = waitpid(*arguments)
    if ended[0]:
        os.kill(os.getpid(), signal.SIGTERM)
    return ended

os.waitpid = late
if signals.fork() == 0:
    os._exit(7)
sys.exit(signals.wait())
"""
    )
    assert (done.returncode, done.stderr) == (7, "")


def test_ignored_signals_are_ignored_by_the_program() -> None:
    """A program is begun with the dispositions that the command was begun with."""
    done = subprocess.run(
        [
            *("env", "--ignore-signal=HUP", "--ignore-signal=CHLD", "--default-signal=TERM"),
            *(sys.executable, "-c"),
            """
import signal
from cnifast.cli.interrupt import Interruption
signals = Interruption()
signals.watch()
if signals.fork() == 0:
    numbers = (signal.SIGHUP, signal.SIGCHLD, signal.SIGTERM)
    print(*map(signal.getsignal, numbers), signal.pthread_sigmask(0, ()))
    raise SystemExit(3)
assert signals.wait() == 3
""",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "1 1 0 set()\n"


def test_without_grace() -> None:
    """A command that says nothing of steps is left at once, and cleans up undisturbed."""
    done = run(
        """
try:
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
except Interrupted as e:
    os.kill(os.getpid(), signal.SIGTERM)
    print(e, e.torn, e.exit_status)
"""
    )
    assert (done.returncode, done.stdout) == (0, "interrupted by SIGTERM True 143\n")


def test_a_step_is_finished() -> None:
    """With grace a step goes on until it asks; the wait for what never comes is left."""
    done = run(
        """
signals.grace = 3600
os.kill(os.getpid(), signal.SIGHUP)
try:
    signals.check()
except Interrupted as e:
    print(e, e.torn, e.exit_status)
signals = Interruption()
signals.watch()
signals.grace = 0.01
try:
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        signal.pause()
except Interrupted as e:
    print(e, e.torn, e.exit_status)
"""
    )
    assert done.stdout == "interrupted by SIGHUP False 129\ninterrupted by SIGINT True 130\n"
