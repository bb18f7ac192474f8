"""Running plugins as the specification says: each one a program, found on CNI_PATH."""

from __future__ import annotations

from cnifast.invoke.call import Args, VersionInfo
from cnifast.invoke.exec import exec_plugin
from cnifast.invoke.find import find_in_path
from cnifast.protocol.codec import DecodeError, dumps, loads, quote
from cnifast.protocol.errors import DECODING_FAILURE, INTERNAL, CNIError
from cnifast.protocol.result import Result
from cnifast.protocol.schema import TEXT, Struct, array, field, lookup
from cnifast.protocol.versions import CURRENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    from cnifast.invoke.call import Cancel, Input

_SHOWN_MAX = 200  # characters of an output that is quoted


class ProcessExec:
    """Runs any plugin in a process of its own.

    Args:
        stderr: the file descriptor that gets what plugins print on standard error.
        timeout: seconds until a plugin is killed; None waits for as long as it takes.
    """

    __slots__ = ("stderr", "timeout")

    def __init__(self, *, stderr: int = 2, timeout: float | None = None) -> None:
        self.stderr = stderr
        self.timeout = timeout

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
        # What plugins before VERSION existed insist on before they look at the command.
        env = Args("VERSION", netns="dummy", ifname="dummy", path="dummy").environment()
        try:
            output = self.run(found, dumps({"cniVersion": CURRENT}), env)
        except CNIError as e:
            if str(e) == "unknown CNI_COMMAND: VERSION":
                return VersionInfo(CURRENT, ("0.1.0",))
            raise
        return _version_info(found, output)

    def run(
        self, found: str, stdin: bytes, env: Mapping[str, str], cancel: Cancel | None = None
    ) -> bytes:
        """Execute a program and return what it printed.

        Raises:
            CNIError: it failed.
        """
        return exec_plugin(
            found, stdin, env, stderr=self.stderr, timeout=self.timeout, cancel=cancel
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
        output = self._exec.run(found, conf.stdin, self._env, self._cancel)
        try:
            return decode_result(output, conf.version)
        except DecodeError as e:
            shown = quote(output.decode("utf-8", "replace")[:_SHOWN_MAX])
            raise CNIError(
                DECODING_FAILURE, f"{found} printed no result: {e}", f"it printed {shown}"
            ) from None

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


def decode_result(output: bytes, version: str) -> Result:
    """Return the result that a program printed; one without a version is of the given one.

    Raises:
        DecodeError: it is not a result.
    """
    printed = loads(output)
    if type(printed) is dict:
        own = lookup(printed, "cniversion")
        if type(own) is str and own:
            version = own
    return Result.from_json({} if printed is None else printed, version)


class _VersionAnswer(Struct):
    """What a program prints for VERSION."""

    cni_version = field("cniVersion", TEXT, "")
    supported = field("supportedVersions", array(TEXT), ())


def _version_info(found: str, output: bytes) -> VersionInfo:
    """Return the answer to VERSION that a program printed."""
    try:
        answer = _VersionAnswer.decode(loads(output))
    except DecodeError as e:
        raise CNIError(DECODING_FAILURE, f"{found}: decoding version info: {e}") from None
    if not answer.cni_version:
        raise CNIError(INTERNAL, f"{found}: decoding version info: missing field cniVersion")
    supported = answer.supported
    if not supported:
        if answer.cni_version != "0.2.0":
            raise CNIError(
                INTERNAL, f"{found}: decoding version info: missing field supportedVersions"
            )
        supported = ("0.1.0", "0.2.0")
    return VersionInfo(answer.cni_version, supported)
