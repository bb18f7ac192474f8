"""Files that others write or that are written for others, at paths from a configuration."""

from __future__ import annotations

import os
from stat import S_ISFIFO

from cnifast.protocol.errors import PLUGIN_NOT_AVAILABLE, CNIError

SIZE_MAX = 1 << 20  # bytes
_CHUNK = 1 << 13  # more than most files have


def read(path: str) -> bytes:
    """Return what is in a file, without waiting, and not without end.

    Raises:
        OSError: it cannot be read.
        ValueError: it is a pipe, or has more than SIZE_MAX bytes.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        if S_ISFIFO(os.fstat(fd).st_mode):
            raise ValueError(f"{path}: a pipe is no file")
        chunks = []
        left = SIZE_MAX
        while chunk := os.read(fd, _CHUNK):
            left -= len(chunk)
            if left < 0:
                raise ValueError(f"{path}: larger than 1 MiB")
            chunks.append(chunk)
    finally:
        os.close(fd)
    return b"".join(chunks)


def require_writable(directory: str) -> None:
    """Refuse a directory in which no file can be made, or that cannot be made itself.

    Raises:
        CNIError: it is so (code 50); the text names what cannot be written.
    """
    path = directory
    while not os.path.lexists(path):
        path = os.path.dirname(path) or "."
    if not os.access(path, os.W_OK | os.X_OK):
        raise CNIError(PLUGIN_NOT_AVAILABLE, f"{path} cannot be written")
