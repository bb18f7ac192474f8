"""MAC anti-spoofing for bridge ports: setting up, removing, checking, collecting.

Removing also cleans up after the reference plugins, whose chains are found by container ID and
interface.
"""

from __future__ import annotations

from cnifast.kernel import foreign
from cnifast.kernel.nft import Owner
from cnifast.plugins.filters import HostFilter, attempt_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from cnifast.protocol.request import Request


def setup(req: Request, port: str, mac: str) -> None:
    """Let a bridge port send frames from the container's MAC address only.

    Raises:
        ValueError: ``mac`` is not an Ethernet address.
        OSError: the kernel refused.
    """
    with HostFilter(req) as nft:
        nft.guard_port(port, mac, _owner(req))


def teardown(req: Request, port: str) -> None:
    """Undo `setup`, or what the reference did for the attachment; nothing there is success.

    Raises:
        OSError: the first failure; the other step was taken nevertheless.
    """
    with HostFilter(req) as nft:
        attempt_all(
            (
                (nft.unguard_port, port, _owner(req)),
                (foreign.delete_spoofcheck, nft, req.container_id, req.ifname),
            )
        )


def check(req: Request, port: str, mac: str) -> None:
    """See that a port is guarded.

    Raises:
        ValueError: ``mac`` is not an Ethernet address.
        FileNotFoundError: it is not.
    """
    with HostFilter(req) as nft:
        nft.check_port(port, mac, _owner(req))


def gc(req: Request, valid: Collection[tuple[str, str]]) -> None:
    """Stop guarding ports of the network whose attachments are not (container ID, ifname) pairs.

    Raises:
        OSError: the kernel refused.
    """
    spared = {Owner(container_id, ifname, req.name).text for container_id, ifname in valid}
    ours = _owner(req).text.rpartition(" ")[2]
    with HostFilter(req) as nft:
        for guarded in nft.guarded_ports():
            if guarded.owner.rpartition(" ")[2] == ours and guarded.owner not in spared:
                nft.unguard_port(guarded.port, Owner.of_text(guarded.owner))


def _owner(req: Request) -> Owner:
    """Return the attachment of a request as the owner of elements."""
    return Owner(req.container_id, req.ifname, req.name)
