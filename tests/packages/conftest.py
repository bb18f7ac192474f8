"""A release, built once, and its archive unpacked."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a release (CNIFAST_RELEASE, else built from this checkout)."""
    if given := os.environ.get("CNIFAST_RELEASE"):
        return Path(given)
    directory = tmp_path_factory.mktemp("release")
    built = subprocess.run(
        ["bash", ROOT / "wheels" / "build.sh", directory],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CNIFAST_VENV": str(directory / "venv")},
    )
    assert built.returncode == 0, built.stdout + built.stderr
    return directory


@pytest.fixture(scope="session")
def wheel(release: Path) -> Path:
    """The wheel of the release."""
    (found,) = release.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def archive(release: Path) -> Path:
    """The archive of the release."""
    (found,) = release.glob("*.tgz")
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
