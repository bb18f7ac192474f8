"""How commands run plugins: by their programs where a service answers those, else in this process.

Either is the faster one of the two then.  After a command without a service one is left behind,
as programs do.
"""

from __future__ import annotations

import os

from cnifast.cli.settings import mode_and_socket
from cnifast.invoke.process import ProcessCall, ProcessExec
from cnifast.protocol.errors import TRY_AGAIN_LATER, CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cnifast.invoke.call import Args, Call, Exec, Input
    from cnifast.libcni.inprocess import InProcessExec
    from cnifast.protocol.result import Result


class Plugins:
    """What runs the plugins of a command.

    Args:
        exits: this process ends with the command.
        timeout: seconds after which the program of a plugin is killed.

    Raises:
        CNIError: the settings of the service make no sense.
    """

    __slots__ = ("_leave", "exec")

    def __init__(self, *, exits: bool, timeout: float | None = None) -> None:
        mode, socket = mode_and_socket()
        self._leave = ""
        if mode == "required" or (mode != "off" and os.path.exists(socket)):
            self.exec: Exec = _Programs(exits=exits, timeout=timeout)
        else:
            self.exec = _here(exits=exits, timeout=timeout)
            if mode == "auto":
                self._leave = socket

    def leave_service(self) -> None:
        """Leave a service behind for the next command, if there is none."""
        if self._leave:
            from cnifast.cli.leave import leave_service

            leave_service(self._leave)


def was_killed(e: BaseException | None) -> bool:
    """Tell whether a failure is that of a program that was killed, as it took too long."""
    # A program's own code 11 comes without what the program said on standard error.
    return isinstance(e, CNIError) and e.code == TRY_AGAIN_LATER and getattr(e, "has_stderr", False)


class _Programs(ProcessExec):
    """Runs programs; ours of which there is none are run in this process."""

    __slots__ = ("exits",)

    def __init__(self, *, exits: bool, timeout: float | None) -> None:
        super().__init__(timeout=timeout, apart=True)
        self.exits = exits

    def find_in_path(self, plugin: str, path: str) -> str:
        """Return the program of a plugin, nothing for one of ours that has none."""
        try:
            return super().find_in_path(plugin, path)
        except CNIError:
            from cnifast.plugins import MODULES

            if plugin in MODULES:
                return ""
            raise

    def call(self, args: Args) -> _Call:
        """Begin a command."""
        return _Call(self, args)


class _Call(ProcessCall):
    """One command for a chain of programs, and of plugins that have none."""

    __slots__ = ("_args", "_exits", "_ours")

    def __init__(self, exec_: _Programs, args: Args) -> None:
        super().__init__(exec_, args)
        self._args = args
        # Signals end the wait for a program; waiting for a file descriptor as well takes longer.
        self._cancel = None
        self._exits = exec_.exits
        self._ours: Call | None = None

    def with_result(self, found: str, conf: Input) -> Result:
        """Run a plugin; see `cnifast.invoke.call.Call`."""
        if self._args.cancel is not None:
            self._args.cancel.check()
        if found:
            return super().with_result(found, conf)
        return self._here().with_result(found, conf)

    def without_result(self, found: str, conf: Input) -> None:
        """Run a plugin; see `cnifast.invoke.call.Call`."""
        if found:
            super().without_result(found, conf)
        else:
            self._here().without_result(found, conf)

    def _here(self) -> Call:
        """Return the same command for plugins that are run in this process."""
        if self._ours is None:
            self._ours = _here(exits=self._exits, timeout=None).call(self._args).__enter__()
        return self._ours

    def __exit__(self, *exc: object) -> None:
        """Let go of what the plugins of this process had open."""
        if self._ours is not None:
            self._ours.__exit__(*exc)


def _here(*, exits: bool, timeout: float | None) -> InProcessExec:
    """Return what runs plugins in this process."""
    from cnifast.cli import paths

    paths.complete()
    from cnifast.libcni.inprocess import InProcessExec

    return InProcessExec(ProcessExec(timeout=timeout, apart=True), exits=exits)
