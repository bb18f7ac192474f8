"""`cnifast ipam`."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from cnifast.cli.__main__ import main
from cnifast.ipam import Allocator

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def data_dir(tmp_path: Path) -> str:
    """Two networks with three addresses."""
    for network, owners in (("pods", ("a", "b")), ("vms", ("c",))):
        allocator = Allocator(network, ["10.1.0.0/24"], str(tmp_path))
        for owner in owners:
            allocator.allocate(owner)
    return str(tmp_path)


def test_ls(data_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every address is one line: network, address, container, interface, time."""
    assert main(["ipam", "ls", "--data-dir", data_dir]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[:4] for row in rows] == [
        ["pods", "10.1.0.2", "a", "eth0"],
        ["pods", "10.1.0.3", "b", "eth0"],
        ["vms", "10.1.0.2", "c", "eth0"],
    ]
    assert all(row[4].endswith("Z") for row in rows)


@pytest.mark.parametrize("words", [["ls", "none"], ["gc", "none", "--none-valid"]])
def test_network_that_never_was_is_told(
    data_dir: str, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    """A name that may be mistyped is no error, but said."""
    assert main(["ipam", *words, "--data-dir", data_dir]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"cnifast ipam {words[0]}: {data_dir}/none does not exist\n"


def test_ls_json(data_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same as JSON, of one network."""
    assert main(["ipam", "ls", "vms", "--json", "--data-dir", data_dir]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert entry.pop("since") > 0
    assert entry == {
        "network": "vms", "address": "10.1.0.2", "containerID": "c", "ifname": "eth0",
    }  # fmt: skip


def test_gc_keeps_the_valid(data_dir: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What is not valid is released and printed."""
    words = ["ipam", "gc", "pods", "--data-dir", data_dir, "--valid"]
    for valid in (["a/eth0", "b/eth0"], ["a/eth0", "--valid", "b/eth0"]):
        assert main([*words, *valid]) == 0
        assert capsys.readouterr().out == ""
    assert main([*words, "b/eth0"]) == 0
    assert capsys.readouterr().out == "10.1.0.2\n"
    assert main(["ipam", "gc", "pods", "--none-valid", "--data-dir", data_dir]) == 0
    assert capsys.readouterr().out == "10.1.0.3\n"


@pytest.mark.parametrize("wrapped", [False, True])
def test_gc_from_stdin(
    data_dir: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    wrapped: bool,
) -> None:
    """The valid ones can come as JSON, alone or as in the configuration of GC."""
    document: object = [{"containerID": "a", "ifname": "eth0"}]
    if wrapped:
        document = {"cni.dev/valid-attachments": document}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(document)))
    assert main(["ipam", "gc", "pods", "--stdin", "--data-dir", data_dir]) == 0
    assert capsys.readouterr().out == "10.1.0.3\n"


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"containerID": ""}]', '[{"ifname": "eth0"}]'])
def test_gc_refuses_bad_input(
    data_dir: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    text: str,
) -> None:
    """A list that cannot be understood releases nothing."""
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert main(["ipam", "gc", "pods", "--stdin", "--data-dir", data_dir]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "cnifast ipam gc: " in captured.err


def test_gc_must_be_told(data_dir: str) -> None:
    """Nothing is released without a word about what is valid."""
    with pytest.raises(SystemExit):
        main(["ipam", "gc", "pods", "--data-dir", data_dir])
