"""What tuning keeps of interfaces: the reference's files, and whose they are."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from cnifast.plugins.tuning_backup import Backup, remove_stale
from cnifast.protocol.errors import CNIError
from cnifast.protocol.request import Request

if TYPE_CHECKING:
    from pathlib import Path

BEFORE = {"mac": "02:00:00:00:00:01", "promisc": False, "mtu": 1500, "allmulti": True, "txqlen": 0}
WANTED = {"mac": "02:00:00:00:00:02", "promisc": True, "mtu": 1400, "allmulti": False, "txqlen": 5}


def backup(directory: Path, container: str = "c1", network: str = "net") -> Backup:
    """Return where the attributes of a container's eth0 are kept."""
    env = {"CNI_CONTAINERID": container, "CNI_IFNAME": "eth0"}
    return Backup(str(directory), Request("tuning", "ADD", env, b"{}", {}, network, "1.0.0"))


def test_the_format_is_the_references(tmp_path: Path) -> None:
    """A file has a line for each attribute, as the reference writes them, and then our mark."""
    one = backup(tmp_path / "a" / "b")
    one.save(BEFORE, WANTED)
    path = tmp_path / "a" / "b" / "c1_eth0.json"
    assert path.read_text() == (
        "{\n"
        ' "mac": "02:00:00:00:00:01",\n'
        ' "promisc": false,\n'
        ' "mtu": 1500,\n'
        ' "allmulti": true,\n'
        ' "txQLen": 0,\n'
        ' "cnifast": {"network":"net","containerID":"c1","ifname":"eth0","made":{'
        '"mac":"02:00:00:00:00:02","promisc":true,"mtu":1400,"allmulti":false,"txQLen":5}}\n'
        "}"
    )
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert backup(path.parent).load() == BEFORE


def test_only_what_is_wanted_is_kept(tmp_path: Path) -> None:
    """What is not to be changed is neither kept nor restored."""
    backup(tmp_path).save(BEFORE, {"mtu": 1400})
    assert backup(tmp_path).load() == {"mtu": 1500}


def test_files_of_the_reference_are_read(tmp_path: Path) -> None:
    """What the reference wrote is restored: an empty MAC and an MTU of 0 are nothing."""
    path = tmp_path / "c1_eth0.json"
    path.write_text('{\n "mac": "02:00:00:00:00:01",\n "promisc": false,\n "txQLen": 1000\n}')
    expected = {"mac": "02:00:00:00:00:01", "promisc": False, "txqlen": 1000}
    assert backup(tmp_path).load() == expected
    path.write_text('{"mac": "", "mtu": 0}')
    assert backup(tmp_path).load() == {}


@pytest.mark.parametrize("content", ["", "{", "[]", "5", '{"mtu": -1}', '{"mac": 1}', "\xff"])
def test_a_damaged_file_restores_nothing(tmp_path: Path, content: str) -> None:
    """What a crash or a disk made of a file is as if nothing had been kept."""
    (tmp_path / "c1_eth0.json").write_text(content, encoding="latin-1")
    assert backup(tmp_path).load() == {}
    backup(tmp_path).save(BEFORE, WANTED)
    assert backup(tmp_path).load() == BEFORE


def test_a_second_add_keeps_what_was_first(tmp_path: Path) -> None:
    """What the first ADD changed is not taken for what was there before."""
    backup(tmp_path).save(BEFORE, WANTED)
    now = WANTED
    for second in (WANTED, {**WANTED, "mtu": 1300}, {"mtu": 1200}):
        backup(tmp_path).save(now, second)
        assert backup(tmp_path).load() == BEFORE
        now = {**now, **second}


def test_a_second_add_keeps_what_is_new(tmp_path: Path) -> None:
    """What somebody changed since, and what the first ADD did not ask for, is kept as it is now."""
    backup(tmp_path).save(BEFORE, {"mtu": 1400, "promisc": True})
    now = {**WANTED, "mtu": 1300}
    backup(tmp_path).save(now, WANTED)
    assert backup(tmp_path).load() == {**WANTED, "mtu": 1300, "promisc": False}


def test_taking_back(tmp_path: Path) -> None:
    """An ADD that fails leaves the file of the one before it, or none."""
    first = backup(tmp_path)
    first.save(BEFORE, {"mtu": 1400})
    content = (tmp_path / "c1_eth0.json").read_text()
    second = backup(tmp_path)
    second.save(BEFORE, WANTED)
    assert (tmp_path / "c1_eth0.json").read_text() != content
    second.take_back()
    assert (tmp_path / "c1_eth0.json").read_text() == content
    first.take_back()
    assert list(tmp_path.iterdir()) == []


def test_removing_takes_drafts_too(tmp_path: Path) -> None:
    """What a killed process left half-written goes with the file; removing twice is allowed."""
    (tmp_path / ".c1_eth0.json").write_text('{\n "mtu')
    one = backup(tmp_path)
    one.save(BEFORE, WANTED)
    (tmp_path / ".c1_eth0.json").write_text('{\n "mtu')
    one.remove()
    one.remove()
    assert list(tmp_path.iterdir()) == []


def test_nowhere_to_keep(tmp_path: Path) -> None:
    """A directory in which nothing can be written is told with the path, and left as it was."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CNIError, match=r"failed to save what is changed to .*: not a directory"):
        backup(tmp_path / "file").save(BEFORE, WANTED)
    os.mkfifo(tmp_path / "c1_eth0.json")
    with pytest.raises(CNIError, match="a pipe is no file"):
        backup(tmp_path).save(BEFORE, WANTED)
    assert {path.name for path in tmp_path.iterdir()} == {"file", "c1_eth0.json"}


def test_a_link_in_the_drafts_place_is_not_followed(tmp_path: Path) -> None:
    """Nothing is written through a symbolic link that stands where a file is to be made."""
    victim = tmp_path / "victim"
    victim.write_text("as before")
    directory = tmp_path / "dir"
    directory.mkdir()
    (directory / ".c1_eth0.json").symlink_to(victim)
    with pytest.raises(CNIError, match="failed to save"):
        backup(directory).save(BEFORE, WANTED)
    assert victim.read_text() == "as before"


def test_collecting(tmp_path: Path) -> None:
    """What is kept for the network's attachments that are not valid goes, and nothing else."""
    remove_stale(str(tmp_path / "nothing"), "net", set())
    for container, network in (("c1", "net"), ("c2", "net"), ("c3", "other")):
        backup(tmp_path, container, network).save(BEFORE, WANTED)
    (tmp_path / "c4_eth0.json").write_text(json.dumps({"mtu": 1500}))
    (tmp_path / "c5_eth0.json").write_text("{")
    os.mkfifo(tmp_path / "c6_eth0.json")
    remove_stale(str(tmp_path), "net", {("c2", "eth0"), ("c1", "eth1")})
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"c{number}_eth0.json" for number in (2, 3, 4, 5, 6)
    ]
