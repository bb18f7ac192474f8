"""The address management that a configuration names, called on behalf of another plugin.

``resolve`` decides once who answers, before anything is changed; ours are called in-process.
"""

from __future__ import annotations

from cnifast.invoke.delegate import Delegate, find_foreign, module_of
from cnifast.protocol.errors import CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from cnifast.protocol.request import Request

IN_PROCESS = {
    "host-local": "cnifast.ipam.host_local",
    "static": "cnifast.ipam.static",
    "dhcp": "cnifast.ipam.dhcp.plugin",
}


class IPAM(Delegate):
    """Whoever answers for an IPAM type: a module of ours, or a program."""

    __slots__ = ()

    def owned(self, req: Request) -> list[str]:
        """Return the addresses that the owner is known to have, none for a program."""
        if self._module is None:
            return []
        held: list[str] = self._module.owned(req)
        return held


_BEFORE = {"ADD": "validate", "DEL": "delete", "GC": "gc"}


class Client(IPAM):
    """dhcp, which works by way of the container's interface as a program may.

    So ADD comes when the interface is there, and its configuration is looked at before that is
    made; what DEL and GC have to say to the server is said when this is made, before the plugin
    takes the interface away, and is reported when it is asked for.
    """

    __slots__ = ("_failed",)

    in_process = False

    def __init__(self, module: ModuleType, req: Request) -> None:
        super().__init__(module)
        self._failed: OSError | CNIError | ValueError | None = None
        step = _BEFORE.get(req.command)
        try:
            if step is not None:
                getattr(module, step)(req)
        except (OSError, CNIError, ValueError) as e:
            if req.command == "ADD":
                raise
            self._failed = e

    def delete(self, req: Request) -> None:
        """Give the lease back, or say why that was not possible."""
        if req.command != "DEL":
            super().delete(req)
        elif self._failed is not None:
            raise self._failed

    def gc(self, _req: Request) -> None:
        """Say why leases could not be given back, if so."""
        if self._failed is not None:
            raise self._failed


def resolve(req: Request, ipam_type: str) -> IPAM:
    """Return who answers for an IPAM type; nothing is executed, or changed but by dhcp.

    Raises:
        CNIError: there is no such plugin.
        RunCold: this process is not the place to execute it, or to look for it.
    """
    path = find_foreign(req.place, req.path, ipam_type, IN_PROCESS)
    if path is not None:
        return IPAM(None, path)
    module = module_of(ipam_type, IN_PROCESS)
    if ipam_type != "static":
        module.require_place(req)
    return Client(module, req) if ipam_type == "dhcp" else IPAM(module)
