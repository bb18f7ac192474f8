"""The vrf plugin: puts the interface into a VRF of the container, which is made with the first one.

Every option of the reference's vrf plugin, version 1.9.
"""

from __future__ import annotations

from cnifast.kernel.attach import detach
from cnifast.kernel.vrf import join, ports, vrfs
from cnifast.plugins.base import Session, decode, required_prev_result
from cnifast.protocol.codec import quote
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.netconf import NetConf
from cnifast.protocol.request import validate_interface_name
from cnifast.protocol.schema import TEXT, Integer, field

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result


class VrfConf(NetConf):
    """The keys of the reference's vrf plugin, version 1.9."""

    vrfname = field("vrfname", TEXT, "")
    """Name of the VRF."""
    table = field("table", Integer("uint32", 0, 2**32 - 1), 0)
    """Routing table of the VRF; 0: the first one from 1 on that no VRF has."""


def _load(req: Request) -> VrfConf:
    """Decode and validate the configuration.

    Raises:
        CNIError: it makes no sense.
    """
    conf = decode(VrfConf, req)
    if not conf.vrfname:
        raise CNIError(INTERNAL, "configuration is expected to have a valid vrf name")
    try:
        validate_interface_name(conf.vrfname)
    except CNIError as e:
        raise CNIError(INTERNAL, f"invalid vrf name {quote(conf.vrfname)}: {e}") from None
    return conf


def add(req: Request) -> Result:
    """Put the interface into the VRF; the result is the previous one.

    Raises:
        CNIError: the configuration is not usable, or the interface or the VRF not as expected.
        OSError: the kernel refused a step; all is as before.
    """
    conf = _load(req)
    result = required_prev_result(req)
    with Session(req) as session:
        session.lock()
        link = _interface(session)
        if link is None:
            raise CNIError(INTERNAL, f"interface {req.ifname} is not in the container")
        if link.master:
            master = session.inside.link(link.master).name
            raise CNIError(INTERNAL, f"interface {req.ifname} has already a master set: {master}")
        join(session.inside, link, _find(session, conf) or _make(session, conf))
    return result


def _interface(session: Session) -> Link | None:
    """Return the container's interface, None if there is none."""
    return _link(session, session.req.ifname)


def _link(session: Session, name: str) -> Link | None:
    """Return a link of the container, None if there is none of that name."""
    try:
        return session.inside.link(name)
    except FileNotFoundError:
        return None


def _find(session: Session, conf: VrfConf) -> Link | None:
    """Return the VRF, None if there is no link of its name.

    Raises:
        CNIError: it is another kind of link, or has another table.
    """
    vrf = _link(session, conf.vrfname)
    if vrf is None:
        return None
    if vrf.kind != "vrf":
        raise CNIError(INTERNAL, f"link {conf.vrfname} is not a VRF")
    if conf.table not in (0, vrf.vrf_table):
        raise CNIError(
            INTERNAL, f"VRF {conf.vrfname} exists with another routing table: {vrf.vrf_table}"
        )
    return vrf


def _make(session: Session, conf: VrfConf) -> Link:
    """Make the VRF and return it; it goes again if the session ends with an error."""
    inside, table = session.inside, conf.table
    if not table:
        taken = {vrf.vrf_table for vrf in vrfs(inside)}
        table = next(number for number in range(1, len(taken) + 2) if number not in taken)
    session.step(
        lambda: inside.add_link("vrf", conf.vrfname, vrf_table=table, up=True),
        lambda: _remove(session, conf.vrfname),
    )
    return inside.link(conf.vrfname)


def _remove(session: Session, name: str) -> None:
    """Delete a VRF, which lets its ports go."""
    detach(name, netns=session.netns, exits=session.exits)


def check(req: Request) -> None:
    """Look whether the interface is in the VRF.

    Raises:
        CNIError: it is not, or there is no such VRF.
    """
    conf = _load(req)
    required_prev_result(req)
    with Session(req) as session:
        vrf, link = _find(session, conf), _interface(session)
    if vrf is None:
        raise CNIError(INTERNAL, f"VRF {conf.vrfname} is missing")
    if link is None or link.master != vrf.index:
        raise CNIError(INTERNAL, f"failed to find {req.ifname} associated to vrf {conf.vrfname}")


def delete(req: Request) -> None:
    """Take the interface out of the VRF, and the VRF away with its last port.

    Raises:
        CNIError: the configuration is not usable, or the namespace is being changed too long.
        OSError: the kernel refused.
    """
    conf = _load(req)
    with Session(req) as session:
        if not session.has_netns():
            return
        session.lock()
        vrf = _link(session, conf.vrfname)
        if vrf is None or vrf.kind != "vrf":
            return
        present = ports(session.inside, vrf.index)
        own = [link for link in present if link.name == req.ifname]
        if len(own) == len(present):
            _remove(session, conf.vrfname)
        elif own:
            session.inside.set_link(own[0].index, master=0)


def gc(req: Request) -> None:
    """Do nothing: VRFs live and die with the container's namespace."""


def status(req: Request) -> None:
    """Refuse what no ADD could do.

    Raises:
        CNIError: the configuration makes no sense.
    """
    _load(req)
