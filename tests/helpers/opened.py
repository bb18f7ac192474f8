"""What a process has open, which may open and close files meanwhile."""

from __future__ import annotations

import os
from contextlib import suppress


def open_files(pid: int) -> dict[str, str]:
    """Return what each descriptor of a process leads to, but for those it closes meanwhile."""
    directory = f"/proc/{pid}/fd"
    links = {}
    for fd in os.listdir(directory):
        with suppress(FileNotFoundError):
            links[fd] = os.readlink(f"{directory}/{fd}")
    return links
