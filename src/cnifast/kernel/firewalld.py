"""firewalld's zones: which sources belong to one, by D-Bus."""

from __future__ import annotations

from cnifast._native.errors import NoSuchObjectError
from cnifast.kernel.dbus import Bus, BusError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_NAME = "org.fedoraproject.FirewallD1"
_PATH = "/org/fedoraproject/FirewallD1"
_ZONE = f"{_NAME}.zone"
_ENOENT = 2
_THERE = "ZONE_ALREADY_SET"
_NOT_THERE = ("UNKNOWN_SOURCE", "NOT_ENABLED", "ZONE_CONFLICT", "INVALID_ZONE")


def runs(address: str) -> bool:
    """Tell whether firewalld is on the bus."""
    try:
        with Bus(address) as bus:
            return bus.has_owner(_NAME)
    except OSError:
        return False


def add_sources(address: str, zone: str, sources: Iterable[str]) -> None:
    """Have a zone apply to what comes from sources; those added are removed again on an error.

    Raises:
        OSError: firewalld refused one, or did not answer.
    """
    added: dict[str, None] = {}
    with Bus(address) as bus:
        try:
            for source in sources:
                if _ask(bus, "addSource", zone, source, _THERE):
                    added[source] = None
        except OSError:
            for source in added:
                _ask(bus, "removeSource", zone, source, *_NOT_THERE)
            raise


def remove_sources(address: str, zone: str, sources: Iterable[str]) -> None:
    """Undo `add_sources`; without firewalld, and for sources not in the zone, that is success.

    Raises:
        OSError: firewalld refused, or did not answer.
    """
    try:
        bus = Bus(address)
    except FileNotFoundError:
        return
    with bus:
        if bus.has_owner(_NAME):  # asking would start it
            for source in sources:
                _ask(bus, "removeSource", zone, source, *_NOT_THERE)


def see_sources(address: str, zone: str, sources: Iterable[str]) -> None:
    """See that sources are in a zone.

    Raises:
        FileNotFoundError: one is not.
        OSError: firewalld refused, or did not answer.
    """
    with Bus(address) as bus:
        for source in sources:
            if bus.call(_NAME, _PATH, f"{_ZONE}.querySource", zone, source) is not True:
                raise NoSuchObjectError(_ENOENT, f"{source} is not in firewalld's zone {zone}")


def _ask(bus: Bus, member: str, zone: str, source: str, *fine: str) -> bool:
    """Ask to change a zone; return False where it is as is wished: the error is one of `fine`."""
    try:
        bus.call(_NAME, _PATH, f"{_ZONE}.{member}", zone, source)
    except BusError as e:
        if any(word in str(e) for word in fine):
            return False
        raise
    return True
