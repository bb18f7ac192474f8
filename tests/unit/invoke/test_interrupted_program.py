"""A program whose caller is interrupted."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.invoke.exec import exec_plugin
from helpers.script import script

if TYPE_CHECKING:
    from collections.abc import Iterator


class Left(BaseException):
    """What the signal is turned into."""


@pytest.fixture
def usr1() -> Iterator[None]:
    """SIGUSR1 raises an exception."""

    def leave(*_: object) -> None:
        raise Left

    before = signal.signal(signal.SIGUSR1, leave)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("usr1")
@pytest.mark.parametrize("timeout", [None, 3600.0])
def test_program_is_killed(tmp_path: Path, timeout: float | None) -> None:
    """An exception out of a signal handler does not leave the program behind."""
    text = f"""
    echo $$ > {tmp_path}/pid
    until grep -q 'State:.S' /proc/$PPID/status; do :; done  # it waits
    kill -USR1 $PPID
    exec sleep 3600
    """
    path = script(tmp_path, text)
    with pytest.raises(Left):
        exec_plugin(path, b"", {"PATH": "/usr/bin:/bin"}, timeout=timeout)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
