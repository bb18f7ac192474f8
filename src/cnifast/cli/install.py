"""`cnifast plugins install` and `list`: the binaries that a runtime executes."""

from __future__ import annotations

import os
import shutil
import sys

import cnifast
from cnifast.cli.owner import way_weakness, weakness
from cnifast.invoke import shimfile
from cnifast.plugins import NAMES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

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
    list_parser = actions.add_parser("list", help="say which plugins there are, and where from")
    list_parser.add_argument("directory", metavar="DIR", nargs="?", default=DIRECTORY)


def run(args: Namespace) -> int:
    """Do what was asked; return the exit status."""
    if args.action == "list":
        for name in NAMES:
            print(f"{name:12}{describe(os.path.join(args.directory, name))}")
        return 0
    try:
        if not args.force:
            _require_trust(args.directory, runs_ours=not args.archive)
        for path in install(args.directory, args.names, force=args.force, archive=args.archive):
            print(path)
    except (InstallError, OSError, ValueError) as e:
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
    if archive is None:
        with open(BINARY, "rb") as file:
            image = shimfile.patch(file.read(), os.path.abspath(sys.executable), SCRIPT)
        images = dict.fromkeys(NAMES, image)
    else:
        images, carried = _unpack(archive)
    wanted = tuple(names) or tuple(images)
    unknown = [name for name in wanted if name not in images]
    if unknown:
        raise InstallError(f"no plugin named {', '.join(unknown)}: there are {', '.join(images)}")
    targets = {name: os.path.join(directory, name) for name in wanted}
    foreign = [t for t in targets.values() if os.path.lexists(t) and not shimfile.is_ours(t)]
    if foreign and not force:
        raise InstallError(
            f"{', '.join(foreign)}: not ours; --force replaces it and keeps it as NAME.orig"
        )
    os.makedirs(directory, exist_ok=True)
    for name, (data, mode) in carried.items():
        path = os.path.join(directory, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _replace(path, data, mode)
    for name, target in targets.items():
        if target in foreign:
            _keep(target)
        _replace(target, images[name])
    return list(targets.values())


def _unpack(archive: str) -> tuple[dict[str, bytes], dict[str, tuple[bytes, int]]]:
    """Return the plugin binaries of an archive by name, and what they run by path, with its mode.

    Raises:
        ValueError: it is no archive, or none of plugin binaries.
        OSError: it cannot be read.
    """
    import tarfile

    images, carried = {}, {}
    try:
        with tarfile.open(archive) as opened:
            for member in filter(tarfile.TarInfo.isreg, opened):
                name = os.path.normpath(member.name)
                file = opened.extractfile(member)
                data = file.read() if file else b""
                if name.startswith(FOLDER):
                    carried[name] = (data, member.mode & 0o755)
                elif "/" not in name and data.count(shimfile.MARK) == 1:
                    images[name] = data
    except (tarfile.TarError, EOFError) as e:
        raise ValueError(f"{archive}: {e}") from None
    if not (images and carried):
        raise ValueError(f"{archive}: not an archive of plugin binaries")
    return images, carried


def _keep(target: str) -> None:
    """Give a file a second name, NAME.orig."""
    spare = _temporary(target)
    try:
        os.link(target, spare, follow_symlinks=False)
    except OSError:  # not every file system has hard links; the copy fails where it must
        shutil.copy2(target, spare, follow_symlinks=False)
    os.replace(spare, target + ".orig")


def _replace(target: str, image: bytes, mode: int = 0o755) -> None:
    """Put a file at a path in one step, so that it is there whole whatever happens."""
    spare = _temporary(target)
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
        directory = os.open(os.path.dirname(target) or ".", os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _temporary(target: str) -> str:
    """Return a name beside the target that no runtime takes for a plugin."""
    directory, name = os.path.split(target)
    return os.path.join(directory, f".{name}.{os.getpid()}.new")
