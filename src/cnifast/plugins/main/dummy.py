"""The dummy plugin: an interface of the container that leads nowhere, to hold addresses.

Every option of the reference's dummy plugin, version 1.9.
"""

from __future__ import annotations

from cnifast.ipam.delegate import resolve
from cnifast.kernel.links import Inner, attach_link
from cnifast.plugins import inner
from cnifast.plugins.base import Session, decode
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.netconf import NetConf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.kernel import Link
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result


def _ipam_type(req: Request) -> str:
    """Return the IPAM plugin of a configuration; an ADD cannot do without one.

    Raises:
        CNIError: there is none.
    """
    conf = decode(NetConf, req)
    if not conf.ipam.type:
        raise CNIError(INTERNAL, "dummy interface requires an IPAM configuration")
    return conf.ipam.type


def add(req: Request) -> Result:
    """Attach the container; the result names the one interface made.

    Raises:
        CNIError: the configuration is not usable.
        OSError: the kernel refused a step; nothing is left behind.
    """
    ipam = resolve(req, _ipam_type(req))
    with Session(req) as session:
        return inner.attach(
            session,
            ipam,
            lambda end: attach_link(session.host, end, Inner("dummy"), exits=session.exits),
        )


def check(req: Request) -> None:
    """Compare what the kernel has with what ADD returned.

    Raises:
        CNIError: something is missing or different.
    """

    def examine(_session: Session, link: Link) -> None:
        if not link.is_up:
            raise CNIError(INTERNAL, f"interface {link.name} is down")

    inner.check_inner(req, _ipam_type(req), "dummy", examine, routes=False)


def delete(req: Request) -> None:
    """Undo ADD; the address is given back also when the namespace is gone.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    inner.delete_inner(req, decode(NetConf, req).ipam.type)


def gc(req: Request) -> None:
    """Release the addresses of attachments that are not valid any more.

    Raises:
        CNIError: the IPAM plugin failed.
    """
    inner.collect(req, decode(NetConf, req).ipam.type)


def status(req: Request) -> None:
    """Ask for the IPAM plugin, which an ADD depends on.

    Raises:
        CNIError: it is not ready.
    """
    inner.report_status(req, _ipam_type(req))
