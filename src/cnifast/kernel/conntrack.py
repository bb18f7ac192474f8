"""Tracked connections: forgetting those that a change of address translation makes wrong.

    with NftSocket() as nft:
        forget(nft, [Flow("udp", 53, to="192.0.2.1")])

A connection is translated as its first packet was, so without this a UDP client that keeps sending
from one port would never see the change.
"""

from __future__ import annotations

from cnifast._native import ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.kernel.address import fill_ip, parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from cnifast.kernel.nft import NftSocket

PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}


class Flow:
    """Which connections: to a port and an address, that are led to another one.

    ``to`` or ``led`` must be given; an empty one is any of the other's family.
    """

    __slots__ = ("key",)

    def __init__(
        self, protocol: str, port: int, *, to: str = "", led: str = "", led_port: int = 0
    ) -> None:
        self.key = (protocol, port, to, led, led_port)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Flow) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"Flow{self.key}"


def forget(nft: NftSocket, flows: Collection[Flow]) -> None:
    """Forget connections; none there is success.

    Raises:
        ValueError: a text is not an address.
        KernelError: the kernel refused.
    """
    if not flows:
        return
    structs = ffi.new("struct cnif_flow []", len(flows))
    for struct, flow in zip(structs, flows, strict=True):
        protocol, struct.port, to, led, struct.led_port = flow.key
        struct.protocol = PROTOCOLS[protocol]
        for field, text in ((struct.led, led), (struct.to, to)):
            if text:
                struct.family = fill_ip(field, *parse_address(text)).family
    err = new_error()
    check(lib.cnif_flow_forget(nft.raw, structs, len(structs), err), err)
