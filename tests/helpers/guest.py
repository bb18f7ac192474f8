"""A program that boots a second kernel: `guest.py DIRECTORY`; it ends when that has stopped.

DIRECTORY/run is what the second kernel runs; DIRECTORY/output and DIRECTORY/status are left there,
and DIRECTORY/console, what the kernel itself said.  It is Debian's user-mode Linux, a program whose
processes, files in memory and devices are its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

SECONDS_MAX = 900
MEMORY = "768M"
KERNEL = "linux.uml"
_INIT = Path(__file__).with_name("guest_init.sh")


def missing() -> str:
    """Return why no second kernel can be booted here, empty when one can."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    if os.geteuid() != 0:
        return "booting another one needs root"
    for program, package in ((KERNEL, "user-mode-linux"), ("modprobe", "kmod")):
        if shutil.which(program, path=path) is None:
            return f"there is no {program} to boot another one (Debian package {package})"
    return ""


def boot(directory: Path) -> None:
    """Run the kernel until it stops, or for SECONDS_MAX at the most."""
    init = directory / "init"
    shutil.copy(_INIT, init)
    init.chmod(0o755)
    options = {
        "mem": MEMORY,
        "uml_dir": directory,
        "umid": "second",
        "root": "/dev/root",
        "rootfstype": "hostfs",
        "rootflags": "/",
        "init": init,
        "dir": directory,
        "con": "null",
        "ssl": "null",
    }
    words = [f"{key}={value}" for key, value in options.items()]
    with (directory / "console").open("wb") as console:
        process = subprocess.Popen(
            ["unshare", "--net", KERNEL, *words, "ro", "quiet"],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            env={**os.environ, "TMPDIR": "/dev/shm"},
            start_new_session=True,
        )
        try:
            process.wait(SECONDS_MAX)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


if __name__ == "__main__":
    boot(Path(sys.argv[1]))
