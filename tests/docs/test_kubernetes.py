"""docs/kubernetes.md: what it shows is done, one block after the other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cnifast import kubernetes
from helpers.document import blocks
from transcripts.session import ROOT

if TYPE_CHECKING:
    from helpers.node import Node

DOCUMENT = ROOT / "docs" / "kubernetes.md"
LEFT_OUT = {
    *("DEFAULT_NON_MASQUERADE_CIDR", "DNSConfig", "HairpinMode", "NoopNetworkPlugin"),
    *("PodNetworkStatus", "USE_DEFAULT_MTU", "NET_PLUGIN_CAPABILITY_SHAPER"),
    *("NET_PLUGIN_EVENT_POD_CIDR_CHANGE", "NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR"),
}


def run(*words: str) -> str:
    """Run a program that works; return what it shows."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_example_works(clean_node: Node, tmp_path: Path) -> None:
    """Every block runs as it stands and leaves nothing."""
    (shell, command), (python, code) = blocks(DOCUMENT)
    assert (shell, python) == ("sh", "python")
    shown = run("sh", "-ec", f'PATH="{Path(sys.executable).parent}:$PATH"\n{command}')
    assert len(re.findall(r"^default/pod-\d+ +10\.244\.\S+ fd00:\S+$", shown, re.MULTILINE)) == 20
    assert "what is left of the pods: nothing" in shown
    (tmp_path / "example.py").write_text(code)
    assert run(sys.executable, f"{tmp_path}/example.py") == "10.244.1.2 fd00:10:244:1::2\n"
    assert clean_node.link_names() >= {"cbr0"}


def test_every_name_is_there() -> None:
    """The document names what the package offers, but for what one meets on the way."""
    text = DOCUMENT.read_text()
    for name in kubernetes.__all__:
        assert hasattr(kubernetes, name)
        assert (name in text) != (name in LEFT_OUT), name


def test_every_option_is_there() -> None:
    """The document names the options of the demo that it has."""
    described = set(re.findall(r"[` ](--[a-z-]+)", DOCUMENT.read_text()))
    offered = set(
        re.findall(r"(--[a-z-]+)", run(sys.executable, "-m", "cnifast.kubernetes.demo", "-h"))
    )
    assert described <= offered
    assert offered - described == {"--help", "--bin-dir", "--quiet"}
