"""The examples of a document: its blocks of code, in their order, and the remarks before them.

A remark is an HTML comment in the line before a block, which readers do not see:

    <!-- not run: REASON -->    nobody runs it here
    <!-- run by FILE -->        each of its commands stands in that file, which CI runs
    <!-- given: COMMANDS -->    what the block takes for granted
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_BLOCK = re.compile(
    r"(?:^ *<!-- (?P<remark>.*?) -->\n)?"
    r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_REMARK = re.compile(r"(not run|run by|given):? (.+)")


class Block(NamedTuple):
    """A block of code and the language it says it is in."""

    language: str
    text: str


class Remark(NamedTuple):
    """What is to be known of a block: a kind of remark and its text, both empty for none."""

    kind: str
    text: str


def blocks(path: Path) -> list[Block]:
    """Return the blocks of code of a Markdown file."""
    return [block for block, _ in remarked(path)]


def remarked(path: Path) -> list[tuple[Block, Remark]]:
    """Return the blocks of code of a Markdown file, with the remarks before them.

    Raises:
        ValueError: a comment before a block is no remark.
    """
    found = []
    for match in _BLOCK.finditer(path.read_text()):
        remark = Remark("", "")
        if match["remark"] is not None:
            said = _REMARK.fullmatch(match["remark"])
            if said is None:
                raise ValueError(f"{path}: not a remark: {match['remark']}")
            remark = Remark(said[1], said[2])
        found.append((Block(match["language"], textwrap.dedent(match["text"])), remark))
    return found
