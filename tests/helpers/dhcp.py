"""A DHCP server on a private node: dnsmasq on a bridge, and what it says that it leased."""

from __future__ import annotations

import select
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from . import ways
from .node import need_tools

if TYPE_CHECKING:
    from collections.abc import Callable

    from .node import Node

SERVER = "10.5.0.1"
FIRST, LAST = "10.5.0.10", "10.5.0.200"
MASTER = "wire"
WIRE = [MASTER, f"{MASTER}-port"]
NOWHERE = ".".join("0000")
_SECONDS = 20


class Dnsmasq:
    """dnsmasq on a link of the node; a context manager that ends it."""

    def __init__(self, link: str, *options: str, ranged: bool = True) -> None:
        """Start it; without a range of addresses there has to be one among the options."""
        need_tools("dnsmasq")
        self._directory = Path("/run/dnsmasq")
        self._directory.mkdir(exist_ok=True)
        self._arguments = [
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--user=root",
            "--port=0",
            "--no-ping",
            "--bind-interfaces",
            f"--interface={link}",
            *([f"--dhcp-range={FIRST},{LAST},1h"] if ranged else []),
            f"--dhcp-leasefile={self._directory}/leases",
            "--dhcp-authoritative",
            "--log-facility=-",
            "--log-dhcp",
            *options,
        ]
        (self._directory / "leases").unlink(missing_ok=True)
        self.log: list[str] = []
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._arguments, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=0
        )
        self.wait_for("sockets bound exclusively to interface", "DHCP, IP range")

    def wait_for(self, *words: str) -> str:
        """Read its log until a line has one of the texts; return that line.

        Raises:
            AssertionError: there was none in time.
        """
        deadline = time.monotonic() + _SECONDS
        stderr = self._process.stderr
        assert stderr is not None
        poller = select.poll()
        poller.register(stderr, select.POLLIN)
        while time.monotonic() < deadline:
            if not poller.poll((deadline - time.monotonic()) * 1000):
                break
            line = stderr.readline().decode(errors="replace")
            if not line:
                break
            self.log.append(line.rstrip("\n"))
            if any(word in line for word in words):
                return line
        raise AssertionError(f"dnsmasq never said {words}: {self.log}")

    def wait_until(self, holds: Callable[[], bool]) -> None:
        """Read its log until something is the case."""
        while not holds():
            self.wait_for("")

    def forget(self) -> None:
        """Forget what it said so far, also what nobody has read yet."""
        stderr = self._process.stderr
        assert stderr is not None
        while select.select([stderr], [], [], 0)[0]:
            stderr.readline()
        self.log.clear()

    def leases(self) -> dict[str, str]:
        """Return the addresses that are leased, with the clients' identifiers."""
        found = {}
        for line in (self._directory / "leases").read_text().splitlines():
            words = line.split()
            if len(words) == 5 and words[0].isdigit():
                found[words[2]] = words[4]
        return found

    def stop(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(_SECONDS)
        if self._process.stderr:
            self._process.stderr.close()

    def restart(self) -> None:
        """End it, forget every lease, and start it again."""
        self.stop()
        (self._directory / "leases").unlink(missing_ok=True)
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()


def bridge(node: Node, name: str = "cni0", *, mac: str = "02:00:00:00:00:01") -> str:
    """Make a bridge with the server's address; return its name.

    Without a MAC it changes its own with its ports.
    """
    node.ip(f"link add {name} {f'address {mac}' if mac else ''} type bridge")
    node.ip(f"addr add {SERVER}/24 dev {name}")
    node.run(f"sysctl -qw net.ipv6.conf.{name}.accept_ra=0")  # what the plugin would do
    node.ip(f"link set {name} up")
    # The bridge as a container on a macvlan sees it: by way of the device below.
    node.ip(f"link add {MASTER} type veth peer name {MASTER}-port")
    node.ip(f"link set {MASTER}-port up master {name}")
    node.ip(f"link set {MASTER} up")
    return name


def unbridge(node: Node, name: str = "cni0") -> None:
    """Take it all away."""
    node.ip(f"link del {name}")
    node.ip(f"link del {MASTER}")


def conf(**ipam: Any) -> dict[str, Any]:
    """Build the configuration of a network on the bridge."""
    return {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "bridge",
        "bridge": "cni0",
        "ipam": {"type": "dhcp", **ipam},
    }


class Daemon:
    """`cnifast dhcp daemon` on the node; a context manager that ends it."""

    def __init__(self, *options: str, program: str = "") -> None:
        """Start it, or what a plugin binary makes of the same words."""
        start = [program] if program else [ways.COMMAND, "dhcp"]
        self._process = subprocess.Popen(
            [*start, "daemon", *(options or ("-resendtimeout", "15s"))],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        self.log: list[str] = []
        for raw in self._process.stderr or ():
            self.log.append(raw.decode().rstrip("\n"))
            if "event=ready" in self.log[-1]:
                break
        else:
            raise AssertionError(f"the daemon did not start: {self.log}")
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        self.log += [raw.decode().rstrip("\n") for raw in self._process.stderr or ()]

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def kill(self) -> None:
        """End it as kill -9 does."""
        self._process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._process.terminate()
        self._process.wait(_SECONDS)
        self._reader.join()
        if self._process.stderr:
            self._process.stderr.close()


def recorded() -> list[str]:
    """Return the files of leases that are kept."""
    return sorted(path.name for path in Path("/run/cni/dhcp.leases").glob("*"))


def await_socket() -> None:
    """Wait until somebody answers on the daemon's socket.

    Raises:
        AssertionError: nobody did in time.
    """
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex("/run/cni/dhcp.sock") == 0:
                return
    raise AssertionError("nobody listens on the socket of the daemon")
