"""The examples of a document: its blocks of code, in their order."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path


class Block(NamedTuple):
    """A block of code and the language it says it is in."""

    language: str
    text: str


def blocks(path: Path) -> list[Block]:
    """Return the blocks of code of a Markdown file."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language, text) for language, text in found]
