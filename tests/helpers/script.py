"""Plugins of third parties: shell scripts that do whatever a test needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def script(directory: Path, text: str, name: str = "plugin") -> str:
    """Write a shell script that can be executed, and return its path."""
    path = directory / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)
