"""The tuning plugin: changes sysctls and attributes of an interface that another plugin made.

Every option of the reference's tuning plugin, version 1.9.
"""

from __future__ import annotations

from cnifast.invoke.files import require_writable
from cnifast.kernel.address import format_mac, mac_bytes
from cnifast.kernel.netns import read_sysctl
from cnifast.kernel.settings import Settings
from cnifast.plugins.base import Failures, Session, decode, required_prev_result
from cnifast.plugins.common import RuntimeConfig, check_mac, env_args
from cnifast.plugins.tuning_backup import Backup, attributes_of, remove_stale
from cnifast.plugins.tuning_sysctls import ALLOWLIST, path_of, refuse_repeated, require_allowed
from cnifast.protocol.errors import INTERNAL, PLUGIN_NOT_AVAILABLE, CNIError
from cnifast.protocol.netconf import NetConf, valid_attachments
from cnifast.protocol.schema import (
    BOOL,
    INT,
    TEXT,
    Struct,
    field,
    mapping,
    optional,
    record,
)
from cnifast.protocol.skel import as_cni_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cnifast.kernel import Handle, Link
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result

_DATA_DIR = "/run/cni/tuning"
_SHOWN_MAX = 64  # characters of a sysctl's value
_INT32_MAX = 2**31 - 1
_UINT32_MAX = 2**32 - 1


class CniArgs(Struct):
    """The arguments under "args" that replace what is configured."""

    sysctl = field("sysctl", mapping(TEXT), {})
    """Kernel settings in addition."""
    mac = optional("mac", TEXT)
    """MAC address of the interface."""
    promisc = optional("promisc", BOOL)
    """Set the interface promiscuous."""
    mtu = optional("mtu", INT)
    """MTU of the interface."""
    allmulti = optional("allmulti", BOOL)
    """Take all multicast packets, or not."""
    txqlen = optional("txQLen", INT)
    """Length of the transmit queue."""


class Args(Struct):
    """Arguments of the runtime within the configuration."""

    cni = field("cni", record(CniArgs), CniArgs())
    """What replaces the configuration's own keys."""


class TuningConf(NetConf):
    """The keys of the reference's tuning plugin, version 1.9."""

    data_dir = field("dataDir", TEXT, "")
    """Directory of what DEL restores; without one `/run/cni/tuning`."""
    sysctl = field("sysctl", mapping(TEXT), {})
    """Kernel settings of the container, below `net`; `IFNAME` is the interface. DEL leaves them."""
    mac = field("mac", TEXT, "")
    """MAC address of the interface."""
    promisc = field("promisc", BOOL, False)
    """Set the interface promiscuous."""
    mtu = field("mtu", INT, 0)
    """MTU of the interface; 0: as it is."""
    allmulti = optional("allmulti", BOOL)
    """Take all multicast packets, or not; without the key as it is."""
    txqlen = optional("txQLen", INT)
    """Length of the transmit queue; without the key as it is."""
    runtime_config = field("runtimeConfig", record(RuntimeConfig), RuntimeConfig())
    """Capability arguments; the runtime puts them here."""
    args = field("args", record(Args), Args())
    """Arguments of the runtime."""


class Wanted:
    """What shall be: sysctls by name, and attributes of the interface that are to be changed."""

    __slots__ = ("attributes", "names", "sysctls")

    def __init__(self, sysctls: dict[str, str], attributes: dict[str, Any], ifname: str) -> None:
        self.names = tuple(sysctls)
        self.sysctls = [(path_of(name, ifname), value) for name, value in sysctls.items()]
        self.attributes = attributes


def _conf(req: Request) -> TuningConf:
    """Return the configuration of a request, which has to be served where its files are.

    Raises:
        CNIError: a key has a value of the wrong kind.
        RunCold: its paths mean something else here than for the caller.
    """
    conf = req.derive("tuning", _decode)
    req.place.require_paths("tuning", conf.data_dir, ALLOWLIST)
    return conf


def _decode(req: Request) -> TuningConf:
    """Decode the configuration without asking for sense."""
    conf = decode(TuningConf, req)
    conf.data_dir = conf.data_dir or _DATA_DIR
    return conf


def _wanted(req: Request, conf: TuningConf) -> Wanted:
    """Return what shall be, by the configuration, CNI_ARGS, capability arguments and "args".

    Raises:
        CNIError: it makes no sense.
    """
    refuse_repeated(req, conf.sysctl)
    args = conf.args.cni
    given = env_args(req).get("MAC", "") if req.args else ""
    mac = conf.runtime_config.mac or given or conf.mac
    mac = mac if args.mac is None else args.mac
    mtu = conf.mtu if args.mtu is None else args.mtu
    promisc = conf.promisc if args.promisc is None else args.promisc
    allmulti = conf.allmulti if args.allmulti is None else args.allmulti
    txqlen = conf.txqlen if args.txqlen is None else args.txqlen
    attributes: dict[str, Any] = {}
    if mac:
        attributes["mac"] = _mac(mac)
    if promisc:
        attributes["promisc"] = True
    if mtu:
        attributes["mtu"] = _bounded("MTU", mtu, _INT32_MAX)
    if allmulti is not None:
        attributes["allmulti"] = allmulti
    if txqlen is not None:
        attributes["txqlen"] = _bounded("txQLen", txqlen, _UINT32_MAX)
    return Wanted({**conf.sysctl, **args.sysctl}, attributes, req.ifname)


def _mac(text: str) -> str:
    """Return a MAC in canonical form.

    Raises:
        CNIError: it is none that an interface can have.
    """
    try:
        check_mac(text)
    except ValueError as e:
        raise CNIError(INTERNAL, f"invalid args {text} for MAC addr: {e}") from None
    return format_mac(mac_bytes(text))


def _bounded(what: str, value: int, high: int) -> int:
    """Return a number that the kernel can be given.

    Raises:
        CNIError: it is none.
    """
    if not 0 <= value <= high:
        raise CNIError(INTERNAL, f"invalid {what} {value}, must be [0, {high}]")
    return value


def add(req: Request) -> Result:
    """Change what is configured; the result is the previous one with the interface's new MAC.

    Raises:
        CNIError: the configuration is not usable, or asks for what is not allowed.
        OSError: the kernel refused a step; all is as before.
    """
    conf = _conf(req)
    wanted = _wanted(req, conf)
    require_allowed(wanted.names)
    result = required_prev_result(req)
    with Session(req) as session:
        link = _link(session) if wanted.attributes else None
        if link is not None:
            now = attributes_of(link)
            backup = Backup(conf.data_dir, req)
            backup.save(now, wanted.attributes)
            session.on_error(backup.take_back)
        if wanted.sysctls:
            settings = Settings(wanted.sysctls, session.netns)
            settings.write()
            session.on_error(settings.restore)
        if link is not None:
            before = {name: now[name] for name in wanted.attributes}
            session.step(
                lambda: session.inside.set_link(link.index, **wanted.attributes),
                lambda: session.inside.set_link(link.index, **before),
            )
    _update(result, req.ifname, wanted.attributes)
    return result


def _link(session: Session) -> Link:
    """Return the container's interface.

    Raises:
        CNIError: there is none.
    """
    ifname = session.req.ifname
    try:
        return session.inside.link(ifname)
    except FileNotFoundError as e:
        raise CNIError(INTERNAL, f'failed to get "{ifname}": {e}') from None


def _update(result: Result, ifname: str, attributes: dict[str, Any]) -> None:
    """Have a result say what the interface is like now."""
    for interface in result.interfaces:
        if interface.name == ifname:
            interface.mac = attributes.get("mac", interface.mac)
            if interface.mtu:
                interface.mtu = attributes.get("mtu", interface.mtu)


def check(req: Request) -> None:
    """Compare sysctls and the interface's attributes with the configuration.

    Raises:
        CNIError: one is different.
        OSError: a sysctl is not there.
    """
    wanted = _wanted(req, _conf(req))
    required_prev_result(req)
    with Session(req) as session:
        for path, value in wanted.sysctls:
            current = read_sysctl(path, session.netns)
            if current.split() != value.split():
                raise CNIError(
                    INTERNAL, f"sysctl {path} is {_short(current)}, configured is {_short(value)}"
                )
        now = attributes_of(_link(session))
    for name, value in {"promisc": False, **wanted.attributes}.items():
        if now[name] != value:
            raise CNIError(
                INTERNAL, f"{name} of {req.ifname} is {now[name]}, configured is {value}"
            )


def _short(text: str) -> str:
    """Return a text that leaves room for others in a line."""
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}..."


def delete(req: Request) -> None:
    """Give the interface back the attributes that it had, if it is still there.

    Raises:
        CNIError: a step failed; what was kept is kept for the next time.
        OSError: the same.
    """
    backup = Backup(_conf(req).data_dir, req)
    failures = Failures()
    with Session(req) as session:
        if failures.attempt(lambda: _restore(session, backup.load())):
            failures.attempt(backup.remove)
    failures.report()


def _restore(session: Session, attributes: dict[str, Any]) -> None:
    """Give the interface attributes, if it is there; one that the kernel refuses is let be."""
    if not attributes or not _has_container(session):
        return
    try:
        index = session.inside.link(session.req.ifname).index
    except FileNotFoundError:
        return
    if _attempt(session.inside, index, attributes):
        return
    for name, value in attributes.items():
        _attempt(session.inside, index, {name: value})


def _attempt(inside: Handle, index: int, attributes: dict[str, Any]) -> bool:
    """Give a link attributes; return whether the kernel took them."""
    try:
        inside.set_link(index, **attributes)
    except (OSError, ValueError):
        return False
    return True


def _has_container(session: Session) -> bool:
    """Tell whether there is a namespace that the interface may be in."""
    try:
        return session.has_netns()
    except CNIError:  # what is at its path is no namespace any more
        return False


def gc(req: Request) -> None:
    """Forget what was kept for attachments that are not valid any more.

    Raises:
        CNIError: the list of valid attachments is missing, or several files cannot be removed.
        OSError: a file cannot be removed; the others were all the same.
    """
    remove_stale(_conf(req).data_dir, req.name, valid_attachments(req.conf))


def status(req: Request) -> None:
    """Ask for what an ADD depends on: permission for the sysctls, and a place to keep what was.

    Raises:
        CNIError: one of them is not there (code 50), or the configuration makes no sense.
    """
    conf = _conf(req)
    wanted = _wanted(req, conf)
    try:
        require_allowed(wanted.names)
    except (CNIError, OSError) as e:
        raise CNIError(PLUGIN_NOT_AVAILABLE, str(as_cni_error(e)[0])) from None
    if wanted.attributes:
        require_writable(conf.data_dir)
