"""Watching a directory: every change is told of, also when the directory goes and comes back."""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.kubernetes.watch import DirectoryWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECONDS = 30


class Seen:
    """What a directory had each time that a change was told of."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._changed = threading.Condition()
        self.calls = 0
        self.watch = DirectoryWatch(str(directory), self._look)

    def _look(self) -> None:
        with self._changed:
            self.calls += 1
            self.last = self.now()
            self._changed.notify_all()

    def now(self) -> dict[str, str]:
        """Return names and contents of the files in the directory, which may be about to go."""
        found = {}
        for folder, _, names in os.walk(self._directory, followlinks=True):
            for name in names:
                path = Path(folder, name)
                with suppress(OSError):
                    found[str(path.relative_to(self._directory))] = path.read_text()
        return found

    last: dict[str, str] | None = None

    def after(self, change: Callable[[], object]) -> dict[str, str] | None:
        """Make a change; return what was there when the last call for it was made."""
        change()
        wanted = self.now()
        with self._changed:
            assert self._changed.wait_for(lambda: self.last == wanted, SECONDS), self.last
            return self.last


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory that is not there yet, nor the one above it."""
    return tmp_path / "etc" / "net.d"


@pytest.fixture
def seen(directory: Path) -> Iterator[Seen]:
    """What is seen of it."""
    watching = Seen(directory)
    yield watching
    watching.watch.close()


def make(directory: Path) -> None:
    """Have the directory be there, empty."""
    directory.mkdir(parents=True, exist_ok=True)


def test_files_that_come_change_and_go(directory: Path, seen: Seen) -> None:
    """A file that is written, overwritten, renamed and removed is told of each time."""
    make(directory)
    file = directory / "1.conf"
    seen.after(lambda: file.write_text("one"))
    seen.after(lambda: file.write_text("two"))
    seen.after(lambda: file.rename(directory / "2.conf"))
    assert seen.last == {"2.conf": "two"}
    seen.after((directory / "2.conf").unlink)
    assert seen.last == {}


def test_a_directory_that_is_removed_and_made_again(directory: Path, seen: Seen) -> None:
    """The watch follows the path: to a new directory in place of one that was removed."""
    for round_ in range(5):
        make(directory)
        seen.after(lambda: (directory / "1.conf").write_text(f"{round_}"))  # noqa: B023
        seen.after(lambda: shutil.rmtree(directory))
        assert seen.last == {}


def test_a_directory_above_that_is_replaced(directory: Path, seen: Seen, tmp_path: Path) -> None:
    """The whole way to the directory may go and come back, and be another one."""
    make(directory)
    seen.after(lambda: (directory / "1.conf").write_text("old"))
    other = tmp_path / "new"
    make(other / "net.d")
    (other / "net.d" / "2.conf").write_text("new")
    seen.after(lambda: directory.parent.rename(tmp_path / "old"))
    assert seen.last == {}
    seen.after(lambda: other.rename(directory.parent))
    assert seen.last == {"2.conf": "new"}
    seen.after(lambda: (directory / "3.conf").write_text("newer"))


def test_a_directory_in_the_directory(directory: Path, seen: Seen) -> None:
    """Files in a directory below count, whether it was there before or has just been made."""
    make(directory)
    below = directory / "mynet"
    below.mkdir()
    seen.after(lambda: (below / "1.conf").write_text("one"))
    seen.after(lambda: (below / "1.conf").write_text("two"))


def test_a_link_to_a_directory_that_is_exchanged(tmp_path: Path) -> None:
    """A directory by way of a symbolic link is the one that the link leads to now."""
    first, second = tmp_path / "first", tmp_path / "second"
    for number, target in enumerate((first, second)):
        target.mkdir()
        (target / "1.conf").write_text(str(number))
    directory = tmp_path / "net.d"
    directory.symlink_to(first)
    seen = Seen(directory)
    next_link = tmp_path / "next"
    next_link.symlink_to(second)
    seen.after(lambda: next_link.rename(directory))
    assert seen.last == {"1.conf": "1"}
    seen.after(lambda: (second / "1.conf").write_text("2"))
    seen.watch.close()


@pytest.fixture
def linked(tmp_path: Path, directory: Path) -> Path:
    """What the directory is a link to, by way of another one; neither it nor that is there."""
    target = tmp_path / "run" / "x" / "net.d"
    directory.parent.mkdir()
    directory.symlink_to("../by-way")
    (tmp_path / "by-way").symlink_to(target)
    return target


def test_a_link_whose_target_comes_and_goes(directory: Path, linked: Path) -> None:
    """What links lead to may be made, removed and made again, with all above it."""
    seen = Seen(directory)
    for round_ in range(3):
        make(linked)
        seen.after(lambda: (linked / "1.conf").write_text(f"{round_}"))  # noqa: B023
        seen.after(lambda: shutil.rmtree(linked.parent))
        assert seen.last == {}
    seen.watch.close()


def test_a_link_on_the_way_that_is_exchanged(tmp_path: Path, directory: Path, linked: Path) -> None:
    """A link that another link leads to may come to lead elsewhere."""
    make(linked)
    seen = Seen(directory)
    seen.after(lambda: (linked / "1.conf").write_text("old"))
    elsewhere = tmp_path / "elsewhere"
    make(elsewhere)
    (elsewhere / "1.conf").write_text("new")
    next_link = tmp_path / "next"
    next_link.symlink_to(elsewhere)
    seen.after(lambda: next_link.rename(tmp_path / "by-way"))
    assert seen.last == {"1.conf": "new"}
    seen.watch.close()


@pytest.mark.parametrize("inside", [".", "mynet"])
def test_a_link_to_a_file(tmp_path: Path, directory: Path, inside: str) -> None:
    """A file elsewhere counts that a link leads to: it may come, change, be replaced and go."""
    make(directory / inside)
    real = tmp_path / "run" / "real"
    (directory / inside / "1.conf").symlink_to(tmp_path / "second")
    (tmp_path / "second").symlink_to("run/./there/../real")
    seen = Seen(directory)
    make(real.parent / "there")
    seen.after(lambda: real.write_text("one"))
    seen.after(lambda: real.write_text("two"))
    (tmp_path / "run" / "new").write_text("three")
    seen.after(lambda: (tmp_path / "run" / "new").rename(real))
    assert list((seen.last or {}).values()) == ["three"]
    seen.after(real.unlink)
    assert seen.last == {}
    seen.watch.close()


def test_a_link_to_a_file_that_comes_later(tmp_path: Path, directory: Path, seen: Seen) -> None:
    """The watch follows links that are made while it is at work."""
    make(directory)
    (tmp_path / "real").write_text("one")
    seen.after(lambda: (directory / "1.conf").symlink_to(tmp_path / "real"))
    assert seen.last == {"1.conf": "one"}
    seen.after(lambda: (tmp_path / "real").write_text("two"))


def test_a_link_to_a_directory_in_the_directory(
    tmp_path: Path, directory: Path, seen: Seen
) -> None:
    """A network's folder may be a link to one that comes, goes and comes back."""
    make(directory)
    real = tmp_path / "run" / "mynet"
    (directory / "mynet").symlink_to(real)
    for round_ in range(3):
        make(real)
        seen.after(lambda: (real / "1.conf").write_text(f"{round_}"))  # noqa: B023
        seen.after(lambda: shutil.rmtree(real.parent))
        assert seen.last == {}


def test_links_that_lead_nowhere(directory: Path) -> None:
    """Loops, names that are too long and ways through files are no reason not to watch."""
    make(directory)
    (directory / "loop.conf").symlink_to("loop.conf")
    (directory / "long.conf").symlink_to("x" * 300)
    (directory / "file.conf").symlink_to("1.conf/x")
    seen = Seen(directory)
    for text in ("one", "two"):
        seen.after(lambda: (directory / "1.conf").write_text(text))  # noqa: B023
    assert seen.last == {"1.conf": "two"}
    seen.watch.close()


def test_a_loop_in_place_of_the_directory(tmp_path: Path, directory: Path) -> None:
    """A link that leads to itself is no directory, until it leads to one."""
    make(directory)
    (directory / "1.conf").write_text("one")
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    seen = Seen(loop)
    loop.unlink()
    seen.after(lambda: loop.symlink_to(directory))
    assert seen.last == {"1.conf": "one"}
    seen.watch.close()


def test_what_is_beside_the_directory_does_not_count(directory: Path, seen: Seen) -> None:
    """Changes in directories above, of other names than the path's, make for no call."""
    make(directory)
    seen.after(lambda: (directory / "1.conf").write_text("one"))
    calls = seen.calls
    for number in range(50):
        (directory.parent / f"other{number}").write_text("x")
    seen.after(lambda: (directory / "1.conf").write_text("two"))
    assert seen.calls <= calls + 2  # truncated and written


def test_no_call_after_the_end(directory: Path, seen: Seen) -> None:
    """Once the watch is closed nothing is told any more; it may be closed twice."""
    make(directory)
    seen.after(lambda: (directory / "1.conf").write_text("one"))
    seen.watch.close()
    calls = seen.calls
    (directory / "2.conf").write_text("two")
    seen.watch.close()
    assert seen.calls == calls
    assert not seen.watch.failed


def test_a_call_that_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A call that fails ends the watch, which says so."""
    watch = DirectoryWatch(str(tmp_path), (tmp_path / "missing").unlink)
    (tmp_path / "1.conf").touch()
    watch._thread.join(SECONDS)
    assert watch.failed
    assert "will not be noticed any more" in caplog.text
    watch.close()


def test_a_call_may_close_the_watch(tmp_path: Path) -> None:
    """The watch ends when it is closed from within a call."""
    called = threading.Event()
    watches: list[DirectoryWatch] = []

    def changed() -> None:
        watches[0].close()
        called.set()

    watches.append(DirectoryWatch(str(tmp_path), changed))
    (tmp_path / "1.conf").touch()
    assert called.wait(SECONDS)


def test_a_file_in_place_of_the_directory(directory: Path, seen: Seen) -> None:
    """Something else in the directory's place is no directory, until one is there."""
    directory.parent.mkdir()
    directory.write_text("no directory")
    directory.unlink()
    make(directory)
    seen.after(lambda: (directory / "1.conf").write_text("one"))
