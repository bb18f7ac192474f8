"""`cnifast demo`, the first thing that the README offers."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from helpers import ways

if TYPE_CHECKING:
    from helpers.node import Node


def test_demo_shows_the_container_and_leaves_nothing(node: Node) -> None:
    """It shows eth0 and lo with their addresses, and the node it is run on stays as it was."""
    before = node.link_names()
    done = subprocess.run([ways.COMMAND, "demo"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for expected in ("eth0  veth    up", "10.88.0.2/16", "fd88::2/64", "lo    device  up"):
        assert expected in done.stdout
    said, _, stays = done.stdout.partition("\nWhat is left of the container: nothing\n")
    assert said
    assert stays.splitlines() == [
        "What stays for the next one, and ends with this node here:",
        "  bridge cnifast0",
        "  table inet cnifast with postrouting, masq-10.88.0.0-16, masq-fd88..-64",
        "  net.ipv4.ip_forward=1",
        "  net.ipv6.conf.all.forwarding=1",
        "  directory /var/lib/cni/networks/demo",
    ]
    assert node.link_names() == before
    assert list(Path("/run/netns").iterdir()) == []
