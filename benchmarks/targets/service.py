"""cnifast as it is deployed: its plugin binaries, and the service running."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from benchmarks.harness import require
from benchmarks.node import PATH
from benchmarks.targets import Plugins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.node import Node

DIRECTORY = "/run/cnifast-bin"
SOCKET = "/run/cnifast/cnifast.sock"
START_TIMEOUT = 20.0


def cnifast() -> str:
    """Return the command line tool that belongs to this interpreter."""
    return str(Path(sys.executable).parent / "cnifast")


def why_missing() -> str | None:
    """Return why cnifast cannot run here, or None."""
    return None if os.access(cnifast(), os.X_OK) else "cnifast is not installed"


def installed_version() -> str:
    """Return the version of the installed cnifast."""
    done = subprocess.run([cnifast(), "--version"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "?"


def install(node: Node) -> None:
    """Put the plugin binaries into a directory of the node."""
    node.do(cnifast(), "plugins", "install", DIRECTORY)


class Service(Plugins):
    """Executes the shims, which ask the service."""

    name: ClassVar[str] = "cnifast"
    directory: ClassVar[str] = DIRECTORY
    env: ClassVar[Mapping[str, str]] = {"CNIFAST_SERVICE": "required"}

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        install(node)
        self._log = node.path("/run/service.log").open("wb")
        self._service = node.popen(
            [cnifast(), "serve", "--socket", SOCKET],
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            env={"PATH": PATH, "PYTHONNOUSERSITE": "1"},
        )
        deadline = time.monotonic() + START_TIMEOUT
        while not node.path(SOCKET).exists():
            require(time.monotonic() < deadline and self._service.poll() is None, self.log())
            time.sleep(0.05)

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        return why_missing()

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return f"{installed_version()}, service running"

    def log(self) -> str:
        """Return what the service had to say."""
        return self.node.path("/run/service.log").read_text(errors="replace")

    def process(self) -> Path:
        """Return the service's folder in /proc."""
        return self.node.find("serve", "--socket", SOCKET)

    def close(self) -> None:
        """Stop the service."""
        self._service.terminate()
        self._service.wait()
        self._log.close()
