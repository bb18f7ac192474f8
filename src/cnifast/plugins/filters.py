"""What users of the packet filter share: the nftables socket of a call, and going on."""

from __future__ import annotations

from cnifast.kernel.nft import NftSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cnifast.protocol.request import Request


class HostFilter:
    """A context manager that yields an ``NftSocket`` in the host's namespace of a call."""

    __slots__ = ("_own", "_req")

    def __init__(self, req: Request) -> None:
        self._req = req
        self._own: NftSocket | None = None

    def __enter__(self) -> NftSocket:
        place = self._req.place
        warm: Any = place.warm
        if warm is None or place.host_netns is not None:
            self._own = NftSocket(place.host_netns)
            return self._own
        kept: NftSocket | None = warm.kept.get("nft")
        if kept is None:
            kept = warm.kept["nft"] = NftSocket()
        return kept

    def __exit__(self, *_exc: object) -> None:
        if self._own is not None:
            self._own.close()


_CHAIN_MAX = 28  # bytes of a name that iptables takes


def is_chain(name: str) -> bool:
    """Tell whether iptables would take a text for the name of a chain."""
    return (
        0 < len(name.encode()) <= _CHAIN_MAX
        and name.isprintable()
        and " " not in name
        and name[0] not in "-!"
    )


def attempt_all(steps: Iterable[tuple[Any, ...]]) -> None:
    """Run steps, (function, arguments...) each, to the end; raise the first failure.

    Raises:
        OSError: one of them failed.
    """
    failed: OSError | None = None
    for function, *arguments in steps:
        try:
            function(*arguments)
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed
