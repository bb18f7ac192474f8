"""The macvlan plugin: an interface of the container with a MAC of its own on a device below.

Every option of the reference's macvlan plugin, version 1.9.
"""

from __future__ import annotations

from cnifast.ipam.delegate import resolve
from cnifast.kernel.attach import MACVLAN_MODES, Endpoint, attach_macvlan, detach
from cnifast.kernel.handle import Handle
from cnifast.plugins.base import (
    Failures,
    Session,
    allocate,
    decode,
    ipv6_sysctls,
    refuse_existing,
    required_prev_result,
    routes_with_gateways,
)
from cnifast.plugins.common import InterfaceConf, check_mac, env_args
from cnifast.plugins.expected import check_addresses, check_routes
from cnifast.protocol.errors import INTERNAL, PLUGIN_NOT_AVAILABLE, CNIError
from cnifast.protocol.result import Interface, Result
from cnifast.protocol.schema import BOOL, INT, TEXT, Integer, field, narrowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.protocol.request import Request

_UINT32 = Integer("uint32", 0, 2**32 - 1)
_MAIN = 254


class MacvlanConf(InterfaceConf):
    """The keys of the reference's macvlan plugin, version 1.9."""

    master = field("master", TEXT, "")
    """The device below; without one, the device of the default route."""
    mode = field("mode", narrowed(TEXT, enum=["", *MACVLAN_MODES]), "")
    """How containers on one device see each other; without one `bridge`."""
    mtu = field("mtu", narrowed(INT, minimum=0), 0)
    """MTU of the interface, at most the device's; 0: the device's."""
    mac = field("mac", TEXT, "")
    """MAC address, unless the runtime gives one."""
    link_in_container = field("linkInContainer", BOOL, False)
    """The device below is in the container's namespace."""
    bcqueuelen = field("bcqueuelen", _UINT32, 0)
    """Length of the queue of broadcasts; 0: the kernel's default."""


def _decode(req: Request) -> MacvlanConf:
    """Decode the configuration without asking for sense."""
    conf = decode(MacvlanConf, req)
    given = env_args(req).get("MAC", "") if req.args else ""
    conf.mac = conf.runtime_config.mac or given or conf.mac
    return conf


def _load(req: Request) -> MacvlanConf:
    """Decode and validate, as far as that goes without looking at the master."""
    conf = _decode(req)
    if conf.mode and conf.mode not in MACVLAN_MODES:
        raise CNIError(INTERNAL, f'unknown macvlan mode: "{conf.mode}"')
    if conf.mac:
        try:
            check_mac(conf.mac)
        except ValueError as e:
            raise CNIError(INTERNAL, f"invalid args {conf.mac} for MAC addr: {e}") from None
    return conf


def _master(handle: Handle, conf: MacvlanConf) -> Link:
    """Return the device below: the one named, or the one the default route goes through.

    Raises:
        CNIError: there is none, or the MTU asked for is more than it has.
    """
    if conf.master:
        try:
            link = handle.link(conf.master)
        except OSError as e:
            raise CNIError(INTERNAL, f'failed to lookup master "{conf.master}": {e}') from e
    else:
        link = _default_route_link(handle)
    if not 0 <= conf.mtu <= link.mtu:
        raise CNIError(INTERNAL, f"invalid MTU {conf.mtu}, must be [0, master MTU({link.mtu})]")
    return link


def _default_route_link(handle: Handle) -> Link:
    """Return the device that the default route goes through."""
    for family in (4, 6):
        for route in handle.routes(family=family, table=_MAIN):
            if route.prefixlen == 0 and route.oif:
                return handle.link(route.oif)
    raise CNIError(INTERNAL, "no default route interface found")


def add(req: Request) -> Result:
    """Attach the container; the result names the one interface made.

    Raises:
        CNIError: the configuration is not usable.
        OSError: the kernel refused a step; nothing is left behind.
    """
    conf = _load(req)
    ipam = resolve(req, conf.ipam_type) if conf.ipam_type else None
    with Session(req) as session:
        netns = session.netns  # or there is no need for an address
        master = _look_at_master(session, conf)
        if ipam and not ipam.in_process:
            refuse_existing(session)
        result = allocate(session, ipam) if ipam else Result()
        addresses = [ip.address for ip in result.ips]
        endpoint = Endpoint(
            netns,
            req.ifname,
            mtu=conf.mtu,
            mac=conf.mac,
            arp_notify=bool(addresses),
            sysctls=_container_sysctls(req.ifname, addresses),
            addresses=addresses,
            routes=routes_with_gateways(result.routes, result.ips),
        )
        attached = attach_macvlan(
            session.host,
            endpoint,
            parent=master.index,
            mode=conf.mode or "bridge",
            bcqueuelen=conf.bcqueuelen,
            parent_in_container=conf.link_in_container,
            exits=session.exits,
        )
    result.interfaces = [Interface(req.ifname, attached.mac, sandbox=req.netns)]
    for config in result.ips:
        config.interface = 0
    result.dns = conf.dns
    return result


def _look_at_master(session: Session, conf: MacvlanConf) -> Link:
    """Return the device below, in the namespace it is in."""
    if not conf.link_in_container:
        return _master(session.host, conf)
    with Handle(session.netns) as inside:
        return _master(inside, conf)


def _container_sysctls(ifname: str, addresses: list[str]) -> tuple[tuple[str, str, bool], ...]:
    """Return the kernel settings of the container's interface; without addresses there are none."""
    if not addresses:
        return ()
    wanted: tuple[tuple[str, str, bool], ...] = (
        (f"net/ipv6/conf/{ifname}/ndisc_notify", "1", True),
    )
    if any(":" in address for address in addresses):
        wanted += ipv6_sysctls(ifname)
    return wanted


def check(req: Request) -> None:
    """Compare what the kernel has with what ADD returned.

    Raises:
        CNIError: something is missing or different.
    """
    conf = _load(req)
    with Session(req) as session, Handle(session.netns) as inside:
        if conf.ipam_type:
            resolve(req, conf.ipam_type).check(req)
        result = required_prev_result(req)
        claimed = [i for i in result.interfaces if (i.name, i.sandbox) == (req.ifname, req.netns)]
        if not claimed:
            raise CNIError(
                INTERNAL,
                f"interface {req.ifname} in prevResult does not match configured netns: "
                f"{req.netns}",
            )
        _master(inside if conf.link_in_container else session.host, conf)
        link = _check_link(inside, claimed[-1], conf)
        check_addresses(inside, req.ifname, link.index, result.ips)
        check_routes(inside, result.routes)


def _check_link(inside: Handle, claimed: Interface, conf: MacvlanConf) -> Link:
    """Return the container's interface, which must be a macvlan of the mode and MAC expected."""
    try:
        link = inside.link(claimed.name)
    except FileNotFoundError:
        raise CNIError(INTERNAL, f"container interface {claimed.name} not found") from None
    if link.kind != "macvlan":
        raise CNIError(INTERNAL, f"container interface {claimed.name} is not a macvlan")
    wanted = conf.mode or "bridge"
    if link.macvlan_mode != MACVLAN_MODES[wanted]:
        raise CNIError(
            INTERNAL,
            f"container interface {claimed.name}: macvlan mode {link.macvlan_mode} does not match "
            f"expected value: {wanted}",
        )
    if claimed.mac and claimed.mac != link.mac:
        raise CNIError(
            INTERNAL,
            f"interface {claimed.name}: MAC {claimed.mac} in prevResult does not match {link.mac}",
        )
    return link


def delete(req: Request) -> None:
    """Undo ADD; the address is given back also when the namespace is gone.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    conf = _decode(req)
    ipam = resolve(req, conf.ipam_type) if conf.ipam_type else None
    failures = Failures()
    with Session(req) as session:
        failures.attempt(lambda: _detach(session))
        if ipam:
            failures.attempt(lambda: ipam.delete(req))
    failures.report()


def _detach(session: Session) -> None:
    """Delete the interface if its namespace is still there."""
    if session.has_netns():
        detach(session.req.ifname, netns=session.netns, exits=session.exits)


def gc(req: Request) -> None:
    """Release the addresses of attachments that are not valid any more.

    Raises:
        CNIError: the IPAM plugin failed.
    """
    conf = _decode(req)
    if conf.ipam_type:
        resolve(req, conf.ipam_type).gc(req)


def status(req: Request) -> None:
    """Ask for the master and the IPAM plugin, which an ADD depends on.

    Raises:
        CNIError: one of them is not there.
    """
    conf = _decode(req)
    if conf.ipam_type:
        resolve(req, conf.ipam_type).status(req)
    if conf.master and not conf.link_in_container:
        with Session(req) as session:
            try:
                _master(session.host, conf)
            except CNIError as e:
                raise CNIError(PLUGIN_NOT_AVAILABLE, e.msg) from None
