"""The plugins by name.

A plugin is a module with ``add``, ``check``, ``delete``, ``gc`` and ``status``; none is imported
before it is asked for, because a process that answers one call pays for every import.
"""

from __future__ import annotations

from cnifast.protocol.errors import INVALID_ENVIRONMENT, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.protocol.skel import Plugin

MODULES = {
    "bridge": "cnifast.plugins.main.bridge",
    "macvlan": "cnifast.plugins.main.macvlan",
    "loopback": "cnifast.plugins.main.loopback",
    "host-local": "cnifast.ipam.host_local",
    "static": "cnifast.ipam.static",
}
NAMES = tuple(MODULES)


def load(name: str) -> Plugin:
    """Import the plugin of this name and return it.

    Raises:
        CNIError: there is no such plugin here; code 4, for the name comes from how the binary
            is called.
    """
    try:
        path = MODULES[name]
    except KeyError:
        raise CNIError(
            INVALID_ENVIRONMENT, f"no plugin named {name!r}: there are {', '.join(NAMES)}"
        ) from None
    plugin: Plugin = __import__(path, fromlist=("add",))
    return plugin
