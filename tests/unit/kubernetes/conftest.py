"""Fixtures of the tests of network plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from helpers.kubenet import Kubenet

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def kubenet(tmp_path: Path) -> Kubenet:
    """A plugin that has not been initialised."""
    return Kubenet(tmp_path)
