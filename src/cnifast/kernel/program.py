"""Programs of others, for the little that netlink cannot do: finding them, and running them.

A program runs in a network namespace, reads its standard input from memory, and is killed when it
does not end in time.

It is the program of whoever runs this: of the service, for a caller that may have others.  So what
it changes must be the kernel's and nobody else's, and `find_below` tells what the caller has.
"""

from __future__ import annotations

from os import X_OK, access, environ, readlink

from cnifast._native import ffi, lib
from cnifast._native.errors import NoSuchObjectError, check, new_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

TIMEOUT_MS = 20_000
DIRECTORIES = "/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin"
_WORDS_MAX = 2048  # bytes of what a program says that are kept
_OUTPUT_MAX = 1 << 20
_SHELL = "/bin/sh"
_ENOENT = 2
_LINKS_MAX = 40


def find(names: Sequence[str]) -> str:
    """Return the path of the first of the programs that is installed.

    Raises:
        FileNotFoundError: none is.
    """
    directories = f"{environ.get('PATH', '')}:{DIRECTORIES}".split(":")
    for name in names:
        for directory in directories:
            path = f"{directory}/{name}"
            if directory.startswith("/") and access(path, X_OK):
                return path
    raise NoSuchObjectError(_ENOENT, f"{names[0]} is not installed")


def find_below(root: str, name: str) -> str:
    """Return where a program is for whoever has a root directory, links followed; "" for none."""
    for directory in DIRECTORIES.split(":"):
        path = _followed(root, f"{directory}/{name}")
        if path and access(root + path, X_OK):
            return path
    return ""


def _followed(root: str, path: str) -> str:
    """Return where a path leads below a root directory, "" where links go round."""
    found: list[str] = []
    todo = path.split("/")[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            found[-1:] = []
            continue
        try:
            target = readlink("/".join([root, *found, part]))  # noqa: PTH115 - as the others here
        except OSError:  # it is no link
            found.append(part)
            continue
        links += 1
        if links > _LINKS_MAX:
            return ""
        if target.startswith("/"):
            found.clear()
        todo += target.split("/")[::-1]
    return "/".join(["", *found])


def run(netns: int, argv: Sequence[str], text: str = "") -> tuple[int, str]:
    """Run a program in a namespace (-1: here); its exit code and what it said on stderr.

    Raises:
        TimeoutError: it did not end in time.
        KernelError: it cannot be executed.
    """
    return _run(netns, argv, text, _WORDS_MAX)


def output(netns: int, argv: Sequence[str]) -> tuple[int, str]:
    """Run a program in a namespace (-1: here); its exit code and all that it wrote.

    Raises:
        TimeoutError: it did not end in time.
        KernelError: it cannot be executed.
    """
    return _run(netns, [_SHELL, "-c", 'exec "$0" "$@" >&2', *argv], "", _OUTPUT_MAX)


def _run(netns: int, argv: Sequence[str], text: str, room: int) -> tuple[int, str]:
    """Run a program and keep so many bytes of what it writes on stderr."""
    err = new_error()
    kept = [ffi.new("char []", word.encode()) for word in argv]
    words = ffi.new("char *[]", [*kept, ffi.NULL])
    said = ffi.new("char []", room)
    status = ffi.new("int *")
    given = text.encode()
    check(
        lib.cnif_netns_run(netns, words, given, len(given), TIMEOUT_MS, said, room, status, err),
        err,
    )
    found: bytes = ffi.string(said)
    return int(status[0]), found.decode(errors="replace").strip()
