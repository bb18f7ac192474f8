"""What plugins that join a container to the host by a veth pair share: taking it away again."""

from __future__ import annotations

from cnifast.kernel.attach import detach
from cnifast.plugins.base import Failures, Session, alias_owner, host_alias
from cnifast.protocol.errors import TRY_AGAIN_LATER, CNIError

MTU_MIN, MTU_MAX = 68, 65535  # of a veth

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    from cnifast.ipam.delegate import IPAM
    from cnifast.kernel import Link
    from cnifast.protocol.request import Request


def masquerade() -> ModuleType:
    """Return the module that only networks with ipMasq pay for."""
    from cnifast.plugins import masquerade as module  # noqa: PLC0415

    return module


def delete_attachment(
    req: Request,
    ipam: IPAM | None,
    host_end: str,
    *,
    masqueraded: bool,
    unguard: Callable[[], object] | None = None,
) -> None:
    """Undo an ADD; every step is tried, also when the namespace or the previous result is gone.

    Only addresses are kept as long as they are masqueraded: what masquerades them is found by them.
    ``unguard`` takes away what guards the host's end.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    failures = Failures()
    with Session(req) as session:
        addresses = known_addresses(req, ipam, failures) if masqueraded and ipam else None
        failures.attempt(detach_pair, session, host_end)
        if unguard is not None:
            failures.attempt(unguard)
        free = True
        if masqueraded and ipam:
            # Before the addresses are free: who holds none has no element either.
            free = failures.attempt(lambda: masquerade().teardown(req, addresses))
        if ipam and free and not _is_locked(failures):
            failures.attempt(ipam.delete, req)
    failures.report()


def _is_locked(failures: Failures) -> bool:
    """Tell whether somebody else has had the addresses' lock for so long that it is hopeless."""
    return any(isinstance(e, CNIError) and e.code == TRY_AGAIN_LATER for e in failures.found)


def collect_attachments(
    req: Request,
    ipam: IPAM | None,
    valid: set[tuple[str, str]],
    host_ends: Callable[[Session], Iterable[Link]],
    *,
    unguard: Callable[[], object] | None = None,
) -> None:
    """Release what attachments that are not valid left: links, rules, addresses.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    failures = Failures()
    with Session(req) as session:
        failures.attempt(lambda: detach_orphans(session, host_ends(session), valid, failures))
        if unguard is not None:
            failures.attempt(unguard)
        failures.attempt(lambda: masquerade().gc(req, valid))
        if ipam:
            failures.attempt(ipam.gc, req)
    failures.report()


def detach_pair(session: Session, host_end: str) -> None:
    """Delete the pair by whichever end can be found.

    The container's side is tried first: it is where the fewest announcements are to be heard.

    Raises:
        CNIError: what CNI_NETNS names is no namespace; the pair is deleted all the same.
        KernelError: the kernel refused.
    """
    ifname, exits = session.req.ifname, session.exits
    try:
        if session.has_netns() and detach(ifname, netns=session.netns, exits=exits):
            return
    except CNIError:
        detach(host_end, netns=session.host_netns, alias=host_alias(session.req), exits=exits)
        raise
    detach(host_end, netns=session.host_netns, alias=host_alias(session.req), exits=exits)


def known_addresses(req: Request, ipam: IPAM, failures: Failures) -> list[str] | None:
    """Return the addresses the attachment has by its records, None where nobody knows."""
    found: list[str] | None = None

    def look() -> None:
        nonlocal found
        if ipam.in_process:
            found = ipam.owned(req)
        if not found:  # it may have been given back behind the runtime's back
            try:
                previous = req.prev_result()
            except ValueError:
                if found is None:
                    raise
                return  # that it tells nothing is no reason to fail
            found = [ip.address for ip in previous.ips] if previous else found

    failures.attempt(look)
    return found


def detach_orphans(
    session: Session, links: Iterable[Link], valid: set[tuple[str, str]], failures: Failures
) -> None:
    """Delete those of the host's links that belong to attachments which are not valid any more."""
    for link in links:
        owner = alias_owner(link.alias, session.req.name)
        if owner is not None and owner not in valid:
            failures.attempt(_detacher(session, link))


def _detacher(session: Session, link: Link) -> Callable[[], object]:
    """Return the deletion of one host end."""
    return lambda: detach(
        link.name, netns=session.host_netns, alias=link.alias, exits=session.exits
    )
