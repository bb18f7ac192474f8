"""Where the service's settings come from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cnifast.service.settings import IDLE_SECONDS, SOCKET, Settings, default_threads

if TYPE_CHECKING:
    from pathlib import Path


def read(tmp_path: Path, text: str | None, **env: str) -> Settings:
    """Return the settings of a file with this text, or of none, and this environment."""
    path = tmp_path / "config.toml"
    if text is not None:
        path.write_text(text)
    return Settings.read(env, str(path))


def test_absent_file_means_defaults(tmp_path: Path) -> None:
    """Without a file the service is used when it is there, and goes when idle."""
    settings = read(tmp_path, None)
    assert (settings.mode, settings.socket) == ("auto", SOCKET)
    assert (settings.idle, settings.threads) == (IDLE_SECONDS, default_threads())


def test_file_is_read(tmp_path: Path) -> None:
    """Every setting can be given in the file."""
    text = 'service = "required"\nsocket = "/a/b"\nidle = 7\nthreads = 3\nother = [1]\n[dhcp]\n'
    settings = read(tmp_path, text)
    assert (settings.mode, settings.socket) == ("required", "/a/b")
    assert (settings.idle, settings.threads) == (7, 3)
    assert settings.unknown == ("other",)


def test_environment_comes_first(tmp_path: Path) -> None:
    """What the environment says overrides the file; an empty variable says nothing."""
    text = 'service = "off"\nsocket = "/a"\n'
    assert read(tmp_path, text, CNIFAST_SERVICE="auto", CNIFAST_SOCKET="/b").socket == "/b"
    assert read(tmp_path, text, CNIFAST_SERVICE="auto").mode == "auto"
    assert read(tmp_path, text, CNIFAST_SERVICE="", CNIFAST_SOCKET="").socket == "/a"


@pytest.mark.parametrize(
    "text",
    [
        "service = ",
        'service = "on"',
        "service = 1",
        'socket = "a/b"',
        "socket = 1",
        "idle = -1",
        "idle = true",
        'threads = "4"',
    ],
)
def test_what_has_no_meaning_is_refused(tmp_path: Path, text: str) -> None:
    """A setting that cannot be meant is an error."""
    with pytest.raises(ValueError, match=r"config|service|socket|idle|threads"):
        read(tmp_path, text)


def test_unreadable_file_is_an_error(tmp_path: Path) -> None:
    """A file that is there but is none is not taken for an absent one."""
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(OSError, match=r"cannot read .*config.toml: Is a directory"):
        read(tmp_path, None)
