"""Address management: the host-local and static plugins, and the allocator behind host-local.

The names below are imported when they are asked for: a plugin needs none of them.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.ipam.allocator import Allocator
    from cnifast.ipam.listing import Entry
    from cnifast.ipam.ranges import RangeError
    from cnifast.ipam.store import (
        DuplicateError,
        ExhaustedError,
        Grant,
        RefusedError,
        TakenError,
        Usage,
    )

__all__ = [
    "Allocator",
    "DuplicateError",
    "Entry",
    "ExhaustedError",
    "Grant",
    "RangeError",
    "RefusedError",
    "TakenError",
    "Usage",
]

_MODULES = {"Allocator": "allocator", "Entry": "listing", "RangeError": "ranges"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{_MODULES.get(name, 'store')}", fromlist=(name,))
    found: object = getattr(module, name)
    return found
