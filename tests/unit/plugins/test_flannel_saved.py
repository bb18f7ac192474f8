"""The files in which the flannel plugin keeps what its delegates were called with."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from cnifast.plugins.flannel_saved import Saved, Slot, saved_for
from cnifast.protocol.errors import CNIError

if TYPE_CHECKING:
    from pathlib import Path

STDIN = b'{"name":"net","type":"bridge","mtu":1450}'
OTHER = b'{"name":"net","type":"macvlan"}'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A directory that is not there yet."""
    return tmp_path / "a" / "flannel"


def slot(directory: Path, ifname: str = "eth0", container_id: str = "c1") -> Slot:
    """Return the slot of an attachment."""
    return Slot(str(directory), container_id, ifname)


def names(directory: Path) -> set[str]:
    """Return the files of a directory."""
    return {path.name for path in directory.iterdir()}


def found(of: Slot) -> Saved:
    """Return what is saved, which must be there."""
    saved = of.find()
    assert saved is not None
    return saved


def test_save_and_forget(directory: Path) -> None:
    """What is saved is found, with the owner's mark taken off, until it is forgotten."""
    one = slot(directory)
    assert one.find() is None
    one.save(STDIN)
    saved = found(slot(directory))
    assert (saved.plugin, saved.stdin, saved.ifname, saved.network) == (
        *("bridge", STDIN),
        *("eth0", "net"),
    )
    assert names(directory) == {"c1"}
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (directory / "c1").stat().st_mode & 0o777 == 0o600
    one.forget(saved)
    one.forget(None)
    assert (names(directory), one.find()) == (set(), None)


def test_save_again(directory: Path) -> None:
    """Saving again replaces the content, and taking that back brings the first one back."""
    slot(directory).save(STDIN)
    second = slot(directory)
    second.save(OTHER)
    assert found(second).stdin == OTHER
    second.take_back(error := ValueError())
    assert (found(second).stdin, names(directory)) == (STDIN, {"c1"})
    assert not hasattr(error, "__notes__")


def test_take_back_the_first(directory: Path) -> None:
    """Taking the first one back leaves no file, and no directory that was not there."""
    one = slot(directory)
    one.save(STDIN)
    one.take_back(ValueError())
    assert not directory.exists()
    directory.mkdir()
    one = slot(directory)
    one.save(STDIN)
    one.take_back(ValueError())
    assert names(directory) == set()


def test_two_interfaces(directory: Path) -> None:
    """A second interface is saved beside the first, and neither is taken for the other."""
    eth0, net1 = slot(directory), slot(directory, "net1")
    eth0.save(STDIN)
    net1.save(OTHER)
    assert names(directory) == {"c1", "c1:net1"}
    assert (found(eth0).stdin, found(net1).stdin) == (STDIN, OTHER)
    eth0.forget(found(eth0))
    assert eth0.find() is None
    again = slot(directory, "net1")
    again.save(STDIN)
    assert (names(directory), found(again).stdin) == ({"c1:net1"}, STDIN)
    again.take_back(ValueError())
    assert found(net1).stdin == OTHER


def test_what_the_reference_saved(directory: Path) -> None:
    """A file that does not say whose it is, is anybody's, and nobody overwrites it."""
    directory.mkdir(parents=True)
    (directory / "c1").write_bytes(OTHER)
    one = slot(directory)
    saved = found(one)
    assert (saved.stdin, saved.ifname) == (OTHER, "")
    one.save(STDIN)
    assert names(directory) == {"c1", "c1:eth0"}
    assert found(one).stdin == STDIN
    one.forget(found(one))
    assert found(one).stdin == OTHER


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"null", b"{}", b'{"type":1}', b'{"type":"flannel"}', b"\xff"]
)
def test_damaged(directory: Path, text: bytes) -> None:
    """What is no configuration of a delegate is found, says so, and gives way."""
    directory.mkdir(parents=True)
    (directory / "c1").write_bytes(text)
    one = slot(directory)
    assert (found(one).plugin, found(one).network) == ("", "")
    assert list(saved_for(str(directory), "")) == []
    one.save(STDIN)
    assert (names(directory), found(one).stdin) == ({"c1"}, STDIN)


def test_left_by_the_killed(directory: Path) -> None:
    """A draft that is a second name of the file in use is not written into."""
    one = slot(directory)
    one.save(STDIN)
    (directory / ".c1:eth0").hardlink_to(directory / "c1")
    (directory / "kept").hardlink_to(directory / "c1")
    before = (directory / "kept").read_bytes()
    slot(directory).save(OTHER)
    assert (directory / "kept").read_bytes() == before
    assert (found(one).stdin, names(directory)) == (OTHER, {"c1", "kept"})


def test_all_of_a_network(directory: Path) -> None:
    """All files of a network are found, drafts too; what cannot be read is left out."""
    assert list(saved_for(str(directory), "net")) == []
    slot(directory).save(STDIN)
    slot(directory, "net1").save(OTHER)
    slot(directory, "eth0", "c2").save(b'{"name":"other","type":"bridge"}')
    (directory / "lost+found").mkdir()
    (directory / ".c3:eth0").write_text(json.dumps({**json.loads(OTHER), "cnifast": None}))
    (directory / ".c4:eth0").write_bytes(STDIN[:9])
    seen = {
        (one.container_id, one.ifname, one.is_draft) for one in saved_for(str(directory), "net")
    }
    assert seen == {("c1", "eth0", False), ("c1", "net1", False), ("c3", "", True)}


def test_nowhere_to_save(directory: Path) -> None:
    """What cannot be written is an error that names the file."""
    directory.parent.mkdir()
    directory.write_text("")
    with pytest.raises(CNIError, match=r"failed to save .*/flannel/c1: not a directory"):
        slot(directory).save(STDIN)
