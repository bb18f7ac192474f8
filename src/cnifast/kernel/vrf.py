"""VRFs: links with a routing table that their ports share."""

from __future__ import annotations

from cnifast._native import c_text, ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.kernel.views import LinkView

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cnifast.kernel import Link
    from cnifast.kernel.handle import Handle


def vrfs(handle: Handle) -> list[Link]:
    """Return the VRFs of a namespace.

    Raises:
        KernelError: the dump was interrupted by changes again and again.
    """
    return _links(handle, 0, c_text("vrf"))


def ports(handle: Handle, vrf: int) -> list[Link]:
    """Return the links whose master has this index.

    Raises:
        KernelError: the dump was interrupted by changes again and again.
    """
    return _links(handle, vrf, ffi.NULL)


def _links(handle: Handle, master: int, kind: Any) -> list[Link]:
    """Return links as they are, without the decoder of large dumps and its start-up."""
    err = new_error()
    array = ffi.new("struct cnif_link **")
    count = ffi.new("size_t *")
    check(lib.cnif_link_dump(handle.raw, master, kind, array, count, err), err)
    try:
        found: list[Any] = [
            LinkView(ffi.new("struct cnif_link *", array[0][i])) for i in range(count[0])
        ]
    finally:
        lib.cnif_free(array[0])
    return found


def join(handle: Handle, link: Link, vrf: Link) -> None:
    """Make a link a port of a VRF, with its addresses and routes.

    Raises:
        KernelError: the kernel refused a step; all is as before.
        TimeoutError: the kernel does not finish an address of it; all is as before.
    """
    err = new_error()
    name = ffi.new("char []", c_text(link.name))
    port = ffi.new("struct cnif_vrf_port *")
    port.index, port.name, port.vrf, port.table = link.index, name, vrf.index, vrf.vrf_table
    check(lib.cnif_vrf_join(handle.raw, handle.netns, port, err), err)
