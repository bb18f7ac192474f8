"""All of the package that a call may need, imported before the service takes the first one.

Modules are imported late for the sake of processes that answer one call.  A service must not find
another version of one, or none, when the package is replaced while it is at work.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_PARTS = ("_native", "invoke", "ipam", "kernel", "plugins", "protocol", "service")
_MORE = ("cnifast.cli.pretty", "cnifast.libcni.cached", "cnifast.libcni.collect")  # of commands
# What only programs on the library, and other commands, import; it would bring netaddr along.
_OF_OTHERS = frozenset(
    f"cnifast.{name}"
    for name in (
        *("invoke.run", "ipam.allocator", "ipam.listing"),
        *("kernel.cluster", "kernel.lasting", "plugins.api", "service.probe"),
    )
)


def load(log: Callable[..., None]) -> None:
    """Import it; what cannot be is logged, and is missed by the calls that need it."""
    names = [*_MORE]
    for part in _PARTS:
        package = import_module(f"cnifast.{part}")
        names += [found.name for found in walk_packages(package.__path__, f"{package.__name__}.")]
    for name in names:
        if name not in _OF_OTHERS:
            try:
                import_module(name)
            except ImportError as e:
                log("unavailable", module=name, error=e)
