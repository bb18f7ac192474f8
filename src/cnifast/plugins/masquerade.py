"""IP masquerading for plugins that offer ipMasq: setting up, removing, checking, collecting.

By nftables over netlink unless the configuration asks for iptables.  Removing does not ask what
was configured: it cleans up after either backend, and after the reference plugins, and executes a
program only where legacy iptables has a chain of the container.

An attachment's elements are deleted before its addresses are released.  So whoever finds no
address in the IPAM's records may pass none, and nothing needs to be searched.
"""

from __future__ import annotations

from cnifast.kernel import foreign, iptables
from cnifast.kernel.nft import Owner
from cnifast.plugins.filters import HostFilter, attempt_all, require_iptables
from cnifast.protocol.errors import INTERNAL, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection

    from cnifast.kernel.nft import NftSocket
    from cnifast.protocol.request import Request

NFTABLES = "nftables"
IPTABLES = "iptables"


def check_backend(backend: str | None) -> str:
    """Return which backend a value of ipMasqBackend means; None is nftables.

    Raises:
        CNIError: neither of the two (code 999).
    """
    if backend is None:
        return NFTABLES
    if backend not in (NFTABLES, IPTABLES):
        quoted = backend.replace("\\", "\\\\").replace('"', '\\"')
        raise CNIError(INTERNAL, f'unknown ipmasq backend "{quoted}"')
    return backend


def require_backend(req: Request, backend: str | None) -> None:
    """See, before an ADD begins, that this is the place for what a value of ipMasqBackend means.

    Raises:
        CNIError: an unknown backend (999).
        RunCold: the caller's iptables is to be executed.
    """
    if check_backend(backend) == IPTABLES:
        require_iptables(req)


def setup(req: Request, addresses: Collection[str], backend: str | None = None) -> None:
    """Masquerade what comes from addresses such as "10.1.0.5/16" and leaves their subnets.

    After a failure something may be left for `teardown`.

    Raises:
        CNIError: an unknown backend (999).
        OSError: the kernel or iptables-restore refused.
    """
    chosen = check_backend(backend)
    with HostFilter(req) as nft:
        if chosen == IPTABLES:
            iptables.add_masquerade(nft, req.name, req.container_id, addresses)
        else:
            nft.add_masquerade(addresses, _owner(req))


def teardown(req: Request, addresses: Collection[str] | None) -> None:
    """Remove what masquerades an attachment, whoever made it; nothing there is success.

    Addresses with prefix lengths cost one look each, those without are looked for in each subnet
    of the network, and None (unknown) reads all elements of the network.

    Raises:
        OSError: the first failure; the other steps were taken nevertheless.
    """
    with HostFilter(req) as nft:
        attempt_all(
            (
                (nft.delete_masquerade, addresses, _owner(req)),
                (foreign.delete_masquerade, nft, req.name, req.container_id, req.ifname),
                (iptables.delete_legacy, nft.netns, req.name, req.container_id),
            )
        )


def check(req: Request, addresses: Collection[str], backend: str | None = None) -> None:
    """See that addresses such as "10.1.0.5/16" are masqueraded, by whichever means.

    The configured backend is asked first; an attachment made before a change of backend, or by
    the reference, is masqueraded as well.

    Raises:
        CNIError: an unknown backend (999).
        FileNotFoundError: one is not.
    """
    chosen = check_backend(backend)
    with HostFilter(req) as nft:
        try:
            _check_backend(chosen, nft, req, addresses)
        except FileNotFoundError as missing:
            if foreign.has_masquerade(nft, req.name, req.container_id, req.ifname):
                return
            try:
                _check_backend(IPTABLES if chosen == NFTABLES else NFTABLES, nft, req, addresses)
            except FileNotFoundError:
                raise missing from None


def _check_backend(backend: str, nft: NftSocket, req: Request, addresses: Collection[str]) -> None:
    """See that one backend masquerades the addresses."""
    if backend == IPTABLES:
        iptables.check_masquerade(nft, req.name, req.container_id, addresses)
    else:
        nft.check_masquerade(addresses, _owner(req))


def gc(req: Request, valid: Collection[tuple[str, str]]) -> None:
    """Remove what masquerades attachments of the network that are not (container ID, ifname) pairs.

    An iptables chain goes when none of the container's interfaces is valid.

    Raises:
        OSError: the kernel refused.
    """
    spared = {Owner(container_id, ifname, req.name).text for container_id, ifname in valid}
    with HostFilter(req) as nft:
        for element in nft.masquerades(req.name):
            if element.owner not in spared:
                nft.delete_masquerade([element.address], Owner.of_text(element.owner))
        containers = {container_id for container_id, _ in valid}
        attempt_all(
            (
                (foreign.collect_masquerade, nft, req.name, valid),
                (foreign.collect_iptables, nft, req.name, containers),
                (iptables.collect_legacy, nft.netns, req.name, containers),
            )
        )


def _owner(req: Request) -> Owner:
    """Return the attachment of a request as the owner of elements."""
    return Owner(req.container_id, req.ifname, req.name)
