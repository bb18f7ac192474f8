"""README and the other documents: their commands work, and what they quote is there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from cnifast.cli import confschema
from cnifast.cli.install import BINARY
from cnifast.plugins import NAMES
from cnifast.service.settings import Settings
from helpers import ways
from helpers.document import remarked
from helpers.node import TOOLS_PATH, Node
from helpers.nsutil import covered

ROOT = Path(__file__).parents[2]
# docs/libcni.md has a test of its own, and docs/configuration.md is generated.
DOCUMENTS = sorted(
    {ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")}
    - {ROOT / "docs" / "libcni.md", ROOT / "docs" / "configuration.md"}
)
SECONDS = 120


def name(path: Path) -> str:
    """Return how a document is called in test names."""
    return str(path.relative_to(ROOT))


def runnable(path: Path) -> list[tuple[str, str, str]]:
    """Return (language, code, what is to be printed) of the blocks that are run."""
    found: list[tuple[str, str, str]] = []
    for block, remark in remarked(path):
        if block.language == "text" and found:
            language, code, _ = found[-1]
            found[-1] = language, code, block.text
        elif block.language in {"sh", "python"} and remark.kind in {"", "given"}:
            given = f"{remark.text}\n" if remark.kind == "given" else ""
            if block.language == "python":
                code = f"{given}{sys.executable} - <<'PYTHON'\n{block.text}PYTHON\n"
            else:
                code = given + block.text
            found.append((block.language, code, ""))
    return found


WITH_COMMANDS = [path for path in DOCUMENTS if runnable(path)]


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=name)
def test_commands_work(path: Path, node: Node, tmp_path: Path) -> None:
    """Every command of a document succeeds on a node, in order, and prints what is shown."""
    if any(remark.text.count("/usr/lib/cni") for _, remark in remarked(path)):
        assert os.path.isdir("/usr/lib/cni"), "needs Debian's containernetworking-plugins"
    examples = runnable(path)
    if any(re.search(r"doctor|plugins install", code) for _, code, _ in examples):
        ways.need_own_installation()
    script = ["set -eu"]
    for number, (_, code, _) in enumerate(examples):
        script += ["{", code.rstrip("\n"), f"}} >{tmp_path}/{number}.out", f"echo {number} >&2"]
    errors = tmp_path / "errors"
    with covered("/opt"), errors.open("wb") as stderr:
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=ROOT,
            env={
                "PATH": f"{Path(ways.COMMAND).parent}:{TOOLS_PATH}",
                "HOME": str(tmp_path),
                "CNIFAST_SERVICE": "off",
            },
            stdin=subprocess.DEVNULL,
            stderr=stderr,  # no pipe: what goes on in the background would keep it open
            timeout=SECONDS,
            check=False,
        )
        node.kill_processes()
    assert done.returncode == 0, errors.read_text()
    for number, (_, _, shown) in enumerate(examples):
        if shown:
            assert (tmp_path / f"{number}.out").read_text() == shown


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_blocks_that_are_not_run_say_why(path: Path) -> None:
    """A block that no test runs gives a reason, or the file by which CI runs its commands."""
    for block, remark in remarked(path):
        if remark.kind == "not run":
            assert len(remark.text.split()) > 3, remark
        elif remark.kind == "run by":
            text = (ROOT / remark.text).read_text()
            for line in block.text.splitlines():
                command = line.partition("#")[0].strip()
                assert command in text, f"{remark.text} does not run {command}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_data_is_valid(path: Path, tmp_path: Path) -> None:
    """Settings and networks in a document are such that can be used."""
    for block, _ in remarked(path):
        if block.language == "json":
            conf = json.loads(block.text)
            schema = (
                confschema.of_lists() if "plugins" in conf else confschema.of_plugin(conf["type"])
            )
            Draft202012Validator(schema).validate(conf)
        elif block.language == "toml":
            assert tomllib.loads(block.text)
            (tmp_path / "config.toml").write_text(block.text)
            Settings.read({}, str(tmp_path / "config.toml"))
        else:
            assert block.language in {"sh", "python", "text", "ini"}, block


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "docs" / "libcni.md"], ids=name)
def test_links_lead_somewhere(path: Path) -> None:
    """A link within the project leads to a file that is there."""
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


REFERENCE = {
    *("bandwidth", "bridge", "dhcp", "dummy", "firewall", "host-device", "host-local", "ipvlan"),
    *("loopback", "macvlan", "portmap", "ptp", "sbr", "static", "tap", "tuning", "vlan", "vrf"),
}
MISSING = re.compile(r"^\* The reference's (.+?) (?:is|are) not replaced yet", re.MULTILINE)


def test_plugins_of_the_readme() -> None:
    """README names the plugins that there are, and those of the reference that there are not."""
    text = (ROOT / "README.md").read_text()
    listed = re.search(r"^cnifast replaces (.+?):", text, re.MULTILINE | re.DOTALL)
    assert listed
    assert sorted(re.split(r",\s+|\s+and\s+", listed[1])) == sorted(NAMES)
    missing = re.search(
        r"^\* The reference's (.+?) (?:is|are) not replaced yet", text, re.MULTILINE
    )
    names = re.split(r", | and ", missing[1]) if missing else []
    assert sorted(names) == sorted(REFERENCE - set(NAMES))


def test_size_of_a_binary() -> None:
    """README says how large a plugin binary is."""
    said = re.search(r"A plugin binary is about (\d+) kB", (ROOT / "README.md").read_text())
    assert said
    assert abs(int(said[1]) * 1000 - os.path.getsize(BINARY)) < 1500


def test_documents_were_found() -> None:
    """The tests above have something to look at."""
    found = {name(path) for path in WITH_COMMANDS}
    assert found >= {"README.md", "docs/migrating.md", "docs/troubleshooting.md"}
