"""A service, and plugin binaries that call it, in a directory of the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnifast.cli.install import BINARY
from cnifast.invoke import shimfile
from cnifast.service.listener import peer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HERE = Path(__file__).parents[1] / "service"
PATIENCE = 20  # seconds until something that must happen has not


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return what the condition returns as soon as it is true."""
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return value


class Service:
    """A running service and what it logged."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path, log: Path) -> None:
        self.process = process
        self.path = path
        self.log_path = log

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self.process.pid

    def log(self) -> list[str]:
        """Return the lines logged so far."""
        return self.log_path.read_text().splitlines()

    def fds(self) -> int:
        """Return how many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def wait_log(self, text: str) -> str:
        """Return the first line with this text, when it comes."""
        return wait_for(lambda: next((line for line in self.log() if text in line), None))

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """End it; return its exit status."""
        self.process.send_signal(sig)
        return self.process.wait(PATIENCE)


class Bench:
    """A directory with a socket's place, plugin binaries, and ways to call them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.run_dir = root / "run"
        self.run_dir.mkdir(mode=0o700)
        self.socket = self.run_dir / "s"
        self.bin = root / "bin"
        self.bin.mkdir()
        self._image = Path(BINARY).read_bytes()
        self._starting = threading.Lock()
        self._services: list[Service] = []

    def binary(self, name: str, python: str = "", script: str = "") -> Path:
        """Return a plugin binary of this name; its cold path says what it was given."""
        path = self.bin / name
        if not path.exists():
            python = python or sys.executable
            image = shimfile.patch(self._image, python, script or str(HERE / "cold_stub.py"))
            spare = self.bin / f".{name}.{threading.get_ident()}"
            spare.write_bytes(image)
            spare.chmod(0o755)
            spare.replace(path)
        return path

    def unpatched(self, name: str) -> Path:
        """Return a plugin binary as it is built."""
        path = self.bin / name
        path.write_bytes(self._image)
        path.chmod(0o755)
        return path

    def env(self, command: str = "ADD", **more: str) -> dict[str, str]:
        """Return the environment of a call."""
        return {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": "container",
            "CNI_IFNAME": "eth0",
            "CNI_NETNS": "/proc/self/ns/net",
            "CNI_NETNS_OVERRIDE": "1",
            "CNI_PATH": str(self.bin),
            "CNIFAST_SOCKET": str(self.socket),
            **more,
        }

    def popen(
        self, name: str, env: Mapping[str, str] | None = None, **more: Any
    ) -> subprocess.Popen[bytes]:
        """Start a plugin binary."""
        pipe = subprocess.PIPE
        # A program that is being written cannot be executed while a child of another thread has it.
        with self._starting:
            return subprocess.Popen(
                [self.binary(name)],
                env=self.env() if env is None else env,
                **{"stdin": pipe, "stdout": pipe, "stderr": pipe, **more},
            )

    def call(
        self, name: str, env: Mapping[str, str] | None = None, conf: object = None, **more: Any
    ) -> tuple[int, bytes, bytes]:
        """Run a plugin binary; return (exit status, stdout, stderr)."""
        stdin = conf if isinstance(conf, bytes) else self.conf(conf)
        with self.popen(name, env, **more) as process:
            out, err = process.communicate(stdin, timeout=PATIENCE)
        return process.returncode, out, err

    @staticmethod
    def conf(more: object = None) -> bytes:
        """Return a network configuration with these keys added."""
        base: dict[str, object] = {"cniVersion": "1.0.0", "name": "net", "type": "noop"}
        return json.dumps({**base, **(more if isinstance(more, dict) else {})}).encode()

    def serve(
        self, *options: str, ready: bool = True, script: str = "noop_service.py", **more: Any
    ) -> Service:
        """Start a service."""
        log = self.root / f"log{len(self._services)}"
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, HERE / script, self.socket, *options], stderr=stderr, **more
            )
        service = Service(process, self.socket, log)
        self._services.append(service)
        if ready:
            service.wait_log("event=ready")
        return service

    def close(self) -> None:
        """End what was started."""
        for service in self._services:
            if service.process.poll() is None:
                service.process.kill()
                service.process.wait()


def left_service(path: str) -> int | None:
    """Return the process that listens on a socket, None when nobody does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        return peer(sock)[0]


def end_left_service(path: str) -> None:
    """End the service that a cold call left behind on a socket, if there is one."""
    pid = left_service(path)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        wait_for(lambda: left_service(path) is None)


def error_code(stdout: bytes) -> int:
    """Return the code of error JSON, which must be the whole of the output."""
    error = json.loads(stdout)
    assert set(error) >= {"cniVersion", "code", "msg"}
    code: int = error["code"]
    return code
