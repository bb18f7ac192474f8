"""Who keeps leases: acquires them for plugins, renews and rebinds them, and gives them back.

A lease is written down before it is used, and nothing stays open between its renewals: they open
the namespace by its path again, and end when it is another one by then, or gone.
"""

from __future__ import annotations

import os
from _thread import RLock

from cnifast.ipam.dhcp.acquire import acquire
from cnifast.ipam.dhcp.exchange import Exchange, Granted, Timing
from cnifast.ipam.dhcp.system import System
from cnifast.protocol.errors import INTERNAL, TRY_AGAIN_LATER, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from cnifast.ipam.dhcp.lease import Key, Lease, Order
    from cnifast.ipam.dhcp.store import Store
    from cnifast.ipam.dhcp.system import Namespace, Wire

_RETRY_SECONDS = 60.0  # the least between two attempts to renew (RFC 2131, 4.4.5)


class GoneError(Exception):
    """The namespace of a lease, or its link there, is not there any more."""


class _Kept:
    """A lease that is kept: what it waits for, and the conversation about it, if there is one."""

    __slots__ = ("exchange", "lease", "lost", "wake", "wire")

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.wake = lease.renew_at
        self.exchange: Exchange | None = None
        self.wire: Wire | None = None
        self.lost = False  # the server does not know of it any more

    def hang_up(self) -> None:
        """End the conversation."""
        self.exchange = None
        if self.wire is not None:
            self.wire.close()
            self.wire = None


class Keeper:
    """Keeps the leases of a store.

    Any thread may ask it for leases; ``run`` is for one that does the rest.
    """

    def __init__(
        self,
        store: Store,
        timing: Timing | None = None,
        *,
        broadcast: bool = False,
        system: System | None = None,
        log: Callable[..., None] | None = None,
    ) -> None:
        self._store = store
        self._timing = timing or Timing()
        self._broadcast = broadcast
        self._system = system or System()
        self._log = log or forget
        self._lock = RLock()
        self._kept: dict[Key, _Kept] = {}
        self._pending: dict[Key, bool] = {}  # being acquired; whether it is not wanted any more
        self._stopping = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def close(self) -> None:
        """Let go of everything; the leases stay as they are written down."""
        with self._lock:
            for kept in self._kept.values():
                kept.hang_up()
            self._kept.clear()
        os.close(self._wake)
        os.close(self._stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @property
    def busy(self) -> bool:
        """Whether there is a lease to be kept."""
        return bool(self._kept or self._pending)

    # -- for plugins ----------------------------------------------------------------------------

    def load(self) -> None:
        """Keep on keeping what was written down; what is gone meanwhile is forgotten."""
        with self._lock:
            for lease in self._store.leases():
                try:
                    self._open_netns(lease).__exit__()
                except GoneError as e:
                    self._forget_gone(lease, e)
                except OSError as e:
                    self._say("unreachable", lease, error=e)
                    self._keep(lease)
                else:
                    self._keep(lease)

    def allocate(self, order: Order) -> Lease:
        """Return the lease of an attachment: the one it has, or a new one.

        Raises:
            CNIError: there is none to be had, or somebody else is about to.
            OSError: the container's link cannot be used, or the lease cannot be written down.
        """
        key = order.key
        with self._open_order(order) as netns:
            with self._lock:
                held = self._held(key, netns.ident)
                if held is not None:
                    return held
                if key in self._pending:
                    raise CNIError(
                        TRY_AGAIN_LATER, f"another call is about to lease for {'/'.join(key)}"
                    )
                self._pending[key] = False
            try:
                lease = acquire(
                    self._system,
                    order,
                    netns,
                    self._timing,
                    broadcast=self._broadcast,
                    stop=self._stop,
                    check=lambda: self._check_wanted(key),
                )
            except BaseException:
                with self._lock:
                    del self._pending[key]
                raise
            with self._lock:
                try:
                    self._accept(lease)
                except (CNIError, OSError):
                    self._farewell(lease, netns)
                    raise
        os.eventfd_write(self._wake, 1)
        self._say("acquired", lease)
        return lease

    def _accept(self, lease: Lease) -> None:
        """Keep a lease that was acquired just now.

        Raises:
            CNIError: nobody wants it any more.
            OSError: it cannot be written down.
        """
        key = lease.key
        if self._pending.pop(key):
            raise CNIError(TRY_AGAIN_LATER, f"{'/'.join(key)} was deleted meanwhile")
        self._store.write(lease)
        self._keep(lease)

    def _open_order(self, order: Order) -> Namespace:
        """Open the namespace by its path, which has to be what renewals find it by.

        Raises:
            CNIError: it cannot be, or is another one than the caller's.
        """
        try:
            netns = self._system.open_netns(order.netns)
        except OSError as e:
            raise CNIError(INTERNAL, f'failed to open netns "{order.netns}": {e}') from e
        if order.ident is not None and order.ident != netns.ident:
            netns.__exit__()
            raise CNIError(
                INTERNAL, f'netns "{order.netns}" is another one for who keeps DHCP leases'
            )
        return netns

    def _held(self, key: Key, ident: tuple[int, int]) -> Lease | None:
        """Return the lease that is held already; another process may have written it down."""
        kept = self._kept.get(key)
        lease = kept.lease if kept else self._store.read(key)
        if lease is None:
            return None
        if lease.ident != ident or self._system.now() >= lease.expires:
            self._forget(key)
            return None
        if kept is None:
            self._keep(lease)
            os.eventfd_write(self._wake, 1)
        return lease

    def _check_wanted(self, key: Key) -> None:
        """Refuse to go on with a lease that nobody waits for.

        Raises:
            CNIError: the keeper is about to end, or DEL came.
        """
        if self._stopping:
            raise CNIError(TRY_AGAIN_LATER, "who keeps DHCP leases is about to end")
        if self._pending.get(key):
            raise CNIError(TRY_AGAIN_LATER, f"{'/'.join(key)} is being deleted")

    def release(self, key: Key) -> None:
        """Give a lease back, and forget it; there need not be one.

        Raises:
            OSError: what is written down of it cannot be removed.
        """
        with self._lock:
            if key in self._pending:
                self._pending[key] = True
            kept = self._kept.get(key)
            if kept is not None:
                kept.hang_up()
            lease = kept.lease if kept else self._store.read(key)
            if lease is not None:
                try:
                    with self._open_netns(lease) as netns:
                        self._farewell(lease, netns)
                except (OSError, GoneError) as e:
                    self._say("unreleased", lease, error=e)
            self._forget(key)

    def collect(self, network: str, valid: set[tuple[str, str]]) -> None:
        """Release the leases of a network but those of (container ID, interface).

        Raises:
            OSError: what is written down of one cannot be removed.
        """
        with self._lock:
            known = {*self._kept, *(lease.key for lease in self._store.leases())}
        for key in sorted(known):
            if key[1] == network and (key[0], key[2]) not in valid:
                self.release(key)

    def _farewell(self, lease: Lease, netns: Namespace) -> None:
        """Tell the server that a lease is not needed any more.  It does not answer."""
        with self._system.open_link(netns.fileno(), lease.ifname) as wire:
            sent = wire.send(lease.farewell())
        self._say("released" if sent else "unreleased", lease)

    # -- renewing -------------------------------------------------------------------------------

    def run(self) -> None:
        """Renew what has to be, until `stop`."""
        while not self._stopping:
            seconds = self.turn()
            with self._lock:
                files = [k.wire.fileno() for k in self._kept.values() if k.wire is not None]
            self._system.wait((self._wake, self._stop, *files), seconds)
            try:
                os.eventfd_read(self._wake)
            except BlockingIOError:
                continue

    def stop(self) -> None:
        """Have `run` end, and every acquisition fail."""
        self._stopping = True
        os.eventfd_write(self._stop, 1)

    def turn(self) -> float | None:
        """Do what is due; return the seconds until something is again, None for never."""
        with self._lock:
            for kept in list(self._kept.values()):
                try:
                    self._advance(kept, self._system.now())
                except GoneError as e:
                    self._forget_gone(kept.lease, e)
                except OSError as e:
                    self._say("failed", kept.lease, error=e)
                    self._retry_later(kept, self._system.now())
            if not self._kept:
                return None
            first = min(kept.wake for kept in self._kept.values())
        return None if first == float("inf") else max(0.0, first - self._system.now())

    def _advance(self, kept: _Kept, now: float) -> None:
        """Take one lease as far as it goes now.

        Raises:
            GoneError: it is of no use any more.
            OSError: the kernel refused.
        """
        if kept.exchange is None:
            if now < kept.wake:
                return
            if now >= kept.lease.expires:
                self._expire(kept.lease)
                return
            self._begin(kept, now)
        exchange, wire = kept.exchange, kept.wire
        if exchange is None or wire is None:
            return
        for message, sender in wire.receive():
            exchange.receive(message, sender, now)
        for packet in exchange.send(now):
            wire.send(packet)
        if exchange.outcome is None:
            kept.wake = exchange.wake
            return
        kept.hang_up()
        self._conclude(kept, exchange.outcome, now, refused=exchange.refused)

    def _begin(self, kept: _Kept, now: float) -> None:
        """Begin a conversation about more of a lease, by way of its namespace as it is now."""
        lease = kept.lease
        with self._open_netns(lease) as netns:
            try:
                kept.wire = self._system.open_link(netns.fileno(), lease.ifname)
            except FileNotFoundError as e:
                raise GoneError(str(e)) from None
        timing = self._timing
        if kept.lost:
            brief = Timing(timing.timeout, timing.resend_max, timing.timeout)
            kept.exchange = Exchange(lease.client, brief, now, address=lease.address)
            return
        server = (lease.server, lease.sender) if now < lease.rebind_at else None
        kept.exchange = Exchange.renewing(
            lease.client, timing, now, address=lease.address, server=server
        )

    def _conclude(self, kept: _Kept, outcome: Granted | str, now: float, *, refused: bool) -> None:
        """Take the end of a conversation."""
        lease = kept.lease
        if isinstance(outcome, Granted):
            kept.lost = False
            lease.extend(outcome, now)
            kept.wake = lease.renew_at
            self._store.write(lease)
            self._say("renewed", lease)
            return
        self._say("not renewed", lease, error=outcome)
        if refused and not kept.lost:
            kept.lost = True  # ask for the same address as if anew, and that at once
            kept.wake = now
            return
        self._retry_later(kept, now)

    def _retry_later(self, kept: _Kept, now: float) -> None:
        """Wait half of the time that is left before there is another way, or none."""
        kept.hang_up()
        lease = kept.lease
        limit = lease.rebind_at if now < lease.rebind_at else lease.expires
        kept.wake = min(now + max(_RETRY_SECONDS, (limit - now) / 2), max(limit, now))

    def _expire(self, lease: Lease) -> None:
        """Give up an address that is not the container's any more: its link goes down."""
        self._say("expired", lease)
        with self._open_netns(lease) as netns:
            try:
                self._system.set_down(netns.fileno(), lease.ifname)
            except OSError as e:
                self._say("still up", lease, error=e)
        self._forget(lease.key)

    def _open_netns(self, lease: Lease) -> Namespace:
        """Open the namespace of a lease.

        Raises:
            GoneError: there is none, or another one at its path.
            OSError: it cannot be opened.
        """
        try:
            netns = self._system.open_netns(lease.netns)
        except FileNotFoundError as e:
            raise GoneError(str(e)) from None
        if netns.ident != lease.ident:
            netns.__exit__()
            raise GoneError(f"{lease.netns} is another namespace by now")
        return netns

    # -- the books ------------------------------------------------------------------------------

    def _keep(self, lease: Lease) -> None:
        self._kept[lease.key] = _Kept(lease)

    def _forget(self, key: Key) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            kept.hang_up()
        self._store.remove(key)

    def _forget_gone(self, lease: Lease, why: GoneError) -> None:
        self._say("gone", lease, error=why)
        self._forget(lease.key)

    def _say(self, event: str, lease: Lease, **fields: object) -> None:
        """Log what became of a lease."""
        address = ".".join(map(str, lease.address.to_bytes(4)))
        container, network, ifname = lease.key
        self._log(
            "lease",
            state=event,
            address=address,
            container=container,
            network=network,
            ifname=ifname,
            **fields,
        )


def forget(_event: str, **_fields: object) -> None:
    """Log nothing."""
