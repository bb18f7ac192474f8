"""The two sets of plugin binaries that most questions are about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.targets.reference import Reference
from benchmarks.targets.service import Service

if TYPE_CHECKING:
    from benchmarks.targets import Plugins

PLUGINS: list[type[Plugins]] = [Reference, Service]
