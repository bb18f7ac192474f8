"""Fixtures of every test: private nodes, ways to execute plugins, the reference to compare with."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers import ways
from helpers.node import open_node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node
    from helpers.plugin import Runner

ROOT = Path(__file__).parents[1]


pytest_plugins = ["helpers.effort", "helpers.second_kernel"]


@pytest.fixture
def node() -> Iterator[Node]:
    """A fresh private node that the test (and every program it starts) is on."""
    opened = open_node()
    try:
        yield opened
    finally:
        opened.close()


@pytest.fixture
def clean_node(node: Node) -> Iterator[Node]:
    """A node on which the test must leave nothing: no link but bridges, no process."""
    yield node
    assert node.strays() == []
    assert node.processes() == []


@pytest.fixture(scope="session")
def reference() -> str:
    """The directory of the reference's plugins (CNIFAST_REFERENCE, else Debian's)."""
    directory = os.environ.get("CNIFAST_REFERENCE", "/usr/lib/cni")
    if shutil.which("bridge", path=directory) is None:
        pytest.skip(f"no reference plugins in {directory} (Debian: containernetworking-plugins)")
    return directory


@pytest.fixture(scope="session")
def plugin_directory(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A directory with cnifast's plugin binaries, as `cnifast plugins install` makes it."""
    directory = tmp_path_factory.mktemp("plugins")
    subprocess.run(
        [
            ways.COMMAND,
            "plugins",
            "install",
            "--force",
            str(directory),
        ],  # whosever this checkout is
        check=True,
        capture_output=True,
    )
    return str(directory)


@pytest.fixture
def service(node: Node) -> Iterator[ways.Service]:  # noqa: ARG001 - it is on the node
    """`cnifast serve` on the test's node; it must stop properly when it is told to."""
    running = ways.Service()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0, running.log


@pytest.fixture
def inproc(node: Node, plugin_directory: str) -> Iterator[Runner]:  # noqa: ARG001 - it is there
    """Plugins called as functions, by a program on the node."""
    program = ways.InprocRunner(plugin_directory)
    yield program
    program.close()


@pytest.fixture(params=ways.NAMES)
def runner(
    request: pytest.FixtureRequest,
    node: Node,  # noqa: ARG001 - the programs are on the node
    plugin_directory: str,
) -> Iterator[Runner]:
    """Each way to execute cnifast's plugins, one after the other."""
    if request.param == "cold":
        yield ways.cold(plugin_directory)
    elif request.param == "warm":
        request.getfixturevalue("service")
        yield ways.warm(plugin_directory)
    else:
        yield request.getfixturevalue("inproc")


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
def archive(release: Path) -> Path:
    """The archive of the release."""
    (found,) = release.glob("*.tgz")
    return found
