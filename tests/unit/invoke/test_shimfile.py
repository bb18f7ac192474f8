"""Recognising the plugin binary, and patching it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cnifast import __version__
from cnifast.cli.install import BINARY
from cnifast.invoke import shimfile

IMAGE = Path(BINARY).read_bytes()


def test_binary_as_built() -> None:
    """The binary of this build says so, and knows no interpreter yet."""
    found = shimfile.examine(BINARY)
    assert found is not None
    assert (found.build, found.python, found.script) == (__version__, "", "")
    assert shimfile.is_ours(BINARY)


def test_patched_binary(tmp_path: Path) -> None:
    """Patching changes the two paths and no other byte, and can be done again."""
    once = shimfile.patch(IMAGE, "/a/python", "/a/\u00e9/cold.py")
    twice = shimfile.patch(once, "/b", "/c")
    assert len(once) == len(twice) == len(IMAGE)
    assert shimfile.patch(twice, "/a/python", "/a/\u00e9/cold.py") == once
    path = tmp_path / "bridge"
    path.write_bytes(once)
    found = shimfile.examine(str(path))
    assert found is not None
    assert (found.build, found.python, found.script) == (
        __version__,
        "/a/python",
        "/a/\u00e9/cold.py",
    )


@pytest.mark.parametrize("path", ["", "relative", "/" + "x" * shimfile.PATH_ROOM, "/a\0b"])
def test_paths_that_do_not_fit(path: str) -> None:
    """A path that is not absolute, or too long, is refused."""
    with pytest.raises(ValueError, match="path"):
        shimfile.patch(IMAGE, path, "/c")
    with pytest.raises(ValueError, match="path"):
        shimfile.patch(IMAGE, "/b", path)


def test_longest_path_fits() -> None:
    """A path may fill the room but for the NUL that ends it."""
    assert shimfile.patch(IMAGE, "/" + "x" * (shimfile.PATH_ROOM - 2), "/c")


@pytest.mark.parametrize(
    "image",
    [
        b"",
        b"\x7fELF",
        b"#!/bin/sh\n# " + shimfile.MARK,
        IMAGE + shimfile.MARK,
        IMAGE[: IMAGE.index(shimfile.MARK) + 100],
        IMAGE + bytes(shimfile.SIZE_MAX),
    ],
)
def test_what_is_not_ours(tmp_path: Path, image: bytes) -> None:
    """A file that mentions the mark, is cut off or too large is none of ours."""
    path = tmp_path / "file"
    path.write_bytes(image)
    assert not shimfile.is_ours(str(path))
    assert shimfile.examine(str(path)) is None
    with pytest.raises(ValueError, match="not a plugin binary"):
        shimfile.patch(image, "/b", "/c")


def test_other_files_are_not_ours(tmp_path: Path) -> None:
    """Programs, directories and what is not there are none of ours."""
    for path in ("/bin/sh", str(tmp_path), str(tmp_path / "none")):
        assert not shimfile.is_ours(path)


def test_replaced_file_is_looked_at_again(tmp_path: Path) -> None:
    """What is remembered of a file ends with the file."""
    path = tmp_path / "bridge"
    path.write_bytes(IMAGE)
    assert shimfile.is_ours(str(path))
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    os.replace(other, path)
    assert not shimfile.is_ours(str(path))


def test_entry_of_a_patched_binary(tmp_path: Path) -> None:
    """A binary that was told its paths enters there, whatever is beside it."""
    path = tmp_path / "bridge"
    path.write_bytes(shimfile.patch(IMAGE, "/a/python", "/a/cold.py"))
    found = shimfile.examine(str(path))
    assert found is not None
    assert found.entry(str(path)) == ("/a/python", "/a/cold.py")


def test_entry_of_a_binary_as_built(tmp_path: Path) -> None:
    """One that was told nothing looks in its own directory, also when a link leads to it."""
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "bridge").write_bytes(IMAGE)
    (tmp_path / "link").symlink_to("bin/bridge")
    for path in (directory / "bridge", tmp_path / "link"):
        found = shimfile.examine(str(path))
        assert found is not None
        python, script = found.entry(str(path))
        assert python in {"", *shimfile.INTERPRETERS}
        assert script == ""
    start = directory / shimfile.BESIDE.format(build=__version__)
    start.parent.mkdir(parents=True)
    start.touch()
    assert found.entry(str(tmp_path / "link"))[1] == str(start)
