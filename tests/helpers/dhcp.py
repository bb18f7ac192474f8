"""A DHCP server on a private node: dnsmasq on a bridge, and what it says that it leased."""

from __future__ import annotations

import select
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from . import nsutil
from .node import need_tools

if TYPE_CHECKING:
    from .node import Node

SERVER = "10.5.0.1"
FIRST, LAST = "10.5.0.10", "10.5.0.200"
_SECONDS = 20


class Dnsmasq:
    """dnsmasq on a link of the node; a context manager that ends it.

    ``events`` are what it told its script: "add", "old" or "del" with MAC and address.
    """

    def __init__(self, node: Node, link: str, *options: str, lease: str = "1h") -> None:
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
            f"--dhcp-range={FIRST},{LAST},{lease}",
            f"--dhcp-leasefile={self._directory}/leases",
            "--dhcp-authoritative",
            "--log-facility=-",
            "--log-dhcp",
            *options,
        ]
        self._node = node
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


def bridge(node: Node, name: str = "cni0") -> str:
    """Make a bridge with the server's address; return its name."""
    node.ip(f"link add {name} type bridge")
    node.ip(f"addr add {SERVER}/24 dev {name}")
    node.ip(f"link set {name} up")
    return name


def conf(**ipam: Any) -> dict[str, Any]:
    """Build the configuration of a network on the bridge."""
    return {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "bridge",
        "bridge": "cni0",
        "ipam": {"type": "dhcp", **ipam},
    }
