"""The tap plugin: an interface of the container that a virtual machine in it opens.

Every option of the reference's tap plugin, version 1.9.
"""

from __future__ import annotations

import os

from cnifast.ipam.delegate import resolve
from cnifast.kernel.handle import Handle
from cnifast.kernel.links import attach_existing
from cnifast.kernel.tap import CLONE_DEVICE, Tap
from cnifast.plugins import inner
from cnifast.plugins.base import Session, decode, refuse_existing, require_mtu
from cnifast.plugins.common import InterfaceConf, require_mac, runtime_mac
from cnifast.protocol.errors import INTERNAL, CNIError, RunCold
from cnifast.protocol.schema import BOOL, INT, OBJECT, TEXT, UINT32, field, narrowed, optional

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.kernel.attach import Attached, Endpoint
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result

_MTU_MIN, _MTU_MAX = 68, 65521  # of a tap


class TapConf(InterfaceConf):
    """The keys of the reference's tap plugin, version 1.9."""

    multi_queue = field("multiQueue", BOOL, False)
    """Let it be opened by several queues at a time."""
    mtu = field("mtu", narrowed(INT, minimum=0, maximum=_MTU_MAX), 0)
    """MTU of the interface; 0: the kernel's default."""
    mac = field("mac", TEXT, "")
    """MAC address, unless the runtime gives one."""
    owner = optional("owner", UINT32)
    """The user that may open it; without one, any."""
    group = optional("group", UINT32)
    """The group that may open it; without one, any."""
    selinux_context = field("selinuxContext", TEXT, "")
    """SELinux context of the device."""
    bridge = field("bridge", TEXT, "")
    """Name of a bridge in the container that it becomes a port of."""
    args = optional("args", OBJECT)
    """Arguments of the runtime, of which none is read."""


def _decode(req: Request) -> TapConf:
    """Decode the configuration without asking for sense.

    Raises:
        CNIError: a key has a value of the wrong kind, or CNI_ARGS is malformed.
    """
    conf = decode(TapConf, req)
    conf.mac = runtime_mac(req, conf) or conf.mac
    return conf


def _load(req: Request) -> TapConf:
    """Decode and validate the configuration of an ADD.

    Raises:
        CNIError: the configuration is not usable.
        RunCold: a program has to be executed as the caller would, or the device is not here.
    """
    conf = _decode(req)
    require_mtu(conf.mtu, _MTU_MIN, _MTU_MAX)
    require_mac(conf.mac)
    if conf.selinux_context and not req.place.delegates:
        raise RunCold("an SELinux context is to be entered from the caller's own")
    if not req.place.delegates and not os.access(CLONE_DEVICE, os.R_OK | os.W_OK):
        raise RunCold(f"{CLONE_DEVICE} cannot be opened here")
    return conf


def add(req: Request) -> Result:
    """Attach the container; the result names the one interface made.

    Raises:
        CNIError: the configuration is not usable.
        OSError: the kernel refused a step; nothing is left behind.
    """
    conf = _load(req)
    ipam = resolve(req, conf.ipam_type) if conf.ipam_type else None
    with Session(req) as session, Handle(session.netns) as inside:
        bridge = _find_bridge(inside, conf.bridge)
        refuse_existing(session)
        result = inner.attach(
            session,
            ipam,
            lambda end: _make(session, inside, conf, bridge, end),
            mtu=conf.mtu,
            mac=conf.mac,
            arp_notify=True,
            undone=True,
        )
    result.dns = conf.dns
    return result


def _find_bridge(inside: Handle, name: str) -> int:
    """Return the index of the container's bridge that the tap is to be a port of, -1 for none.

    Raises:
        CNIError: there is no such link.
    """
    if not name:
        return -1
    try:
        return inside.link(name).index
    except OSError as e:
        raise CNIError(INTERNAL, f"failed to get bridge {name}: {e}") from e


def _make(session: Session, inside: Handle, conf: TapConf, bridge: int, end: Endpoint) -> Attached:
    """Make and configure the tap; the session takes it away again if a step fails."""
    name = session.req.ifname
    tap = Tap(conf.owner, conf.group, multi_queue=conf.multi_queue)

    def create() -> None:
        if conf.selinux_context:
            tap.create_labelled(session.netns, name, conf.selinux_context)
        else:
            tap.create(session.netns, name)

    session.step(create, lambda: inner.detach_inner(session))
    if conf.mtu or conf.mac or bridge >= 0:
        link = inside.link(name)
        inside.set_link(link.index, mtu=conf.mtu, mac=conf.mac, master=bridge)
    return attach_existing(end)


def check(req: Request) -> None:
    """Compare what the kernel has with what ADD returned.

    Raises:
        CNIError: something is missing or different.
    """
    conf = _decode(req)

    def examine(_session: Session, link: Link) -> None:
        inner.require_equal(link.name, "multiQueue", link.tap_multi_queue, conf.multi_queue)

    inner.check_inner(req, conf.ipam_type, "tun", examine)


def delete(req: Request) -> None:
    """Undo ADD; the address is given back also when the namespace is gone.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    inner.delete_inner(req, _decode(req).ipam_type)


def gc(req: Request) -> None:
    """Release the addresses of attachments that are not valid any more.

    Raises:
        CNIError: the IPAM plugin failed.
    """
    inner.collect(req, _decode(req).ipam_type)


def status(req: Request) -> None:
    """Ask for the IPAM plugin, which an ADD may depend on.

    Raises:
        CNIError: it is not ready.
    """
    inner.report_status(req, _decode(req).ipam_type)
