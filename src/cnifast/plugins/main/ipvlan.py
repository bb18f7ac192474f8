"""The ipvlan plugin: an interface of the container that shares the MAC of a device below.

Every option of the reference's ipvlan plugin, version 1.9.
"""

from __future__ import annotations

from cnifast.ipam.delegate import resolve
from cnifast.kernel.links import IPVLAN_MODES, Inner, attach_link
from cnifast.plugins import inner
from cnifast.plugins.base import Session, decode
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.netconf import NetConf
from cnifast.protocol.schema import BOOL, INT, TEXT, field, narrowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result

_MTU_MAX = 65535


class IpvlanConf(NetConf):
    """The keys of the reference's ipvlan plugin, version 1.9."""

    master = field("master", TEXT, "")
    """The device below; without one, the previous plugin's, or the default route's."""
    mode = field("mode", narrowed(TEXT, enum=["", *IPVLAN_MODES]), "")
    """Where packets are told apart; without one `l2`."""
    mtu = field("mtu", narrowed(INT, minimum=0, maximum=_MTU_MAX), 0)
    """MTU of the interface; 0: the device's."""
    link_in_container = field("linkInContainer", BOOL, False)
    """The device below is in the container's namespace."""


def _load(req: Request) -> IpvlanConf:
    """Decode and validate, as far as that goes without looking at the master.

    Raises:
        CNIError: the configuration is not usable.
    """
    conf = decode(IpvlanConf, req)
    if conf.mode and conf.mode not in IPVLAN_MODES:
        raise CNIError(INTERNAL, f'unknown ipvlan mode: "{conf.mode}"')
    if not 0 <= conf.mtu <= _MTU_MAX:
        raise CNIError(INTERNAL, f"invalid MTU {conf.mtu} (must be between 0 and {_MTU_MAX})")
    return conf


def _previous(req: Request) -> Result | None:
    """Return the result of the plugin before this one in the chain.

    Raises:
        CNIError: it is none.
    """
    try:
        return req.prev_result()
    except DecodeError as e:
        raise CNIError(INTERNAL, f"could not parse prevResult: {e}") from None


def _master_name(conf: IpvlanConf, previous: Result | None) -> str:
    """Return the name of the device below: as configured, or the one the previous plugin made.

    It is empty where that of the default route is wanted.

    Raises:
        CNIError: the previous plugin made none, or several.
    """
    if conf.master or previous is None:
        return conf.master
    if len(previous.interfaces) != 1 or not previous.interfaces[0].name:
        raise CNIError(
            INTERNAL, "chained master failure: prevResult does not have one interface with a name"
        )
    return previous.interfaces[0].name


def add(req: Request) -> Result:
    """Attach the container; the result names the one interface made.

    Without an IPAM plugin the addresses are those of the previous plugin in the chain.

    Raises:
        CNIError: the configuration is not usable.
        OSError: the kernel refused a step; nothing is left behind.
    """
    conf = _load(req)
    previous = _previous(req)
    name = _master_name(conf, previous)
    chained = not conf.ipam.type and previous is not None and bool(previous.ips)
    ipam = None if chained else resolve(req, conf.ipam.type)
    with Session(req) as session:
        master = inner.look_at_master(session, name, in_container=conf.link_in_container)
        link = Inner(
            "ipvlan",
            parent=master.index,
            parent_in_container=conf.link_in_container,
            ipvlan_mode=IPVLAN_MODES[conf.mode or "l2"],
        )
        result = inner.attach(
            session,
            ipam,
            lambda end: attach_link(session.host, end, link, exits=session.exits),
            mtu=conf.mtu,
            arp_notify=True,
            ndisc_notify=True,
            previous=previous,
        )
    result.dns = conf.dns
    return result


def check(req: Request) -> None:
    """Compare what the kernel has with what ADD returned.

    Raises:
        CNIError: something is missing or different.
    """
    conf = _load(req)
    names = {number: name for name, number in IPVLAN_MODES.items()}

    def examine(session: Session, link: Link) -> None:
        if conf.master:
            inner.look_at_master(session, conf.master, in_container=conf.link_in_container)
        inner.require_equal(
            link.name, "ipvlan mode", names.get(link.ipvlan_mode), conf.mode or "l2"
        )

    inner.check_inner(req, conf.ipam.type, "ipvlan", examine)


def delete(req: Request) -> None:
    """Undo ADD; the address is given back also when the namespace or the master is gone.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    inner.delete_inner(req, decode(IpvlanConf, req).ipam.type)


def gc(req: Request) -> None:
    """Release the addresses of attachments that are not valid any more.

    Raises:
        CNIError: the IPAM plugin failed.
    """
    inner.collect(req, decode(IpvlanConf, req).ipam.type)


def status(req: Request) -> None:
    """Ask for the master and the IPAM plugin, which an ADD depends on.

    Raises:
        CNIError: one of them is not there.
    """
    conf = _load(req)
    inner.report_status(req, conf.ipam.type, conf.master, in_container=conf.link_in_container)
