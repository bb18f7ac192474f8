"""What runs plugins, as its callers see it: one protocol for programs and for our own code.

    exec.find_in_path(...) once per plugin, then, for all plugins of a chain,
    with exec.call(args) as call: result = call.with_result(found, input)

Whoever implements ``Exec`` decides how a plugin is found and run; `cnifast.invoke.process` does it
as the specification says.
"""

from __future__ import annotations

import os

from cnifast.protocol.codec import loads
from cnifast.protocol.errors import TRY_AGAIN_LATER, CNIError
from cnifast.protocol.keys import text, wrong_kind
from cnifast.protocol.request import encode_input

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Protocol, Self

    from cnifast.protocol.result import Result

    class Call(Protocol):
        """One command on its way through the plugins of a chain; a context manager."""

        def with_result(self, found: str, conf: Input, /) -> Result:
            """Run the plugin that was found and return the result it gave."""

        def without_result(self, found: str, conf: Input, /) -> None:
            """Run the plugin that was found."""

        def __enter__(self) -> Self: ...

        def __exit__(self, *exc: object) -> None: ...

    class Exec(Protocol):
        """A way to run plugins; several threads may use it at a time.

        Every method raises CNIError for what a plugin refuses, or for one that cannot be run.
        """

        def find_in_path(self, plugin: str, path: str, /) -> str:
            """Return the program of a plugin; empty for one that needs no program."""

        def call(self, args: Args, /) -> Call:
            """Begin a command."""

        def version_info(self, plugin: str, found: str, /) -> VersionInfo:
            """Return which versions of the specification a plugin speaks."""


class Cancel:
    """Whether somebody still waits for a command; may be asked and told by different threads.

    ``fileno`` is a file descriptor that can be read from once nobody does.
    """

    __slots__ = ("_fd", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    def set(self) -> None:
        """Say that nobody waits any longer."""
        self.is_set = True
        os.eventfd_write(self._fd, 1)

    def check(self) -> None:
        """Refuse to go on when nobody waits any longer.

        Raises:
            CNIError: nobody does (code 11).
        """
        if self.is_set:
            raise CNIError(TRY_AGAIN_LATER, "the call was cancelled")

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._fd

    def close(self) -> None:
        """Let go of the file descriptor; nobody may use it any more."""
        os.close(self._fd)


class VersionInfo:
    """Which versions of the specification a plugin speaks, and the one it answered in."""

    __slots__ = ("cni_version", "supported_versions")

    def __init__(self, cni_version: str, supported_versions: tuple[str, ...]) -> None:
        self.cni_version = cni_version
        self.supported_versions = supported_versions

    def __repr__(self) -> str:
        return f"VersionInfo({self.cni_version!r}, {self.supported_versions!r})"


class Args:
    """What a command says beside the configuration: the CNI_* variables of the specification.

    ``base`` is the environment that the variables are added to, this process's own for None.
    ``cancel`` is how the caller says that it does not wait any longer.
    """

    __slots__ = ("args", "base", "cancel", "command", "container_id", "ifname", "netns", "path")

    def __init__(
        self,
        command: str,
        *,
        container_id: str = "",
        netns: str = "",
        ifname: str = "",
        args: str = "",
        path: str = "",
        base: Mapping[str, str] | None = None,
        cancel: Cancel | None = None,
    ) -> None:
        self.command = command
        self.container_id = container_id
        self.netns = netns
        self.ifname = ifname
        self.args = args
        self.path = path
        self.base = base
        self.cancel = cancel

    @classmethod
    def delegated(cls, command: str, env: Mapping[str, str]) -> Args:
        """Return what another plugin is told: what this one was, but for the command."""
        given = env.get
        return cls(
            command,
            container_id=given("CNI_CONTAINERID", ""),
            netns=given("CNI_NETNS", ""),
            ifname=given("CNI_IFNAME", ""),
            args=given("CNI_ARGS", ""),
            path=given("CNI_PATH", ""),
            base=env,
        )

    def variables(self) -> dict[str, str]:
        """Return the CNI_* variables."""
        return {
            "CNI_COMMAND": self.command,
            "CNI_CONTAINERID": self.container_id,
            "CNI_NETNS": self.netns,
            "CNI_ARGS": self.args,
            "CNI_IFNAME": self.ifname,
            "CNI_PATH": self.path,
        }

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a program that is told all this."""
        return {**(os.environ if self.base is None else self.base), **self.variables()}


class Input:
    """The configuration that one plugin of a chain is called with.

    ``conf`` is decoded and without the result of the plugin before, which is ``previous``.  It
    is shared with other calls, as is ``memo``, where an Exec keeps what it derived from
    ``conf`` alone; nobody changes ``conf``.
    """

    __slots__ = ("_stdin", "conf", "memo", "plugin", "previous", "version")

    def __init__(
        self,
        plugin: str,
        conf: dict[str, Any],
        version: str,
        previous: Result | None = None,
        memo: dict[str, Any] | None = None,
    ) -> None:
        self.plugin = plugin
        self.conf = conf
        self.version = version
        self.previous = previous
        self.memo: dict[str, Any] = {} if memo is None else memo
        self._stdin: bytes | None = None

    @classmethod
    def from_bytes(cls, data: bytes, plugin: str = "") -> Input:
        """Return the input for a plugin whose configuration is complete.

        ``plugin`` is the plugin's name, where it is not the configuration's type.

        Raises:
            DecodeError: it is no configuration.
        """
        conf = loads(data)
        if type(conf) is not dict:
            raise wrong_kind(conf, "", "network config")
        found = cls(plugin or text(conf, "type"), conf, text(conf, "cniVersion"))
        found._stdin = data
        return found

    @property
    def stdin(self) -> bytes:
        """The bytes that a program is given.

        Raises:
            ConversionError: the previous result has no form in this version.
        """
        if self._stdin is None:
            self._stdin = encode_input(self.conf, self.previous, self.version)
        return self._stdin
