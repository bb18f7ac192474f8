"""What every netlink socket has, whichever protocol it speaks."""

from __future__ import annotations

from cnifast._native import ffi, lib
from cnifast._native.errors import check, new_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Self

    from cnifast.kernel.netns import NetNS


class NetlinkSocket:
    """An open netlink socket; a context manager that closes it, as dropping it does.

    ``netns`` is the file descriptor of the namespace it was opened in, -1 for the current one;
    closing that is up to whom it belongs.
    """

    __slots__ = ("_sock", "netns")

    PROTOCOL: ClassVar[int]  # NETLINK_* of linux/netlink.h

    def __init__(self, netns: NetNS | int | None = None) -> None:
        """Open a socket in a namespace: an open one, its file descriptor, or the current one.

        Raises:
            KernelError: the namespace cannot be entered.
            ValueError: ``netns`` is closed.
        """
        self.netns = -1 if netns is None else netns if isinstance(netns, int) else netns.fileno()
        err = new_error()
        sock = ffi.new("struct cnif_nlsock **")
        check(lib.cnif_nlsock_open(self.PROTOCOL, self.netns, sock, err), err)
        self._sock = ffi.gc(sock[0], lib.cnif_nlsock_close)

    @property
    def raw(self) -> Any:
        """The ``struct cnif_nlsock *``, for calls of the native core.

        Raises:
            ValueError: the socket is closed.
        """
        if not self._sock:
            raise ValueError("the netlink socket is closed")
        return self._sock

    def close(self) -> None:
        """Close the socket; closing twice is allowed."""
        sock, self._sock = self._sock, ffi.NULL
        if sock:
            ffi.release(sock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
