"""CHECK of the bridge plugin: bridge, pair, addresses and routes are as the result says."""

from __future__ import annotations

from cnifast.ipam.delegate import resolve
from cnifast.kernel.handle import IFF_PROMISC, Handle
from cnifast.plugins.base import Session, host_name, required_prev_result
from cnifast.plugins.bridge_conf import BridgeConf, load
from cnifast.plugins.expected import check_addresses, check_routes
from cnifast.protocol.errors import INTERNAL, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Interface, Result


def check(req: Request) -> None:
    """Compare what the kernel has with what ADD returned.

    Raises:
        CNIError: something is missing or different.
    """
    conf = load(req)
    with Session(req) as session, Handle(session.netns) as inside:
        if conf.ipam_type:
            resolve(req, conf.ipam_type).check(req)
        result = required_prev_result(req)
        claimed = _claimed(req, conf, result)
        bridge = _check_bridge(session.host, conf, claimed[0])
        container = _check_container(inside, claimed[1])
        port = _find_port(session.host, result, claimed, bridge, container)
        check_addresses(inside, req.ifname, container.index, result.ips)
        check_routes(inside, result.routes)
    if conf.macspoofchk or conf.ip_masq:
        _check_rules(req, conf, result, port, container)


def _check_rules(
    req: Request, conf: BridgeConf, result: Result, port: Link, container: Link
) -> None:
    """Ask those who made the packet filter's rules for the attachment."""
    from cnifast.plugins import masquerade, spoofcheck  # noqa: PLC0415 - few networks need them

    if conf.macspoofchk and port.name == host_name(req):
        spoofcheck.check(req, port.name, container.mac)
    if conf.ip_masq and conf.ipam_type:
        masquerade.check(req, [ip.address for ip in result.ips], conf.ip_masq_backend)


def _claimed(req: Request, conf: BridgeConf, result: Result) -> tuple[Interface, Interface]:
    """Return the bridge and the container's interface of the result."""
    bridge = container = None
    for interface in result.interfaces:
        if interface.name == conf.bridge:
            bridge = interface
        elif interface.name == req.ifname and interface.sandbox == req.netns:
            container = interface
    if bridge is None:
        raise CNIError(INTERNAL, f"bridge {conf.bridge} is missing in prevResult")
    if container is None:
        raise CNIError(
            INTERNAL,
            f"interface {req.ifname} in prevResult does not match configured netns: {req.netns}",
        )
    return bridge, container


def _link(handle: Handle, claimed: Interface) -> Link:
    """Return the link a result names."""
    try:
        return handle.link(claimed.name)
    except FileNotFoundError:
        raise CNIError(INTERNAL, f"interface {claimed.name} not found") from None


def _require_mac(link: Link, claimed: Interface) -> None:
    """Refuse a link that does not have the MAC the result says."""
    if claimed.mac and claimed.mac != link.mac:
        raise CNIError(
            INTERNAL,
            f"interface {claimed.name}: MAC {claimed.mac} in prevResult does not match {link.mac}",
        )


def _check_bridge(host: Handle, conf: BridgeConf, claimed: Interface) -> Link:
    """Return the bridge, which must be one, on the host, with the configured promiscuity."""
    link = _link(host, claimed)
    if claimed.sandbox:
        raise CNIError(INTERNAL, f"interface {claimed.name} should not be in a sandbox")
    if link.kind != "bridge":
        raise CNIError(INTERNAL, f"interface {claimed.name} is not a bridge")
    _require_mac(link, claimed)
    promisc = bool(link.flags & IFF_PROMISC)
    if promisc != conf.promisc_mode:
        raise CNIError(
            INTERNAL,
            f"bridge {claimed.name}: promiscuous mode is {promisc}, "
            f"configured is {conf.promisc_mode}",
        )
    return link


def _check_container(inside: Handle, claimed: Interface) -> Link:
    """Return the container's interface, which must be a veth with the MAC of the result."""
    link = _link(inside, claimed)
    if link.kind != "veth":
        raise CNIError(INTERNAL, f"container interface {claimed.name} is not a veth")
    _require_mac(link, claimed)
    return link


def _find_port(
    host: Handle,
    result: Result,
    claimed: tuple[Interface, Interface],
    bridge: Link,
    container: Link,
) -> Link:
    """Return the port of the bridge whose peer is the container's interface."""
    for interface in result.interfaces:
        if interface is claimed[0] or interface is claimed[1] or interface.sandbox:
            continue
        link = _link(host, interface)
        if link.kind != "veth" or (link.index, link.parent, link.master) != (
            container.parent,
            container.index,
            bridge.index,
        ):
            continue
        _require_mac(link, interface)
        return link
    raise CNIError(INTERNAL, f"veth between {container.name} and bridge {bridge.name} not found")
