"""docs/troubleshooting.md: the messages that it explains are those that the source has."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "troubleshooting.md"
GAP = "…"
ENOUGH = 6  # characters that are more than chance


def quoted() -> list[str]:
    """Return the messages in the first column of the document's tables."""
    return re.findall(r"^\| `([^`]+)` \|", DOCUMENT.read_text(), re.MULTILINE)


@cache
def python_texts() -> tuple[str, ...]:
    """Return every text in the Python source; what is filled in is a gap."""
    found = set()
    for path in [*ROOT.glob("src/cnifast/**/*.py"), ROOT / "wheels" / "start.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                found.add(
                    "".join(
                        str(part.value) if isinstance(part, ast.Constant) else GAP
                        for part in node.values
                    )
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(re.sub(r"%[sdr]", GAP, node.value))
    return tuple(found)


@cache
def c_texts() -> tuple[str, ...]:
    """Return every run of texts in the C source, with gaps where something stands between them."""
    found = set()
    for path in ROOT.glob("csrc/**/*.c"):
        source = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        for statement in source.split(";"):
            texts = re.findall(r'"((?:[^"\\]|\\.)*)"(\s*,?)', statement)
            joined = "".join(text + (GAP if comma.strip() else "") for text, comma in texts)
            found.add(re.sub(r"%\.?\*?[a-z]+", GAP, joined.replace("\\n", "").replace("'+ ", "")))
    return tuple(found)


def is_in(message: str, text: str) -> bool:
    """Tell whether a text has all of a message's words in their order, with its gaps in between."""
    at = 0
    for words in message.split(GAP):
        at = text.find(words, at)
        if at < 0:
            return False
        at += len(words)
    return True


def is_said(message: str) -> bool:
    """Tell whether the source has a message."""
    return any(is_in(message, text) for text in (*python_texts(), *c_texts()))


@pytest.mark.parametrize("message", quoted())
def test_message_is_in_the_source(message: str) -> None:
    """A message that is explained is one that the plugins give."""
    assert max(map(len, message.split(GAP))) >= ENOUGH
    assert is_said(message)


def test_others_are_told_apart() -> None:
    """What the source does not say is not taken for said."""
    assert len(quoted()) > 40
    assert not is_said("no IP addresses available in range sets: …")
    assert not is_said("bridge … is being changed by nobody else")
    assert not is_said("in path […] failed to find plugin …")


def test_every_message_once() -> None:
    """No message is explained twice."""
    assert len(set(quoted())) == len(quoted())
