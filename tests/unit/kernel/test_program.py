"""Programs of others: where they are, here and for somebody with another root directory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cnifast.kernel import iptables, program

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root directory with two programs, one of them behind links as distributions have them."""
    for directory in ("usr/sbin", "etc/alternatives", "opt"):
        (tmp_path / directory).mkdir(parents=True)
    for name in ("usr/sbin/xtables-legacy-multi", "usr/sbin/plain"):
        (tmp_path / name).touch(mode=0o755)
    (tmp_path / "sbin").symlink_to("usr/sbin")
    links = {
        "usr/sbin/iptables-restore": "/etc/alternatives/iptables-restore",
        "etc/alternatives/iptables-restore": "../../../../sbin/iptables-legacy-restore",
        "usr/sbin/iptables-legacy-restore": "./xtables-legacy-multi",
        "usr/sbin/loop": "loop",
        "usr/sbin/dangling": "/nothing",
    }
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("plain", "/usr/sbin/plain"),
        ("iptables-restore", "/usr/sbin/xtables-legacy-multi"),
        ("loop", ""),
        ("dangling", ""),
        ("missing", ""),
    ],
)
def test_program_below_a_root(root: Path, name: str, path: str) -> None:
    """Links lead to where they would lead whoever has that root directory."""
    assert program.find_below(str(root), name) == path


def test_tables_of_the_other(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose iptables changes other tables is told; who has none has no tables to be missed."""
    monkeypatch.setenv("PATH", str(root / "opt"))
    monkeypatch.setattr(program, "DIRECTORIES", "/usr/sbin")
    own = root / "opt" / "iptables-restore"
    (root / "opt" / "xtables-nft-multi").touch(mode=0o755)
    own.symlink_to("xtables-nft-multi")
    assert not iptables.has_same_tables(str(root))
    assert iptables.has_same_tables(str(root / "etc"))
    own.unlink()
    assert not iptables.has_same_tables(str(root))
    own.symlink_to(root / "usr/sbin/xtables-legacy-multi")
    assert iptables.has_same_tables(str(root))
