"""The loopback plugin: sets the container's lo up and down."""

from __future__ import annotations

from cnifast.kernel.handle import Handle
from cnifast.plugins.base import Session
from cnifast.protocol import ip as _ip
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.result import Interface, IPConfig, Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.protocol.request import Request

CONF = ()  # nothing but what all plugins read
_LO = "lo"  # whatever CNI_IFNAME says
_LOOPBACK_NET = {4: (127 << 24, 8), 6: (1, 128)}


def add(req: Request) -> Result:
    """Set lo up; return the previous result as it is, or lo with its first address of each family.

    Raises:
        CNIError: lo has an address that is not a loopback one.
        OSError: the kernel refused a step.
    """
    try:
        previous = req.prev_result()
    except DecodeError as e:
        raise CNIError(INTERNAL, f"failed to parse prevResult: {e}") from None
    with Session(req) as session, Handle(session.netns) as inside:
        lo = inside.link(_LO)
        if not lo.is_up:
            session.step(lambda: inside.set_link(lo.index, up=True), lambda: _set_down(session))
        first: dict[int, str] = {}
        for address in inside.addresses(index=lo.index):
            family, value = _ip.unpacked(address.packed)
            if not _ip.contains(family, *_LOOPBACK_NET[family], value):
                text = _ip.format_ip(family, value)
                raise CNIError(
                    INTERNAL, f'loopback interface found with non-loopback address "{text}"'
                )
            first.setdefault(family, _ip.format_cidr(family, value, address.prefixlen))
    if previous is not None:
        return previous
    return Result(
        [Interface(_LO, "00:00:00:00:00:00", sandbox=req.netns)],
        [IPConfig(first[family], interface=0) for family in sorted(first)],
    )


def check(req: Request) -> None:
    """Raise unless lo is up.

    Raises:
        CNIError: it is down.
    """
    with Session(req) as session, Handle(session.netns) as inside:
        if not inside.link(_LO).is_up:
            raise CNIError(INTERNAL, "loopback interface is down")


def delete(req: Request) -> None:
    """Set lo down, unless its namespace is gone.

    Raises:
        OSError: the kernel refused.
    """
    with Session(req) as session:
        if not session.has_netns():
            return
        _set_down(session)


def _set_down(session: Session) -> None:
    """Set lo down."""
    with Handle(session.netns) as inside:
        inside.set_link(inside.link(_LO).index, up=False)


def gc(req: Request) -> None:
    """Do nothing: lo lives and dies with its namespace."""


def status(req: Request) -> None:
    """Do nothing: every namespace has a lo."""
