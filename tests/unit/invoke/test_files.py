"""Files whose paths are configured."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnifast.invoke import files
from cnifast.protocol.errors import CNIError


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


def test_directory(tmp_path: Path) -> None:
    """That a directory is there instead is told with its path."""
    with pytest.raises(IsADirectoryError, match="Is a directory") as error:
        files.read(str(tmp_path))
    assert error.value.filename == str(tmp_path)


def test_writable(tmp_path: Path) -> None:
    """A directory that is not there is as writable as the one that it would be made in."""
    files.require_writable(str(tmp_path))
    files.require_writable(str(tmp_path / "a" / "b" / "c"))
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CNIError, match="cannot be written") as error:
            files.require_writable(str(path))
        assert error.value.code == 50


@pytest.mark.parametrize("named", [False, True])
def test_draft(tmp_path: Path, named: bool) -> None:
    """A file is put where nothing is, or in place of what is there, and leaves no other name."""
    path = tmp_path / "a" / "file"
    with files.Draft(str(path), named=named, durable=True) as draft:
        assert draft.made_directory
        draft.write(b"first")
        assert not path.exists()
        draft.link(str(path))
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"first", 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    with files.Draft(str(path), named=named, durable=True) as draft:
        assert not draft.made_directory
        draft.write(b"second")
        with pytest.raises(FileExistsError):
            draft.link(str(path))
        assert path.read_bytes() == b"first"
        draft.replace(str(path))
    with files.Draft(str(path), named=named) as draft:
        draft.write(b"third")
    assert (path.read_bytes(), os.listdir(path.parent)) == (b"second", ["file"])


def test_draft_that_was_left(tmp_path: Path) -> None:
    """What is in the draft's place gives way, and is not written into; removing takes it too."""
    path, victim = tmp_path / "file", tmp_path / "victim"
    victim.write_text("as before")
    for left in (Path.symlink_to, Path.hardlink_to):
        left(tmp_path / ".file", victim)
        files.replace(str(path), b"content")
        assert (victim.read_text(), path.read_bytes()) == ("as before", b"content")
    Path(files.draft_of(str(path))).touch()
    files.remove(str(path))
    files.remove(str(path))
    assert os.listdir(tmp_path) == ["victim"]


def test_directory_that_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that somebody removes as soon as it is made is made once more."""
    making, left = os.makedirs, [True, True]

    def make(directory: str, mode: int, *, exist_ok: bool) -> None:
        making(directory, mode, exist_ok=exist_ok)
        if left:
            left.pop()
            os.rmdir(directory)

    monkeypatch.setattr(os, "makedirs", make)
    files.replace(str(tmp_path / "a" / "file"), b"content")
    assert (tmp_path / "a" / "file").read_bytes() == b"content"
