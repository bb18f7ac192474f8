"""Whether a path means the same in two mount namespaces."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from cnifast.service.paths import CallersPaths, named_paths, same_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make namespaces")


@contextlib.contextmanager
def elsewhere(script: str) -> Iterator[int]:
    """Give a process in another mount namespace in which a script has run."""
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f"{script}; echo ready; exec cat"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process.pid
        process.stdin.close()


def test_own_namespace(tmp_path: Path) -> None:
    """To a process of the same namespace all is the same, whether it exists or not."""
    for path in ("/", "/etc/hostname", str(tmp_path), f"{tmp_path}/no/such", "/nonexistent"):
        assert same_path(os.getpid(), path)


def test_no_process(tmp_path: Path) -> None:
    """Of a process that is not there, or that the kernel does not name, nothing is known."""
    with subprocess.Popen(["true"]) as process:
        pass
    assert not same_path(process.pid, str(tmp_path))
    assert not same_path(0, str(tmp_path))


def test_what_cannot_be_followed_counts_as_different(tmp_path: Path) -> None:
    """Relative paths, parents and symbolic links are not followed."""
    (tmp_path / "link").symlink_to(tmp_path)
    for path in ("relative", "", f"{tmp_path}/../x", f"{tmp_path}/link", f"{tmp_path}/link/x"):
        assert not same_path(os.getpid(), path)


def test_what_is_no_path_counts_as_different() -> None:
    """A text that no file can have as its path is the same as nothing."""
    for path in ("/etc\0/x", "/etc/\ud800", "/etc/" + "x" * 5000):
        assert not same_path(os.getpid(), path)


@needs_root
def test_untouched_directories_are_the_same(tmp_path: Path) -> None:
    """What is not mounted over is the same in another namespace."""
    with elsewhere("true") as pid:
        assert same_path(pid, str(tmp_path))
        assert same_path(pid, f"{tmp_path}/no/such")


@needs_root
def test_directory_mounted_over_is_different(tmp_path: Path) -> None:
    """What is mounted over is another, and so is all below it."""
    (tmp_path / "a").mkdir()
    with elsewhere(f"mount -t tmpfs none {tmp_path}/a") as pid:
        assert not same_path(pid, f"{tmp_path}/a")
        assert not same_path(pid, f"{tmp_path}/a/no/such")
        assert same_path(pid, f"{tmp_path}/b")


@needs_root
def test_directory_that_is_shared_again_is_the_same(tmp_path: Path) -> None:
    """Only where a path leads counts, not what it leads through."""
    for name in ("keep", "over", "over/shared"):
        (tmp_path / name).mkdir()
    script = (
        f"mount --bind {tmp_path}/over/shared {tmp_path}/keep; mount -t tmpfs none {tmp_path}/over;"
        f"mkdir {tmp_path}/over/shared; mount --bind {tmp_path}/keep {tmp_path}/over/shared"
    )
    with elsewhere(script) as pid:
        assert not same_path(pid, f"{tmp_path}/over")
        assert same_path(pid, f"{tmp_path}/over/shared")
        assert same_path(pid, f"{tmp_path}/over/shared/no/such")


@needs_root
def test_file_that_exists_on_one_side_is_different(tmp_path: Path) -> None:
    """What only one of the two has is not the same."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "file").touch()
    with elsewhere(f"mount -t tmpfs none {tmp_path}/a") as pid:
        assert not same_path(pid, f"{tmp_path}/a/file")


def test_named_paths() -> None:
    """All absolute paths of a configuration count, those of the previous result do not."""
    conf = {
        "cniVersion": "1.0.0",
        "ipam": {"dataDir": "/data", "ranges": [["/in/list"]], "resolvConf": "relative"},
        "prevResult": {"interfaces": [{"sandbox": "/run/netns/x"}]},
        "PrevResult": "/other/spelling",
        "mtu": 1500,
    }
    found = set(named_paths(conf, {"CNI_PATH": "/opt/cni/bin::/usr/lib/cni"}))
    assert found == {"/opt/cni/bin", "/usr/lib/cni", "/data", "/in/list"}


@needs_root
def test_callers_paths(tmp_path: Path) -> None:
    """What is known of a path of a caller's stays so for the call: it is looked at once."""
    (tmp_path / "a").mkdir()
    with elsewhere(f"mount -t tmpfs none {tmp_path}/a") as pid:
        is_same = CallersPaths(pid)
        assert not is_same(f"{tmp_path}/a/b")
        assert is_same(f"{tmp_path}/c")
    assert not is_same(f"{tmp_path}/a/b")
    assert is_same(f"{tmp_path}/c")
    assert not is_same(f"{tmp_path}/d")
