"""The Python libraries that are compared: their names, and their modules in this folder."""

from __future__ import annotations

from importlib.metadata import version

LIBRARIES = {"cnifast": "inproc", "pyroute2": "pyroute2"}


def versions() -> dict[str, str]:
    """Return the installed versions."""
    return {name: f"{name} {version(name)}" for name in LIBRARIES}
