"""Which daemons this process hosts: keepers of leases by the paths of their sockets."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.ipam.dhcp.keeper import Keeper

_keepers: dict[str, Keeper] = {}


def begin(path: str, keeper: Keeper) -> None:
    """Note that a keeper answers for a socket."""
    _keepers[path] = keeper


def end(path: str) -> None:
    """Note that it does not any more."""
    _keepers.pop(path, None)


def find(path: str) -> Keeper | None:
    """Return the keeper that answers for a socket, None where it is another process's, if any."""
    return _keepers.get(path)
