"""The kernel's network configuration, usable on its own: links, addresses, routes, namespaces.

Everything here talks netlink directly, through the native core; errors are ``KernelError``, an
OSError with the kernel's own message, and the fitting built-in subclass of it where there is one.

    from cnifast.kernel import Handle, NetNS

    with NetNS("/run/netns/blue") as blue, Handle(blue) as handle:
        for link in handle.links():
            print(link.index, link.name, link.mac)
"""

from __future__ import annotations

from cnifast._native.errors import (
    AlreadyExistsError,
    InterruptedDumpError,
    KernelError,
    NoSuchObjectError,
    NotPermittedError,
    TimedOutError,
    UnreachableError,
)
from cnifast.kernel.handle import Handle
from cnifast.kernel.netns import NetNS
from cnifast.kernel.views import Address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast._native._dump import Link, Route

__all__ = [
    "Address",
    "AlreadyExistsError",
    "Handle",
    "InterruptedDumpError",
    "KernelError",
    "Link",
    "NetNS",
    "NoSuchObjectError",
    "NotPermittedError",
    "Route",
    "TimedOutError",
    "UnreachableError",
]


def __getattr__(name: str) -> type:
    """Import the classes of dumps when somebody names them."""
    if name not in ("Link", "Route"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from cnifast._native import _dump  # noqa: PLC0415

    found: type = getattr(_dump, name)
    return found
