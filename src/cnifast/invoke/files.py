"""Files at paths from a configuration: those of others are read, and ours appear whole.

Whoever keeps something writes a `Draft` and has it put in place of what is there.
"""

from __future__ import annotations

import os
from stat import S_ISDIR, S_ISFIFO

from cnifast.protocol.errors import PLUGIN_NOT_AVAILABLE, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

SIZE_MAX = 1 << 20  # bytes
_CHUNK = 1 << 13  # more than most files have
_EISDIR = 21
_MODE = 0o600
_DIRECTORY_MODE = 0o700


def read(path: str) -> bytes:
    """Return what is in a file, without waiting, and not without end.

    Raises:
        OSError: it cannot be read.
        ValueError: it is a pipe, or has more than SIZE_MAX bytes.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        mode = os.fstat(fd).st_mode
        if S_ISFIFO(mode):
            raise ValueError(f"{path}: a pipe is no file")
        if S_ISDIR(mode):
            raise OSError(_EISDIR, os.strerror(_EISDIR), path)
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


class Draft:
    """A file on its way to a path, where it is with all its content or not at all.

    A context manager; leaving it lets go of what was not put in place.  Its directory is made if
    there is none.  A named draft is beside the path, under the name that `draft_of` tells: whoever
    kept the file removes that too, since a process that was killed may have left it.  One that is
    not has no name before it is complete, where the file system can do that; so nothing keeps its
    directory from being removed.  What is durable is on disk once it is in place.
    """

    __slots__ = ("_durable", "_fd", "_name", "made_directory", "path")

    def __init__(self, path: str, *, named: bool = True, durable: bool = False) -> None:
        """Make sure that there is a place for the file.

        Raises:
            OSError: there is none.
        """
        self.path = path
        self.made_directory = False
        self._durable = durable
        self._name = ""
        while True:
            try:
                self._fd = self._create() if named else self._create_unnamed()
            except FileNotFoundError:  # or somebody has removed it again
                os.makedirs(os.path.dirname(path), _DIRECTORY_MODE, exist_ok=True)
                self.made_directory = True
            else:
                return

    def _create(self, name: str = "") -> int:
        """Create a file under a name, by default the draft's own."""
        name = name or draft_of(self.path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        while True:
            try:
                fd = os.open(name, flags, _MODE)
            except FileExistsError:  # it may be a link, or a second name of a file in use
                unlink(name)
            else:
                self._name = name
                return fd

    def _create_unnamed(self) -> int:
        """Create a file that is nowhere yet."""
        flags = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
        try:
            return os.open(os.path.dirname(self.path), flags, _MODE)
        except FileNotFoundError:
            raise
        except OSError:  # not every file system has files without a name
            return self._create(self._unused())

    def _unused(self) -> str:
        """Return a name beside the path that nobody else uses, however long the path's own is."""
        return os.path.join(os.path.dirname(self.path), f".{os.urandom(8).hex()}.tmp")

    def commit(self, content: bytes) -> None:
        """Write the file and put it in place of the one that is there.

        Raises:
            OSError: that cannot be done; what is there stays.
        """
        self.write(content)
        if self._name:
            self.replace(self.path)
            return
        try:
            self.link(self.path)
        except FileExistsError:
            self.replace(self.path)

    def write(self, content: bytes) -> None:
        """Write all of the content.

        Raises:
            OSError: it cannot be written.
        """
        left = memoryview(content)
        while left:
            left = left[os.write(self._fd, left) :]
        if self._durable:
            os.fsync(self._fd)

    def link(self, path: str) -> None:
        """Put it at a path in its directory where nothing is.

        Raises:
            FileExistsError: something is.
            OSError: it cannot be put there.
        """
        self._link(path)
        try:
            self._settle()
        except OSError:
            unlink(path)
            raise

    def replace(self, path: str) -> None:
        """Put it at a path in its directory, whatever is there.

        Raises:
            OSError: it cannot be put there.
        """
        if not self._name:
            name = self._unused()
            self._link(name)
            self._name = name
        os.rename(self._name, path)
        self._name = ""
        self._settle()

    def _link(self, path: str) -> None:
        """Give the file a further name."""
        if self._name:
            os.link(self._name, path)
            return
        # Symbolic links are only followed where a directory is given, which is not looked at.
        source = f"/proc/self/fd/{self._fd}"
        os.link(source, path, src_dir_fd=self._fd, follow_symlinks=True)

    def _settle(self) -> None:
        """Have the names in the directory on disk if the file is to be."""
        if not self._durable:
            return
        fd = os.open(os.path.dirname(self.path), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        os.close(self._fd)
        if self._name:
            unlink(self._name)


def draft_of(path: str) -> str:
    """Return where the named draft of a file is: beside it, with a dot before its name."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}")


def replace(path: str, content: bytes) -> None:
    """Have a content at a path, whole or not at all; see `Draft`.

    Raises:
        OSError: that cannot be done; what is there stays.
    """
    with Draft(path) as draft:
        draft.commit(content)


def remove(path: str) -> None:
    """Remove a file and its draft, if they are there.

    Raises:
        OSError: one cannot be removed.
    """
    unlink(path)
    unlink(draft_of(path))


def unlink(path: str) -> None:
    """Remove a file if it is there."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return


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
