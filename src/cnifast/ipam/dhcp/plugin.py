"""dhcp: an address that a DHCP server of the network leases to the container's interface.

Who keeps the lease is a daemon: one that this process hosts, or that listens on a socket.  Where
there is none, and the service is about to be left behind, the lease is acquired here and written
down for it.
"""

from __future__ import annotations

import os

from cnifast.ipam.dhcp import hosting
from cnifast.ipam.dhcp.conf import DEFAULT_SOCKET, NetConf
from cnifast.ipam.dhcp.keeper import Keeper
from cnifast.ipam.dhcp.lease import Order
from cnifast.ipam.dhcp.rpc import COLLECT, UNKNOWN_METHOD, Args, Client, RemoteError
from cnifast.ipam.dhcp.store import Store
from cnifast.kernel.netns import identify
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.errors import INTERNAL, PLUGIN_NOT_AVAILABLE, CNIError, RunCold
from cnifast.protocol.netconf import valid_attachments
from cnifast.protocol.schema import lookup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from cnifast.ipam.dhcp.conf import IPAMConf
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result

    T = TypeVar("T")

CONF = NetConf

_ANSWER_SECONDS = 240.0  # longer than a daemon tries to get a lease
_PROBE_SECONDS = 5.0


def allocate(keeper: Keeper, conf: IPAMConf, order: Order) -> Result:
    """Have a keeper acquire a lease, and return what it says as a result.

    Raises:
        CNIError: there is none, or it cannot be used; it is given back then.
        DecodeError: the routes in it are none.
        OSError: the container's link cannot be used.
    """
    lease = keeper.allocate(order)
    try:
        return lease.result(conf.priority)
    except (CNIError, DecodeError):
        keeper.release(order.key)
        raise


def add(req: Request) -> Result:
    """Return the address, gateway and routes that a server leases.

    Raises:
        CNIError: the configuration is not in order, or there is no lease to be had.
        OSError: the container's link cannot be used.
    """
    require_place(req)
    conf = _load(req)
    order = Order(req.container_id, req.name, req.ifname, req.netns, conf.options(req.args))
    keeper = hosting.find(conf.path)
    if keeper is not None:
        order.ident = None if req.place.netns is None else identify(req.place.netns)
        req.place.waits(True)
        try:
            return allocate(keeper, conf, order)
        finally:
            req.place.waits(False)
    return _ask(
        req, conf, lambda daemon: daemon.allocate(_args(req)), lambda: _direct(req, conf, order)
    )


def _direct(req: Request, conf: IPAMConf, order: Order) -> Result:
    """Acquire a lease for a daemon that is about to be.

    It writes down what it finds when it begins; one that began meanwhile has to be told.
    """
    if not (req.place.leaves_service and conf.path == DEFAULT_SOCKET):
        raise CNIError(
            INTERNAL,
            f"error dialing DHCP daemon: nobody listens on {conf.path}; "
            "`cnifast serve` does, and `cnifast dhcp daemon`",
        )
    with Keeper(Store(conf.path)) as keeper:
        result = allocate(keeper, conf, order)
    _ask(req, conf, lambda daemon: daemon.allocate(_args(req)), lambda: result)
    return result


def check(req: Request) -> None:
    """Raise unless the lease is held, which is acquired again where it was lost.

    Raises:
        CNIError: it is not to be had, or is of another address than the result has.
        OSError: the container's link cannot be used.
    """
    result = add(req)
    previous = req.prev_result()
    if previous is None:
        raise CNIError(INTERNAL, "dhcp: required prevResult missing")
    addresses = [one.address for one in previous.ips]
    for one in result.ips:
        if one.address not in addresses:
            raise CNIError(
                INTERNAL,
                f"dhcp: {req.ifname} has a lease of {one.address}, not of {', '.join(addresses)}",
            )


def delete(req: Request) -> None:
    """Give the lease back, if there is one.

    Raises:
        CNIError: the daemon cannot do it.
        OSError: what is written down of the lease cannot be removed.
    """
    key = req.container_id, req.name, req.ifname
    _have_done(req, lambda keeper: keeper.release(key), lambda daemon: daemon.release(_args(req)))


def gc(req: Request) -> None:
    """Give back the leases of attachments that are not valid any more.

    Raises:
        CNIError: the daemon cannot do it.
        OSError: what is written down of a lease cannot be removed.
    """
    valid = valid_attachments(req.conf)
    _have_done(
        req,
        lambda keeper: keeper.collect(req.name, valid),
        lambda daemon: _collect(daemon, req),
    )


def _have_done(req: Request, keep: Callable[[Keeper], None], ask: Callable[[Client], None]) -> None:
    """Have the keeper in this process, a daemon, or what is written down end leases."""
    require_place(req)
    conf = _load(req)
    keeper = hosting.find(conf.path)
    if keeper is not None:
        keep(keeper)
        return

    def recorded() -> None:
        with Keeper(Store(conf.path)) as keeper:
            keep(keeper)

    _ask(req, conf, ask, recorded)


def _collect(daemon: Client, req: Request) -> None:
    """Have a daemon do what only ours can."""
    try:
        daemon.collect(_args(req))
    except RemoteError as e:
        if str(e) != UNKNOWN_METHOD + COLLECT:
            raise


def status(req: Request) -> None:
    """Raise when an ADD would find no daemon; see `add`.

    Raises:
        CNIError: nobody answers, or the configuration is not in order.
    """
    require_place(req)
    validate(req)
    conf = _load(req)
    if hosting.find(conf.path) is not None:
        return
    try:
        Client(conf.path, _PROBE_SECONDS).close()
    except (OSError, DecodeError) as e:
        raise CNIError(
            PLUGIN_NOT_AVAILABLE, f"no DHCP daemon on {conf.path}: {_reason(e)}"
        ) from None


def require_place(req: Request) -> None:
    """Refuse a request that has to be served where the caller is, whatever else is wrong with it.

    Raises:
        RunCold: a path in it means something else here than for the caller.
    """
    ipam = lookup(req.conf, "ipam")
    if type(ipam) is dict:
        socket = lookup(ipam, "daemonsocketpath") or DEFAULT_SOCKET
        req.place.require_paths("dhcp", socket)
    if not req.place.delegates and req.netns and not req.netns.startswith("/"):
        raise RunCold("CNI_NETNS is relative to the caller's directory")


def validate(req: Request) -> None:
    """Refuse what is wrong with the configuration, before there is an interface.

    Raises:
        CNIError: an option has an unknown name, is none to be given, or is too long.
        DecodeError: a key has a value of the wrong kind.
    """
    _load(req).options(req.args)


def owned(req: Request) -> list[str]:
    """Return the addresses that the result before this call has: nobody else knows."""
    previous = req.prev_result()
    return [one.address for one in previous.ips] if previous else []


def _load(req: Request) -> IPAMConf:
    """Return the "ipam" object."""
    return NetConf.decode(req.conf).required_ipam


def _args(req: Request) -> Args:
    """Return what a daemon is told, which may be in another directory."""
    netns = os.path.abspath(req.netns)
    return Args(req.container_id, netns, req.ifname, req.args, req.stdin)


def _ask(
    req: Request,
    conf: IPAMConf,
    ask: Callable[[Client], T],
    otherwise: Callable[[], T],
) -> T:
    """Have a daemon do something; ``otherwise`` is for where there is none.

    Raises:
        CNIError: it failed, or did not answer.
    """
    try:
        daemon = Client(conf.path, _ANSWER_SECONDS)
    except (FileNotFoundError, ConnectionRefusedError):
        return otherwise()
    except (OSError, DecodeError) as e:
        raise CNIError(
            INTERNAL, f"error dialing DHCP daemon on {conf.path}: {_reason(e)}"
        ) from None
    with daemon:
        try:
            return ask(daemon)
        except RemoteError as e:
            raise CNIError(INTERNAL, f"error calling DHCP daemon for {req.command}: {e}") from None
        except (OSError, DecodeError) as e:
            raise CNIError(
                INTERNAL, f"error calling DHCP daemon on {conf.path}: {_reason(e)}"
            ) from None


def _reason(e: Exception) -> str:
    """Return the words of an error, without its number."""
    return (isinstance(e, OSError) and e.strerror and e.strerror.lower()) or str(e)
