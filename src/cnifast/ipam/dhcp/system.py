"""Clock, namespaces and links as a keeper of leases sees them."""

from __future__ import annotations

import time

from cnifast.ipam.dhcp.link import Link, set_down
from cnifast.kernel.netns import NetNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Protocol, Self

    from cnifast.ipam.dhcp.exchange import Packet
    from cnifast.ipam.dhcp.message import Message

    class Namespace(Protocol):
        """An open namespace."""

        @property
        def ident(self) -> tuple[int, int]:
            """What tells it from others."""

        def fileno(self) -> int:
            """Return its file descriptor."""

        def __enter__(self) -> Self: ...

        def __exit__(self, *exc: object) -> None: ...

    class Wire(Protocol):
        """A link that a conversation goes over."""

        mac: bytes

        def fileno(self) -> int:
            """Return what becomes readable when something comes in."""

        def send(self, packet: Packet, /) -> bool:
            """Send a packet; False when it was lost."""

        def receive(self) -> Iterator[tuple[Message, bytes]]:
            """Yield the messages that have come, with their senders' MAC."""

        def close(self) -> None:
            """Close it."""

        def __enter__(self) -> Self: ...

        def __exit__(self, *exc: object) -> None: ...


class System:
    """The real ones.  ``root`` is put before the paths of namespaces."""

    def __init__(self, root: str = "") -> None:
        self._root = root

    def now(self) -> float:
        """Return the seconds since the boot, those in suspension included."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def open_netns(self, path: str) -> Namespace:
        """Open a namespace.

        Raises:
            FileNotFoundError: it is gone.
            KernelError: it cannot be opened.
        """
        return NetNS(self._root + path)

    def open_link(self, netns: int, name: str) -> Wire:
        """Open a link of an open namespace.

        Raises:
            FileNotFoundError: it is gone.
            KernelError: it cannot be opened.
        """
        return Link(netns, name)

    def set_down(self, netns: int, name: str) -> None:
        """Set a link of an open namespace down.

        Raises:
            FileNotFoundError: it is gone.
            KernelError: the kernel refused.
        """
        set_down(netns, name)

    def wait(self, files: Sequence[int], seconds: float | None) -> None:
        """Wait until one of the files can be read, or a time has passed; None is for ever."""
        from select import POLLIN, poll  # noqa: PLC0415 - a process of one call may do without

        waiting = poll()
        for fd in files:
            waiting.register(fd, POLLIN)
        waiting.poll(None if seconds is None else max(0, int(seconds * 1000) + 1))
