"""How much is tested: all that there is, or what a change usually needs.

The whole takes half an hour more: cases that others stand for, by their slowest way.
"""

from __future__ import annotations

import os
from zlib import crc32

_VARIABLE = "CNIFAST_TESTS"
ALL = f"{_VARIABLE}=all"


def everything() -> bool:
    """Whether all is to be tested."""
    return os.environ.get(_VARIABLE) == "all"


def in_sample(name: str, one_in: int) -> bool:
    """Whether a case is one of those that are tested always; the same ones every time."""
    return everything() or crc32(name.encode()) % one_in == 0
