"""Single links and addresses, decoded from the structs of the native core when asked.

Dumps of links come as the Cython class ``_native._dump.Link``, which has the same attributes; a
process that handles one call is spared its import.
"""

from __future__ import annotations

from cnifast._native import ffi
from cnifast.protocol.ip import format_cidr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FAMILY = {2: 4, 10: 6}


def _text(field: Any) -> str:
    """Return a char array as text."""
    raw: bytes = ffi.string(field)
    return raw.decode("utf-8", "surrogateescape")


def _id(number: int) -> int | None:
    """Return a user or group, None for anybody."""
    return None if number < 0 else number


class LinkView:
    """One network interface as the kernel reported it; see ``_native._dump.Link``."""

    __slots__ = ("_c",)

    def __init__(self, struct: Any) -> None:
        self._c = struct

    index = property(lambda self: self._c.index)
    name = property(lambda self: _text(self._c.name))
    kind = property(lambda self: _text(self._c.kind))
    alias = property(lambda self: _text(self._c.alias))
    mac = property(lambda self: bytes(self._c.mac[0 : self._c.mac_len]).hex(":"))
    mtu = property(lambda self: self._c.mtu)
    txqlen = property(lambda self: self._c.txqlen)
    flags = property(lambda self: self._c.flags)
    is_up = property(lambda self: bool(self._c.flags & 1))
    operstate = property(lambda self: self._c.operstate)
    master = property(lambda self: self._c.master)
    parent = property(lambda self: self._c.parent)
    group = property(lambda self: self._c.group)
    promiscuity = property(lambda self: self._c.promiscuity)
    type = property(lambda self: self._c.type)
    is_port = property(lambda self: self._c.is_port)
    hairpin = property(lambda self: self._c.hairpin)
    isolated = property(lambda self: self._c.isolated)
    vlan_filtering = property(lambda self: self._c.vlan_filtering)
    macvlan_mode = property(lambda self: self._c.macvlan_mode)
    bcqueuelen = property(lambda self: self._c.bcqueuelen)
    vrf_table = property(lambda self: self._c.vrf_table)
    ipvlan_mode = property(lambda self: self._c.ipvlan_mode)
    vlan_id = property(lambda self: self._c.vlan_id)
    tap_multi_queue = property(lambda self: self._c.tap_multi_queue)

    tap_owner = property(lambda self: _id(self._c.tap_owner))
    tap_group = property(lambda self: _id(self._c.tap_group))

    @property
    def parent_netnsid(self) -> int | None:
        """The ID of the namespace ``parent`` is in, None for the same one."""
        return None if self._c.parent_netnsid < 0 else int(self._c.parent_netnsid)

    def __repr__(self) -> str:
        return f"<Link {self.index} {self.name} {self.kind or 'device'}>"


class Address:
    """An IP address on a link (RTM_NEWADDR, linux/if_addr.h); ``packed`` is in network order.

    As text it is what `Handle.add_address` takes, such as "10.1.0.5/16".
    """

    __slots__ = ("family", "flags", "index", "packed", "prefixlen", "scope")

    def __init__(self, struct: Any) -> None:
        self.index: int = struct.index
        self.family: int = _FAMILY[struct.ip.family]
        self.packed: bytes = bytes(struct.ip.bytes)[: 4 if self.family == 4 else 16]
        self.prefixlen: int = struct.ip.prefix
        self.flags: int = struct.flags
        self.scope: int = struct.scope

    def __str__(self) -> str:
        return format_cidr(self.family, int.from_bytes(self.packed, "big"), self.prefixlen)

    def __repr__(self) -> str:
        return f"<Address {self} on {self.index}>"
