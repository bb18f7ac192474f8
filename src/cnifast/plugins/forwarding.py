"""Letting the host forward, which whoever is a gateway needs."""

from __future__ import annotations

from cnifast.kernel.netns import read_sysctl, write_sysctls
from cnifast.protocol import ip as _ip
from cnifast.protocol.errors import INTERNAL, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from cnifast.plugins.base import Session

_FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


def not_forwarding(session: Session, gateways: Iterable[str]) -> tuple[tuple[str, str, bool], ...]:
    """Return the kernel settings by which the host would forward for its gateways, but does not.

    Raises:
        CNIError: a kernel setting cannot be read.
    """
    families = {_ip.parse_cidr(gateway)[0] for gateway in gateways}
    wanted = [(_FORWARDING[family], "1", False) for family in sorted(families)]
    try:
        return tuple(w for w in wanted if read_sysctl(w[0], session.host_netns) != w[1])
    except OSError as e:
        raise CNIError(INTERNAL, f"failed to enable forwarding: {e}") from e


def set_forwarding(session: Session, settings: tuple[tuple[str, str, bool], ...]) -> None:
    """Let the host forward, by what ``not_forwarding`` returned.

    Raises:
        CNIError: a kernel setting cannot be written.
    """
    if not settings:
        return
    try:
        write_sysctls(settings, session.host_netns)
    except OSError as e:
        raise CNIError(INTERNAL, f"failed to enable forwarding: {e}") from e
