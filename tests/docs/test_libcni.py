"""docs/libcni.md: what it shows is done, one block after the other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cnifast import invoke, libcni
from helpers.document import blocks
from transcripts.session import ROOT, Session

if TYPE_CHECKING:
    from helpers.node import Node

DOCUMENT = ROOT / "docs" / "libcni.md"


def test_every_example_works(node: Node, plugin_directory: str, tmp_path: Path) -> None:
    """Every block runs as it stands, but for the place of the plugins, and shows what it should."""
    session = Session(plugin_directory)
    shown = []
    for language, text in blocks(DOCUMENT):
        code = text.replace("/opt/cni/bin", plugin_directory)
        if language == "python":
            (tmp_path / "example.py").write_text(code)
            shown.append(session.show(f"{sys.executable} {tmp_path}/example.py"))
        else:
            assert language == "sh"
            shown.append(session.show(f"set -e\n{code}"))
    configuration, library, tasks, commands, run, scripts = shown
    assert configuration == ""
    assert library == "10.22.0.2/16 02:00:00:00:00:17\nTrue\n"
    assert tasks == "3 addresses\n"
    assert '"address": "10.22.0.99/16"' in commands
    assert commands.endswith("bridge: 0.1.0 0.2.0 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0\n")
    for program in (run, scripts):
        assert "127.0.0.1/8 ::1/128" in program
        assert "10.22.0." in program
    assert "eth0" not in node.ip("-n c1 link")
    assert node.strays() == []
    assert list(Path("/var/lib/cni/results").iterdir()) == []


LEFT_OUT = {
    libcni: """CachedAttachment Cancel ConfigError NetworkConfig NetworkConfigList load_conf_list
        NoConfigsFoundError NotFoundError plugin_confs_from_files""",
    invoke: "Args Input VersionInfo exec_plugin get_version_info ProcessExec",
}


def test_every_name_is_there() -> None:
    """The document names what the packages offer, but for what one meets on the way."""
    text = DOCUMENT.read_text()
    for package, left_out in LEFT_OUT.items():
        for name in package.__all__:
            assert getattr(package, name)
            assert name in text or name in left_out.split(), name
    for name in ("add_network_list", "gc_network_list", "get_cached_attachments"):
        assert hasattr(libcni.CNIConfig, name)
