"""Whoever is told that ADD is done may send at once: the very first packet is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from helpers.packets import ping
from helpers.plugin import Attachment

if TYPE_CHECKING:
    from helpers.node import Node
    from helpers.plugin import Runner

PODS = 50  # each sends two first packets
IPAM = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.0.0/16"}], [{"subnet": "fd00:1::/64"}]],
}


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("masquerade", [False, True], ids=["plain", "ipmasq"])
def test_first_packets(node: Node, runner: Runner, family: int, masquerade: bool) -> None:
    """The gateway answers a new pod's first ping, and the new pod that of another one."""
    conf: dict[str, Any] = {
        "cniVersion": "1.1.0",
        "name": "net",
        "type": "bridge",
        "isDefaultGateway": True,
        "ipMasq": masquerade,
        "ipam": IPAM,
    }
    gateway = {4: "10.1.0.1", 6: "fd00:1::1"}[family]
    older = node.new_container("older")
    assert Attachment(runner, conf, older).add().ok
    unanswered = []
    for number in range(PODS):
        pod = node.new_container(f"pod{number}")
        attachment = Attachment(runner, conf, pod)
        outcome = attachment.add()
        if not ping(pod.fd, gateway):
            unanswered.append((number, gateway))
        assert outcome.ok, outcome
        address = outcome.json["ips"][{4: 0, 6: 1}[family]]["address"].partition("/")[0]
        if not ping(older.fd, address):
            unanswered.append((number, address))
        assert attachment.delete().ok
        node.remove_container(pod)
    assert unanswered == []
