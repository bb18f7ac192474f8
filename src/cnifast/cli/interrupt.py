"""Signals that end a command: what it has half done is undone first.

A step that is being taken, such as a plugin's ADD, is not torn: the command asks between two of
them.  Only one that takes longer than ``grace`` is left by an exception, because it may be waiting
for something that never comes.
"""

from __future__ import annotations

import os

from cnifast.invoke.call import Cancel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_signal: Any = __import__("_signal")  # what `signal` has, without loading enum

ENDING: dict[int, str] = {
    _signal.SIGHUP: "SIGHUP",
    _signal.SIGINT: "SIGINT",
    _signal.SIGTERM: "SIGTERM",
}
FROM_TERMINAL = (_signal.SIGINT, _signal.SIGQUIT)  # it sends them to all that runs in it
GRACE = 2.0  # seconds; a plugin takes milliseconds unless it waits for somebody
EXIT_SIGNAL = 128  # and the number


class Interrupted(BaseException):
    """The command is to end; ``torn`` tells that a step was left before it was finished."""

    def __init__(self, number: int, *, torn: bool) -> None:
        super().__init__(f"interrupted by {ENDING[number]}")
        self.torn = torn
        self.exit_status = EXIT_SIGNAL + number


def with_notes(e: BaseException) -> str:
    """Return what an error says, and what failed when it was undone, as one line."""
    return "; ".join([str(e), *getattr(e, "__notes__", ())])


class Ending(Cancel):
    """Whether a command is to end, asked between two of its steps.

    Attributes:
        number: the signal, 0 for none.
    """

    __slots__ = ("number",)
    number: int

    def settle(self) -> None:
        """Have no request to end count any more: what is done from now on must be finished."""
        raise NotImplementedError


class Interruption(Ending):
    """Whether the command of this process is to end.

    Attributes:
        grace: seconds that a step may take after a signal; without any it is left at once.
    """

    __slots__ = ("_program", "_settled", "_watched", "grace")

    def __init__(self) -> None:
        super().__init__()
        self.grace = 0.0
        self.number = 0
        self._program = 0
        self._settled = False
        self._watched: list[int] = []

    def watch(self) -> None:
        """Take the signals that are not ignored, from now on."""
        _signal.signal(_signal.SIGALRM, self._expire)
        for number in ENDING:
            if _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, self._take)
                self._watched.append(number)

    def check(self) -> None:
        """Refuse to take another step when the command is to end.

        Raises:
            Interrupted: it is.
        """
        if self.is_set:
            self.settle()
            raise Interrupted(self.number, torn=False)

    def settle(self) -> None:
        """Take no notice of signals any more: what is done from now on must be finished."""
        self._settled = True
        _signal.setitimer(_signal.ITIMER_REAL, 0)

    def fork(self) -> int:
        """Fork, and pass signals on to the child from its first instant; return as `os.fork`."""
        of_children = _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)  # ignored, it tells nothing
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, {*ENDING, *FROM_TERMINAL})
        pid = os.fork()
        if pid == 0:
            for number in self._watched:
                _signal.signal(number, _signal.SIG_DFL)
            if of_children == _signal.SIG_IGN:
                _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
        else:
            self._program = pid
            _signal.setitimer(_signal.ITIMER_REAL, 0)
            _signal.signal(_signal.SIGQUIT, self._take)
            if self.is_set:
                os.kill(pid, self.number)
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        return pid

    def wait(self) -> int:
        """Wait for the end of that child; return its exit status.  Signals are of no use then.

        They are fetched, not handled: a handler of Python's could run just before the process
        waits, or when the child is no more.
        """
        wanted = {*self._watched, _signal.SIGQUIT, _signal.SIGCHLD}
        before = _signal.pthread_sigmask(_signal.SIG_BLOCK, wanted)
        while not (ended := os.waitpid(self._program, os.WNOHANG))[0]:
            self._pass_on(_signal.sigwaitinfo(wanted).si_signo)
        self._program = 0
        self.settle()
        _signal.pthread_sigmask(_signal.SIG_SETMASK, before)
        status = os.waitstatus_to_exitcode(ended[1])
        return status if status >= 0 else EXIT_SIGNAL - status

    def _take(self, number: int, _frame: object) -> None:
        """Take a signal.

        Raises:
            Interrupted: there is no grace.
        """
        if self._program:
            self._pass_on(number)
        elif not (self.is_set or self._settled):
            self.number = number
            self.is_set = True
            if self.grace:
                _signal.setitimer(_signal.ITIMER_REAL, self.grace)
            else:
                self._expire()

    def _pass_on(self, number: int) -> None:
        """Tell the program of a signal, unless it hears of it anyway."""
        if number not in (*FROM_TERMINAL, _signal.SIGCHLD):
            os.kill(self._program, number)

    def _expire(self, *_: object) -> None:
        """Leave the step that is being taken.

        Raises:
            Interrupted: whenever there still is one.
        """
        if self.is_set and not self._settled:
            self.settle()
            raise Interrupted(self.number, torn=True)


SIGNALS = Interruption()
"""The one of this process; it takes signals once a whole command has begun."""
