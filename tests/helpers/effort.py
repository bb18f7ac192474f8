"""How much is tested: all that there is, or what a change usually needs.

The whole takes half an hour more: cases that others stand for, by their slowest way.

`@pytest.mark.sampled("case")` is for a test with a parameter of this name that is made by each way
to execute plugins.  The ways do the same but for their first steps, so all cases are made through
the service, every tenth one in process, and every sixteenth one by an interpreter of its own.
`one_in=2` says how many of the cases of a test without ways are made.
"""

from __future__ import annotations

import os
from zlib import crc32

import pytest

_VARIABLE = "CNIFAST_TESTS"
ALL = f"{_VARIABLE}=all"
_MARKER = "sampled"
_ONE_IN = {"cold": 16, "inproc": 10}


def everything() -> bool:
    """Whether all is to be tested."""
    return os.environ.get(_VARIABLE) == "all"


def in_sample(name: str, one_in: int) -> bool:
    """Whether a case is one of those that are tested always; the same ones every time."""
    return everything() or crc32(name.encode()) % one_in == 0


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", f"{_MARKER}(parameter): some ways have some of its cases")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what others stand for."""
    for item in items:
        mark = item.get_closest_marker(_MARKER)
        if mark is None:
            continue
        assert isinstance(item, pytest.Function)
        given = item.callspec.params
        way = given.get("runner") or given.get("stand", "")
        one_in = mark.kwargs.get("one_in") or _ONE_IN.get(way, 1)
        if not in_sample(str(given[mark.args[0]]), one_in):
            item.add_marker(pytest.mark.skip(f"{ALL} makes this {way} case, too"))
