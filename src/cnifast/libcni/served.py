"""Running our own plugins for somebody else's command, where that takes effect."""

from __future__ import annotations

from cnifast.invoke.call import VersionInfo
from cnifast.invoke.delegate import find_foreign
from cnifast.kernel.netns import identify
from cnifast.libcni.inprocess import InProcessCall, fd_of, open_netns
from cnifast.plugins import MODULES
from cnifast.protocol import versions

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnifast.invoke.call import Args
    from cnifast.protocol.request import Place


class ServedExec:
    """Runs our own plugins in this process on behalf of another one.

    Programs are not executed: whoever needs one is told that the command has to run where it was
    given.

    Args:
        place: where the command takes effect; it says nothing of a container.
        env: the environment of whoever gave it.
    """

    __slots__ = ("_env", "_place")

    def __init__(self, place: Place, env: Mapping[str, str]) -> None:
        self._place = place
        self._env = env

    def find_in_path(self, plugin: str, path: str) -> str:
        """Return nothing for a plugin of ours, which is not executed.

        Raises:
            CNIError: it is none of ours and not in ``path``.
            RunCold: there is a program to execute.
        """
        return find_foreign(self._place, path, plugin, MODULES) or ""

    def call(self, args: Args) -> InProcessCall:
        """Begin a command."""
        args.base = self._env
        netns = open_netns(args.netns)
        host = self._place.host_netns
        home = identify(-1 if host is None else host)
        return InProcessCall(args, self._place.elsewhere(fd_of(netns)), netns, home)

    def version_info(self, plugin: str, found: str) -> VersionInfo:  # noqa: ARG002 - see Exec
        """Return which versions a plugin of ours speaks."""
        return VersionInfo(versions.CURRENT, versions.supported_by(plugin))
