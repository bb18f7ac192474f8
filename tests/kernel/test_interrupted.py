"""Signals that end a command: what is half done is undone, whatever runs the plugins."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from helpers import ways
from helpers.networks import BRIDGE, CACHE, MYNET, NETNS, Shell, taken, write
from helpers.script import script

if TYPE_CHECKING:
    from helpers.node import Node

ENDING = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT]


def signalled(shell: Shell, directory: Path, then: str) -> None:
    """Let the network's second plugin tell the command to end while it adds, and then do more."""
    script(directory, f'[ "$CNI_COMMAND" = ADD ] || exit 0\n{then}', "teller")
    write("10-mynet.conflist", {**MYNET, "plugins": [BRIDGE, {"type": "teller"}]})
    shell.env["CNI_PATH"] += f":{directory}"


def command(
    shell: Shell, *words: str, env: str = "--default-signal"
) -> subprocess.CompletedProcess[str]:
    """Run the command with the signals as a shell leaves them."""
    return subprocess.run(
        ["env", env, ways.COMMAND, *words],
        env=shell.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_nothing_left(node: Node) -> None:
    """Make sure that no attachment, no address and no result is there.

    Raises:
        AssertionError: one is.
    """
    assert list(Path("/run/netns").iterdir()) == [Path(NETNS)]
    assert "eth0" not in node.link_names(node.containers["blue"])
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


@pytest.fixture(params=["off", "auto"])
def either(request: pytest.FixtureRequest, shell: Shell) -> Shell:
    """The command that runs plugins itself, and with a service their programs."""
    shell.env["CNIFAST_SERVICE"] = request.param
    if request.param != "off":
        request.getfixturevalue("service")
    return shell


ATTACHING = pytest.mark.parametrize(
    "words", [("add", "mynet", NETNS), ("run", "touch", "/run/ran")]
)


@ATTACHING
@pytest.mark.parametrize("number", ENDING)
def test_while_attaching(
    node: Node, either: Shell, tmp_path: Path, number: signal.Signals, words: tuple[str, ...]
) -> None:
    """A signal during ADD: the plugin at work finishes, all is detached, one line says why."""
    signalled(either, tmp_path, f"kill -{number} $PPID\ncat > {tmp_path}/conf\necho '{{}}'")
    done = command(either, *words)
    assert done.stderr == f"cnifast {words[0]}: interrupted by {number.name}\n"
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert (tmp_path / "conf").read_text()
    assert not Path("/run/ran").exists()
    assert_nothing_left(node)


@ATTACHING
def test_plugin_that_does_not_end(
    node: Node, either: Shell, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """A plugin that goes on is killed after a moment, and all of the network is detached."""
    signalled(either, tmp_path, f"echo $$ > {tmp_path}/pid\nkill -TERM $PPID\nexec sleep 3600")
    done = command(either, *words)
    assert done.stderr == f"cnifast {words[0]}: interrupted by SIGTERM\n"
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()
    assert_nothing_left(node)


def test_later_network(node: Node, shell: Shell, tmp_path: Path) -> None:
    """A signal in the first of several networks is noticed before the next one is begun."""
    signalled(shell, tmp_path, "kill -TERM $PPID\necho '{}'")
    write("20-other.conf", {**BRIDGE, "cniVersion": "1.0.0", "name": "other", "bridge": "cni9"})
    done = command(shell, "add", "--all", NETNS)
    assert done.returncode == 128 + signal.SIGTERM
    assert "cni9" not in node.link_names()
    assert_nothing_left(node)


def test_ignored_signal(node: Node, shell: Shell, tmp_path: Path) -> None:
    """What the caller has the command ignore, as nohup does, ends nothing."""
    signalled(shell, tmp_path, "kill -HUP $PPID\nkill -HUP $$\necho '{}'")
    done = command(shell, "add", "mynet", NETNS, env="--ignore-signal=HUP")
    assert (done.returncode, done.stderr) == (0, "")
    assert "eth0" in node.link_names(node.containers["blue"])
    shell.ok("del", "mynet", NETNS)
    assert_nothing_left(node)


@pytest.mark.parametrize("number", ENDING)
def test_while_detaching(node: Node, shell: Shell, tmp_path: Path, number: signal.Signals) -> None:
    """DEL that can end does so, and is no failure then."""
    script(tmp_path, f"[ $CNI_COMMAND = ADD ] && echo '{{}}' || kill -{number} $PPID", "teller")
    write("10-mynet.conflist", {**MYNET, "plugins": [BRIDGE, {"type": "teller"}]})
    shell.env["CNI_PATH"] += f":{tmp_path}"
    shell.ok("add", "mynet", NETNS)
    done = command(shell, "del", "mynet", NETNS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert_nothing_left(node)


def test_terminal(node: Node, shell: Shell, tmp_path: Path) -> None:
    """Ctrl-C reaches the command's process group; the plugin at work is not in that."""
    signalled(shell, tmp_path, "kill -INT -$(ps -o pgid= -p $PPID | tr -d ' ')\necho '{}'")
    done = subprocess.run(
        ["env", "--default-signal", ways.COMMAND, "add", "mynet", NETNS],
        env=shell.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        process_group=0,
    )
    assert (done.returncode, done.stderr) == (130, "cnifast add: interrupted by SIGINT\n")
    assert_nothing_left(node)
