"""The host-local store as Python sees it: one call into C for each whole operation.

A `Plan` is a set of ranges in the form that the core takes, made once per configuration.  A
`Store` names a network's directory.  Neither holds anything open; every call locks the
directory, acts and lets go, with the interpreter's lock released meanwhile.
"""

from __future__ import annotations

from cnifast._native import ffi, lib
from cnifast._native.errors import exception, new_error
from cnifast.ipam.ranges import describe
from cnifast.protocol import ip
from cnifast.protocol.errors import INTERNAL, TRY_AGAIN_LATER, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from cnifast.ipam.ranges import Range, RangeSet

DEFAULT_DATA_DIR = "/var/lib/cni/networks"
LOCK_WAIT_MS = 10_000
UNLIMITED = 2**64 - 1  # a capacity that does not fit 64 bits


class RefusedError(CNIError):
    """No address was handed out; nothing was changed.

    ``set_index`` is the range set that has none, ``address`` the one it is about, or "".
    """

    def __init__(self, msg: str, set_index: int = 0, address: str = "") -> None:
        super().__init__(INTERNAL, msg)
        self.set_index = set_index
        self.address = address


class ExhaustedError(RefusedError):
    """All addresses of a range set are taken."""


class TakenError(RefusedError):
    """The address asked for is taken, or is the gateway."""


class DuplicateError(RefusedError):
    """The owner has an address of the range set already."""


class Usage:
    """How full a range set is: ``capacity`` is UNLIMITED for 2**64 addresses or more."""

    __slots__ = ("capacity", "taken")

    def __init__(self, capacity: int, taken: int) -> None:
        self.capacity = capacity
        self.taken = taken

    @property
    def exhausted(self) -> bool:
        """Whether the set has no address left."""
        return self.taken >= self.capacity

    def __repr__(self) -> str:
        return f"Usage(capacity={self.capacity}, taken={self.taken})"


class Grant:
    """An address that was handed out: ``address`` "10.1.0.5/16", and the range it is from.

    ``gateway`` is the range's gateway as canonical text.
    """

    __slots__ = ("address", "gateway", "range_index")

    def __init__(self, address: str, gateway: str, range_index: int) -> None:
        self.address = address
        self.gateway = gateway
        self.range_index = range_index

    def __repr__(self) -> str:
        return f"Grant({self.address!r}, gateway={self.gateway!r})"


def _fill(target: Any, family: int, value: int) -> None:
    """Write an address into a ``struct cnif_ipam_addr``."""
    data = ip.packed(family, value)
    target.family = family
    ffi.memmove(target.bytes, data, len(data))


class Plan:
    """Range sets made ready for the core; it does not change and may be shared by threads."""

    __slots__ = ("_gateways", "_suffixes", "c_ranges", "ranges", "sets")

    def __init__(self, sets: Sequence[RangeSet]) -> None:
        self.sets = sets
        self.ranges: list[Range] = [r for ranges in sets for r in ranges]
        self._suffixes = [f"/{r.prefixlen}" for r in self.ranges]
        self._gateways = [ip.format_ip(*r.gateway) for r in self.ranges]
        self.c_ranges = ffi.new("struct cnif_ipam_range[]", len(self.ranges))
        i = 0
        for set_index, ranges in enumerate(sets):
            for one in ranges:
                target = self.c_ranges[i]
                target.set = set_index
                _fill(target.first, one.family, one.first)
                _fill(target.last, one.family, one.last)
                _fill(target.gateway, *one.gateway)
                i += 1

    def grant(self, granted: Any) -> Grant:
        """Return a ``struct cnif_ipam_grant`` with what its range says."""
        i = granted.range
        text = ffi.string(granted.addr.text).decode()
        return Grant(text + self._suffixes[i], self._gateways[i], i)

    def range_for(self, family: int, value: int) -> tuple[int, Range] | None:
        """Return the set index and range that an address belongs to, None if there is none."""
        for set_index, ranges in enumerate(self.sets):
            for one in ranges:
                if one.contains(family, value):
                    return set_index, one
        return None


class Store:
    """The directory of one network, ``data_dir``/``network``."""

    __slots__ = ("_c_dir", "_keep", "data_dir", "network")

    def __init__(
        self, network: str, data_dir: str = "", *, lock_wait_ms: int = LOCK_WAIT_MS
    ) -> None:
        self.network = network
        self.data_dir = data_dir or DEFAULT_DATA_DIR
        self._keep = (_text(self.data_dir), _text(network))
        self._c_dir = ffi.new("struct cnif_ipam_dir *")
        self._c_dir.data_dir, self._c_dir.network = self._keep
        self._c_dir.lock_wait_ms = lock_wait_ms

    def allocate(
        self,
        plan: Plan,
        container_id: str,
        ifname: str,
        requested: Mapping[int, tuple[int, int]] | None = None,
    ) -> list[Grant]:
        """Hand out one address from each set of the plan, all or none.

        Args:
            plan: the range sets.
            container_id: the owner's container ID.
            ifname: the owner's interface name.
            requested: by set index the (family, value) that it must be, within that set.

        Raises:
            RefusedError: a set has none to give.
            CNIError: code 11 when the lock is held too long, 999 for errors of the system.
        """
        n_sets = len(plan.sets)
        wanted = ffi.new("struct cnif_ipam_addr[]", n_sets)
        for set_index, (family, value) in (requested or {}).items():
            _fill(wanted[set_index], family, value)
        owner, _keep = _owner(container_id, ifname)
        grants = ffi.new("struct cnif_ipam_grant[]", n_sets)
        refusal = ffi.new("struct cnif_ipam_refusal *")
        err = new_error()
        rc = lib.cnif_ipam_allocate(
            self._c_dir,
            owner,
            plan.c_ranges,
            len(plan.ranges),
            wanted,
            n_sets,
            grants,
            refusal,
            err,
        )
        if rc < 0:
            raise _refused(plan, container_id, refusal, err)
        return [plan.grant(grant) for grant in grants]

    def release(self, container_id: str, ifname: str) -> list[str]:
        """Release all that an owner has and return it; having nothing is fine.

        Raises:
            CNIError: code 11 when the lock is held too long, 999 for errors of the system.
        """
        owner, _keep = _owner(container_id, ifname)
        return self._list(lib.cnif_ipam_release, owner)

    def lookup(self, container_id: str, ifname: str) -> list[str]:
        """Return the addresses that an owner has.

        Raises:
            CNIError: code 11 when the lock is held too long, 999 for errors of the system.
        """
        owner, _keep = _owner(container_id, ifname)
        return self._list(lib.cnif_ipam_lookup, owner)

    def gc(self, valid: Iterable[tuple[str, str]]) -> list[str]:
        """Release what no (container ID, interface name) of ``valid`` has, and return it.

        Raises:
            CNIError: code 11 when the lock is held too long, 999 for errors of the system.
        """
        pairs = [(_text(container_id), _text(ifname)) for container_id, ifname in valid]
        owners = ffi.new("struct cnif_ipam_owner[]", max(len(pairs), 1))
        for i, (container_id, ifname) in enumerate(pairs):
            owners[i].container_id = container_id
            owners[i].ifname = ifname
        return self._list(lib.cnif_ipam_gc, owners, len(pairs))

    def usage(self, plan: Plan) -> list[Usage]:
        """Return how full each set of the plan is.

        Raises:
            CNIError: code 11 when the lock is held too long, 999 for errors of the system.
        """
        n_sets = len(plan.sets)
        usage = ffi.new("struct cnif_ipam_usage[]", n_sets)
        err = new_error()
        rc = lib.cnif_ipam_usage(
            self._c_dir,
            plan.c_ranges,
            len(plan.ranges),
            n_sets,
            usage,
            err,
        )
        _check(rc, err)
        return [Usage(one.capacity, one.taken) for one in usage]

    def _list(self, function: Any, *args: Any) -> list[str]:
        """Call a function that returns addresses, and free what it returned."""
        found = ffi.new("struct cnif_ipam_list *")
        err = new_error()
        _check(function(self._c_dir, *args, found, err), err)
        if not found.n:
            return []
        try:
            return [ffi.string(found.addrs[i].text).decode() for i in range(found.n)]
        finally:
            lib.cnif_ipam_list_free(found)


def _text(text: str) -> Any:
    """Return a C string; the caller keeps it.

    Raises:
        ValueError: there is a NUL in it, which would end it for C.
    """
    if "\0" in text:
        raise ValueError(f"embedded NUL in {text!r}")
    return ffi.new("char[]", text.encode("utf-8", "surrogateescape"))


def _owner(container_id: str, ifname: str) -> tuple[Any, Any]:
    """Return a ``struct cnif_ipam_owner *`` and what must be kept as long."""
    keep = (_text(container_id), _text(ifname))
    owner = ffi.new("struct cnif_ipam_owner *")
    owner.container_id, owner.ifname = keep
    return owner, keep


def _check(rc: int, err: Any) -> None:
    """Raise what a failed call says as an error with a CNI code."""
    if rc < 0:
        raise _system_error(err)


def _system_error(err: Any) -> CNIError:
    """Return the error for a failure of the system."""
    error = exception(err)
    code = TRY_AGAIN_LATER if isinstance(error, BlockingIOError) else INTERNAL
    return CNIError(code, str(error))


def _refused(plan: Plan, container_id: str, refusal: Any, err: Any) -> CNIError:
    """Return the error for an allocation that did not happen."""
    index = refusal.set
    address = ffi.string(refusal.addr.text).decode()
    failed = f"failed to allocate for range {index}"
    if refusal.reason == lib.CNIF_IPAM_EXHAUSTED:
        text = f"{failed}: no IP addresses available in range set: {describe(plan.sets[index])}"
        return ExhaustedError(text, index)
    if refusal.reason == lib.CNIF_IPAM_TAKEN:
        text = f"{failed}: requested IP address {address} is not available"
        return TakenError(f"{text} in range set {describe(plan.sets[index])}", index, address)
    if refusal.reason == lib.CNIF_IPAM_DUPLICATE:
        text = f"{failed}: {address} has been allocated to {container_id}"
        return DuplicateError(f"{text}, duplicate allocation is not allowed", index, address)
    return _system_error(err)
