"""A node that bad calls are made on, and what they must not change."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bad_input import table_flannel
from bad_input.bad import call_environment, good
from helpers import ways
from helpers.node import open_node
from helpers.opened import open_files
from helpers.snapshot import Snapshot, changes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bad_input.bad import Bad
    from helpers.plugin import Outcome, Runner

LOOK = 8  # calls between looking what has changed, which takes as long as all of them
KEYS = {"cniVersion", "code", "msg", "details"}
VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")


class Stand:
    """A node with a container, a device m0 for macvlan, flanneld's files, a pipe; a way to call.

    Attributes:
        node: it is open until `close`.
        pod: its container, pod1.
        runner: the way.
        service: what answers, if the way is through it.
    """

    def __init__(self, way: str, directory: str) -> None:
        """Open the node and start what the way needs.

        Args:
            way: "inproc", "cold" or "warm".
            directory: of the plugin binaries.
        """
        self.node = open_node()
        self.pod = self.node.new_container("pod1")
        for command in ("add m0 type veth peer name m1", "set m0 up", "set m1 up"):
            self.node.ip(f"link {command}")
        os.mkfifo("/run/pipe")
        Path("/run/cni").mkdir(exist_ok=True)
        table_flannel.prepare()
        self.service: ways.Service | None = None
        self.runner: Runner
        if way == "cold":
            self.runner = ways.cold(directory)
        elif way == "warm":
            self.service = ways.Service("--threads", "2")
            self.runner = ways.warm(directory)
        else:
            self.runner = ways.InprocRunner(directory)
        self._made: list[str] = []
        self._seen: list[str] = []
        self.changes()

    def close(self) -> None:
        """End everything; the service must stop when it is told to."""
        try:
            if isinstance(self.runner, ways.InprocRunner):
                self.runner.close()
            if self.service is not None:
                assert self.service.stop() == 0, self.service.log
        finally:
            self.node.close()

    def call(self, case: Bad) -> Outcome:
        """Make a bad call."""
        environment = case.environment(self.runner.plugin_path)
        return self.runner.call(case.plugin, environment, case.stdin)

    def good(self, plugin: str, command: str, **conf: Any) -> Outcome:
        """Make a call that is in order."""
        environment = call_environment(command, self.runner.plugin_path)
        return self.runner.call(plugin, environment, good(plugin, **conf))

    def changes_of(self, case: Bad) -> list[str]:
        """Return what calls changed since this was last looked for, now and then; and the calls."""
        self._made.append(str(case))
        if len(self._made) < LOOK:
            return []
        made = self._made[:]
        found = self.changes()
        return [f"one of {made}", *found] if found else []

    def changes(self) -> list[str]:
        """Return what changed since this was last looked for."""
        self._made.clear()
        before, now = self._seen, [*Snapshot(self.node).lines(), *_names("/run", "/var/lib/cni")]
        self._seen = now
        return changes(before, now)

    def held(self) -> tuple[int, int, int]:
        """Return how many descriptors, namespaces of others among them, and threads it has.

        It closes those of a call after it has answered, so the least counted is what it keeps.
        """
        counts = []
        for _ in range(10):
            counts.append(self._count())
            time.sleep(0.01)
        return min(counts)

    def _count(self) -> tuple[int, int, int]:
        """Return how many descriptors, namespaces and threads there are at this moment."""
        assert self.service is not None
        directory = f"/proc/{self.service.pid}"
        links = open_files(self.service.pid).values()
        own = os.readlink(f"{directory}/ns/net")
        spaces = [link for link in links if link.startswith("net:") and link != own]
        return len(links), len(spaces), len(os.listdir(f"{directory}/task"))


def _names(*directories: str) -> Iterable[str]:
    """Yield the name of every file below directories."""
    for directory in directories:
        for path in Path(directory).rglob("*"):
            yield f"name {path}"


def require_error(outcome: Outcome, code: int, words: Iterable[str] = ()) -> None:
    """Check that an outcome is an error as the specification has it, and says what is wrong."""
    assert outcome.exit_code == 1, outcome
    assert outcome.stderr == ""
    lines = outcome.stdout.split("\n")
    assert (len(lines), lines[-1]) == (2, ""), outcome
    error = outcome.json
    assert set(error) <= KEYS
    assert error["cniVersion"] in VERSIONS
    assert (type(error["code"]), error["code"]) == (int, code), outcome
    assert error["msg"].strip()
    assert error["msg"].isprintable(), outcome
    assert type(error.get("details", "")) is str
    assert [word for word in words if word not in outcome.message] == [], outcome
