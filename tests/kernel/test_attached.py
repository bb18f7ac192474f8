"""What an attachment returns, for as long as somebody keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnifast._native import ffi
from cnifast.kernel import Handle
from cnifast.kernel.attach import Endpoint, attach_veth

if TYPE_CHECKING:
    from helpers.node import Node


def test_the_bridge_outlives_what_the_kernel_call_filled_in(node: Node) -> None:
    """The bridge in a result stays readable after other results took the memory of its call."""
    node.ip("link add br0 address 02:00:00:00:00:77 up type bridge")
    container = node.new_container()
    with Handle() as host:
        bridge = attach_veth(
            host,
            Endpoint(container.fd, "eth0"),
            name="port0",
            alias="owner",
            bridge=host.link("br0").index,
            mac="02:00:00:00:00:01",
        ).bridge
    junk = [ffi.new("struct cnif_attached *") for _ in range(64)]
    for struct in junk:
        ffi.buffer(struct)[:] = b"\xff" * ffi.sizeof("struct cnif_attached")
    assert bridge is not None
    assert (bridge.name, bridge.mac) == ("br0", "02:00:00:00:00:77")
