"""The allocator behind host-local, for programs: addresses from ranges, shared by processes.

    allocator = Allocator("pods", ["10.1.0.0/16", "fd00:1::/64"], "/var/lib/cni/networks")
    v4, v6 = allocator.allocate("container-1", "eth0")
    v4.address                                  # "10.1.0.2/16"
    allocator.release("container-1", "eth0")    # ["10.1.0.2", "fd00:1::2"]

It works on the same files as the plugin, so programs and plugins can share a network.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netaddr import IPAddress, IPNetwork, IPSet

from cnifast.ipam.listing import entries
from cnifast.ipam.ranges import RangeConf, RangeError, complete
from cnifast.ipam.store import LOCK_WAIT_MS, Plan, Store, TakenError
from cnifast.protocol import ip
from cnifast.protocol.request import (
    validate_container_id,
    validate_interface_name,
    validate_network_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from cnifast.ipam.listing import Entry
    from cnifast.ipam.store import Grant, Usage

    RangeLike: TypeAlias = str | IPNetwork | Mapping[str, object]


class Allocator:
    """Hands out addresses of one network; may be shared by threads, and by processes.

    Every call locks the network's directory, acts, and lets go.
    """

    def __init__(
        self,
        network: str,
        ranges: Iterable[RangeLike | Sequence[RangeLike]],
        data_dir: str = "",
        *,
        lock_wait: float = LOCK_WAIT_MS / 1000,
    ) -> None:
        """Check the ranges; nothing is created before the first allocation.

        Args:
            network: the name of the network, and of its directory.
            ranges: the range sets, of each of which every owner gets one address; one alone may be
                given as its only range.  A set is one
                range or a sequence of ranges of one family; a range is a prefix, as text or
                ``netaddr.IPNetwork``, or a mapping with the keys that a host-local
                configuration has: subnet, rangeStart, rangeEnd, gateway.
            data_dir: the directory of all networks, "" for the plugin's own default.
            lock_wait: seconds to wait for the network's lock.

        Raises:
            CNIError: code 7 for a name that no network can have.
            RangeError: no address can be handed out from such ranges.
            DecodeError: a range is of the wrong form.
        """
        validate_network_name(network)
        if isinstance(ranges, str | IPNetwork):
            ranges = [ranges]
        confs = [[_range_conf(one) for one in _as_set(ranges_of_set)] for ranges_of_set in ranges]
        self._plan = Plan(complete(confs))
        self._store = Store(network, data_dir, lock_wait_ms=int(lock_wait * 1000))

    @property
    def network(self) -> str:
        """The name of the network."""
        return self._store.network

    @property
    def data_dir(self) -> str:
        """The directory of all networks."""
        return self._store.data_dir

    def allocate(
        self, container_id: str, ifname: str = "eth0", requested: Iterable[str | IPAddress] = ()
    ) -> list[Grant]:
        """Hand out one address from each range set, all or none.

        Args:
            container_id: the owner's container ID.
            ifname: the owner's interface name.
            requested: addresses that must be among those handed out, one of a set at most.

        Returns:
            One grant for each set, in the order of the sets.

        Raises:
            RefusedError: `ExhaustedError`, `TakenError` or `DuplicateError`; nothing was changed.
            RangeError: a requested address is in no set, or not the only one of its set.
            CNIError: code 4 for names that cannot be, 11 when the lock is held too long, 999
                for errors of the system.
        """
        validate_container_id(container_id)
        validate_interface_name(ifname)
        by_set: dict[int, tuple[int, int]] = {}
        for address in requested:
            number = ip.parse_ip(str(address))
            found = self._plan.range_for(*number)
            if found is None or found[0] in by_set:
                raise RangeError(f"{address} is in no range set that it could be taken from")
            if number == found[1].gateway:
                raise TakenError(f"{address} is the gateway of its subnet", found[0], str(address))
            by_set[found[0]] = number
        return self._store.allocate(self._plan, container_id, ifname, by_set)

    def release(self, container_id: str, ifname: str = "eth0") -> list[str]:
        """Release all that an owner has, of whatever range, and return it.

        Raises:
            CNIError: code 11 when the lock is held too long, 999 for errors of the system.
        """
        return self._store.release(container_id, ifname)

    def lookup(self, container_id: str, ifname: str = "eth0") -> list[str]:
        """Return the addresses that an owner has.

        Raises:
            CNIError: code 11 when the lock is held too long, 999 for errors of the system.
        """
        return self._store.lookup(container_id, ifname)

    def gc(self, valid: Iterable[tuple[str, str]]) -> list[str]:
        """Release what no (container ID, interface name) of ``valid`` has, and return it.

        Raises:
            TypeError: one of them is a text.
            CNIError: code 11 when the lock is held too long, 999 for errors of the system.
        """
        kept = list(valid)
        if any(isinstance(owner, str) for owner in kept):
            raise TypeError("a valid attachment is (container ID, interface name)")
        return self._store.gc(kept)

    def usage(self) -> list[Usage]:
        """Return how full each range set is.

        Raises:
            CNIError: code 11 when the lock is held too long, 999 for errors of the system.
        """
        return self._store.usage(self._plan)

    def entries(self) -> list[Entry]:
        """Return all addresses in use in the network with their owners, without locking.

        Raises:
            OSError: the network's directory cannot be read.
        """
        return entries(self.network, self.data_dir)

    def taken(self) -> IPSet:
        """Return all addresses in use in the network as one set, without locking.

        Raises:
            OSError: the network's directory cannot be read.
        """
        return IPSet([IPAddress(entry.address) for entry in self.entries()])


def _as_set(ranges: RangeLike | Sequence[RangeLike]) -> Sequence[RangeLike]:
    """Return a range set, which may be given as its only range."""
    return ranges if isinstance(ranges, list | tuple) else [ranges]


def _range_conf(given: RangeLike) -> RangeConf:
    """Return a range in the form of the configuration."""
    if isinstance(given, IPNetwork):
        return RangeConf.decode({"subnet": str(given.cidr)})
    if isinstance(given, str):
        return RangeConf.decode({"subnet": given})
    return RangeConf.decode({key: str(value) for key, value in given.items()})
