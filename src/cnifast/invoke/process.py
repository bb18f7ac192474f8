"""Running plugins as the specification says: each one a program, found on CNI_PATH."""

from __future__ import annotations

from cnifast.invoke.call import Args
from cnifast.invoke.exec import exec_plugin
from cnifast.invoke.find import find_in_path
from cnifast.protocol.errors import CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType
    from typing import Self

    from cnifast.invoke.call import Cancel, Input, VersionInfo
    from cnifast.protocol.result import Result


class ProcessExec:
    """Runs any plugin in a process of its own.

    Args:
        stderr: the file descriptor that gets what plugins print on standard error.
        timeout: seconds until a plugin is killed; None waits for as long as it takes.
        apart: plugins are kept out of our process group, so that Ctrl-C does not reach them.
    """

    __slots__ = ("apart", "stderr", "timeout")

    def __init__(
        self, *, stderr: int = 2, timeout: float | None = None, apart: bool = False
    ) -> None:
        self.stderr = stderr
        self.timeout = timeout
        self.apart = apart

    def find_in_path(self, plugin: str, path: str) -> str:
        """Return the path of a plugin's program.

        Raises:
            CNIError: there is none; the directories that were searched are named.
        """
        return find_in_path(plugin, path)

    def call(self, args: Args) -> ProcessCall:
        """Begin a command."""
        return ProcessCall(self, args)

    def version_info(self, plugin: str, found: str) -> VersionInfo:  # noqa: ARG002 - see Exec
        """Ask a program which versions it speaks.

        Raises:
            CNIError: it failed, or its answer is none.
        """
        from cnifast.invoke import answer  # noqa: PLC0415 - when it is needed

        # What plugins before VERSION existed insist on before they look at the command.
        env = Args("VERSION", netns="dummy", ifname="dummy", path="dummy").environment()
        try:
            output = self.run(found, answer.VERSION_INPUT, env)
        except CNIError as e:
            if str(e) == answer.NO_VERSION:
                return answer.BEFORE_VERSION
            raise
        return answer.version_info(found, output)

    def run(
        self,
        found: str,
        stdin: bytes,
        env: Mapping[str, str],
        cancel: Cancel | None = None,
        meanwhile: Callable[[], object] | None = None,
    ) -> bytes:
        """Execute a program and return what it printed.

        Raises:
            CNIError: it failed.
        """
        return exec_plugin(
            found,
            stdin,
            env,
            stderr=self.stderr,
            timeout=self.timeout,
            cancel=cancel,
            meanwhile=meanwhile,
            apart=self.apart,
        )


class ProcessCall:
    """One command for the programs of a chain, which all have the same environment."""

    __slots__ = ("_cancel", "_env", "_exec")

    def __init__(self, exec_: ProcessExec, args: Args) -> None:
        self._cancel = args.cancel
        self._exec = exec_
        self._env = args.environment()

    def with_result(self, found: str, conf: Input) -> Result:
        """Execute a program; see `cnifast.invoke.call.Call`.

        Raises:
            CNIError: it failed, or printed something that is not a result.
        """
        output = self._exec.run(found, conf.stdin, self._env, self._cancel, _prepare)
        result: Result = _prepare().required_result(found, output, conf.version)
        return result

    def without_result(self, found: str, conf: Input) -> None:
        """Execute a program; see `cnifast.invoke.call.Call`.

        Raises:
            CNIError: it failed.
        """
        self._exec.run(found, conf.stdin, self._env, self._cancel)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Do nothing: nothing is kept."""


def _prepare() -> ModuleType:
    """Return what understands answers; it is loaded while the program is at work."""
    from cnifast.invoke import answer  # noqa: PLC0415 - when it is needed

    return answer
