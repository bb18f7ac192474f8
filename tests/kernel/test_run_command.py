"""`cnifast run` on a private node."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers import ways
from helpers.networks import CACHE, MYNET, NETNS, Shell, taken, write

if TYPE_CHECKING:
    from helpers.node import Node


def test_run(node: Node, shell: Shell) -> None:
    """A program sees what is attached, and lo, also under /sys; its status is the command's."""
    done = shell.run("run", "sh", "-c", "ls /sys/class/net; ip -o -4 addr; exit 7")
    assert done.returncode == 7
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert lines[:2] == ["eth0", "lo"]
    assert "127.0.0.1/8" in lines[2]
    assert "10.22.0.2/16" in lines[3]
    assert list(Path("/run/netns").iterdir()) == [Path(NETNS)]
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_run_on_one_network(shell: Shell) -> None:
    """Networks may be named; options after the program are the program's."""
    write("20-other.conflist", {**MYNET, "name": "other"})
    shown = shell.ok("run", "-n", "other", "--", "ls", "-1", "/sys/class/net")
    assert shown.split() == ["eth0", "lo"]
    assert shell.ok("run", "ls", "-1", "/sys/class/net").split() == ["eth0", "eth1", "lo"]


def test_run_what_cannot_be_run(node: Node, shell: Shell) -> None:
    """A program that is not there, and a network that fails, leave nothing."""
    done = shell.run("run", "no-such-program")
    assert done.returncode == 127
    assert "execute no-such-program: no such file or directory" in done.stderr
    done = shell.run("run", "/etc")
    assert done.returncode == 126
    assert "execute /etc: permission denied" in done.stderr
    write("20-bad.conf", {"cniVersion": "1.0.0", "name": "bad", "type": "macvlan", "master": "no"})
    assert 'name="bad" failed (add)' in shell.refused("run", "true")
    assert "no net configuration" in shell.refused("run", "-n", "none", "true")
    assert list(Path("/run/netns").iterdir()) == [Path(NETNS)]
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_run_is_told_to_end(node: Node, shell: Shell, number: signal.Signals) -> None:
    """A signal reaches the program; what was attached is detached before the command ends."""
    running = subprocess.Popen(
        # Whoever runs the tests may ignore signals.
        ["env", "--default-signal", ways.COMMAND, "run", "sh", "-c", "echo ready; exec sleep 60"],
        env=shell.env,
        stdout=subprocess.PIPE,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == b"ready\n"
    running.send_signal(number)
    assert running.wait(30) == 128 + number
    running.stdout.close()
    assert list(Path("/run/netns").iterdir()) == [Path(NETNS)]
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])
