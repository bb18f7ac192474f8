"""One plugin calling another: as a program on CNI_PATH, unless the other is one of ours.

A plugin of ours is not executed but called in this process, when CNI_PATH leads to our own
binary or to nothing of that name.
"""

from __future__ import annotations

from cnifast.invoke.answer import decode_result
from cnifast.invoke.exec import exec_plugin
from cnifast.invoke.find import find
from cnifast.invoke.shimfile import is_ours
from cnifast.protocol.errors import CNIError, RunCold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Mapping
    from types import ModuleType
    from typing import Any

    from cnifast.protocol.request import Place, Request
    from cnifast.protocol.result import Result


class Delegate:
    """Whoever answers for a plugin's name: a module of ours, or a program."""

    __slots__ = ("_module", "_path")

    def __init__(self, module: ModuleType | None, path: str = "") -> None:
        self._module = module
        self._path = path

    @property
    def in_process(self) -> bool:
        """Whether it is one of ours, called without executing anything."""
        return self._module is not None

    def add(self, req: Request) -> Result:
        """Have it do ADD.

        Raises:
            CNIError: it failed, with the code and text that it gave.
            ValueError: its configuration, or the result that it printed, is not in order.
        """
        if self._module is None:
            return exec_add(req, self._path)
        result: Result = self._module.add(req)
        return result

    def check(self, req: Request) -> None:
        """Have it do CHECK; raises as `add` does."""
        self._run("CHECK", "check", req)

    def delete(self, req: Request) -> None:
        """Have it do DEL; raises as `add` does."""
        self._run("DEL", "delete", req)

    def gc(self, req: Request) -> None:
        """Have it do GC; raises as `add` does."""
        self._run("GC", "gc", req)

    def status(self, req: Request) -> None:
        """Have it do STATUS; raises as `add` does."""
        self._run("STATUS", "status", req)

    def _run(self, command: str, function: str, req: Request) -> Any:
        """Have a command done; return what a module returns, None for a program."""
        if self._module is None:
            exec_command(req, self._path, command)
            return None
        return getattr(self._module, function)(req)


def resolve(req: Request, plugin: str, ours: Mapping[str, str]) -> Delegate:
    """Return who answers for a plugin; nothing is executed or changed.

    Args:
        req: the request on whose behalf it is called.
        plugin: its name.
        ours: modules by the names of plugins that can be called in-process.

    Raises:
        CNIError: there is no such plugin.
        RunCold: this process is not the place to execute it, or to look for it.
    """
    path = find_foreign(req.place, req.path, plugin, ours)
    return Delegate(module_of(plugin, ours)) if path is None else Delegate(None, path)


def module_of(plugin: str, ours: Mapping[str, str]) -> ModuleType:
    """Import the module of a plugin of ours and return it."""
    return __import__(ours[plugin], fromlist=("add",))


def find_foreign(place: Place, search: str, plugin: str, ours: Container[str]) -> str | None:
    """Return the program to execute for a plugin, None when it is to be called in-process.

    Args:
        place: that of the call on whose behalf it is called.
        search: CNI_PATH of that.
        plugin: its name.
        ours: the names of plugins that can be called in-process.

    Raises:
        CNIError: CNI_PATH has no such program, and it is none of ours.
        RunCold: there is one, but this process is not the place to execute it, or CNI_PATH means
            something else here than for the caller.
    """
    if not place.mount_same:
        raise RunCold("CNI_PATH is to be searched in the caller's mount namespace")
    if not place.delegates and not all(name.startswith("/") for name in search.split(":")):
        raise RunCold("CNI_PATH is relative to the caller's directory")
    try:
        path, status = find(plugin, search)
    except CNIError:
        if plugin in ours:
            return None
        raise
    if plugin in ours and is_ours(path, status):
        return None
    if not place.delegates:
        raise RunCold(f"{path} has to be executed where the caller is")
    return path


def exec_add(req: Request, path: str, stdin: bytes | None = None) -> Result:
    """Execute ADD of the program at ``path`` with the request's environment.

    Args:
        req: the request on whose behalf it is called.
        path: of the program.
        stdin: its configuration, the request's own for None.

    Raises:
        CNIError: the program failed.
        DecodeError: it printed something that is not a result.
    """
    return decode_result(exec_command(req, path, "ADD", stdin), req.cni_version)


def exec_command(req: Request, path: str, command: str, stdin: bytes | None = None) -> bytes:
    """Execute a command of the program at ``path`` and return what it printed.

    Raises:
        CNIError: the program failed.
    """
    env = {**req.env, "CNI_COMMAND": command}
    return exec_plugin(path, req.stdin if stdin is None else stdin, env)
