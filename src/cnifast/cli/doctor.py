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
from cnifast.kernel import KernelError
from cnifast.plugins import NAMES
from cnifast.protocol.wire import WireError
from cnifast.service import Settings
from cnifast.service.listener import check_directory
from cnifast.service.probe import probe

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
    except (OSError, ValueError) as e:
        yield False, "settings", str(e)
        return
    yield True, "settings", f"service={settings.mode} socket={settings.socket}"
    if settings.mode != "off":
        yield _service(settings)
    if settings.mode != "required":
        yield _cold()
    yield os.path.exists(BINARY), "binary", BINARY
    open_way = way_weakness(directory)
    weak = weakness(os.path.abspath(sys.executable), SCRIPT) or open_way
    yield not weak, "owner", weak or "nobody but root can change binaries, or what they run"
    known: dict[tuple[str, str], str] = {}
    for name in NAMES:
        path = os.path.join(directory, name)
        weak = _weakness(path, known) or ("" if open_way else way_weakness(path))
        yield _usable(path) and not weak, name, "; ".join(filter(None, [describe(path), weak]))


def _kernel() -> Finding:
    """Find out what the kernel cannot do; that matters to those who use it."""
    release = os.uname().release
    try:
        without = list(missing())
    except KernelError as e:
        return True, "kernel", f"{release}, what it can do is not known ({e})"
    return True, "kernel", f"{release}, without {', '.join(without)}" if without else release


def _service(settings: Settings) -> Finding:
    """Find out whether a service answers; without one, only `required` is in trouble."""
    try:
        check_directory(os.path.dirname(settings.socket))
        return True, "service", probe(settings.socket)
    except (FileNotFoundError, ConnectionRefusedError) as e:
        return settings.mode != "required", "service", f"none ({e.strerror})"
    except (OSError, WireError) as e:
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
    except (OSError, subprocess.SubprocessError) as e:
        return False, "cold path", str(e)
    ms = (time.monotonic() - start) * 1000
    if done.returncode:
        said = (done.stdout or done.stderr).decode(errors="replace").strip()
        return False, "cold path", f"exit status {done.returncode}: {said}"
    return True, "cold path", f"works, {ms:.0f} ms"


def _usable(path: str) -> bool:
    """Tell whether what is at the path of a plugin would work; nothing there is no fault."""
    if not os.path.lexists(path):
        return True
    if not os.access(path, os.X_OK):
        return False
    found = shimfile.examine(path)
    if found is None:
        return True
    python, script = found.entry(path)
    return os.path.exists(python) and (os.path.exists(script) if script else _has_package(python))


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
