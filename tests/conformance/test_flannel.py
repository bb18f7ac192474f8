"""The flannel plugin against golden files: what its delegate is given, and what is saved.

A program that writes down its input stands for the delegate.  The golden files are what the
reference's flannel plugin, release 1.9.1, gives to one; where `CNIFAST_REFERENCE` has it, it
vouches for them.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import table_flannel

from helpers import ways
from helpers.plugin import Attachment, BinaryRunner

if TYPE_CHECKING:
    from table_flannel import FlannelCase

    from helpers.node import Node
    from helpers.plugin import Runner

GOLDEN = Path(__file__).parents[1] / "golden" / "flannel"
PROGRAMS = Path("/run/programs")
PROGRAM = """#!/bin/sh
cat >/run/programs/$CNI_COMMAND.json
[ $CNI_COMMAND != ADD ] || echo '{"cniVersion": "0.3.1", "ips": [
    {"version": "4", "address": "10.1.17.9/24", "gateway": "10.1.17.1"}]}'
"""


class Scene:
    """A node on which flanneld has written its file, and an attachment."""

    def __init__(self, node: Node, runner: Runner, case: FlannelCase) -> None:
        self.case = case
        self.golden = json.loads((GOLDEN / f"{case.name}.json").read_text())
        PROGRAMS.mkdir()
        program = PROGRAMS / self.golden["type"]
        program.write_text(PROGRAM)
        program.chmod(0o755)
        path = Path(case.subnet_file)
        path.parent.mkdir(exist_ok=True)
        path.write_text(case.env)
        self.one = Attachment(
            runner,
            case.full_conf,
            node.new_container("pod1"),
            path=f"{PROGRAMS}:{runner.plugin_path}",
        )
        self.saved = Path(case.data_dir, "pod1")

    def given(self, command: str) -> Any:
        """Return what the program was given for a command."""
        return json.loads((PROGRAMS / f"{command}.json").read_text())

    def read_saved(self) -> dict[str, Any]:
        """Return what is saved."""
        found: dict[str, Any] = json.loads(self.saved.read_text())
        return found


@pytest.mark.parametrize("case", table_flannel.CASES, ids=str)
def test_delegate(node: Node, inproc: Runner, case: FlannelCase) -> None:
    """ADD gives the delegate the golden configuration and saves it, DEL gives it the same."""
    scene = Scene(node, inproc, case)
    added = scene.one.add()
    assert added.ok, added
    assert "10.1.17.9/24" in added.stdout
    assert scene.given("ADD") == scene.golden
    assert scene.read_saved() == {**scene.golden, "cnifast": {"ifname": "eth0"}}
    assert scene.saved.stat().st_mode & 0o7777 == 0o600
    assert [path.name for path in scene.saved.parent.iterdir()] == ["pod1"]
    Path(case.subnet_file).unlink()
    assert scene.one.delete().ok
    assert scene.given("DEL") == scene.golden
    assert list(scene.saved.parent.iterdir()) == []
    (PROGRAMS / "DEL.json").unlink()
    assert scene.one.delete().ok
    assert not (PROGRAMS / "DEL.json").exists()


@pytest.mark.parametrize("case", table_flannel.CASES[::9], ids=str)
def test_what_the_reference_saved(node: Node, runner: Runner, case: FlannelCase) -> None:
    """DEL works by a file that the reference left, which does not say whose it is."""
    scene = Scene(node, runner, case)
    scene.saved.parent.mkdir(exist_ok=True)
    scene.saved.write_text(json.dumps(scene.golden, indent=1))
    Path(case.subnet_file).unlink()
    assert scene.one.delete().ok
    assert scene.given("DEL") == scene.golden
    assert not scene.saved.exists()


@pytest.mark.parametrize("case", table_flannel.CASES, ids=str)
def test_reference(node: Node, reference: str, plugin_directory: str, case: FlannelCase) -> None:
    """The reference gives its delegate the same, and its DEL works by what we saved."""
    if shutil.which("flannel", path=reference) is None:
        pytest.skip(f"no reference flannel plugin in {reference}")
    theirs = BinaryRunner("reference", reference)
    scene = Scene(node, theirs, case)
    assert scene.one.call("ADD").ok
    assert scene.given("ADD") == scene.golden
    assert scene.read_saved() == scene.golden
    scene.one.runner = ways.cold(plugin_directory)
    scene.saved.unlink()
    assert scene.one.add().ok
    scene.one.runner = theirs
    assert scene.one.delete().ok
    given = scene.given("DEL")
    assert given.pop("cnifast") == {"ifname": "eth0"}
    assert given == scene.golden
    assert not scene.saved.exists()
