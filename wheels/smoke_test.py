"""Tries out an installation: `smoke_test.py [DIRECTORY]`.

DIRECTORY has plugin binaries, of an archive for instance; without it those of the package that
this interpreter finds are installed into a directory that is removed afterwards.  Each plugin is
asked for its versions, addresses are handed out and taken back without a service and with one,
and, as root and with a package, a container is attached.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 60


def call(plugin: Path, command: str, conf: object, **env: str) -> str:
    """Run a plugin binary; return what it printed.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [plugin],
        env={"CNI_COMMAND": command, "CNI_PATH": str(plugin.parent), **env},
        input=json.dumps(conf),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{plugin} {command}: {done.stdout}{done.stderr}")
    return done.stdout


def try_plugins(directory: Path) -> list[str]:
    """Ask every plugin for its versions; return their names."""
    names = sorted(
        path.name for path in directory.iterdir() if path.is_file() and os.access(path, os.X_OK)
    )
    for name in names:
        versions = json.loads(call(directory / name, "VERSION", {}))["supportedVersions"]
        if "1.1.0" not in versions:
            raise RuntimeError(f"{name} does not know 1.1.0: {versions}")
    return names


def try_addresses(directory: Path, scratch: Path, mode: str) -> None:
    """Hand out an address and take it back, with the service in this mode.

    Raises:
        RuntimeError: the address is another one, or it stays.
    """
    conf = {
        "cniVersion": "1.1.0",
        "name": "smoke",
        "type": "bridge",
        "ipam": {"type": "host-local", "subnet": "192.0.2.0/24", "dataDir": str(scratch)},
    }
    env = {
        "CNI_CONTAINERID": "container",
        "CNI_NETNS": "/proc/self/ns/net",
        "CNI_NETNS_OVERRIDE": "1",
        "CNI_IFNAME": "eth0",
        "CNIFAST_SERVICE": mode,
        "CNIFAST_SOCKET": str(scratch / "run" / "sock"),
    }
    plugin = directory / "host-local"
    result = json.loads(call(plugin, "ADD", conf, **env))
    if not result["ips"][0]["address"].startswith("192.0.2."):
        raise RuntimeError(f"not an address of the subnet: {result}")
    held = scratch / "smoke" / result["ips"][0]["address"].partition("/")[0]
    if not held.exists():
        raise RuntimeError(f"nothing holds {held.name}")
    call(plugin, "DEL", conf, **env)
    if held.exists():
        raise RuntimeError(f"{held} is left behind")


def served_by(path: Path) -> int | None:
    """Return the process that listens on a socket, None when nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        pid: int = struct.unpack("3i", credentials)[0]
        return pid


def wait_until(condition: Callable[[], object]) -> None:
    """Wait until something that must happen has.

    Raises:
        TimeoutError: it has not.
    """
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("waited in vain for the service to come or go")
        time.sleep(0.01)


def main() -> None:
    """Try out what the command line names, and say so."""
    with tempfile.TemporaryDirectory(prefix="cnifast-") as directory:
        scratch = Path(directory)
        if len(sys.argv) > 1:
            binaries, package = Path(sys.argv[1]), f"the archive in {sys.argv[1]}"
        else:
            from cnifast import __version__

            binaries, package = scratch / "bin", f"cnifast {__version__}"
            cnifast = Path(sys.executable).with_name("cnifast")
            subprocess.run(
                [cnifast, "plugins", "install", binaries], check=True, stdout=subprocess.DEVNULL
            )
            subprocess.run([cnifast, "schema", "bridge"], check=True, stdout=subprocess.DEVNULL)
            if os.geteuid() == 0:
                subprocess.run([cnifast, "demo"], check=True, stdout=subprocess.DEVNULL)
        names = try_plugins(binaries)
        # A cold call, one that leaves a service, and one that needs the service.
        for mode in ("off", "auto"):
            try_addresses(binaries, scratch, mode)
        sock = scratch / "run" / "sock"
        wait_until(lambda: served_by(sock))
        try_addresses(binaries, scratch, "required")
        if pid := served_by(sock):
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: served_by(sock) is None)
        print(f"{package} works with Python {sys.version.split()[0]}: {', '.join(names)}")


if __name__ == "__main__":
    main()
