"""Calling plugins of a build in which a chosen step, counted from 1, fails or kills the process."""

from __future__ import annotations

import base64
import errno
import os
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from .opened import open_files
from .plugin import Outcome
from .ways import InprocRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

KILL = -1  # instead of an errno value
STEPS_MAX = 400  # more than any call takes
_LINGERING = "anon_inode:[eventfd]"
_PATIENCE = 20.0


class KilledError(Exception):
    """The process of a call was killed at the chosen step."""


class FaultyRunner(InprocRunner):
    """Plugins called in process, step by step if that is wanted.

    Attributes:
        warm: keep handles from call to call, as the service does.
        fork: have each call made by a child.
    """

    def __init__(self, directory: str, *, warm: bool = False) -> None:
        """Start the program; skip the test where there is no build with fault injection."""
        site = os.environ.get("CNIFAST_FAULTY_SITE")
        if not site:
            pytest.skip("CNIFAST_FAULTY_SITE names no build with fault injection")
        super().__init__(directory, site)
        self.warm = warm
        self.fork = False
        self._steps = 0

    def call(self, plugin: str, environment: Mapping[str, str], stdin: bytes) -> Outcome:
        """Call the plugin's function; see `Runner.call`.

        Raises:
            KilledError: the child that made the call was killed.
        """
        answer = self.ask(
            plugin=plugin,
            env=dict(environment),
            stdin=base64.b64encode(stdin).decode(),
            warm=self.warm,
            fork=self.fork,
        )
        if "signal" in answer:
            raise KilledError
        self._steps = answer.get("steps", 0)
        return Outcome(answer["exit"], answer["stdout"], answer["stderr"])

    def fail(self, call: Callable[[], Outcome], n: int, code: int) -> tuple[Outcome, str | None]:
        """Make a call whose n-th step fails; its outcome, and the step's name if it has so many."""
        self._arm(n, code)
        try:
            outcome = call()
            failed: str | None = self.ask(failed=True)["failed"]
        finally:
            self.ask(arm=0, errno=0)
        return outcome, failed

    def _arm(self, n: int, code: int) -> None:
        """Have the n-th step from now on fail; no step of an earlier call is among them."""
        self.settled()
        self.ask(arm=n, errno=code)

    def fail_each(
        self, call: Callable[[], Outcome], code: int = errno.EIO
    ) -> Iterator[tuple[Outcome, str]]:
        """Make a call again and again, with one step after the other failing, to the last one.

        Yields the outcome and which step failed.  What the call did in the end, when none
        failed, is in place afterwards; that it succeeded then is asserted.
        """
        for n in range(1, STEPS_MAX):
            outcome, step = self.fail(call, n, code)
            if step is None:
                assert outcome.ok, outcome
                return
            yield outcome, f"step {n}, {step}"
        raise AssertionError(f"more than {STEPS_MAX} steps")

    def kill_each(self, call: Callable[[], Outcome]) -> Iterator[Outcome | None]:
        """Make a call again and again, killed at one step after the other, to the last one.

        Yields None when the call was killed, its outcome when a helper of it was.  As for
        `fail_each` the last call gets through.
        """
        for n in range(1, STEPS_MAX):
            outcome = self._kill(call, n)
            if outcome and outcome.ok and self._steps < n:
                return
            yield outcome
        raise AssertionError(f"more than {STEPS_MAX} steps")

    def _kill(self, call: Callable[[], Outcome], n: int) -> Outcome | None:
        """Make a call in a child that is killed at its n-th step."""
        self._arm(n, KILL)
        self.fork = True
        try:
            return call()
        except KilledError:
            return None
        finally:
            self.fork = False
            self.ask(arm=0, errno=0)

    def held(self) -> list[str]:
        """Return what the process has open, one word each, and how many children it has."""
        found = [re.sub(r"\d+", "N", target) for target in open_files(self.pid).values()]
        with open(f"/proc/{self.pid}/task/{self.pid}/children", encoding="ascii") as children:
            found += ["child"] * len(children.read().split())
        return sorted(found)

    def settled(self) -> list[str]:
        """Return what the process holds when it has started and no deletion lingers any more."""
        self.ask(failed=True)
        await_equal(lambda: _LINGERING in self.held(), False)
        return self.held()

    def threads(self) -> int:
        """Return how many threads the process has."""
        return len(os.listdir(f"/proc/{self.pid}/task"))


def await_equal(read: Callable[[], Any], wanted: Any) -> None:
    """Assert that something is, or becomes, what it should be."""
    deadline = time.monotonic() + _PATIENCE
    while (found := read()) != wanted and time.monotonic() < deadline:
        time.sleep(0.01)
    assert found == wanted
