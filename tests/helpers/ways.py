"""The three ways in which cnifast executes a plugin: in process, cold, and through the service."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.cli.install import SCRIPT
from cnifast.cli.owner import weakness

from .plugin import BinaryRunner, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = ("inproc", "cold", "warm")
COMMAND = str(Path(sys.executable).with_name("cnifast"))
_WORKER = str(Path(__file__).with_name("inproc_worker.py"))
_STOP_SECONDS = 20


def need_own_installation() -> None:
    """Skip the test when somebody else could change what root runs here; commands refuse that."""
    weak = weakness(sys.executable, SCRIPT)
    if weak:
        pytest.skip(f"needs a checkout and a Python of root's: {weak}")


def cold(directory: str) -> BinaryRunner:
    """Return the way without a service: every call starts an interpreter."""
    return BinaryRunner("cold", directory, {"CNIFAST_SERVICE": "off"})


def warm(directory: str) -> BinaryRunner:
    """Return the way through the service, which must be running: there is no other way out."""
    return BinaryRunner("warm", directory, {"CNIFAST_SERVICE": "required"})


class _Behind(BinaryRunner):
    """Calls through the service by a program that another one, `before`, executes."""

    def __init__(self, name: str, directory: str, before: Sequence[str]) -> None:
        super().__init__(name, directory, {"CNIFAST_SERVICE": "required"})
        self._before = before

    def start(self, plugin: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start the plugin by way of that program."""
        return subprocess.Popen(
            [*self._before, f"{self.plugin_path}/{plugin}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self._base, **environment},
        )


class Elsewhere(_Behind):
    """Calls by a process with mounts of its own, which a script makes."""

    def __init__(self, directory: str, script: str) -> None:
        text = f'set -e; {script}; exec "$0"'
        super().__init__("elsewhere", directory, ("unshare", "--mount", "sh", "-c", text))


class Rooted(_Behind):
    """Calls by a process with another root directory, but the same mounts."""

    def __init__(self, directory: str, root: Path) -> None:
        super().__init__("rooted", directory, ("chroot", str(root)))


class Service:
    """`cnifast serve` on the node that the calling thread is on."""

    def __init__(self, *arguments: str) -> None:
        """Start it and wait until it says that it is ready.

        Raises:
            AssertionError: it ended instead; carries what it said.
        """
        self.log: list[str] = []
        self.process = subprocess.Popen(
            [COMMAND, "serve", *arguments], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL
        )
        for line in self._lines():
            if "event=ready" in line:
                break
        else:
            self.process.wait()
            raise AssertionError(f"the service did not start: {self.log}")
        self._reader = threading.Thread(target=lambda: [*self._lines()], daemon=True)
        self._reader.start()

    def _lines(self) -> Any:
        """Yield what the service says, and keep it."""
        for raw in self.process.stderr or ():
            line = raw.decode(errors="replace").rstrip("\n")
            self.log.append(line)
            yield line

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.pid

    def kill(self) -> None:
        """End it as kill -9 does."""
        self.process.kill()
        self._ended()

    def stop(self) -> int:
        """Ask it to stop; return its exit status."""
        self.process.terminate()
        return self._ended()

    def _ended(self) -> int:
        """Wait for its end."""
        try:
            status = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the service did not stop: {self.log}") from None
        self._reader.join()
        if self.process.stderr:
            self.process.stderr.close()
        return status


class InprocRunner:
    """Plugins called as Python functions, in a program of its own that lives as long as this."""

    name = "inproc"

    def __init__(self, directory: str, site: str = "") -> None:
        """Start the program on the node that the calling thread is on.

        Args:
            directory: what CNI_PATH is set to.
            site: import cnifast from here.
        """
        self.plugin_path = directory
        answers, answering = os.pipe()
        self._answers = os.fdopen(answers, "rb")
        self._process = subprocess.Popen(
            [sys.executable, _WORKER, str(answering), site],
            stdin=subprocess.PIPE,
            pass_fds=[answering],
        )
        os.close(answering)

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._process.pid

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send one request to the program and return its answer.

        Raises:
            AssertionError: the program ended; carries its exit status.
        """
        if self._process.stdin is None:
            raise AssertionError("no stdin")
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        self._process.stdin.flush()
        line = self._answers.readline()
        if not line:
            raise AssertionError(f"the calling program ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def call(self, plugin: str, environment: Mapping[str, str], stdin: bytes) -> Outcome:
        """Call the plugin's function; see `Runner.call`."""
        answer = self.ask(
            plugin=plugin, env=dict(environment), stdin=base64.b64encode(stdin).decode()
        )
        return Outcome(answer["exit"], answer["stdout"], answer["stderr"])

    def close(self) -> None:
        """End the program."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(_STOP_SECONDS)
        self._answers.close()
