"""The vlan plugin: an interface of the container in a VLAN of a device below.

Every option of the reference's vlan plugin, version 1.9.
"""

from __future__ import annotations

from cnifast.ipam.delegate import resolve
from cnifast.kernel.links import Inner, attach_link
from cnifast.plugins import inner
from cnifast.plugins.base import Session, decode
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.netconf import NetConf
from cnifast.protocol.schema import BOOL, INT, TEXT, field, narrowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result

_ID_MAX = 4094


class VlanConf(NetConf):
    """The keys of the reference's vlan plugin, version 1.9."""

    master = field("master", TEXT, "")
    """The device that the VLAN is on; required."""
    vlan_id = field("vlanId", narrowed(INT, minimum=0, maximum=_ID_MAX), 0)
    """Number of the VLAN."""
    mtu = field("mtu", narrowed(INT, minimum=0), 0)
    """MTU of the interface, at most the device's; 0: the device's."""
    link_in_container = field("linkInContainer", BOOL, False)
    """The device is in the container's namespace."""


def _load(req: Request) -> VlanConf:
    """Decode and validate, as far as that goes without looking at the master.

    Raises:
        CNIError: the configuration is not usable.
    """
    conf = decode(VlanConf, req)
    if not conf.master:
        raise CNIError(INTERNAL, '"master" is required: the device that the VLAN is on')
    if not 0 <= conf.vlan_id <= _ID_MAX:
        raise CNIError(
            INTERNAL, f"invalid VLAN ID {conf.vlan_id} (must be between 0 and {_ID_MAX})"
        )
    return conf


def add(req: Request) -> Result:
    """Attach the container; the result names the one interface made.

    Raises:
        CNIError: the configuration is not usable.
        OSError: the kernel refused a step; nothing is left behind.
    """
    conf = _load(req)
    ipam = resolve(req, conf.ipam.type)
    with Session(req) as session:
        master = inner.look_at_master(session, conf.master, in_container=conf.link_in_container)
        inner.require_mtu(conf.mtu, master)
        link = Inner(
            "vlan",
            parent=master.index,
            parent_in_container=conf.link_in_container,
            vlan_id=conf.vlan_id,
        )
        result = inner.attach(
            session,
            ipam,
            lambda end: attach_link(session.host, end, link, exits=session.exits),
            mtu=conf.mtu,
        )
    result.dns = conf.dns
    return result


def check(req: Request) -> None:
    """Compare what the kernel has with what ADD returned.

    Raises:
        CNIError: something is missing or different.
    """
    conf = _load(req)

    def examine(session: Session, link: Link) -> None:
        inner.look_at_master(session, conf.master, in_container=conf.link_in_container)
        inner.require_equal(link.name, "VLAN ID", link.vlan_id, conf.vlan_id)
        if conf.mtu:
            inner.require_equal(link.name, "MTU", link.mtu, conf.mtu)

    resolve(req, conf.ipam.type)
    inner.check_inner(req, conf.ipam.type, "vlan", examine)


def delete(req: Request) -> None:
    """Undo ADD; the address is given back also when the namespace or the master is gone.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    inner.delete_inner(req, decode(VlanConf, req).ipam.type)


def gc(req: Request) -> None:
    """Release the addresses of attachments that are not valid any more.

    Raises:
        CNIError: the IPAM plugin failed.
    """
    inner.collect(req, decode(VlanConf, req).ipam.type)


def status(req: Request) -> None:
    """Ask for the master and the IPAM plugin, which an ADD depends on.

    Raises:
        CNIError: one of them is not there.
    """
    conf = _load(req)
    resolve(req, conf.ipam.type)
    inner.report_status(req, conf.ipam.type, conf.master, in_container=conf.link_in_container)
