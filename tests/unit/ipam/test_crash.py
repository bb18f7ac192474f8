"""Processes that are killed while they allocate and release.

This file is also the program that the test runs: it forks workers, kills each at a random
moment, does for the dead what a runtime's DEL does, and goes on.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from cnifast.ipam import Allocator
from helpers.claims import Claims

KILLS = 300
WORKERS = 4
INTERFACES = 3
SECONDS_MAX = 0.012


def test_kill_at_any_moment(tmp_path: Path) -> None:
    """No address is ever given twice or lost, whenever a process is killed."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run(
        [sys.executable, __file__, str(tmp_path)], check=True, timeout=240, env=environment
    )


def _work(directory: Path, name: str) -> None:
    """Allocate, claim, withdraw and release until killed."""
    allocator, claims = _tools(directory)
    chance = random.Random(name)  # noqa: S311
    while True:
        ifname = f"eth{chance.randrange(INTERFACES)}"
        if not allocator.lookup(name, ifname):
            grants = allocator.allocate(name, ifname)
            for grant in grants:
                claims.make(grant.address.partition("/")[0], name)
        else:
            for address in allocator.lookup(name, ifname):
                claims.withdraw(address)
            assert allocator.release(name, ifname)


def _tools(directory: Path) -> tuple[Allocator, Claims]:
    """Return what allocates and what claims in a directory."""
    ranges = ["10.1.0.0/26", {"subnet": "fd00::/64", "rangeEnd": "fd00::3f"}]
    return Allocator("net", ranges, str(directory / "data")), Claims(directory / "claims")


def _start(directory: Path, name: str) -> int:
    """Fork a worker; its failure is an exit status other than of a kill."""
    pid = os.fork()
    if pid:
        return pid
    try:
        _work(directory, name)
    except BaseException as e:  # noqa: BLE001 - a child must not go on as its parent
        os.write(2, f"{name}: {e!r}\n".encode())
    os._exit(1)


def main(directory: Path) -> None:
    """Kill and replace workers, then check that everything can be given back."""
    allocator, claims = _tools(directory)
    chance = random.Random(1)  # noqa: S311
    running = {name: _start(directory, name) for name in (f"w{i}" for i in range(WORKERS))}
    for kill in range(KILLS):
        time.sleep(chance.uniform(0, SECONDS_MAX))
        name = chance.choice(list(running))
        os.kill(running[name], signal.SIGKILL)
        _, status = os.waitpid(running.pop(name), 0)
        assert os.WIFSIGNALED(status), f"{name} failed"
        claims.withdraw_all(name)
        for i in range(INTERFACES):
            allocator.release(name, f"eth{i}")
        replaced = f"w{WORKERS + kill}"
        running[replaced] = _start(directory, replaced)
    for name, pid in running.items():
        os.kill(pid, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(pid, 0)[1]), f"{name} failed"
        claims.withdraw_all(name)
        for i in range(INTERFACES):
            allocator.release(name, f"eth{i}")
    assert claims.all() == []
    assert allocator.entries() == []
    usage = allocator.usage()
    assert [one.taken for one in usage] == [0, 0]
    for i in range(min(one.capacity for one in usage)):
        allocator.allocate(f"last{i}")
    assert [one.exhausted for one in allocator.usage()] == [True, False]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
