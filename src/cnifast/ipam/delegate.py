"""The address management that a configuration names, called on behalf of another plugin.

``resolve`` decides once who answers, before anything is changed; ours are called in-process.
"""

from __future__ import annotations

from cnifast.invoke.delegate import Delegate, find_foreign, module_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.protocol.request import Request

IN_PROCESS = {
    "host-local": "cnifast.ipam.host_local",
    "static": "cnifast.ipam.static",
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


def resolve(req: Request, ipam_type: str) -> IPAM:
    """Return who answers for an IPAM type; nothing is executed or changed.

    Raises:
        CNIError: there is no such plugin.
        RunCold: this process is not the place to execute it, or to look for it.
    """
    path = find_foreign(req, ipam_type, IN_PROCESS)
    if path is not None:
        return IPAM(None, path)
    module = module_of(ipam_type, IN_PROCESS)
    if ipam_type == "host-local":
        module.require_place(req)
    return IPAM(module)
