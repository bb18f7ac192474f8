"""The bridge plugin: a veth pair between the container and a bridge of the host.

Every option of the reference's bridge plugin, version 1.9.  What differs on purpose is listed in
docs/differences.md.
"""

from __future__ import annotations

from cnifast.ipam.delegate import resolve
from cnifast.kernel.attach import Endpoint, HostEnd, Pair
from cnifast.plugins import bridges
from cnifast.plugins.base import (
    Session,
    allocate,
    host_alias,
    host_name,
    ipv6_sysctls,
    refuse_existing,
    routes_with_gateways,
)
from cnifast.plugins.bridge_check import check
from cnifast.plugins.bridge_conf import BridgeConf, decode_conf, load, wanted_mac
from cnifast.plugins.pairs import collect_attachments, delete_attachment, detach_pair, masquerade
from cnifast.protocol import ip as _ip
from cnifast.protocol.errors import CNIError
from cnifast.protocol.netconf import valid_attachments
from cnifast.protocol.result import Interface, Result, Route

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from cnifast.ipam.delegate import IPAM
    from cnifast.kernel import Link
    from cnifast.protocol.request import Request

__all__ = ["add", "check", "delete", "gc", "status"]

_DEFAULT_ROUTE = {4: "0.0.0.0/0", 6: "::/0"}
_CONTAINER = 2  # where the container's interface stands in the result


def add(req: Request) -> Result:
    """Attach the container; the result names bridge, host end and container end, in this order.

    Raises:
        CNIError: the configuration is not usable.
        OSError: the kernel refused a step; nothing is left behind.
    """
    conf = load(req)
    if conf.ip_masq:
        masquerade().require_backend(req, conf.ip_masq_backend)
    ipam = resolve(req, conf.ipam_type) if conf.ipam_type else None
    try:
        return _add(req, conf, ipam)
    except bridges.StaleBridgeError:
        return _add(req, conf, ipam)


def _add(req: Request, conf: BridgeConf, ipam: IPAM | None) -> Result:
    """Attach the container, or find that the bridge is not the one it was."""
    with Session(req) as session:
        netns = session.netns
        index, bridge_mac = bridges.ensure_bridge(
            session,
            conf.bridge,
            mtu=conf.mtu,
            promisc=conf.promisc_mode,
            vlan_filtering=conf.filters_vlans,
        )
        end = host_name(req)
        pair = Pair(
            session.handle("pair"),
            _host_end(session, conf, end, index),
            netns,
            req.ifname,
            mtu=conf.mtu,
            mac=wanted_mac(req),
            exits=session.exits,
        )
        session.on_error(pair.cancel)
        try:
            if ipam and not ipam.in_process:
                pair.wait()  # it may be about to use the interface
            result = allocate(session, ipam) if ipam else Result()
            gateways = _complete(result, conf)
            vlan_link = _set_gateways(session, conf, (index, bridge_mac), gateways)
            closed = bridges.not_forwarding(session, gateways)
            endpoint = _endpoint(req, conf, netns, result)
            expected = bridges.expected_mac(session, conf.bridge, promisc=conf.promisc_mode)
            macs = expected, pair.host_mac, pair.mac
            result.interfaces = _interfaces(req, conf, end, macs, vlan_link)
            if conf.dns:
                result.dns = conf.dns
            if expected:
                req.foresee(result)
            attached = pair.attach(endpoint)
        except (OSError, CNIError) as e:
            # First of all: what else is undone depends on whether others use the bridge.
            pair.cancel()
            if isinstance(e, FileExistsError):
                refuse_existing(session, end)
            if isinstance(e, FileExistsError | CNIError):
                raise
            if bridges.suspect(session):
                raise bridges.StaleBridgeError(conf.bridge) from e
            raise
        session.on_error(lambda: detach_pair(session, end))
        bridges.confirm(session, conf.bridge, attached.bridge, promisc=conf.promisc_mode)
        if conf.macspoofchk:
            session.on_error(lambda: _spoofcheck().teardown(req, end))
            _spoofcheck().setup(req, end, attached.mac)
        if conf.ip_masq and ipam:
            addresses = [ip.address for ip in result.ips]
            session.on_error(lambda: masquerade().teardown(req, addresses))
            masquerade().setup(req, addresses, conf.ip_masq_backend)
        bridges.set_forwarding(session, closed)
    if attached.bridge.mac != expected:
        result.interfaces[0].mac = attached.bridge.mac
        req.foreseen = None
    return result


def _interfaces(
    req: Request,
    conf: BridgeConf,
    host_end: str,
    macs: tuple[str, str, str],
    vlan_link: Link | None,
) -> list[Interface]:
    """Return what the result says of the links; ``macs``: of bridge, host and container end."""
    links = [
        Interface(conf.bridge, macs[0]),
        Interface(host_end, macs[1]),
        Interface(req.ifname, macs[2], sandbox=req.netns),
    ]
    if vlan_link is not None:
        links.append(Interface(vlan_link.name, vlan_link.mac))
    return links


def _spoofcheck() -> ModuleType:
    """Return the module that only networks with macspoofchk pay for."""
    from cnifast.plugins import spoofcheck  # noqa: PLC0415

    return spoofcheck


def _complete(result: Result, conf: BridgeConf) -> list[str]:
    """Fill in what follows from the addresses; return the bridge's own ones, with prefix."""
    gateways = []
    routed: set[int] = set()
    for config in result.ips:
        config.interface = _CONTAINER
        family, value, prefixlen = _ip.parse_cidr(config.address)
        if config.gateway is None and conf.gateway_wanted:
            first = _ip.network(family, value, prefixlen) + 1
            config.gateway = _ip.format_ip(family, first)
        if conf.is_default_gateway and family not in routed:
            routed.add(family)
            default = _DEFAULT_ROUTE[family]
            if not any(route.gw and route.dst == default for route in result.routes):
                result.routes.append(Route(default, config.gateway))
        if conf.gateway_wanted and config.gateway is not None:
            gateways.append(f"{config.gateway}/{prefixlen}")
    return gateways


def _set_gateways(
    session: Session, conf: BridgeConf, bridge: tuple[int, str], gateways: list[str]
) -> Link | None:
    """Give the bridge, or the host's interface in its VLAN, the gateway addresses."""
    (index, mac), name, vlan_link = bridge, conf.bridge, None
    if conf.vlan and gateways:
        name = f"{conf.bridge}.{conf.vlan}"
        vlan_link = bridges.ensure_vlan_interface(
            session,
            index,
            name,
            conf.vlan,
            session.host.link(index).mtu,
            keep_default_vlan=conf.preserve_default_vlan,
        )
        index, mac = vlan_link.index, vlan_link.mac
    for gateway in gateways:
        bridges.ensure_gateway(
            session, index, name, gateway, mac, force=conf.force_address, dad=conf.enabledad
        )
    return vlan_link


def _host_end(session: Session, conf: BridgeConf, name: str, bridge: int) -> HostEnd:
    """Return what the host's end shall be."""
    return HostEnd(
        name=name,
        alias=host_alias(session.req),
        bridge=bridge,
        host_netns=session.host_netns,
        hairpin=conf.hairpin_mode,
        isolated=conf.port_isolation,
        vlan=conf.vlan,
        trunk=conf.trunk,
        keep_default_vlan=conf.preserve_default_vlan,
    )


def _endpoint(req: Request, conf: BridgeConf, netns: int, result: Result) -> Endpoint:
    """Return what the container's end shall be."""
    addresses = [ip.address for ip in result.ips]
    return Endpoint(
        netns,
        req.ifname,
        mtu=conf.mtu,
        up=not conf.disable_container_interface,
        wait_dad=conf.enabledad,
        arp_notify=bool(addresses),
        sysctls=_container_sysctls(req.ifname, conf, addresses),
        addresses=addresses,
        routes=routes_with_gateways(result.routes, result.ips),
    )


def _container_sysctls(
    ifname: str, conf: BridgeConf, addresses: list[str]
) -> tuple[tuple[str, str, bool], ...]:
    """Return the kernel settings of the container's interface; without addresses there are none."""
    if not addresses:
        return ()
    wanted: tuple[tuple[str, str, bool], ...] = (
        (f"net/ipv6/conf/{ifname}/accept_dad", "1" if conf.enabledad else "0", True),
    )
    if conf.enabledad:
        wanted += ((f"net/ipv6/conf/{ifname}/enhanced_dad", "1", True),)
    if any(":" in address for address in addresses):
        wanted += ipv6_sysctls(ifname)
    return wanted


def delete(req: Request) -> None:
    """Undo ADD; every step is tried, also when the namespace or the previous result is gone.

    Only addresses are kept as long as they are masqueraded: what masquerades them is found by them.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    conf = decode_conf(req)
    ipam = resolve(req, conf.ipam_type) if conf.ipam_type else None
    host_end = host_name(req)
    unguard = (lambda: _spoofcheck().teardown(req, host_end)) if conf.macspoofchk else None
    delete_attachment(req, ipam, host_end, masqueraded=conf.ip_masq, unguard=unguard)


def gc(req: Request) -> None:
    """Release what attachments outside "cni.dev/valid-attachments" left: links, rules, addresses.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    conf = decode_conf(req)
    valid = valid_attachments(req.conf)
    ipam = resolve(req, conf.ipam_type) if conf.ipam_type else None
    collect_attachments(
        req,
        ipam,
        valid,
        lambda session: _ports(session, conf),
        unguard=lambda: _spoofcheck().gc(req, valid),
    )


def _ports(session: Session, conf: BridgeConf) -> list[Link]:
    """Return the host ends on our bridge, none where there is no bridge."""
    try:
        bridge = bridges.require_bridge(session.host, conf.bridge)
    except FileNotFoundError:
        return []
    return session.host.links(master=bridge.index, kind="veth")


def status(req: Request) -> None:
    """Ask the IPAM plugin, the one thing an ADD depends on that can be missing.

    Raises:
        CNIError: the IPAM plugin is not ready.
    """
    conf = decode_conf(req)
    if conf.ipam_type:
        resolve(req, conf.ipam_type).status(req)
