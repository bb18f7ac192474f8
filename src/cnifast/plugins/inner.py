"""What plugins share whose link is in the container alone: from its beginning to its end.

The link dies with its namespace, so that only addresses can be left of an attachment.
"""

from __future__ import annotations

from cnifast.ipam.delegate import resolve
from cnifast.kernel.attach import Endpoint, detach
from cnifast.kernel.handle import Handle
from cnifast.kernel.links import attach_existing
from cnifast.plugins.base import (
    Failures,
    Session,
    allocate,
    ipv6_sysctls,
    refuse_existing,
    required_prev_result,
    routes_with_gateways,
)
from cnifast.plugins.expected import check_addresses, check_container_link, check_routes
from cnifast.protocol.errors import INTERNAL, PLUGIN_NOT_AVAILABLE, CNIError
from cnifast.protocol.result import Interface, Result

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cnifast.ipam.delegate import IPAM
    from cnifast.kernel import Link
    from cnifast.kernel.attach import Attached
    from cnifast.protocol.request import Request

_MAIN = 254


def attach(
    session: Session,
    ipam: IPAM | None,
    make: Callable[[Endpoint], Attached],
    *,
    mtu: int = 0,
    mac: str = "",
    arp_notify: bool = False,
    ndisc_notify: bool = False,
    previous: Result | None = None,
    undone: bool = False,
) -> Result:
    """Have a link made in the container and configured; return the result with addresses.

    ``make`` makes it and leaves nothing if it fails; with ``undone`` it also sees to it that the
    session takes the link back.  The addresses are assigned by ``ipam``, or those of ``previous``,
    or there are none.

    Raises:
        FileExistsError: the container has a link of that name.
        CNIError: there are no addresses to be had.
        KernelError: a step failed.
    """
    req = session.req
    netns = session.netns  # or there is no need for an address

    def endpoint(result: Result, *, up: bool = True) -> Endpoint:
        addresses = [ip.address for ip in result.ips]
        return Endpoint(
            netns,
            req.ifname,
            mtu=mtu,
            mac=mac,
            up=up,
            arp_notify=arp_notify and bool(addresses),
            sysctls=_sysctls(req.ifname, addresses, ndisc_notify=ndisc_notify),
            addresses=addresses,
            routes=routes_with_gateways(result.routes, result.ips),
        )

    if ipam is None or ipam.in_process:
        result = allocate(session, ipam) if ipam else previous or Result()
        try:
            attached = make(endpoint(result))
        except FileExistsError:
            refuse_existing(session)
            raise
        if not undone:
            session.on_error(lambda: detach_inner(session))
    else:
        # A program may be about to use the interface, as a DHCP client does.
        make(endpoint(Result(), up=False))
        if not undone:
            session.on_error(lambda: detach_inner(session))
        result = allocate(session, ipam)
        attached = attach_existing(endpoint(result))
    result.interfaces = [Interface(req.ifname, attached.mac, sandbox=req.netns)]
    for config in result.ips:
        config.interface = 0
    return result


def _sysctls(
    ifname: str, addresses: list[str], *, ndisc_notify: bool
) -> tuple[tuple[str, str, bool], ...]:
    """Return the kernel settings of the container's interface; without addresses there are none."""
    wanted: tuple[tuple[str, str, bool], ...] = ()
    if addresses and ndisc_notify:
        wanted = ((f"net/ipv6/conf/{ifname}/ndisc_notify", "1", True),)
    if any(":" in address for address in addresses):
        wanted += ipv6_sysctls(ifname)
    return wanted


def detach_inner(session: Session) -> None:
    """Delete the interface if its namespace is still there."""
    if session.has_netns():
        detach(session.req.ifname, netns=session.netns, exits=session.exits)


def find_master(handle: Handle, name: str) -> Link:
    """Return the device below: the one named, or the one the default route goes through.

    Raises:
        CNIError: there is none.
    """
    if name:
        try:
            return handle.link(name)
        except OSError as e:
            raise CNIError(INTERNAL, f'failed to lookup master "{name}": {e}') from e
    for family in (4, 6):
        for route in handle.routes(family=family, table=_MAIN):
            if route.prefixlen == 0 and route.oif:
                return handle.link(route.oif)
    raise CNIError(INTERNAL, "no default route interface found")


def require_mtu(mtu: int, master: Link) -> None:
    """Refuse an MTU that is more than the device below has.

    Raises:
        CNIError: it is, or it is none at all.
    """
    if not 0 <= mtu <= master.mtu:
        raise CNIError(INTERNAL, f"invalid MTU {mtu}, must be [0, master MTU({master.mtu})]")


def look_at_master(session: Session, name: str, *, in_container: bool) -> Link:
    """Return the device below, in the namespace it is in; see `find_master`."""
    if not in_container:
        return find_master(session.host, name)
    with Handle(session.netns) as inside:
        return find_master(inside, name)


def check_inner(
    req: Request,
    ipam_type: str,
    kind: str,
    examine: Callable[[Session, Link], object],
    *,
    routes: bool = True,
) -> None:
    """Compare the container's link with what ADD returned; ``examine`` compares its options.

    Raises:
        CNIError: something is missing or different.
    """
    with Session(req) as session, Handle(session.netns) as inside:
        if ipam_type:
            resolve(req, ipam_type).check(req)
        result = required_prev_result(req)
        link = check_container_link(inside, req, result, kind)
        examine(session, link)
        check_addresses(inside, req.ifname, link.index, result.ips)
        if routes:
            check_routes(inside, result.routes)


def require_equal(ifname: str, what: str, found: Any, wanted: Any) -> None:
    """Refuse an option that is not what the configuration says.

    Raises:
        CNIError: it is not.
    """
    if found != wanted:
        raise CNIError(
            INTERNAL,
            f"container interface {ifname}: {what} {found} does not match expected value: {wanted}",
        )


def delete_inner(req: Request, ipam_type: str) -> None:
    """Undo ADD; the address is given back also when the namespace is gone.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    ipam = resolve(req, ipam_type) if ipam_type else None
    failures = Failures()
    with Session(req) as session:
        failures.attempt(lambda: detach_inner(session))
        if ipam:
            failures.attempt(lambda: ipam.delete(req))
    failures.report()


def collect(req: Request, ipam_type: str) -> None:
    """Release the addresses of attachments that are not valid any more.

    Raises:
        CNIError: the IPAM plugin failed.
    """
    if ipam_type:
        resolve(req, ipam_type).gc(req)


def report_status(
    req: Request, ipam_type: str, master: str = "", *, in_container: bool = False
) -> None:
    """Ask for the IPAM plugin and the host's device below, which an ADD depends on.

    Raises:
        CNIError: one of them is not there.
    """
    if ipam_type:
        resolve(req, ipam_type).status(req)
    if master and not in_container:
        with Session(req) as session:
            try:
                find_master(session.host, master)
            except CNIError as e:
                raise CNIError(PLUGIN_NOT_AVAILABLE, e.msg) from None
