"""Reading resolv.conf."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cnifast.ipam.resolv import parse, read
from cnifast.protocol.result import DNS

if TYPE_CHECKING:
    from pathlib import Path


def test_keywords_add_up() -> None:
    """Servers, search and options of all lines count, of domains the last one."""
    text = (
        "nameserver 192.0.2.1\r\nnameserver 192.0.2.2 x\ndomain a\ndomain b\nsearch c d\nsearch e"
    )
    assert parse(text) == DNS(["192.0.2.1", "192.0.2.2"], "b", ["c", "d", "e"], [])


@pytest.mark.parametrize(
    "line", ["", "#nameserver 1", "; nameserver 1", "nameserver", "sortlist a"]
)
def test_other_lines_are_ignored(line: str) -> None:
    """Comments, unknown keywords and keywords without a value say nothing."""
    assert parse(f"{line}\noptions rotate\n") == DNS(options=["rotate"])


def test_endless_file() -> None:
    """A file that goes on and on is an error, not the end of the service's memory."""
    with pytest.raises(ValueError, match="/dev/zero: larger than 1 MiB"):
        read("/dev/zero")


def test_pipe(tmp_path: Path) -> None:
    """Nobody is waited for to write into a pipe."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(ValueError, match="pipe is no file"):
        read(str(path))


def test_descriptors_are_closed(tmp_path: Path) -> None:
    """What cannot be read does not stay open."""
    before = os.listdir("/proc/self/fd")
    with pytest.raises(IsADirectoryError):
        read(str(tmp_path))
    with pytest.raises(ValueError, match="larger"):
        read("/dev/zero")
    assert os.listdir("/proc/self/fd") == before
    assert read("/dev/null") == DNS()


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is an error of the system."""
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / "resolv.conf"))
