"""podman as tests use it: with the configuration of deploy/, on a node."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from helpers.node import TOOLS_PATH

from .conftest import DEPLOY

# Within what a test's own process may give: podman would ask for more.
LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024")


class Podman:
    """podman on a node, with the configuration of deploy/ and nothing of the machine's."""

    def __init__(self, rootfs: str, mode: str) -> None:
        self.rootfs = rootfs
        self._env = {
            "PATH": TOOLS_PATH,
            "HOME": "/run",
            "CONTAINERS_CONF": str(DEPLOY / "podman" / "containers.conf"),
            "CNIFAST_SERVICE": mode,
        }

    def __call__(self, *arguments: str) -> str:
        """Run a command of podman; return what it printed."""
        own = "--root=/run/storage --runroot=/run/storage-run --events-backend=file".split()  # noqa: SIM905
        done = subprocess.run(
            ["podman", *own, "--cgroup-manager=cgroupfs", "--runtime=crun", *arguments],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.strip()

    def run(self, name: str, *options: str, command: str = "/bin/sleep 1000") -> dict[str, Any]:
        """Start a container; return what podman knows of its network."""
        where = ["--name", name, "--cgroups=disabled", *LIMITS, *options, "--rootfs", self.rootfs]
        self("run", "-d", *where, *command.split())
        found: dict[str, Any] = json.loads(self("inspect", name))[0]["NetworkSettings"]
        return found
