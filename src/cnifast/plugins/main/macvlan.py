"""The macvlan plugin: an interface of the container with a MAC of its own on a device below.

Every option of the reference's macvlan plugin, version 1.9.
"""

from __future__ import annotations

from cnifast.ipam.delegate import resolve
from cnifast.kernel.links import MACVLAN_MODES, Inner, attach_link
from cnifast.plugins import inner
from cnifast.plugins.base import Session, decode
from cnifast.plugins.common import InterfaceConf, require_mac, runtime_mac
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.schema import BOOL, INT, TEXT, UINT32, field, narrowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result


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
    bcqueuelen = field("bcqueuelen", UINT32, 0)
    """Length of the queue of broadcasts; 0: the kernel's default."""


def _decode(req: Request) -> MacvlanConf:
    """Decode the configuration without asking for sense."""
    conf = decode(MacvlanConf, req)
    conf.mac = runtime_mac(req, conf) or conf.mac
    return conf


def _load(req: Request) -> MacvlanConf:
    """Decode and validate, as far as that goes without looking at the master."""
    conf = _decode(req)
    if conf.mode and conf.mode not in MACVLAN_MODES:
        raise CNIError(INTERNAL, f'unknown macvlan mode: "{conf.mode}"')
    require_mac(conf.mac)
    return conf


def add(req: Request) -> Result:
    """Attach the container; the result names the one interface made.

    Raises:
        CNIError: the configuration is not usable.
        OSError: the kernel refused a step; nothing is left behind.
    """
    conf = _load(req)
    ipam = resolve(req, conf.ipam_type) if conf.ipam_type else None
    with Session(req) as session:
        master = inner.look_at_master(session, conf.master, in_container=conf.link_in_container)
        inner.require_mtu(conf.mtu, master)
        link = Inner(
            "macvlan",
            parent=master.index,
            parent_in_container=conf.link_in_container,
            macvlan_mode=MACVLAN_MODES[conf.mode or "bridge"],
            bcqueuelen=conf.bcqueuelen,
        )
        result = inner.attach(
            session,
            ipam,
            lambda end: attach_link(session.host, end, link, exits=session.exits),
            mtu=conf.mtu,
            mac=conf.mac,
            arp_notify=True,
            ndisc_notify=True,
        )
    result.dns = conf.dns
    return result


def check(req: Request) -> None:
    """Compare what the kernel has with what ADD returned.

    Raises:
        CNIError: something is missing or different.
    """
    conf = _load(req)
    names = {number: name for name, number in MACVLAN_MODES.items()}

    def examine(session: Session, link: Link) -> None:
        master = inner.look_at_master(session, conf.master, in_container=conf.link_in_container)
        inner.require_mtu(conf.mtu, master)
        inner.require_equal(
            link.name, "macvlan mode", names.get(link.macvlan_mode), conf.mode or "bridge"
        )

    inner.check_inner(req, conf.ipam_type, "macvlan", examine)


def delete(req: Request) -> None:
    """Undo ADD; the address is given back also when the namespace is gone.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    inner.delete_inner(req, decode(MacvlanConf, req).ipam_type)


def gc(req: Request) -> None:
    """Release the addresses of attachments that are not valid any more.

    Raises:
        CNIError: the IPAM plugin failed.
    """
    inner.collect(req, _decode(req).ipam_type)


def status(req: Request) -> None:
    """Ask for the master and the IPAM plugin, which an ADD depends on.

    Raises:
        CNIError: one of them is not there.
    """
    conf = _decode(req)
    inner.report_status(req, conf.ipam_type, conf.master, in_container=conf.link_in_container)
