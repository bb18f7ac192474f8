"""Each way to execute plugins, on a node that lives as long as the tests of a module."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bad_input.stand import Stand
from helpers import ways

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=ways.NAMES)
def stand(request: pytest.FixtureRequest, plugin_directory: str) -> Iterator[Stand]:
    """A node to call plugins on, by each way."""
    made = Stand(request.param, plugin_directory)
    try:
        yield made
    finally:
        made.close()
