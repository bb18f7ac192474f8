"""The address management that a configuration names, called on behalf of another plugin.

``resolve`` decides once who answers, before anything is changed; ours are called in-process.
"""

from __future__ import annotations

from cnifast.invoke.delegate import exec_add, exec_command, find_foreign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result

IN_PROCESS = {
    "host-local": "cnifast.ipam.host_local",
    "static": "cnifast.ipam.static",
}


class IPAM:
    """Whoever answers for an IPAM type: a module of ours, or a program."""

    __slots__ = ("_module", "_path")

    def __init__(self, module: ModuleType | None, path: str) -> None:
        self._module = module
        self._path = path

    @property
    def in_process(self) -> bool:
        """Whether it is one of ours, called without executing anything."""
        return self._module is not None

    def add(self, req: Request) -> Result:
        """Have addresses assigned.

        Raises:
            CNIError: it failed, with the code and text that it gave.
            ValueError: its configuration, or the result that it printed, is not in order.
        """
        if self._module is None:
            return exec_add(req, self._path)
        result: Result = self._module.add(req)
        return result

    def check(self, req: Request) -> None:
        """Raise unless the addresses are still assigned."""
        if self._module is None:
            exec_command(req, self._path, "CHECK")
        else:
            self._module.check(req)

    def delete(self, req: Request) -> None:
        """Have the addresses released."""
        if self._module is None:
            exec_command(req, self._path, "DEL")
        else:
            self._module.delete(req)

    def gc(self, req: Request) -> list[str]:
        """Have the addresses of attachments that are not valid released.

        Returns:
            The addresses that were, as far as it is one of ours.
        """
        if self._module is None:
            exec_command(req, self._path, "GC")
            return []
        released: list[str] = self._module.gc(req)
        return released

    def status(self, req: Request) -> None:
        """Raise when an ADD could not be given an address now."""
        if self._module is None:
            exec_command(req, self._path, "STATUS")
        else:
            self._module.status(req)

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
    module = __import__(IN_PROCESS[ipam_type], fromlist=("add",))
    if ipam_type == "host-local":
        module.require_place(req)
    return IPAM(module, "")


def ipam_add(req: Request, ipam_type: str) -> Result:
    """Resolve and add; see `IPAM.add`."""
    return resolve(req, ipam_type).add(req)


def ipam_check(req: Request, ipam_type: str) -> None:
    """Resolve and check; see `IPAM.check`."""
    resolve(req, ipam_type).check(req)


def ipam_delete(req: Request, ipam_type: str) -> None:
    """Resolve and delete; see `IPAM.delete`."""
    resolve(req, ipam_type).delete(req)


def ipam_gc(req: Request, ipam_type: str) -> list[str]:
    """Resolve and collect; see `IPAM.gc`."""
    return resolve(req, ipam_type).gc(req)


def ipam_status(req: Request, ipam_type: str) -> None:
    """Resolve and ask for the status; see `IPAM.status`."""
    resolve(req, ipam_type).status(req)
