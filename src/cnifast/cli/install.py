"""`cnifast plugins install`, `remove` and `list`: the binaries that a runtime executes."""

from __future__ import annotations

import os
import shutil
import sys
from contextlib import contextmanager

import cnifast
from cnifast.cli.owner import way_weakness, weakness
from cnifast.invoke import shimfile
from cnifast.plugins import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator, Sequence

PACKAGE = os.path.dirname(os.path.abspath(cnifast.__file__))
BINARY = f"{PACKAGE}/_bin/cnifast-shim"
SCRIPT = f"{PACKAGE}/cli/cold.py"
DIRECTORY = "/opt/cni/bin"
FOLDER = ".cnifast/"


class InstallError(RuntimeError):
    """Nothing was changed, for the reason given."""


def configure(parser: ArgumentParser) -> None:
    """Declare the sub-commands and options."""
    actions = parser.add_subparsers(dest="action", required=True)
    install_parser = actions.add_parser("install", help="put plugin binaries into a directory")
    install_parser.add_argument("directory", metavar="DIR")
    install_parser.add_argument("names", metavar="NAME", nargs="*", help=", ".join(NAMES))
    install_parser.add_argument(
        "--force",
        action="store_true",
        help="also replace binaries that are not ours, which stay as NAME.orig, and install where "
        "others than root can change the binaries, or what they run",
    )
    install_parser.add_argument(
        "--archive",
        metavar="FILE",
        help="take the binaries of a release archive, with all that they run, for a directory "
        "that another root or machine uses",
    )
    remove_parser = actions.add_parser(
        "remove", help="delete plugin binaries that are ours, and put NAME.orig back"
    )
    remove_parser.add_argument("directory", metavar="DIR")
    remove_parser.add_argument("names", metavar="NAME", nargs="*", help="all, if none is named")
    list_parser = actions.add_parser("list", help="say which plugins there are, and where from")
    list_parser.add_argument("directory", metavar="DIR", nargs="?", default=DIRECTORY)


def run(args: Namespace) -> int:
    """Do what was asked; return the exit status."""
    if args.action == "list":
        for name in NAMES:
            print(f"{name:12}{describe(os.path.join(args.directory, name))}")
        return 0
    try:
        if args.action == "remove":
            for path, done in remove(args.directory, args.names):
                print(f"{path}: {done}")
            return 0
        if not args.force:
            _require_trust(args.directory, runs_ours=not args.archive)
        for path in install(args.directory, args.names, force=args.force, archive=args.archive):
            print(path)
    except BrokenPipeError:
        raise
    except OSError as e:
        print(f"cnifast: {e.strerror or e}", file=sys.stderr)
        return 1
    except (InstallError, ValueError) as e:
        print(f"cnifast: {e}", file=sys.stderr)
        return 1
    return 0


def _require_trust(directory: str, *, runs_ours: bool) -> None:
    """Refuse a directory, or binaries, that would have root run what somebody else can change.

    Raises:
        InstallError: they would; the first such path is named.
    """
    weak = weakness(os.path.abspath(sys.executable), SCRIPT) if runs_ours else ""
    if weak:
        raise InstallError(
            f"{weak}, and a plugin binary would have root run it: install cnifast as root, "
            "in /opt/cnifast for example, or say --force"
        )
    weak = way_weakness(directory)
    if weak:
        raise InstallError(
            f"{weak}, and root runs what is in {directory}: take another directory, or say --force"
        )


def describe(path: str) -> str:
    """Return in words what is at the path of a plugin binary."""
    if not os.path.lexists(path):
        return "not installed"
    found = shimfile.examine(path)
    if found is None:
        return f"{path}: not ours"
    python, script = found.entry(path)
    if found.script:
        return f"{path}: cnifast {found.build}, {python}"
    package = os.path.dirname(script) or "a package of its own Python"
    return f"{path}: cnifast {found.build}, {python or 'no Python'} with {package}"


def install(
    directory: str, names: Sequence[str] = (), *, force: bool = False, archive: str | None = None
) -> list[str]:
    """Put the plugin binary under each name into a directory; return the paths.

    The binaries run the package that this is part of, or, with an archive, what that carries.
    Each file is replaced in one step, and keeps its old content when anything fails.

    Raises:
        InstallError: an unknown name, or a binary in the way that is not ours.
        ValueError: the paths of this installation do not fit into the binary, or the archive is
            not one of plugin binaries.
        OSError: a file cannot be read or written.
    """
    carried: dict[str, tuple[bytes, int]] = {}
    if os.path.lexists(directory):
        _require_directory(directory)
    if archive is None:
        with _doing("read", BINARY), open(BINARY, "rb") as file:
            image = shimfile.patch(file.read(), os.path.abspath(sys.executable), SCRIPT)
        images = dict.fromkeys(NAMES, image)
    else:
        images, carried = _unpack(archive)
    wanted = tuple(names) or tuple(images)
    _require_known(wanted, tuple(images))
    targets = {name: os.path.join(directory, name) for name in wanted}
    foreign = [t for t in targets.values() if os.path.lexists(t) and not shimfile.is_ours(t)]
    if foreign and not force:
        raise InstallError(
            f"{', '.join(foreign)}: not ours; --force replaces it and keeps it as NAME.orig"
        )
    with _doing("make", directory):
        os.makedirs(directory, exist_ok=True)
    for name, (data, mode) in carried.items():
        path = os.path.join(directory, name)
        with _doing("make", os.path.dirname(path)):
            os.makedirs(os.path.dirname(path), exist_ok=True)
        _replace(path, data, mode)
    for name, target in targets.items():
        if target in foreign:
            _keep(target)
        _replace(target, images[name])
    return list(targets.values())


def remove(directory: str, names: Sequence[str] = ()) -> Iterator[tuple[str, str]]:
    """Delete the binaries of ours in a directory, or those named; yield (path, what was done).

    Where there is a NAME.orig, it takes the place in one step.  What is not ours stays, and
    what the binaries of an archive run goes with the last of them.

    Raises:
        InstallError: there is no such directory, or no plugin of a name.
        OSError: a file cannot be deleted.
    """
    _require_directory(directory)
    _require_known(names, NAMES)
    for name in names or NAMES:
        path = os.path.join(directory, name)
        if os.path.lexists(path) and shimfile.examine(path) is None:
            yield path, "not ours, stays"
        elif os.path.lexists(f"{path}.orig"):
            with _doing("replace", path):
                os.replace(f"{path}.orig", path)
            yield path, f"{name}.orig is back"
        elif os.path.lexists(path):
            with _doing("delete", path):
                os.unlink(path)
            yield path, "deleted"
        elif names:
            yield path, "not installed"
    folder = os.path.join(directory, FOLDER.rstrip("/"))
    left = any(shimfile.examine(os.path.join(directory, name)) for name in NAMES)
    if os.path.isdir(folder) and not left:
        with _doing("delete", folder):
            shutil.rmtree(folder)
        yield folder, "deleted"


@contextmanager
def _doing(step: str, path: str) -> Iterator[None]:
    """Say of a failure what could not be done; the file it happened at may be a temporary one."""
    try:
        yield
    except OSError as e:
        raise OSError(f"cannot {step} {path}: {e.strerror or e}") from e


def _require_directory(path: str) -> None:
    """Refuse what is not a directory.

    Raises:
        InstallError: it is something else, or nothing.
    """
    if not os.path.isdir(path):
        raise InstallError(f"{path} is not a directory")


def _require_known(names: Sequence[str], known: Sequence[str]) -> None:
    """Refuse names that no plugin has.

    Raises:
        InstallError: there are such names.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise InstallError(f"no plugin named {', '.join(unknown)}: there are {', '.join(known)}")


def _unpack(archive: str) -> tuple[dict[str, bytes], dict[str, tuple[bytes, int]]]:
    """Return the plugin binaries of an archive by name, and what they run by path, with its mode.

    Raises:
        ValueError: it is no archive, or none of plugin binaries.
        OSError: it cannot be read.
    """
    import tarfile
    import zlib

    images, carried = {}, {}
    try:
        with _doing("read", archive):
            opened = tarfile.open(archive)  # noqa: SIM115 - closed below, where errors mean else
    except tarfile.TarError:
        raise ValueError(f"{archive}: not an archive") from None
    try:
        with _doing("read", archive), opened:
            for member in filter(tarfile.TarInfo.isreg, opened):
                name = os.path.normpath(member.name)
                file = opened.extractfile(member)
                data = file.read() if file else b""
                if name.startswith(FOLDER):
                    carried[name] = (data, member.mode & 0o755)
                elif "/" not in name and data.count(shimfile.MARK) == 1:
                    images[name] = data
    except (tarfile.TarError, EOFError, zlib.error) as e:
        raise ValueError(f"{archive}: the archive is damaged: {e}") from None
    if not (images and carried):
        raise ValueError(f"{archive}: not an archive of plugin binaries")
    return images, carried


def _keep(target: str) -> None:
    """Give a file a second name, NAME.orig."""
    spare = _temporary(target)
    with _doing("keep", target):
        try:
            os.link(target, spare, follow_symlinks=False)
        except OSError:  # not every file system has hard links; the copy fails where it must
            shutil.copy2(target, spare, follow_symlinks=False)
        os.replace(spare, target + ".orig")


def _replace(target: str, image: bytes, mode: int = 0o755) -> None:
    """Put a file at a path in one step, so that it is there whole whatever happens."""
    spare = _temporary(target)
    with _doing("write", target):
        fd = os.open(spare, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o700)
        try:
            try:
                with open(fd, "wb") as file:
                    file.write(image)
                    file.flush()
                    os.fchmod(fd, mode)
                    os.fsync(fd)
                os.replace(spare, target)
            except BaseException:
                os.unlink(spare)
                raise
        finally:
            _sync(os.path.dirname(target) or ".")


def _sync(directory: str) -> None:
    """Have the names in a directory written to the disk."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _temporary(target: str) -> str:
    """Return a name beside the target that no runtime takes for a plugin."""
    directory, name = os.path.split(target)
    return os.path.join(directory, f".{name}.{os.getpid()}.new")
