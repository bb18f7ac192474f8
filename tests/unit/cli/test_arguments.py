"""Command lines that make no sense, and readers who have had enough."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from cnifast.cli.network import command_first

COMMAND = (sys.executable, "-m", "cnifast.cli")
DEMO = (sys.executable, "-m", "cnifast.kubernetes.demo")


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run a command."""
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def buffered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the command write its output as usual, whatever the tests' environment says."""
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)


BAD = [
    ((*COMMAND, "serve", "--threads", "-1"), "--threads: not a whole number above 0: -1"),
    ((*COMMAND, "serve", "--threads", "0"), "--threads: not a whole number above 0: 0"),
    ((*COMMAND, "serve", "--idle", "-5"), "--idle: not a whole number: -5"),
    ((*COMMAND, "serve", "--idle", "1.5"), "--idle: not a whole number: 1.5"),
    ((*COMMAND, "run", "--timeout", "-3", "true"), "--timeout: not a time in seconds: -3"),
    ((*COMMAND, "run", "--timeout", "0", "true"), "--timeout: not a time in seconds: 0"),
    ((*COMMAND, "run", "--timeout", "nan", "true"), "--timeout: not a time in seconds: nan"),
    ((*COMMAND, "add", "net", "/ns", "--timeout", "0"), "--timeout: not a time in seconds: 0"),
    ((*COMMAND, "add", "net", "/ns", "--timeout", "x"), "--timeout: not a time in seconds: x"),
    ((*COMMAND, "gc", "net", "--valid", "/x"), "--valid: not of the form CONTAINER/INTERFACE: /x"),
    (
        (*COMMAND, "gc", "net", "--valid", "a/eth0/"),
        "--valid: not of the form CONTAINER/INTERFACE: a/eth0/",
    ),
    (
        (*COMMAND, "ipam", "gc", "net", "--valid", "x"),
        "--valid: not of the form CONTAINER/INTERFACE: x",
    ),
    (
        (*COMMAND, "ipam", "gc", "net", "--none-valid", "--lock-wait", "-1"),
        "--lock-wait: not 0 or a time in seconds: -1",
    ),
    ((*DEMO, "--pods", "0"), "--pods: not a whole number above 0: 0"),
    ((*DEMO, "--workers", "x"), "--workers: not a whole number above 0: x"),
    (
        (*DEMO, "--hairpin-mode", "x"),
        "invalid choice: 'x' (choose from 'promiscuous-bridge', 'hairpin-veth', 'none')",
    ),
]


@pytest.mark.parametrize(("words", "text"), BAD, ids=[" ".join(words[3:]) for words, _ in BAD])
def test_values_without_meaning(words: tuple[str, ...], text: str) -> None:
    """A value that is none for its option is told with the option, in the same words everywhere."""
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = [line for line in done.stderr.splitlines() if "option" in line or "error:" in line][:1]
    assert line.endswith(text)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("gc", "net", "--valid", "a/eth0", "b/eth0"), "b/eth0 is no path of a namespace; each "),
        (("status", "net", "x"), "x is no path of a namespace"),
        (("add", "net", ""), "the path of the namespace is empty"),
        (("del", "--all", ""), "the path of the namespace is empty"),
        (("add", "--all", "/ns", "-ieth1"), "--all gives interfaces their names: no --ifname"),
        (("status", "net", "--valid", "a/eth0"), "there is no option --valid"),
        (("del", "net", "/ns", "--none-valid"), "there is no option --none-valid"),
        (("gc", "net", "--container-id=a"), "there is no option --container-id"),
    ],
)
def test_words_without_meaning(words: tuple[str, ...], text: str) -> None:
    """A word that is taken for nothing is not passed over: it may have meant something."""
    done = run(*COMMAND, *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"cnifast {words[0]}: {text}")


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("-i", "add", "del"), "del"),
        (("-iadd", "gc", "net"), "gc"),
        (("--all", "--timeout", "x", "check", "/ns"), "check"),
        (("--valid=a/b", "--none-valid", "gc"), "gc"),
        (("--none", "add"), ""),
        (("-i", "eth1"), ""),
        (("-i", "eth1", "version"), ""),
        (("--all", "--help", "add"), ""),
    ],
)
def test_options_before_the_command(words: tuple[str, ...], command: str) -> None:
    """They are those of the command after them, if it has any to do with networks."""
    found = command_first(words)
    assert sorted(found) == sorted(words)
    assert found[0] == (command or words[0])


@pytest.mark.usefixtures("buffered")
@pytest.mark.parametrize(
    "words", ["schema bridge", "schema --markdown", "doctor /", "--help", "add --help"]
)
def test_reader_who_has_had_enough(words: str) -> None:
    """A pipe that nobody reads any more ends a command quietly, as SIGPIPE would."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*COMMAND, *words.split()],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.usefixtures("buffered")
@pytest.mark.parametrize("words", ["schema bridge", "add --help"])
def test_output_that_cannot_be_written(words: str) -> None:
    """A full disk is told in one line."""
    done = run("sh", "-c", '"$@" > /dev/full', "-", *COMMAND, *words.split())
    assert done.returncode == 1
    assert done.stderr.endswith("No space left on device\n")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("streams", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed(streams: str) -> None:
    """What nobody can hear is not said, and no other file takes it for itself."""
    done = run("sh", "-c", f'"$@" {streams}', "-", *COMMAND, "add", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert run("sh", "-c", f'"$@" {streams}', "-", *COMMAND, "add").returncode == 2
