"""`cnifast doctor`: what a call would meet on this machine, and what stands in its way."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from cnifast import __version__
from cnifast.cli.features import missing
from cnifast.cli.install import BINARY, DIRECTORY, SCRIPT, describe
from cnifast.cli.owner import way_weakness, weakness
from cnifast.invoke import shimfile
from cnifast.ipam.dhcp import hosted
from cnifast.kernel import KernelError
from cnifast.plugins import NAMES
from cnifast.protocol.wire import WireError
from cnifast.service import Settings
from cnifast.service.listener import check_directory
from cnifast.service.probe import probe
from cnifast.service.settings import CONFIG, KEYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

    Finding = tuple[bool, str, str]
    """Whether it is in order, what was looked at, what was found."""

COLD_SECONDS = 20


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "directory", metavar="DIR", nargs="?", default=DIRECTORY, help="where the binaries are"
    )


def run(args: Namespace) -> int:
    """Print the findings; return 1 when a call could not be answered."""
    bad = False
    for ok, what, found in examine(args.directory):
        bad |= not ok
        print(f"{'ok ' if ok else 'BAD'}  {what:12}{found}")
    return int(bad)


def examine(directory: str) -> Iterator[Finding]:
    """Look at everything that a call of a plugin in ``directory`` needs."""
    yield True, "version", __version__
    yield _kernel()
    try:
        settings = Settings.read()
    except OSError as e:
        yield False, "settings", e.strerror or str(e)
        return
    except ValueError as e:
        yield False, "settings", str(e)
        return
    yield _settings(settings)
    if settings.mode != "off":
        yield _service(settings)
    if settings.mode != "required":
        yield _cold()
    yield not _absence(BINARY), "binary", _absence(BINARY) or BINARY
    open_way = way_weakness(directory)
    weak = weakness(os.path.abspath(sys.executable), SCRIPT) or open_way
    yield not weak, "owner", weak or "nobody but root can change binaries, or what they run"
    if not os.path.isdir(directory):
        absent = _absence(directory) or f"{directory} is not a directory"
        yield directory == DIRECTORY, "directory", f"{absent}; no plugin is installed there"
        return
    known: dict[tuple[str, str], str] = {}
    for name in NAMES:
        path = os.path.join(directory, name)
        weak = _weakness(path, known) or ("" if open_way else way_weakness(path))
        wrong = [*filter(None, (_trouble(path), weak))]
        yield not wrong, name, "; ".join([describe(path), *wrong])


def _kernel() -> Finding:
    """Find out what the kernel cannot do; that matters to those who use it."""
    release = os.uname().release
    try:
        without = list(missing())
    except KernelError as e:
        return True, "kernel", f"{release}, what it can do is not known ({e})"
    return True, "kernel", f"{release}, without {', '.join(without)}" if without else release


def _settings(settings: Settings) -> Finding:
    """Find out what of the settings has no meaning, and would be ignored or end a service."""
    wrong = [f"{CONFIG}: {key} is unknown: there are {', '.join(KEYS)}" for key in settings.unknown]
    try:
        hosted.read(CONFIG)
    except ValueError as e:
        wrong.append(str(e))
    found = f"service={settings.mode} socket={settings.socket}"
    return not wrong, "settings", "; ".join([found, *wrong])


def _service(settings: Settings) -> Finding:
    """Find out whether a service answers; without one, only `required` is in trouble."""
    try:
        check_directory(os.path.dirname(settings.socket))
        return True, "service", probe(settings.socket)
    except (FileNotFoundError, ConnectionRefusedError) as e:
        return settings.mode != "required", "service", f"none ({e.strerror})"
    except OSError as e:
        where = e.filename or settings.socket
        return False, "service", f"{where}: {e.strerror}" if e.strerror else str(e)
    except WireError as e:
        return False, "service", str(e)


def _cold() -> Finding:
    """Run a call without effect through the cold path."""
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-Xutf8", SCRIPT, "loopback"],
            env={"CNI_COMMAND": "STATUS", "CNI_PATH": "/"},
            input=b'{"cniVersion":"1.1.0","name":"doctor","type":"loopback"}',
            capture_output=True,
            timeout=COLD_SECONDS,
            check=False,
        )
    except OSError as e:
        return False, "cold path", f"cannot start {sys.executable}: {e.strerror or e}"
    except subprocess.TimeoutExpired:
        return False, "cold path", f"no answer within {COLD_SECONDS} seconds"
    ms = (time.monotonic() - start) * 1000
    if done.returncode:
        said = (done.stdout or done.stderr).decode(errors="replace").strip()
        return False, "cold path", f"exit status {done.returncode}: {said}"
    return True, "cold path", f"works, {ms:.0f} ms"


def _trouble(path: str) -> str:
    """Return why what is at the path of a plugin would not work, "" if it would or is not there."""
    if not os.path.lexists(path):
        return ""
    if not os.path.isfile(path):
        return _absence(path) or "not a file"
    if not os.access(path, os.X_OK):
        return "may not be executed"
    found = shimfile.examine(path)
    if found is None:
        return ""
    python, script = found.entry(path)
    if not python:
        return f"there is no {' or '.join(shimfile.INTERPRETERS)}"
    absent = _absence(python) or (_absence(script) if script else "")
    if absent:
        return absent
    if not os.access(python, os.X_OK):
        return f"{python} may not be executed"
    return "" if script or _has_package(python) else f"{python} has no cnifast"


def _absence(path: str) -> str:
    """Return why there is nothing at a path, "" if there is something."""
    try:
        os.stat(path)
    except OSError as e:
        return f"{path}: {e.strerror}"
    return ""


def _weakness(path: str, known: dict[tuple[str, str], str]) -> str:
    """Return who could change what the binary at a path runs, "" for nobody; most run the same."""
    found = shimfile.examine(path)
    if found is None:
        return ""
    entry = found.entry(path)
    if entry not in known:
        known[entry] = weakness(*entry) if entry[0] else ""
    return known[entry]


def _has_package(python: str) -> bool:
    """Tell whether a Python has a cnifast of its own."""
    command = [python, "-I", "-c", "import cnifast"]
    return not subprocess.run(command, capture_output=True, check=False).returncode
