"""The portmap plugin: ports of the host that lead to the container.

Every option of the reference's portmap plugin, version 1.9.  What differs on purpose is listed in
docs/differences.md.
"""

from __future__ import annotations

from cnifast.plugins.base import Failures, Session, decode, required_prev_result
from cnifast.plugins.portmap_conf import PortmapConf, host_end, known_ports, load, pods_of
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.errors import INTERNAL, PLUGIN_NOT_AVAILABLE, CNIError
from cnifast.protocol.netconf import valid_attachments
from cnifast.protocol.skel import as_cni_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result


def add(req: Request) -> Result:
    """Have the ports lead to the container; return the previous result as it is.

    Raises:
        CNIError: the configuration is not usable, or a port is taken by another container.
        OSError: the kernel refused a step; nothing is left behind.
    """
    conf = load(req)
    result = _previous(req)
    if result is None:
        raise CNIError(INTERNAL, "must be called as chained plugin")
    pods = pods_of(result, req.ifname) if conf.ports else []
    if pods:
        _hostports().require_place(req, conf)
        with Session(req) as session:
            _hostports().setup(session, conf, pods, host_end(result, req.ifname))
    return result


def _previous(req: Request) -> Result | None:
    """Return the result of the plugin before this one.

    Raises:
        CNIError: it is malformed.
    """
    try:
        return req.prev_result()
    except DecodeError as e:
        raise CNIError(INTERNAL, str(e)) from None


def _hostports() -> ModuleType:
    """Return the module that only containers with host ports pay for."""
    from cnifast.plugins import hostports  # noqa: PLC0415

    return hostports


def check(req: Request) -> None:
    """Raise unless the ports lead to the container.

    Raises:
        CNIError: they do not, or there is no previous result to compare with.
    """
    conf = load(req)
    pods = pods_of(required_prev_result(req), req.ifname) if conf.ports else []
    if pods:
        _hostports().check(req, conf, pods)


def delete(req: Request) -> None:
    """Undo ADD; neither the ports nor the previous result need to be known.

    Raises:
        CNIError: a step failed; the others were done all the same.
    """
    failures = Failures()
    found: list[PortmapConf] = []
    failures.attempt(lambda: found.append(decode(PortmapConf, req)))
    conf = found[0] if found else None
    ports = known_ports(conf) if conf else ()
    pods: list[str] = []
    failures.attempt(lambda: pods.extend(_known_pods(req)))
    failures.attempt(lambda: _hostports().teardown(req, conf, ports, pods))
    failures.report()


def _known_pods(req: Request) -> list[str]:
    """Return the container's addresses, none where nobody says."""
    result = _previous(req)
    return pods_of(result, req.ifname) if result else []


def gc(req: Request) -> None:
    """Remove the ports of attachments outside "cni.dev/valid-attachments".

    Raises:
        CNIError: the list is missing or malformed.
        OSError: a step failed; the others were done all the same.
    """
    _hostports().gc(req, valid_attachments(req.conf))


def status(req: Request) -> None:
    """Ask for what the configured backend needs.

    Raises:
        CNIError: it is not there, or the configuration is not usable.
    """
    conf = load(req)
    try:
        _hostports().require(req, conf)
    except OSError as e:
        raise CNIError(PLUGIN_NOT_AVAILABLE, str(as_cni_error(e)[0])) from None
