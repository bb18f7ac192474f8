"""Fixtures of tests that type commands on a private node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from helpers.networks import MYNET, Shell, write

if TYPE_CHECKING:
    from helpers.node import Node


@pytest.fixture
def shell(node: Node, plugin_directory: str) -> Shell:
    """The command without a service, a container's namespace, and one network."""
    node.new_container("blue")
    write("10-mynet.conflist", MYNET)
    return Shell(plugin_directory, "off")


@pytest.fixture
def blue(node: Node) -> Any:
    """The container."""
    return node.containers["blue"]
