"""A release, built once, and its archive unpacked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def wheel(release: Path) -> Path:
    """The wheel of the release."""
    (found,) = release.glob("*.whl")
    return found


@pytest.fixture
def unpacked(archive: Path, tmp_path: Path) -> Path:
    """A directory that the archive was unpacked into."""
    if not Path("/usr/bin/python3").exists():
        pytest.skip("needs /usr/bin/python3, where plugin binaries look for it")
    directory = tmp_path / "bin"
    directory.mkdir()
    subprocess.run(["tar", "-C", directory, "-xzf", archive], check=True)
    return directory


def without_folder(directory: Path) -> Path:
    """Take the folder beside the binaries away; return the directory."""
    shutil.rmtree(directory / ".cnifast")
    return directory
