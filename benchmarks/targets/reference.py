"""The reference plugins (containernetworking/plugins), as Debian packages them."""

from __future__ import annotations

import os
from typing import ClassVar

from benchmarks.harness import debian_version
from benchmarks.targets import Plugins

DIRECTORY = os.environ.get("CNIFAST_BENCH_REFERENCE", "/usr/lib/cni")


class Reference(Plugins):
    """Executes the Go plugins, which execute their IPAM plugin and iptables."""

    name: ClassVar[str] = "reference"
    directory: ClassVar[str] = DIRECTORY

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        if os.access(f"{DIRECTORY}/bridge", os.X_OK):
            return None
        return f"no reference plugins in {DIRECTORY} (Debian: containernetworking-plugins)"

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return f"containernetworking-plugins {debian_version('containernetworking-plugins')}"
