"""Commands as the service runs them, without a node."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnifast.cli.handed import Told, handed
from cnifast.cli.interrupt import Interrupted
from cnifast.protocol.errors import CNIError, RunCold
from cnifast.protocol.request import Place
from cnifast.service.worker import Command

if TYPE_CHECKING:
    from pathlib import Path

    from cnifast.protocol.skel import Response

CONF = {"cniVersion": "1.1.0", "name": "net", "plugins": [{"type": "loopback"}]}


def give(directory: Path, *words: str, place: Place | None = None) -> Response:
    """Give a command of which nobody waits for the end."""
    env = {"NETCONFPATH": str(directory)}
    place = place or Place(delegates=False)
    return handed(Command(list(words), env, place, lambda: None))


@pytest.mark.parametrize(
    "words",
    [
        ("",),
        ("up", "net"),
        ("add",),
        ("add", "", ""),
        ("add", "net", "/\udcff\udcfe"),
        ("add", "--all"),
        ("gc", "--valid", "x"),
        ("status", "net", "a", "b"),
        ("del", "--timeout", "never", "net", "/x"),
    ],
)
def test_hostile_words(tmp_path: Path, words: tuple[str, ...]) -> None:
    """What is no command is answered by one line, and by how to write one."""
    answer = give(tmp_path, *words)
    assert answer.exit_code in (1, 2)
    assert answer.stdout.startswith(b"cnifast ")


@given(
    st.sampled_from(["add", "del", "check", "gc", "status", "--help", ""]),
    st.lists(
        st.text(max_size=6)
        | st.sampled_from(["--all", "--valid", "--ifname=x", "/", "a/b", "--none-valid", "--"])
    ),
)
def test_any_words(
    tmp_path_factory: pytest.TempPathFactory, command: str, words: list[str]
) -> None:
    """Whatever the words are, there is an answer, or they are left to a process."""
    try:
        answer = give(tmp_path_factory.getbasetemp() / "none", command, *words)
    except RunCold:
        return
    assert (answer.exit_code in (0, 1, 2), answer.stderr) == (True, b"")
    assert answer.exit_code or answer.stdout.startswith(b"usage: ")


def test_status(tmp_path: Path) -> None:
    """A command is run, and says nothing where there is nothing to say."""
    (tmp_path / "net.conflist").write_text(json.dumps(CONF))
    answer = give(tmp_path, "status", "net")
    assert (answer.exit_code, answer.stdout, answer.stderr) == (0, b"", b"")
    answer = give(tmp_path, "status", "--help")
    assert (answer.exit_code, answer.stdout[:6]) == (0, b"usage:")


@pytest.mark.parametrize("same", [True, False])
def test_paths(tmp_path: Path, same: bool) -> None:
    """Every path that plays a part is looked at, those in configurations as well."""
    (tmp_path / "net.conf").write_text(
        json.dumps({"cniVersion": "1.1.0", "name": "net", "type": "loopback", "x": {"y": "/z"}})
    )
    looked_at: list[str] = []

    def same_path(path: str) -> bool:
        looked_at.append(path)
        return same or path != "/z"

    place = Place(delegates=False, same_path=same_path)
    words = ("status", "net", "/run/netns/x")
    if same:
        assert give(tmp_path, *words, place=place).exit_code == 0
    else:
        with pytest.raises(RunCold, match="/z is of the caller's mount namespace"):
            give(tmp_path, *words, place=place)
    wanted = {str(tmp_path), "/var/lib/cni", "/var/lib/cni/results", "/opt/cni/bin"}
    assert wanted | {"/run/netns/x", f"{tmp_path}/net.conf", "/z"} == set(looked_at)


def test_own_paths(tmp_path: Path) -> None:
    """A caller with a working directory, or patience, of its own runs its commands itself."""
    with pytest.raises(RunCold, match="paths of the caller's own"):
        give(tmp_path, "add", "net", "run/netns/x")
    with pytest.raises(RunCold, match="end a program"):
        give(tmp_path, "add", "net", "/x", "--timeout", "1")


def test_defect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong, there is an answer, and what is to be said of it in the log."""

    def fail(*_: object) -> str:
        raise LookupError("nothing")

    monkeypatch.setattr("cnifast.cli.handed.run", fail)
    answer = give(tmp_path, "status", "net")
    assert answer.exit_code == 1
    assert answer.stdout == b"cnifast status: LookupError: nothing (code 999)\n"
    assert answer.stderr.startswith(b"Traceback ")


def test_what_could_not_be_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that left something is not left to a process, which would stumble over that."""

    def fail(*_: object) -> str:
        error = RunCold("elsewhere")
        error.add_note("while undoing: no")
        raise error

    monkeypatch.setattr("cnifast.cli.handed.run", fail)
    answer = give(tmp_path, "status", "net")
    assert (answer.exit_code, answer.stdout) == (
        1,
        b"cnifast status: elsewhere; while undoing: no\n",
    )


def test_broken_configurations_elsewhere(tmp_path: Path) -> None:
    """What is wrong with them is said, whosever they are."""
    (tmp_path / "net.conf").write_text("{")
    for same in (None, lambda _: True):
        answer = give(tmp_path, "status", "net", place=Place(delegates=False, same_path=same))
        assert (answer.exit_code, b"net.conf" in answer.stdout) == (1, True)


def test_told() -> None:
    """A signal ends the command once; a caller that is gone does so, too."""
    said: list[int | None] = [None, 15, 15]
    told = Told(lambda: said.pop(0))
    told.check()
    assert (told.is_set, told.number) == (False, 0)
    with pytest.raises(Interrupted, match="SIGTERM"):
        told.check()
    told.check()
    assert (told.is_set, told.number, said) == (True, 15, [15])
    gone = Told(lambda: 0)
    with pytest.raises(CNIError, match="given up"):
        gone.check()
    assert (gone.is_set, gone.number) == (True, 0)
    settled = Told(lambda: 15)
    settled.settle()
    settled.check()
    assert not settled.is_set
