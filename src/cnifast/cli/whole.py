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


def load(log: Callable[..., None]) -> None:
    """Import it; what cannot be is logged, and is missed by the calls that need it."""
    for part in _PARTS:
        package = import_module(f"cnifast.{part}")
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            try:
                import_module(found.name)
            except ImportError as e:
                log("unavailable", module=found.name, error=e)
