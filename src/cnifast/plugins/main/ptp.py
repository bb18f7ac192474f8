"""The ptp plugin: a veth pair between the container and the host, which routes to it.

Every option of the reference's ptp plugin, version 1.9.  What differs on purpose is listed in
docs/differences.md.
"""

from __future__ import annotations

from cnifast.ipam.delegate import resolve
from cnifast.kernel.attach import Pair
from cnifast.kernel.handle import Handle
from cnifast.kernel.links import RoutedEnd, RoutedEndpoint
from cnifast.plugins.base import (
    Session,
    allocate,
    decode,
    host_alias,
    host_name,
    ipv6_sysctls,
    refuse_existing,
    require_mtu,
    required_prev_result,
    routes_with_gateways,
)
from cnifast.plugins.expected import check_addresses, check_container_link, check_routes
from cnifast.plugins.forwarding import not_forwarding, set_forwarding
from cnifast.plugins.pairs import (
    MTU_MAX,
    MTU_MIN,
    collect_attachments,
    delete_attachment,
    detach_pair,
    masquerade,
)
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.netconf import NetConf, valid_attachments
from cnifast.protocol.result import Interface, Result
from cnifast.protocol.schema import BOOL, INT, TEXT, field, narrowed, optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.ipam.delegate import IPAM
    from cnifast.protocol.request import Request

_CONTAINER = 1  # where the container's interface stands in the result


class PtpConf(NetConf):
    """The keys of the reference's ptp plugin, version 1.9."""

    ip_masq = field("ipMasq", BOOL, False)
    """Masquerade what leaves the network."""
    ip_masq_backend = optional("ipMasqBackend", TEXT)
    """By `nftables`, as without it, or by `iptables`."""
    mtu = field("mtu", narrowed(INT, minimum=0, maximum=MTU_MAX), 0)
    """MTU of both ends; 0: the kernel's default."""


def _decode(req: Request) -> PtpConf:
    """Decode the configuration without asking for sense; DEL works with any."""
    return req.derive("ptp", lambda req: decode(PtpConf, req))


def _load(req: Request) -> tuple[PtpConf, IPAM]:
    """Decode and validate the configuration of an ADD; return it and who assigns addresses.

    Raises:
        CNIError: the configuration is not usable.
    """
    conf = _decode(req)
    require_mtu(conf.mtu, MTU_MIN, MTU_MAX)
    if conf.ip_masq:
        masquerade().require_backend(req, conf.ip_masq_backend)
    return conf, resolve(req, conf.ipam.type)


def add(req: Request) -> Result:
    """Attach the container; the result names host end and container end, in this order.

    Raises:
        CNIError: the configuration is not usable.
        OSError: the kernel refused a step; nothing is left behind.
    """
    conf, ipam = _load(req)
    with Session(req) as session:
        netns = session.netns
        end = RoutedEnd(name=host_name(req), alias=host_alias(req), host_netns=session.host_netns)
        pair = Pair(
            session.handle("pair"),
            end,
            netns,
            req.ifname,
            mtu=conf.mtu,
            mac="",
            exits=session.exits,
        )
        session.on_error(pair.cancel)
        if not ipam.in_process:
            pair.wait()  # it may be about to use the interface
        result = allocate(session, ipam)
        pairs = _gateways(result)
        addresses = [address for address, _ in pairs]
        end.lead_to(pairs)
        endpoint = RoutedEndpoint(
            netns,
            req.ifname,
            pairs,
            mtu=conf.mtu,
            sysctls=ipv6_sysctls(req.ifname) if any(":" in text for text in addresses) else (),
            routes=routes_with_gateways(result.routes, result.ips),
        )
        closed = not_forwarding(session, addresses)
        try:
            attached = pair.attach(endpoint)
        except FileExistsError:
            refuse_existing(session, host_name(req))
            raise
        session.on_error(lambda: detach_pair(session, host_name(req)))
        if conf.ip_masq:
            session.on_error(lambda: masquerade().teardown(req, addresses))
            masquerade().setup(req, addresses, conf.ip_masq_backend)
        set_forwarding(session, closed)
    result.interfaces = [
        Interface(host_name(req), attached.host_mac),
        Interface(req.ifname, attached.mac, sandbox=req.netns),
    ]
    if conf.dns:
        result.dns = conf.dns
    return result


def _gateways(result: Result) -> list[tuple[str, str]]:
    """Return (address, gateway) of all addresses, which are the container's.

    Raises:
        CNIError: an address has no gateway.
    """
    found = []
    for config in result.ips:
        config.interface = _CONTAINER
        if config.gateway is None:
            raise CNIError(INTERNAL, f"address {config.address} has no gateway to reach it by")
        found.append((config.address, config.gateway))
    return found


def check(req: Request) -> None:
    """Compare what the kernel has with what ADD returned.

    Raises:
        CNIError: something is missing or different.
    """
    conf, ipam = _load(req)
    with Session(req) as session, Handle(session.netns) as inside:
        ipam.check(req)
        result = required_prev_result(req)
        link = check_container_link(inside, req, result, "veth")
        check_addresses(inside, req.ifname, link.index, result.ips)
        check_routes(inside, result.routes)
    if conf.ip_masq:
        masquerade().check(req, [ip.address for ip in result.ips], conf.ip_masq_backend)


def delete(req: Request) -> None:
    """Undo ADD; every step is tried, also when the namespace or the previous result is gone.

    Only addresses are kept as long as they are masqueraded: what masquerades them is found by them.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    conf = _decode(req)
    ipam = resolve(req, conf.ipam.type) if conf.ipam.type else None
    delete_attachment(req, ipam, host_name(req), masqueraded=conf.ip_masq)


def gc(req: Request) -> None:
    """Release what attachments outside "cni.dev/valid-attachments" left: links, rules, addresses.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    conf = _decode(req)
    valid = valid_attachments(req.conf)
    ipam = resolve(req, conf.ipam.type) if conf.ipam.type else None
    collect_attachments(req, ipam, valid, lambda session: session.host.links(kind="veth"))


def status(req: Request) -> None:
    """Ask the IPAM plugin, the one thing an ADD depends on that can be missing.

    Raises:
        CNIError: the IPAM plugin is not ready.
    """
    resolve(req, _decode(req).ipam.type).status(req)
