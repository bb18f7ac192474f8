"""Policy routing: rules, routes that can be made again elsewhere, and changes to both as one.

change = RoutingChange()
for route in kept_routes(handle, oif=eth0.index, table=254):
    change.copy_route(route, 100)
change.add_rule("10.1.0.5/32", 100)
change.apply(handle)
"""

from __future__ import annotations

from cnifast._native import ffi, lib
from cnifast._native.errors import check, new_error
from cnifast.kernel.address import fill_hop, fill_ip, parse_address, parse_prefix
from cnifast.kernel.handle import family_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from cnifast.kernel.handle import Handle

    T = TypeVar("T")

_BYTES = {2: 4, 10: 16}
_BOOT, _UNICAST = 3, 1  # RTPROT_BOOT, RTN_UNICAST


class _Kept:
    """An element of an array from C, which lives as long as one of its elements does."""

    __slots__ = ("_array", "struct")

    def __init__(self, array: Any, struct: Any) -> None:
        self._array = array
        self.struct = struct


class Rule(_Kept):
    """A rule (RTM_NEWRULE, linux/fib_rules.h): packets from a source look into a table.

    ``src`` is in network order, ``table`` 0 where the rule leads to none.
    """

    __slots__ = ()

    src = property(lambda self: _packed(self.struct.src))
    prefixlen = property(lambda self: int(self.struct.src.prefix))
    table = property(lambda self: int(self.struct.table))
    priority = property(lambda self: int(self.struct.priority))


class KeptRoute(_Kept):
    """A route with all that belongs to it; addresses are in network order."""

    __slots__ = ()

    dst = property(lambda self: _packed(self.struct.route.dst))
    prefixlen = property(lambda self: int(self.struct.route.dst.prefix))
    gateway = property(lambda self: _packed(self.struct.route.gateway))
    source = property(lambda self: _packed(self.struct.route.source))
    oif = property(lambda self: int(self.struct.route.oif))
    table = property(lambda self: int(self.struct.route.table))
    scope = property(lambda self: int(self.struct.route.scope))
    priority = property(lambda self: int(self.struct.route.priority))


def _packed(ip: Any) -> bytes | None:
    """Return an address, None where there is none."""
    return bytes(ip.bytes)[: _BYTES[ip.family]] if ip.family else None


def rules(handle: Handle, *, family: int = 0) -> list[Rule]:
    """Return the rules of a family, 4, 6 or (0) both, in the kernel's order.

    Raises:
        KernelError: the dump was interrupted by changes again and again.
    """
    return _dump(handle, "cnif_rule", lib.cnif_rule_dump, Rule, family_of(family))


def kept_routes(
    handle: Handle, *, oif: int = 0, family: int = 0, table: int = 0
) -> list[KeptRoute]:
    """Return the routes through a link (0: any), of a family and a table (0: all).

    Raises:
        KernelError: the dump was interrupted by changes again and again.
    """
    filters = oif, family_of(family), table
    return _dump(handle, "cnif_kept_route", lib.cnif_kept_route_dump, KeptRoute, *filters)


def _dump(
    handle: Handle, struct: str, dump: Any, make: Callable[[Any, Any], T], *filters: int
) -> list[T]:
    """Run a dump and return an object for each struct of its array."""
    err = new_error()
    array = ffi.new(f"struct {struct} **")
    count = ffi.new("size_t *")
    check(dump(handle.raw, *filters, array, count, err), err)
    kept = ffi.gc(array[0], lib.cnif_free)
    return [make(kept, kept + i) for i in range(count[0])]


class RoutingChange:
    """Changes to rules and routes, in the order in which they are added here."""

    __slots__ = ("_changes", "_kept")

    def __init__(self) -> None:
        self._changes: list[Any] = []
        self._kept: list[object] = []

    def __len__(self) -> int:
        return len(self._changes)

    def add_rule(self, source: str, table: int) -> None:
        """Have packets from a source such as "10.1.0.5/32" look into a table.

        Raises:
            ValueError: the text is not an address with a prefix length.
        """
        rule = ffi.new("struct cnif_rule *")
        fill_ip(rule.src, *parse_prefix(source))
        rule.table = table
        self._kept.append(rule)
        self._step(lib.CNIF_ADD_RULE).rule = rule

    def delete_rule(self, rule: Rule) -> None:
        """Delete a rule."""
        self._kept.append(rule)
        self._step(lib.CNIF_DELETE_RULE).rule = rule.struct

    def add_route(
        self,
        dst: str,
        *,
        gateway: str = "",
        oif: int = 0,
        table: int = 0,
        source: str = "",
        scope: int = -1,
    ) -> None:
        """Add a route such as "0.0.0.0/0", before others to the same destination.

        Raises:
            ValueError: a text is not an address, or they are of different families.
        """
        route = self._step(lib.CNIF_ADD_ROUTE).route
        fill_hop(route, dst, gateway)
        route.oif, route.table, route.scope = oif, table, scope
        route.protocol, route.type = _BOOT, _UNICAST
        if source:
            fill_ip(route.source, *parse_address(source))

    def copy_route(self, route: KeptRoute, table: int) -> None:
        """Have the same route in a table, in place of one to the same destination."""
        change = self._step(lib.CNIF_COPY_ROUTE)
        change.kept, change.table = route.struct, table
        self._kept.append(route)

    def delete_route(self, route: KeptRoute) -> None:
        """Delete a route from the table that it is in."""
        self._step(lib.CNIF_DELETE_ROUTE).kept = route.struct
        self._kept.append(route)

    def apply(self, handle: Handle, *, whole: bool = True) -> None:
        """Make the changes: all or none, or, not ``whole``, as many as can be.

        Raises:
            KernelError: the kernel refused one, the first of them is told.
        """
        if not self._changes:
            return
        err = new_error()
        changes = ffi.new("struct cnif_routing_change []", [change[0] for change in self._changes])
        check(lib.cnif_routing_change(handle.raw, changes, len(changes), whole, err), err)

    def _step(self, step: int) -> Any:
        """Append a change and return its struct."""
        change = ffi.new("struct cnif_routing_change *")
        change.step = step
        self._changes.append(change)
        return change
