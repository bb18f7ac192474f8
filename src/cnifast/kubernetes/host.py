"""What network plugins ask the kubelet for, and a kubelet whose sandboxes are plain processes."""

from __future__ import annotations

import shutil
import subprocess
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

_SANDBOX = ("unshare", "--net", "cat")  # what ends with its standard input


class PortMapping:
    """A port of the host that leads to a port of a pod; ``host_port`` 0 asks for none."""

    __slots__ = ("container_port", "host_ip", "host_port", "protocol")

    def __init__(
        self, host_port: int, container_port: int, protocol: str = "tcp", host_ip: str = ""
    ) -> None:
        self.host_port = host_port
        self.container_port = container_port
        self.protocol = protocol
        self.host_ip = host_ip

    def __repr__(self) -> str:
        at = f"{self.host_ip}:" if self.host_ip else ""
        return f"<PortMapping {at}{self.host_port} {self.container_port}/{self.protocol}>"


class DNSConfig:
    """The resolver's settings of a pod."""

    __slots__ = ("options", "searches", "servers")

    def __init__(
        self, servers: Iterable[str], searches: Iterable[str] = (), options: Iterable[str] = ()
    ) -> None:
        self.servers = tuple(servers)
        self.searches = tuple(searches)
        self.options = tuple(options)


class Host(Protocol):
    """The kubelet, as its network plugin sees it; several threads ask at a time."""

    def get_netns(self, id: str) -> str:  # noqa: A002 - the sandbox's, as in NetworkPlugin
        """Return the path of a sandbox's network namespace.

        Raises:
            LookupError: there is no such sandbox, or it has ended.
        """

    def get_pod_port_mappings(self, id: str) -> Iterable[PortMapping]:  # noqa: A002
        """Return the host ports that a sandbox's pod wants; none for an unknown one."""

    def get_pod_dns(self, id: str) -> DNSConfig | None:  # noqa: A002
        """Return the resolver's settings of a sandbox's pod, None where they are not settled."""

    def get_pod_mac(self, id: str) -> str:  # noqa: A002
        """Return the MAC address that a sandbox's pod wants, empty for any."""

    def live_pods(self) -> Iterable[str]:
        """Return the IDs of all sandboxes that have not ended."""


class _Sandbox:
    """A process that holds a network namespace, and what its pod wants."""

    __slots__ = ("dns", "mac", "port_mappings", "process")

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        port_mappings: Iterable[PortMapping],
        dns: DNSConfig | None,
        mac: str,
    ) -> None:
        self.process = process
        self.port_mappings = tuple(port_mappings)
        self.dns = dns
        self.mac = mac


class ProcessHost:
    """A `Host` whose sandboxes are processes of their own, each in a new network namespace.

    A sandbox ends when it is stopped, when it is killed, and with this process.  Use it as a
    context manager that stops what is left.
    """

    def __init__(self) -> None:
        self._sandboxes: dict[str, _Sandbox] = {}
        self._lock = threading.Lock()

    def start_pod(
        self,
        id: str,  # noqa: A002
        *,
        port_mappings: Iterable[PortMapping] = (),
        dns: DNSConfig | None = None,
        mac: str = "",
    ) -> None:
        """Start a sandbox; its namespace is there when this returns.

        Raises:
            FileExistsError: there is one of that ID.
            OSError: it cannot be started.
        """
        with self._lock:
            if id in self._sandboxes:
                raise FileExistsError(f"there is a sandbox {id} already")
        program = shutil.which(_SANDBOX[0])
        if program is None:
            raise FileNotFoundError(f"there is no program {_SANDBOX[0]} (util-linux)")
        process = subprocess.Popen(
            [program, *_SANDBOX[1:]],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        sandbox = _Sandbox(process, port_mappings, dns, mac)
        if not _answers(process):
            _, why = process.communicate()
            raise OSError(f"sandbox {id} ended: {why.decode(errors='replace').strip()}")
        with self._lock:
            taken = self._sandboxes.setdefault(id, sandbox)
        if taken is not sandbox:
            _end(process)
            raise FileExistsError(f"there is a sandbox {id} already")

    def stop_pod(self, id: str) -> None:  # noqa: A002
        """End a sandbox; an unknown one has ended."""
        with self._lock:
            sandbox = self._sandboxes.pop(id, None)
        if sandbox is not None:
            _end(sandbox.process)

    def get_netns(self, id: str) -> str:  # noqa: A002
        """Return the path of a sandbox's network namespace; see `Host`.

        Raises:
            LookupError: there is no such sandbox, or it has ended.
        """
        sandbox = self._sandboxes.get(id)
        if sandbox is None:
            raise LookupError(f"there is no sandbox {id}")
        if sandbox.process.poll() is not None:
            raise LookupError(f"sandbox {id} has ended")
        return f"/proc/{sandbox.process.pid}/ns/net"

    def get_pod_port_mappings(self, id: str) -> tuple[PortMapping, ...]:  # noqa: A002
        """Return the host ports that a sandbox's pod wants."""
        sandbox = self._sandboxes.get(id)
        return () if sandbox is None else sandbox.port_mappings

    def get_pod_dns(self, id: str) -> DNSConfig | None:  # noqa: A002
        """Return the resolver's settings of a sandbox's pod."""
        sandbox = self._sandboxes.get(id)
        return None if sandbox is None else sandbox.dns

    def get_pod_mac(self, id: str) -> str:  # noqa: A002
        """Return the MAC address that a sandbox's pod wants."""
        sandbox = self._sandboxes.get(id)
        return "" if sandbox is None else sandbox.mac

    def live_pods(self) -> list[str]:
        """Return the IDs of the sandboxes whose processes run."""
        with self._lock:
            sandboxes = list(self._sandboxes.items())
        return [id_ for id_, sandbox in sandboxes if sandbox.process.poll() is None]

    def close(self) -> None:
        """End all sandboxes."""
        for id_ in list(self._sandboxes):
            self.stop_pod(id_)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _answers(process: subprocess.Popen[bytes]) -> bool:
    """Wait until a sandbox's process has come as far as its namespace; False if it has ended."""
    if process.stdin is None or process.stdout is None:  # never so: both are pipes
        return False
    try:
        process.stdin.write(b"\n")
    except BrokenPipeError:
        return False
    return process.stdout.read(1) == b"\n"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process and take note of its end."""
    process.kill()
    with process:  # closes the pipes and waits
        pass
