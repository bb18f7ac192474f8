"""A service, and plugin binaries that call it, in a directory of the test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.bench import Bench, end_left_service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from helpers.bench import Service


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a place to call plugins in; services that were started in it end with the test."""
    tmp_path.chmod(0o755)
    place = Bench(tmp_path)
    yield place
    place.close()
    end_left_service(str(place.socket))


@pytest.fixture
def service(bench: Bench) -> Service:
    """Give a service that runs already."""
    return bench.serve()
