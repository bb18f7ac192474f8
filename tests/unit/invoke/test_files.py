"""Files whose paths are configured."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from cnifast.invoke import files
from cnifast.protocol.errors import CNIError

if TYPE_CHECKING:
    from pathlib import Path


def test_read(tmp_path: Path) -> None:
    """A file is read whole, up to 1 MiB."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * files.SIZE_MAX)
    assert files.read(str(path)) == b"x" * files.SIZE_MAX
    path.write_bytes(b"x" * (files.SIZE_MAX + 1))
    with pytest.raises(ValueError, match="larger than 1 MiB"):
        files.read(str(path))


def test_pipe(tmp_path: Path) -> None:
    """Nobody is waited for to write into a pipe."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe is no file"):
        files.read(str(tmp_path / "pipe"))


def test_writable(tmp_path: Path) -> None:
    """A directory that is not there is as writable as the one that it would be made in."""
    files.require_writable(str(tmp_path))
    files.require_writable(str(tmp_path / "a" / "b" / "c"))
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CNIError, match="cannot be written") as error:
            files.require_writable(str(path))
        assert error.value.code == 50
