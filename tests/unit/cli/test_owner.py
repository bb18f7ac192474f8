"""Whose are the files that plugin binaries have root run."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from cnifast.cli import install as installer
from cnifast.cli.__main__ import main
from cnifast.cli.owner import way_to, weakness
from cnifast.invoke import shimfile
from cnifast.plugins import NAMES
from helpers import ways

if TYPE_CHECKING:
    from pathlib import Path

NOBODY = 65534
STAFF = 50

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of others take root")


class Installation:
    """An interpreter with a package, as a virtual environment has them."""

    def __init__(self, root: Path) -> None:
        self.bin = root / "venv" / "bin"
        self.package = root / "venv" / "lib" / "cnifast"
        self.bin.mkdir(parents=True)
        (self.package / "cli").mkdir(parents=True)
        (self.bin / "python3").symlink_to("../../base")
        (root / "base").write_text("#!")
        (root / "base").chmod(0o755)
        (root / "venv" / "pyvenv.cfg").write_text("")
        for name in ("cli/cold.py", "module.py"):
            (self.package / name).write_text("")

    def weakness(self) -> str:
        """Return who can change it."""
        return weakness(f"{self.bin}/python3", f"{self.package}/cli/cold.py")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An installation of root's, below the directory for temporary files that everybody has."""
    return Installation(tmp_path)


def test_roots_own(installation: Installation, tmp_path: Path) -> None:
    """What only root can change is in order, also in a sticky directory that all can write to."""
    tmp_path.chmod(0o1777)
    assert installation.weakness() == ""


PLACES = [".", "venv", "base", "venv/bin", "venv/pyvenv.cfg", "venv/lib", "venv/lib/cnifast",
          "venv/lib/cnifast/cli/cold.py", "venv/lib/cnifast/module.py"]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_somebody_elses(installation: Installation, tmp_path: Path, place: str) -> None:
    """A part that belongs to another user is found, or one that others can write to."""
    path = (tmp_path / place).resolve()
    os.chown(path, NOBODY, 0)
    assert installation.weakness() == f"{path} can be changed by its owner, user nobody"
    os.chown(path, 0, 0)
    path.chmod(0o777)
    assert installation.weakness() == f"{path} can be changed by everybody"
    path.chmod(0o775)
    assert installation.weakness() == ""
    os.chown(path, 0, 1 << 20)
    path.chmod(0o775)
    assert installation.weakness() == f"{path} can be changed by group {1 << 20}"


def test_group(installation: Installation, tmp_path: Path) -> None:
    """A group counts if somebody is in it."""
    module = installation.package / "module.py"
    module.chmod(0o664)
    os.chown(module, 0, 65534)  # the primary group of nobody
    assert installation.weakness() == f"{module} can be changed by group nogroup"
    os.chown(module, 0, STAFF)
    assert installation.weakness() == ""
    assert tmp_path.exists()


def test_links(tmp_path: Path) -> None:
    """Every directory on the way is looked at, that of a link and that of what it leads to."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "end").write_text("")
    (tmp_path / "link").symlink_to("a/./b")
    (tmp_path / "far").symlink_to(f"{tmp_path}/a/../link/end")
    names = [path.removeprefix(f"{tmp_path}/") for path in way_to(f"{tmp_path}/far")]
    assert names[names.index("far") + 1 :][-6:] == [
        str(tmp_path),
        "a",
        "link",
        "a",
        "a/b",
        "a/b/end",
    ]
    (tmp_path / "loop").symlink_to("loop")
    assert len(list(way_to(f"{tmp_path}/loop"))) < 100
    assert list(way_to(f"{tmp_path}/none/x"))[-1] == str(tmp_path)


def test_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Installing refuses in one line; --force installs, and archives bring what they run."""
    found = Installation(tmp_path)
    monkeypatch.setattr(installer, "SCRIPT", f"{found.package}/cli/cold.py")
    os.chown(found.package, NOBODY, 0)
    target = tmp_path / "plugins"
    assert main(["plugins", "install", str(target), "bridge"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"cnifast: {found.package} can be changed by its owner, user nobody, ")
    assert not target.exists()
    assert main(["plugins", "install", "--force", str(target)]) == 0
    assert {path.name for path in target.iterdir()} == set(NAMES)


def test_install_where_others_can_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A directory is refused in which somebody else could put binaries of his own."""
    found = Installation(tmp_path)
    monkeypatch.setattr(installer, "weakness", lambda *_: "")
    found.bin.chmod(0o777)
    target = found.bin / "plugins"
    assert main(["plugins", "install", str(target), "bridge"]) == 1
    assert capsys.readouterr().err == (
        f"cnifast: {found.bin} can be changed by everybody, and root runs what is in {target}: "
        "take another directory, or say --force\n"
    )
    assert not target.exists()
    assert main(["plugins", "install", str(target), "bridge", "--force"]) == 0
    found.bin.chmod(0o1777)
    assert main(["plugins", "install", str(target), "bridge"]) == 0


def test_doctor(tmp_path: Path) -> None:
    """The doctor finds a binary that runs what somebody else can change."""
    ways.need_own_installation()
    found = Installation(tmp_path)
    target = tmp_path / "plugins"
    env = {**os.environ, "CNIFAST_SERVICE": "off"}

    def doctor() -> dict[str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "cnifast.cli", "doctor", str(target)],
            env=env, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return {line[4:].split()[0]: line for line in done.stdout.splitlines()}

    installer.install(str(target), ["bridge"])
    assert doctor()["owner"] == (
        "ok   owner       nobody but root can change binaries, or what they run"
    )
    image = (target / "bridge").read_bytes()

    (target / "bridge").write_bytes(
        shimfile.patch(image, f"{found.bin}/python3", f"{found.package}/cli/cold.py")
    )
    assert doctor()["bridge"].startswith("ok ")
    os.chown(found.package / "module.py", NOBODY, 0)
    row = doctor()["bridge"]
    assert row.startswith("BAD ")
    assert row.endswith(f"; {found.package}/module.py can be changed by its owner, user nobody")
    os.chown(found.package / "module.py", 0, 0)
    (target / "bridge").chmod(0o777)
    assert doctor()["bridge"].endswith(f"; {target}/bridge can be changed by everybody")
    target.chmod(0o777)
    assert doctor()["owner"] == f"BAD  owner       {target} can be changed by everybody"
