"""The plugin binary as a file: recognising it, and telling it where its Python is.

The binary carries a buffer of fixed size behind a mark (csrc/shim/shim.h, ``shim_place``):
its build id, the interpreter, and the script that enters the cold path.  A binary that was told
neither, as those of release archives are, looks for them itself (csrc/shim/cold.c).
"""

from __future__ import annotations

import os

MARK = b"cnifast-shim-v1\n"
BUILD_ROOM = 16
PATH_ROOM = 1008
INTERPRETERS = ("/usr/bin/python3", "/usr/local/bin/python3")  # where a binary looks by itself
BESIDE = ".cnifast/{build}/start.py"  # the script that it looks for in its own directory
SIZE_MAX = 1 << 18  # bytes; what is larger is not read

_ELF = b"\x7fELF"
_BUILD = len(MARK)
_PYTHON = _BUILD + BUILD_ROOM
_SCRIPT = _PYTHON + PATH_ROOM
_END = _SCRIPT + PATH_ROOM

_known: dict[str, tuple[tuple[int, int, int, int], bool]] = {}


class ShimFile:
    """What a binary of ours says about itself; the paths are empty before it is installed."""

    __slots__ = ("build", "python", "script")

    def __init__(self, build: str, python: str, script: str) -> None:
        self.build = build
        self.python = python
        self.script = script

    def entry(self, path: str) -> tuple[str, str]:
        """Return (interpreter, script) of the cold path of this binary at a path.

        They are those that it was told, or what it finds by itself; a text is empty where it
        would find nothing.
        """
        if self.python and self.script:
            return self.python, self.script
        script = os.path.join(
            os.path.dirname(os.path.realpath(path)), BESIDE.format(build=self.build)
        )
        python = next(filter(os.path.exists, INTERPRETERS), "")
        return python, script if os.path.exists(script) else ""


def is_ours(path: str, status: os.stat_result | None = None) -> bool:
    """Tell whether the file at a path is our plugin binary; what cannot be read is not.

    ``status`` is the file's, for callers who have it.  The answer is remembered for as long as
    the file stays the same.
    """
    try:
        st = status or os.stat(path)
    except OSError:
        return False
    identity = (st.st_dev, st.st_ino, st.st_mtime_ns, st.st_size)
    known = _known.get(path)
    if known is not None and known[0] == identity:
        return known[1]
    ours = st.st_size <= SIZE_MAX and examine(path) is not None
    _known[path] = (identity, ours)
    return ours


def examine(path: str) -> ShimFile | None:
    """Return what our plugin binary at a path says, None when the file is something else."""
    try:
        with open(path, "rb") as file:
            image = file.read(SIZE_MAX + 1)
    except OSError:
        return None
    at = _find(image)
    if at < 0:
        return None
    return ShimFile(
        _text(image[at + _BUILD : at + _PYTHON]),
        _text(image[at + _PYTHON : at + _SCRIPT]),
        _text(image[at + _SCRIPT : at + _END]),
    )


def patch(image: bytes, python: str, script: str) -> bytes:
    """Return the binary with the paths of the interpreter and of the cold path's script in it.

    Raises:
        ValueError: the binary is none of ours, or a path is not absolute or too long.
    """
    at = _find(image)
    if at < 0:
        raise ValueError("not a plugin binary of cnifast")
    rooms = []
    for path in (python, script):
        encoded = os.fsencode(path)
        if not path.startswith("/") or b"\0" in encoded:
            raise ValueError(f"{path!r} is not an absolute path")
        if len(encoded) >= PATH_ROOM:
            raise ValueError(f"a path of {len(encoded)} bytes does not fit: {path}")
        rooms.append(encoded.ljust(PATH_ROOM, b"\0"))
    return image[: at + _PYTHON] + b"".join(rooms) + image[at + _END :]


def _find(image: bytes) -> int:
    """Return where the mark is, -1 when the image is none of ours."""
    if not image.startswith(_ELF) or len(image) > SIZE_MAX or image.count(MARK) != 1:
        return -1
    at = image.index(MARK)
    return at if at + _END <= len(image) else -1


def _text(room: bytes) -> str:
    """Return the text before the first NUL."""
    return os.fsdecode(room.split(b"\0", 1)[0])
