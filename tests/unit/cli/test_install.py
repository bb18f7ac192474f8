"""Putting plugin binaries into a directory."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from cnifast.cli import install as module
from cnifast.cli.__main__ import main
from cnifast.cli.install import InstallError, describe, install
from cnifast.invoke import shimfile
from cnifast.plugins import NAMES

if TYPE_CHECKING:
    from pathlib import Path


def names(directory: Path) -> set[str]:
    """Return what is in a directory."""
    return {entry.name for entry in directory.iterdir()}


def test_all_by_default(tmp_path: Path) -> None:
    """Without names every plugin is installed, as a program that knows its Python."""
    directory = tmp_path / "new" / "bin"
    assert install(str(directory)) == [str(directory / name) for name in NAMES]
    assert names(directory) == set(NAMES)
    for name in NAMES:
        path = directory / name
        found = shimfile.examine(str(path))
        assert found is not None
        assert (found.python, found.script) == (os.path.abspath(sys.executable), module.SCRIPT)
        assert path.stat().st_mode & 0o777 == 0o755


def test_some_by_name(tmp_path: Path) -> None:
    """With names those are installed."""
    install(str(tmp_path), ["bridge", "static"])
    assert names(tmp_path) == {"bridge", "static"}


def test_unknown_name(tmp_path: Path) -> None:
    """An unknown name is refused before anything is written."""
    with pytest.raises(InstallError, match="no plugin named evil"):
        install(str(tmp_path / "bin"), ["bridge", "evil"])
    assert not (tmp_path / "bin").exists()


def test_own_binaries_are_replaced(tmp_path: Path) -> None:
    """Installing again replaces our binaries by new files, and leaves nothing else behind."""
    install(str(tmp_path), ["bridge"])
    before = (tmp_path / "bridge").stat().st_ino
    with (tmp_path / "bridge").open("rb") as running:
        install(str(tmp_path), ["bridge"])
        assert (tmp_path / "bridge").stat().st_ino != before
        assert running.read(4) == b"\x7fELF"
    assert names(tmp_path) == {"bridge"}


def test_foreign_binaries_are_refused(tmp_path: Path) -> None:
    """A binary of somebody else stays, and so does everything beside it."""
    (tmp_path / "static").write_text("theirs")
    with pytest.raises(InstallError, match="--force"):
        install(str(tmp_path))
    assert names(tmp_path) == {"static"}
    assert (tmp_path / "static").read_text() == "theirs"


def test_force_keeps_the_foreign_binary(tmp_path: Path) -> None:
    """With --force it is replaced, and kept beside ours."""
    (tmp_path / "static").write_text("theirs")
    (tmp_path / "static").chmod(0o751)
    install(str(tmp_path), ["static"], force=True)
    assert names(tmp_path) == {"static", "static.orig"}
    assert (tmp_path / "static.orig").read_text() == "theirs"
    assert (tmp_path / "static.orig").stat().st_mode & 0o777 == 0o751
    install(str(tmp_path), ["static"], force=True)
    assert (tmp_path / "static.orig").read_text() == "theirs"


def test_links_are_replaced_not_followed(tmp_path: Path) -> None:
    """A link in place of a binary is replaced; what it leads to stays."""
    (tmp_path / "target").write_text("theirs")
    (tmp_path / "bridge").symlink_to("target")
    (tmp_path / "static").symlink_to("nowhere")
    install(str(tmp_path), ["bridge", "static"], force=True)
    assert not (tmp_path / "bridge").is_symlink()
    assert (tmp_path / "bridge.orig").readlink().name == "target"
    assert (tmp_path / "static.orig").readlink().name == "nowhere"
    assert (tmp_path / "target").read_text() == "theirs"


def test_directory_in_the_way(tmp_path: Path) -> None:
    """What cannot be replaced is an error, and no temporary file stays."""
    (tmp_path / "bridge").mkdir()
    with pytest.raises(OSError, match="bridge"):
        install(str(tmp_path), ["bridge"], force=True)
    assert names(tmp_path) == {"bridge"}


def test_descriptions(tmp_path: Path) -> None:
    """What is at the path of a plugin is said in words."""
    path = str(tmp_path / "bridge")
    assert describe(path) == "not installed"
    (tmp_path / "bridge").write_text("theirs")
    assert describe(path) == f"{path}: not ours"
    install(str(tmp_path), ["bridge"], force=True)
    assert describe(path).startswith(f"{path}: cnifast ")


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands do what the functions do."""
    assert main(["plugins", "install", str(tmp_path), "bridge"]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/bridge\n"
    assert main(["plugins", "list", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(NAMES)
    assert "not installed" in lines[-1]
    (tmp_path / "static").write_text("theirs")
    assert main(["plugins", "install", str(tmp_path)]) == 1
    assert "--force" in capsys.readouterr().err
