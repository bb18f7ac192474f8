"""How commands choose to run plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cnifast.cli import run_plugins, settings
from cnifast.libcni import InProcessExec, ProcessExec

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = """\
# socket = "/commented/out"
service = "{mode}"    # "auto": use a service, leave one behind after a call without
socket="{socket}"
idle = 300
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the configuration is read from; the environment says nothing."""
    for name in ("CNIFAST_SERVICE", "CNIFAST_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "config.toml"
    monkeypatch.setattr(settings, "CONFIG", str(path))
    monkeypatch.setattr(settings, "SOCKET", str(tmp_path / "default.sock"))
    return path


@pytest.mark.parametrize(
    ("mode", "there", "programs"),
    [
        ("auto", True, True),
        ("auto", False, False),
        ("off", True, False),
        ("required", False, True),
    ],
)
def test_programs_where_a_service_answers(
    config: Path, tmp_path: Path, mode: str, there: bool, programs: bool
) -> None:
    """Programs are run where a service is, or has to be; else this process runs plugins."""
    socket = tmp_path / "service.sock"
    if there:
        socket.touch()
    config.write_text(CONFIG.format(mode=mode, socket=socket))
    found = run_plugins.Plugins(exits=False).exec
    assert isinstance(found, ProcessExec if programs else InProcessExec)


def test_environment_counts_before_the_file(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a file the defaults count; the environment's values come first."""
    (tmp_path / "default.sock").touch()
    assert isinstance(run_plugins.Plugins(exits=False).exec, ProcessExec)
    monkeypatch.setenv("CNIFAST_SOCKET", str(tmp_path / "none.sock"))
    assert isinstance(run_plugins.Plugins(exits=False).exec, InProcessExec)
    config.write_text(CONFIG.format(mode="required", socket="/x"))
    monkeypatch.setenv("CNIFAST_SERVICE", "off")
    assert isinstance(run_plugins.Plugins(exits=False).exec, InProcessExec)


def test_ours_need_no_program(config: Path, tmp_path: Path) -> None:
    """With a service, plugins of ours that have no program are run in this process."""
    config.write_text(CONFIG.format(mode="required", socket="/x"))
    found = run_plugins.Plugins(exits=False).exec
    assert found.find_in_path("bridge", str(tmp_path)) == ""
    (tmp_path / "bridge").touch()
    assert found.find_in_path("bridge", str(tmp_path)) == f"{tmp_path}/bridge"
