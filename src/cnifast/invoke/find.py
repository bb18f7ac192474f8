"""Finding a plugin's program on CNI_PATH."""

from __future__ import annotations

import os
from stat import S_ISREG

from cnifast.protocol.codec import quote
from cnifast.protocol.errors import INTERNAL, CNIError


def find_in_path(plugin: str, path: str) -> str:
    """Return the path of what `find` finds.

    Raises:
        CNIError: as `find` does.
    """
    return find(plugin, path)[0]


def find(plugin: str, path: str) -> tuple[str, os.stat_result]:
    """Return path and status of the first regular file named ``plugin`` in ``path``.

    Args:
        plugin: a plain file name.
        path: directories joined by ":", as CNI_PATH has them.

    Raises:
        CNIError: the name is empty or leads elsewhere, there are no directories, or none of
            them has such a file (code 999).
    """
    if not plugin:
        raise CNIError(INTERNAL, "no plugin name provided")
    if "/" in plugin or "\0" in plugin:
        raise CNIError(INTERNAL, f"invalid plugin name: {quote(plugin)}")
    if not path:
        raise CNIError(INTERNAL, "no paths provided")
    directories = path.split(":")
    for directory in directories:
        candidate = f"{directory}/{plugin}" if directory else plugin
        try:
            status = os.stat(candidate)
            if S_ISREG(status.st_mode):
                return candidate, status
        except (OSError, ValueError):
            continue
    raise CNIError(
        INTERNAL, f"failed to find plugin {quote(plugin)} in path [{' '.join(directories)}]"
    )
