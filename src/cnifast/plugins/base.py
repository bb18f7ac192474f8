"""What interface plugins share: where a call takes effect, undo, names, and checks.

A plugin validates its configuration first, then opens a ``Session``, pushes what undoes each
step as it goes, and leaves the session; on an error everything pushed runs, last first.
"""

from __future__ import annotations

import os
import time
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN, flock

from cnifast.kernel.handle import Handle
from cnifast.kernel.netns import NetNS, NetNSLock, identify
from cnifast.protocol.codec import DecodeError
from cnifast.protocol.errors import INTERNAL, TRY_AGAIN_LATER, CNIError, RunCold

try:
    from _blake2 import blake2s  # what hashlib has, without loading OpenSSL
except ImportError:
    from hashlib import blake2s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, TypeVar

    from cnifast.ipam.delegate import IPAM
    from cnifast.protocol.request import Request
    from cnifast.protocol.result import IPConfig, Result, Route
    from cnifast.protocol.schema import Struct

    S = TypeVar("S", bound=Struct)

_OWN_NETNS = "own netns"
_JOIN_PAUSES = (0.001, 0.004, 0.02, 0.02, 0)  # seconds; who undoes an ADD is through by then
ALIAS_MAX = 255  # bytes (IFALIASZ without the NUL)


class Session:
    """One call at work: handles on the host's and the container's namespace, and undo.

    ``exits`` tells that the process ends with the call.
    """

    __slots__ = (
        "_handles",
        "_host_lock",
        "_inside_lock",
        "_joined",
        "_netns",
        "_undo",
        "exits",
        "host_netns",
        "req",
    )

    def __init__(self, req: Request) -> None:
        self.req = req
        self.host_netns = -1 if req.place.host_netns is None else req.place.host_netns
        self.exits = req.place.exits
        self._handles: dict[str, Any] = {}
        self._netns: NetNS | None = None
        self._host_lock = -1
        self._joined = False
        self._inside_lock: NetNSLock | None = None
        self._undo: list[Callable[[], object]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, _trace: object) -> None:
        if error is not None:
            for step in reversed(self._undo):
                try:
                    step()
                except FileNotFoundError:
                    continue  # it was not made in the end
                except Exception as also:  # noqa: BLE001 - the other steps are undone all the same
                    error.add_note(f"while undoing: {also}")
        if self._inside_lock is not None:
            self._inside_lock.release()
        if self._joined:
            flock(self._host_lock, LOCK_UN)
        for handle in self._handles.values():
            handle.close()
        if self._netns is not None:
            self._netns.close()

    def on_error(self, step: Callable[[], object]) -> None:
        """Run ``step`` if the session ends with an error."""
        self._undo.append(step)

    def step(self, do: Callable[[], object], undo: Callable[[], object]) -> None:
        """Take a step now; run ``undo`` if the session, or the step itself, ends with an error.

        A step may fail after the kernel took it; it did not where what it makes was there, or
        what it takes was not.
        """
        try:
            do()
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError:
            self.on_error(undo)
            raise
        self.on_error(undo)

    def join(self) -> None:
        """Have every other session know that this one uses what several attachments share.

        A lock on the host's namespace itself, until the session ends: it is there wherever a call
        comes from, and needs no file.  Whoever is in that namespace may hold it, so it is not
        waited for: without it this session only counts for nobody else, and takes nobody for gone.
        """
        self._host_lock = self.host_netns
        if self._host_lock < 0:
            warm: Any = self.req.place.warm
            kept = self._handles if warm is None else warm.kept
            own = kept.get(_OWN_NETNS)
            if own is None:
                own = kept[_OWN_NETNS] = NetNS("/proc/thread-self/ns/net")
            self._host_lock = own.fileno()
        for pause in _JOIN_PAUSES:
            try:
                flock(self._host_lock, LOCK_SH | LOCK_NB)
            except BlockingIOError:
                time.sleep(pause)
            else:
                self._joined = True
                return

    def alone(self) -> bool:
        """Tell whether no other session has joined; none can from now on, until this one ends."""
        if not self._joined:
            return False
        try:
            flock(self._host_lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            return False
        return True

    @property
    def host(self) -> Handle:
        """A handle on the host's namespace."""
        return self.handle("host")

    def handle(self, use: str) -> Handle:
        """Return the handle on the host's namespace for a use; at the same time each has its own.

        The service's threads keep theirs between calls.
        """
        warm: Any = self.req.place.warm
        if warm is None or self.host_netns >= 0:
            kept, key = self._handles, use
        else:
            kept, key = warm.kept, f"{use} handle"
        found = kept.get(key)
        if found is None:
            found = kept[key] = Handle(self.host_netns)
        return found

    @property
    def inside(self) -> Handle:
        """A handle on the container's namespace, closed with the session.

        Raises:
            CNIError: there is no such namespace.
        """
        found = self._handles.get("inside")
        if found is None:
            found = self._handles["inside"] = Handle(self.netns)
        return found

    @property
    def netns(self) -> int:
        """The file descriptor of the container's namespace.

        Raises:
            CNIError: it cannot be opened, or is not a network namespace.
        """
        if self.req.place.netns is not None:
            return self.req.place.netns
        if self._netns is None:
            try:
                self._netns = NetNS(self.req.netns)
            except OSError as e:
                raise CNIError(INTERNAL, f'failed to open netns "{self.req.netns}": {e}') from e
        return self._netns.fileno()

    def lock(self) -> None:
        """Keep others from changing the container's namespace in several steps, to the end.

        Raises:
            CNIError: there is no such namespace, or somebody does for too long (code 11).
        """
        try:
            self._inside_lock = NetNSLock(self.netns)
        except BlockingIOError as e:
            raise CNIError(TRY_AGAIN_LATER, str(e)) from None

    def has_netns(self) -> bool:
        """Tell whether there is a container namespace; False once it is gone.

        Raises:
            CNIError: there is something at its path that is not a network namespace.
        """
        if not self.req.netns:
            return False
        try:
            return self.netns >= 0
        except CNIError as e:
            if isinstance(e.__cause__, FileNotFoundError):
                return False
            raise


def is_own_netns(req: Request) -> bool:
    """Tell whether CNI_NETNS is the namespace that the plugin itself runs in."""
    host = -1 if req.place.host_netns is None else req.place.host_netns
    if req.place.netns is not None:
        return identify(req.place.netns) == identify(host)
    try:
        with NetNS(req.netns) as netns:
            return netns.ident == identify(host)
    except OSError:
        return False


def decode(struct: type[S], req: Request) -> S:
    """Decode the configuration of a request.

    Raises:
        CNIError: a key has a value of the wrong kind.
    """
    try:
        return struct.decode(req.conf)
    except DecodeError as e:
        raise CNIError(INTERNAL, f"failed to load netconf: {e}") from None


def allocate(session: Session, ipam: IPAM) -> Result:
    """Have addresses assigned; they are given back if the session ends with an error.

    Raises:
        CNIError: there are none to be had.
    """
    result = ipam.add(session.req)
    session.on_error(lambda: ipam.delete(session.req))
    if not result.ips:
        raise CNIError(INTERNAL, "IPAM plugin returned missing IP config")
    return result


def random_mac() -> str:
    """Return a new unicast, locally administered Ethernet address."""
    octets = bytearray(os.urandom(6))
    octets[0] = octets[0] & 0xFE | 0x02
    return octets.hex(":")


def refuse_existing(session: Session, host_end: str = "") -> None:
    """Refuse to attach where the container, or the host, has the interface that is to be made.

    Raises:
        CNIError: it has.
    """
    req = session.req
    if _has_link(session.inside, req.ifname):
        raise CNIError(INTERNAL, f"{req.ifname} already exists in {req.netns}")
    if host_end and _has_link(session.host, host_end):
        raise CNIError(
            INTERNAL,
            f"{host_end} already exists: DEL of an earlier attachment of {req.ifname} of "
            f"{req.container_id} is missing, or not finished",
        )


def _has_link(handle: Handle, name: str) -> bool:
    """Tell whether there is a link."""
    try:
        handle.link(name)
    except FileNotFoundError:
        return False
    return True


def require_mtu(mtu: int, least: int, most: int) -> None:
    """Refuse an MTU that the kernel would refuse, before anything is made; 0 is none.

    Raises:
        CNIError: it is out of bounds.
    """
    if mtu and not least <= mtu <= most:
        raise CNIError(INTERNAL, f"invalid MTU {mtu} (must be 0, or between {least} and {most})")


def host_name(req: Request, prefix: str = "veth") -> str:
    """Return the name of the host's end of an attachment, the same for ADD and every DEL.

    15 characters: the prefix and a hash of network, container and interface.
    """
    return prefix + digest(f"{req.name}\0{req.container_id}\0{req.ifname}", 15 - len(prefix))


def digest(text: str, length: int) -> str:
    """Return up to 16 hexadecimal digits that stand for a text."""
    return blake2s(text.encode(), digest_size=8).hexdigest()[:length]


def host_alias(req: Request) -> str:
    """Return the alias that names the owner of the host's end of an attachment."""
    return f"cnifast {req.name} {req.container_id} {req.ifname}"[:ALIAS_MAX]


def alias_owner(alias: str, network: str) -> tuple[str, str] | None:
    """Return (container ID, ifname) of an alias that host_alias made for a network, else None."""
    words = alias.split(" ")
    if len(words) != 4 or words[:2] != ["cnifast", network] or len(alias) == ALIAS_MAX:
        return None
    return words[2], words[3]


def routes_with_gateways(routes: list[Route], ips: list[IPConfig]) -> list[Route]:
    """Return the routes; one without a gateway goes through the first one of its family."""
    first: dict[bool, str] = {}
    for ip in ips:
        if ip.gateway:
            first.setdefault(":" in ip.gateway, ip.gateway)
    if all(route.gw for route in routes):
        return routes
    return [
        route if route.gw else _with_gateway(route, first.get(":" in route.dst)) for route in routes
    ]


def _with_gateway(route: Route, gateway: str | None) -> Route:
    """Return a copy of a route with another gateway."""
    return type(route)(
        route.dst, gateway, route.mtu, route.advmss, route.priority, route.table, route.scope
    )


def ipv6_sysctls(ifname: str) -> tuple[tuple[str, str, bool], ...]:
    """Return what a container with an IPv6 address needs of its kernel settings."""
    return (
        ("net/ipv6/conf/lo/disable_ipv6", "0", False),
        (f"net/ipv6/conf/{ifname}/disable_ipv6", "0", False),
        (f"net/ipv6/conf/{ifname}/keep_addr_on_down", "1", False),
    )


def required_prev_result(req: Request) -> Result:
    """Return the result that CHECK compares with.

    Raises:
        CNIError: there is none, or it is not a result.
    """
    try:
        result = req.prev_result()
    except DecodeError as e:
        raise CNIError(INTERNAL, str(e)) from None
    if result is None:
        raise CNIError(INTERNAL, "required prevResult missing")
    return result


class Failures:
    """Errors of a DEL or GC, which goes on after each of them."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: list[Exception] = []

    def attempt(self, step: Callable[..., object], *arguments: object) -> bool:
        """Run a step and keep its error; return whether there was none."""
        try:
            step(*arguments)
        except RunCold:  # somebody else does all of them
            raise
        except Exception as e:  # noqa: BLE001 - the other steps are to be done all the same
            self.found.append(e)
            return False
        return True

    def report(self) -> None:
        """Raise what was kept: one error as it is, several as one line.

        Raises:
            CNIError: with the code of the first error that has one.
        """
        if not self.found:
            return
        if len(self.found) == 1:
            raise self.found[0]
        codes = [e.code for e in self.found if isinstance(e, CNIError)]
        raise CNIError(codes[0] if codes else INTERNAL, "; ".join(str(e) for e in self.found))
