"""cnifast without its service: each call is a fresh Python interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from benchmarks.targets import Plugins
from benchmarks.targets.service import DIRECTORY, install, installed_version, why_missing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from benchmarks.node import Node


class Cold(Plugins):
    """Executes the shims, which find no service and execute Python."""

    name: ClassVar[str] = "cold"
    directory: ClassVar[str] = DIRECTORY
    env: ClassVar[Mapping[str, str]] = {"CNIFAST_SERVICE": "off"}

    def __init__(self, node: Node) -> None:
        super().__init__(node)
        install(node)

    @staticmethod
    def missing() -> str | None:
        """Return why this competitor cannot run here, or None."""
        return why_missing()

    @staticmethod
    def version() -> str:
        """Return what is measured, with its version."""
        return f"{installed_version()}, service off"
