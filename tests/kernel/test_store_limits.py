"""The store where it cannot write: read-only, full, or not the caller's.

This file is also the program that the tests run in a mount namespace of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.ipam import Allocator
from cnifast.protocol.errors import CNIError

if TYPE_CHECKING:
    from collections.abc import Callable

NOBODY = 65534


@pytest.mark.parametrize(
    "name", ["read_only", "full", "no_inodes", "not_permitted", "not_the_owner"]
)
def test_limit(name: str) -> None:
    """An operation that cannot be done says why, changes nothing, and is possible later."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a mount of its own")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    program = [sys.executable, __file__, name]
    subprocess.run(["unshare", "-m", *program], check=True, timeout=60, env=environment)


def mount(directory: Path, options: str) -> None:
    """Mount a file system in memory."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], check=True)


def remount(directory: Path, options: str) -> None:
    """Change the options of a mount."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(directory)], check=True)


def names(directory: Path) -> list[str]:
    """Return the names of all files of the network."""
    return sorted(path.name for path in (directory / "net").iterdir())


def refused(call: Callable[[], object], reason: str) -> None:
    """Check that a call fails for a reason."""
    with pytest.raises(CNIError, match=reason) as error:
        call()
    assert error.value.code == 999


def read_only(directory: Path) -> None:
    """What is there can be looked up; nothing can be taken or released."""
    mount(directory, "mode=755")
    allocator = Allocator("net", ["10.1.0.0/24"], str(directory))
    allocator.allocate("a")
    before = names(directory)
    remount(directory, "ro")
    refused(lambda: allocator.allocate("b"), "read-only file system")
    refused(lambda: allocator.release("a"), "read-only file system")
    refused(lambda: Allocator("x", ["10.1.0.0/24"], str(directory)).allocate("b"), "read-only")
    assert allocator.lookup("a") == ["10.1.0.2"]
    assert allocator.release("b") == []
    assert allocator.usage()[0].taken == 1
    assert names(directory) == before
    remount(directory, "rw")
    assert allocator.allocate("b")[0].address == "10.1.0.3/24"
    assert allocator.release("a") == ["10.1.0.2"]


def full(directory: Path) -> None:
    """Nothing is taken while there is no room; releasing works, and then there is room."""
    mount(directory, "mode=755,size=256k")
    allocator = Allocator("net", ["10.1.0.0/24"], str(directory))
    allocator.allocate("a")
    allocator.allocate("b")
    with open(directory / "ballast", "wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(b"x" * 4096)
    before = names(directory)
    refused(lambda: allocator.allocate("c"), "no space left on device")
    assert names(directory) == before
    assert allocator.lookup("b") == ["10.1.0.3"]
    assert allocator.release("a") == ["10.1.0.2"]
    (directory / "ballast").unlink()
    assert allocator.allocate("c")[0].address == "10.1.0.4/24"
    assert allocator.lookup("b") == ["10.1.0.3"]


def no_inodes(directory: Path) -> None:
    """The same where it is files, not bytes, that there is no room for."""
    mount(directory, "mode=755,nr_inodes=12")
    allocator = Allocator("net", ["10.1.0.0/24"], str(directory))
    held = 0

    def take_all() -> None:
        nonlocal held
        while True:
            allocator.allocate(f"c{held}")
            held += 1

    refused(take_all, "no space left on device")
    assert held > 2
    assert [entry.container_id for entry in allocator.entries()] == [f"c{i}" for i in range(held)]
    assert allocator.release("c0") == ["10.1.0.2"]
    assert allocator.allocate("d")[0].address == f"10.1.0.{held + 2}/24"


def not_permitted(directory: Path) -> None:
    """A caller without permission is told so."""
    (directory / "net").mkdir()
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    for name in ("net", "other"):
        allocator = Allocator(name, ["10.1.0.0/24"], str(directory))
        refused(lambda allocator=allocator: allocator.allocate("a"), "permission denied")
    assert names(directory) == []


def not_the_owner(directory: Path) -> None:
    """Who may write but not set times gets right answers, without an index that is trusted."""
    (directory / "net").mkdir()
    for path in (directory, directory / "net"):
        path.chmod(0o777)
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    allocator = Allocator("net", ["10.1.0.0/24"], str(directory))
    for i in range(20):
        assert allocator.allocate(f"c{i}")[0].address == f"10.1.0.{i + 2}/24"
    for i in range(0, 20, 2):
        assert allocator.release(f"c{i}") == [f"10.1.0.{i + 2}"]
        assert allocator.lookup(f"c{i + 1}") == [f"10.1.0.{i + 3}"]
    (directory / "net" / "10.1.0.3").unlink()
    assert allocator.lookup("c1") == []
    assert allocator.usage()[0].taken == 9


if __name__ == "__main__":
    mount(Path("/mnt"), "mode=755")
    store = Path("/mnt/store")
    store.mkdir()
    globals()[sys.argv[1]](store)
