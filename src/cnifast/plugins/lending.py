"""Moving a device of the host into a container, and back to what it was."""

from __future__ import annotations

import os

from cnifast.kernel.handle import Handle
from cnifast.protocol.errors import INTERNAL, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.plugins.base import Session
    from cnifast.plugins.lent import Lent

_OWN_NETNS = "/proc/thread-self/ns/net"


def move_in(session: Session, device: Link, lent: Lent) -> None:
    """Move a device into the container under the name it is to have there.

    The kernel renames it on the way, so that neither name has to be free on the other side.

    Raises:
        KernelError: it cannot be moved, or only half of it was done; see `take_back`.
    """
    session.host.set_link(device.index, netns=session.netns, name=lent.ifname)
    with Handle(session.netns) as inside:
        inside.set_link(inside.link(lent.ifname).index, alias=lent.device)


def take_back(session: Session, lent: Lent) -> bool:
    """Have a device on the host as it was before; False if it is nowhere to be seen.

    It may be in the container, under its old or new name; or on the host, where the kernel puts
    the device of a namespace that ends, under any name.

    Raises:
        CNIError: its name is somebody else's by now.
        KernelError: the kernel refused a step; what was done stays.
    """
    try:
        moved = session.has_netns() and _move_out(session, lent)
    except CNIError:  # what CNI_NETNS names is none
        restore_on_host(session.host, lent)
        raise
    if moved:
        _restore(session.host, lent.device, lent)
        return True
    return restore_on_host(session.host, lent)


def restore_on_host(host: Handle, lent: Lent) -> bool:
    """Have a device that is on the host as it was before; False if it is not there.

    Raises:
        KernelError: the kernel refused a step; what was done stays.
    """
    for link in host.links():
        if link.alias == lent.device and (link.mac == lent.mac or link.name == lent.ifname):
            _restore(host, link.name, lent)
            return True
    try:
        if host.link(lent.device).mac != lent.mac:
            return False
    except FileNotFoundError:
        return False
    _restore(host, lent.device, lent)
    return True


def find_inside(inside: Handle, lent: Lent) -> Link | None:
    """Return a device in the container, None if it is not there."""
    for name in (lent.ifname, lent.device):
        try:
            link = inside.link(name)
        except FileNotFoundError:
            continue
        if link.mac == lent.mac or link.alias == lent.device:
            return link
    return None


def _move_out(session: Session, lent: Lent) -> bool:
    """Move a device from the container to the host, under the name it had there."""
    with Handle(session.netns) as inside:
        link = find_inside(inside, lent)
        if link is None:
            return False
        try:
            session.host.link(lent.device)
        except FileNotFoundError:
            pass
        else:
            raise CNIError(
                INTERNAL,
                f"{link.name} cannot become {lent.device} of the host again: there is another one",
            )
        # Renamed in here, where nobody minds; but not if the name is taken in here.
        try:
            inside.set_link(link.index, up=False, name=lent.device)
        except FileExistsError:
            inside.set_link(link.index, up=False)
        try:
            _send_home(session, inside, link.index, lent.device)
        except OSError as e:
            try:
                inside.set_link(link.index, up=link.is_up, name=link.name)
            except OSError as also:  # it may have gone there all the same
                e.add_note(f"while undoing: {also}")
            raise
    return True


def _send_home(session: Session, inside: Handle, index: int, name: str) -> None:
    """Move a link of the container to the host."""
    if session.host_netns >= 0:
        inside.set_link(index, netns=session.host_netns, name=name)
        return
    home = os.open(_OWN_NETNS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        inside.set_link(index, netns=home, name=name)
    finally:
        os.close(home)


def _restore(host: Handle, name: str, lent: Lent) -> None:
    """Give a device of the host its own name, alias and state."""
    link = host.link(name)
    if name != lent.device:
        host.set_link(link.index, up=False, name=lent.device)
    host.set_link(link.index, alias=lent.alias, up=lent.up or None)
