"""Calling plugins: what a runtime puts into environment and stdin, and what comes back."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any, Protocol

from .node import TOOLS_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .node import Container

TIMEOUT = 60.0


class Outcome:
    """What one plugin call gave back.

    Attributes:
        exit_code: of the process (or what it would have been, in process).
        stdout: text.
        stderr: text.
    """

    __slots__ = ("exit_code", "stderr", "stdout")

    def __init__(self, exit_code: int, stdout: str, stderr: str) -> None:
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr

    def __repr__(self) -> str:
        return f"Outcome({self.exit_code}, {self.stdout!r}, {self.stderr!r})"

    @property
    def ok(self) -> bool:
        """Whether the call succeeded."""
        return self.exit_code == 0

    @property
    def json(self) -> Any:
        """The JSON on stdout, None when stdout is empty."""
        return json.loads(self.stdout) if self.stdout.strip() else None

    @property
    def code(self) -> int:
        """The CNI error code, 0 for success, -1 for a failure that says none."""
        if self.ok:
            return 0
        try:
            code = json.loads(self.stdout)["code"]
        except (ValueError, KeyError, TypeError):
            return -1
        return code if isinstance(code, int) else -1

    @property
    def message(self) -> str:
        """The error's msg and details, or nothing."""
        if self.ok:
            return ""
        try:
            found = json.loads(self.stdout)
            return " ".join(part for part in (found["msg"], found.get("details")) if part)
        except (ValueError, KeyError, TypeError):
            return ""


def must(outcome: Outcome) -> Outcome:
    """Return an outcome that has to be a success."""
    assert outcome.ok, outcome
    return outcome


class Runner(Protocol):
    """A way to execute plugins."""

    @property
    def name(self) -> str:
        """What the way is called in test names."""

    @property
    def plugin_path(self) -> str:
        """What CNI_PATH is set to."""

    def call(self, plugin: str, environment: Mapping[str, str], stdin: bytes) -> Outcome:
        """Execute a plugin with exactly this environment (CNI_* and nothing else) and stdin."""


class BinaryRunner:
    """Plugins as programs in one directory, as runtimes execute them."""

    def __init__(self, name: str, directory: str, extra: Mapping[str, str] | None = None) -> None:
        self.name = name
        self.plugin_path = directory
        self._base = {"PATH": TOOLS_PATH, "LC_ALL": "C", **(extra or {})}

    def call(self, plugin: str, environment: Mapping[str, str], stdin: bytes) -> Outcome:
        """Run DIRECTORY/plugin; see `Runner.call`.

        Raises:
            AssertionError: the program took longer than TIMEOUT seconds.
        """
        process = self.start(plugin, environment)
        try:
            stdout, stderr = process.communicate(stdin, timeout=TIMEOUT)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.communicate()
            raise AssertionError(f"{plugin} took longer than {TIMEOUT} s") from error
        return Outcome(process.returncode, stdout.decode(), stderr.decode(errors="replace"))

    def start(self, plugin: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start DIRECTORY/plugin with pipes on stdin, stdout and stderr, and leave it running."""
        return subprocess.Popen(
            [os.path.join(self.plugin_path, plugin)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**self._base, **environment},
        )


def environment(  # noqa: D417 - the obvious ones are not described
    command: str,
    *,
    container_id: str,
    netns: str,
    ifname: str,
    path: str,
    args: str = "",
    override: str = "",
) -> dict[str, str]:
    """Build the CNI_* variables of one call; empty optional ones are left out.

    Args:
        override: CNI_NETNS_OVERRIDE.
    """
    variables = {
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container_id,
        "CNI_NETNS": netns,
        "CNI_IFNAME": ifname,
        "CNI_PATH": path,
    }
    if args:
        variables["CNI_ARGS"] = args
    if override:
        variables["CNI_NETNS_OVERRIDE"] = override
    return variables


class Attachment:
    """One interface of one container on one network, handled as a runtime handles it.

    It keeps the result of ADD and hands it to CHECK and DEL as prevResult.
    """

    def __init__(  # noqa: D417
        self,
        runner: Runner,
        conf: Mapping[str, Any],
        container: Container,
        *,
        ifname: str = "eth0",
        args: str = "",
        path: str = "",
    ) -> None:
        """Prepare an attachment; nothing is called yet.

        Args:
            conf: network configuration with cniVersion, name and type.
            args: CNI_ARGS.
            path: CNI_PATH, where it is not the runner's.
        """
        self.runner = runner
        self.conf = dict(conf)
        self.container_id = container.name
        self.netns = container.path
        self.ifname = ifname
        self.args = args
        self.path = path or runner.plugin_path
        self.result: Any = None

    def call(
        self, command: str, *, netns: str | None = None, prev: bool = True, **conf: Any
    ) -> Outcome:
        """Execute one command; `netns` replaces CNI_NETNS, `conf` replaces keys."""
        configuration = {**self.conf, **conf}
        if prev and self.result is not None and command in ("CHECK", "DEL"):
            configuration.setdefault("prevResult", self.result)
        return self.runner.call(
            configuration["type"],
            environment(
                command,
                container_id=self.container_id,
                netns=self.netns if netns is None else netns,
                ifname=self.ifname,
                path=self.path,
                args=self.args,
            ),
            json.dumps(configuration).encode(),
        )

    def add(self) -> Outcome:
        """ADD, and keep the result if it succeeds."""
        outcome = self.call("ADD")
        if outcome.ok:
            self.result = outcome.json
        return outcome

    def check(self) -> Outcome:
        """CHECK with the result of ADD."""
        return self.call("CHECK")

    def delete(self) -> Outcome:
        """DEL with the result of ADD."""
        return self.call("DEL")
