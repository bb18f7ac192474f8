"""Reading resolv.conf."""

from __future__ import annotations

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


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is an error of the system."""
    with pytest.raises(FileNotFoundError):
        read(str(tmp_path / "resolv.conf"))
