"""The settings that commands read, which must be those that the plugin binaries read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.cli import settings
from cnifast.protocol.errors import CNIError
from cnifast.service.settings import CONFIG, MODES, SOCKET

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
TABLE = ROOT / "tests" / "golden" / "settings.txt"  # tests/c/test_shim_frame.c reads it, too
CASES = [
    tuple(line.split(maxsplit=3))
    for line in TABLE.read_text().splitlines()
    if not line.startswith("#")
]


def text_of(written: str) -> str:
    """Return the text that a case stands for."""
    text = "" if written == "-" else written
    for name, character in (("\\n", "\n"), ("\\t", "\t"), ("\\r", "\r")):
        text = text.replace(name, character)
    return text


@pytest.mark.parametrize(("toml", "mode", "socket", "written"), CASES)
def test_table(toml: str, mode: str, socket: str, written: str) -> None:
    """The file means what it means to the plugin binary, and to TOML unless that is on record."""
    text = text_of(written)
    found_mode, found_socket = settings.read(text.encode())
    known = {"": "unset", **{name: name for name in MODES}}
    assert (known.get(found_mode, "invalid"), found_socket or "-") == (mode, socket)
    if toml == "!":
        with pytest.raises(tomllib.TOMLDecodeError):
            tomllib.loads(text)
        return
    whole = tomllib.loads(text)
    same = (whole.get("service", ""), whole.get("socket", "")) == (found_mode, found_socket)
    assert same == (toml == "=")


def test_the_service_has_the_same_defaults() -> None:
    """File, socket and modes are those of the service."""
    assert (settings.CONFIG, settings.SOCKET, settings.MODES) == (CONFIG, SOCKET, MODES)


@pytest.fixture
def mode_and_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[str, str]]:
    """Settings by a file with this content, None for no file, and an environment."""

    def read(content: str | None, mode: str = "", socket: str = "") -> tuple[str, str]:
        path = tmp_path / "config.toml"
        monkeypatch.setattr(settings, "CONFIG", str(path))
        monkeypatch.setenv("CNIFAST_SERVICE", mode)
        monkeypatch.setenv("CNIFAST_SOCKET", socket)
        if content is not None:
            path.write_text(content)
        return settings.mode_and_socket()

    return read


def test_what_counts(mode_and_socket: Callable[..., tuple[str, str]]) -> None:
    """The environment counts before the file, and the file before the defaults."""
    assert mode_and_socket(None) == ("auto", SOCKET)
    assert mode_and_socket("service = 'off'\nsocket = '/s'") == ("off", "/s")
    assert mode_and_socket("service = 'off'\nsocket = '/s'", "required") == ("required", "/s")
    assert mode_and_socket("service = 'off'\nsocket = '/s'", "", "/t") == ("off", "/t")
    assert mode_and_socket("service = 'of'", "auto", "/t") == ("auto", "/t")


REFUSED = [
    (None, "of", "", 4, "CNIFAST_SERVICE is neither auto, off nor required: of"),
    (None, "auto", "run/s", 4, "the path of the service's socket is not absolute: run/s"),
    ("socket = 's'", "", "", 4, "the path of the service's socket is not absolute: s"),
    ("service = 'of'", "", "", 999, "config.toml: service is neither auto, off nor required"),
    ("#" * 8192, "", "", 5, "config.toml is larger than 8 KiB"),
]


@pytest.mark.parametrize(("content", "mode", "socket", "code", "text"), REFUSED)
def test_refused(
    mode_and_socket: Callable[..., tuple[str, str]],
    content: str | None,
    mode: str,
    socket: str,
    code: int,
    text: str,
) -> None:
    """What a plugin binary refuses is refused with the same code."""
    with pytest.raises(CNIError) as refused:
        mode_and_socket(content, mode, socket)
    assert refused.value.code == code
    assert str(refused.value).endswith(text)


def test_unreadable(mode_and_socket: Callable[..., tuple[str, str]], tmp_path: Path) -> None:
    """A file that is there has to be readable."""
    (tmp_path / "config.toml").mkdir()
    with pytest.raises(CNIError, match=r"cannot read .*config.toml: Is a directory"):
        mode_and_socket(None)
