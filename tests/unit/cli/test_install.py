"""Putting plugin binaries into a directory."""

from __future__ import annotations

import os
import sys
import tarfile
from typing import TYPE_CHECKING

import pytest

from cnifast.cli import install as module
from cnifast.cli.__main__ import main
from cnifast.cli.install import InstallError, describe, install, remove
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


def test_removal(tmp_path: Path) -> None:
    """What is ours goes, what it had replaced is back, and what is not ours stays."""
    (tmp_path / "bridge").write_text("theirs")
    (tmp_path / "static").write_text("theirs, too")
    install(str(tmp_path), ["bridge", "vlan"], force=True)
    assert list(remove(str(tmp_path))) == [
        (f"{tmp_path}/bridge", "bridge.orig is back"),
        (f"{tmp_path}/vlan", "deleted"),
        (f"{tmp_path}/static", "not ours, stays"),
    ]
    assert names(tmp_path) == {"bridge", "static"}
    assert (tmp_path / "bridge").read_text() == "theirs"
    assert list(remove(str(tmp_path), ["vlan", "static"])) == [
        (f"{tmp_path}/vlan", "not installed"),
        (f"{tmp_path}/static", "not ours, stays"),
    ]


def test_removal_of_some(tmp_path: Path) -> None:
    """With names those are removed; a name that was kept is back also if ours is gone."""
    (tmp_path / "bridge.orig").write_text("theirs")
    install(str(tmp_path), ["static", "vlan"])
    assert [done for _, done in remove(str(tmp_path), ["vlan", "bridge"])] == [
        "deleted",
        "bridge.orig is back",
    ]
    assert names(tmp_path) == {"bridge", "static"}


def test_removal_takes_what_binaries_of_an_archive_run(tmp_path: Path) -> None:
    """The folder beside them goes with the last of them."""
    install(str(tmp_path), ["static", "vlan"])
    (tmp_path / ".cnifast" / "1").mkdir(parents=True)
    assert len(list(remove(str(tmp_path), ["vlan"]))) == 1
    assert list(remove(str(tmp_path)))[-1] == (f"{tmp_path}/.cnifast", "deleted")
    assert names(tmp_path) == set()


def test_removal_refuses_mistakes(tmp_path: Path) -> None:
    """A name that no plugin has, or a directory that is none, is refused before anything goes."""
    install(str(tmp_path), ["bridge"])
    with pytest.raises(InstallError, match="no plugin named evil"):
        list(remove(str(tmp_path), ["bridge", "evil"]))
    assert names(tmp_path) == {"bridge"}
    with pytest.raises(InstallError, match="bin is not a directory"):
        list(remove(str(tmp_path / "bin")))


REFUSED = {
    "/dev/null": "/dev/null is not a directory",
    "/proc/none": "cannot make /proc/none: No such file or directory",
    "/proc": "cannot write /proc/bridge: No such file or directory",
    "--archive /dev/null DIR": "/dev/null: not an archive",
    "--archive /none DIR": "cannot read /none: No such file or directory",
    "--archive / DIR": "cannot read /: Is a directory",
    "--archive DAMAGED DIR": "DAMAGED: the archive is damaged: unexpected end of data",
}


@pytest.mark.parametrize(("words", "said"), REFUSED.items())
def test_what_fails_is_said_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    """What cannot be installed, or where, is said: what was tried, with what, and why not."""
    (tmp_path / "bin").mkdir()
    with tarfile.open(tmp_path / "whole", "w") as archive:
        archive.add(module.BINARY, "bridge")
    (tmp_path / "damaged").write_bytes((tmp_path / "whole").read_bytes()[:4000])

    def told(text: str) -> str:
        return text.replace("DIR", f"{tmp_path}/bin").replace("DAMAGED", f"{tmp_path}/damaged")

    assert main(["plugins", "install", "--force", *told(words).split(), "bridge"]) == 1
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"cnifast: {told(said)}\n")


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
    assert main(["plugins", "remove", str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        f"{tmp_path}/bridge: deleted\n{tmp_path}/static: not ours, stays\n"
    )
    assert main(["plugins", "remove", str(tmp_path / "none")]) == 1
    assert capsys.readouterr().err == f"cnifast: {tmp_path}/none is not a directory\n"
