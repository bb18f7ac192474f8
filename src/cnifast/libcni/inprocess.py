"""Running our own plugins in this process: a chain of them without a fork.

A plugin is ours when CNI_PATH leads to our own binary, or to nothing of its name; any other
one is executed.  Nothing is encoded for a plugin of ours, and nothing it returns is decoded.
"""

from __future__ import annotations

import os

from cnifast.invoke.call import VersionInfo
from cnifast.invoke.find import find
from cnifast.invoke.process import ProcessExec
from cnifast.invoke.shimfile import is_ours
from cnifast.kernel.netns import NetNS, identify
from cnifast.plugins import MODULES, load
from cnifast.protocol import versions
from cnifast.protocol.errors import CNIError, RunCold
from cnifast.protocol.request import Place, Request
from cnifast.protocol.result import Result
from cnifast.protocol.skel import Known, as_cni_error, check_environment, examine, perform

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Self

    from cnifast.invoke.call import Args, Call, Exec, Input

_WARM_MAX = 64  # sets of sockets that are kept open between calls


class _Warm:
    """What is kept open between calls, for whoever calls from the same namespace and process."""

    __slots__ = ("home", "kept")

    def __init__(self, home: tuple[int, ...]) -> None:
        self.home = home
        self.kept: dict[str, Any] = {}

    def close(self) -> None:
        """Close what can be closed."""
        for kept in self.kept.values():
            close = getattr(kept, "close", None)
            if close is not None:
                close()


class InProcessExec:
    """Runs our own plugins in this process, and others by another Exec.

    Netlink sockets on the host's namespace stay open from call to call, until ``close``.

    Args:
        others: how to run other plugins; each one in a process of its own by default.
        exits: this process ends with the call, so nothing is left to linger in threads.
    """

    def __init__(self, others: Exec | None = None, *, exits: bool = False) -> None:
        self.others: Exec = ProcessExec() if others is None else others
        self.exits = exits
        self._warm: list[_Warm] = []

    def find_in_path(self, plugin: str, path: str) -> str:
        """Return the program of a plugin, nothing for one of ours.

        Raises:
            CNIError: it is none of ours and not in ``path``.
        """
        if plugin not in MODULES:
            return self.others.find_in_path(plugin, path)
        try:
            found, status = find(plugin, path)
        except CNIError:
            return ""
        return "" if is_ours(found, status) else found

    def call(self, args: Args) -> InProcessCall:
        """Begin a command."""
        warm = self.take()
        netns = open_netns(args.netns)
        place = Place(netns=fd_of(netns), warm=warm, exits=self.exits)
        return InProcessCall(
            args, place, netns, warm.home[1:], others=self.others, end=lambda: self.give_back(warm)
        )

    def version_info(self, plugin: str, found: str) -> VersionInfo:
        """Return which versions a plugin speaks."""
        if found:
            return self.others.version_info(plugin, found)
        return VersionInfo(versions.CURRENT, versions.supported_by(plugin))

    def take(self) -> _Warm:
        """Return what is open on the namespace of the calling thread."""
        home = (os.getpid(), *identify())
        while self._warm:
            warm = self._warm.pop()
            if warm.home == home:
                return warm
            warm.close()
        return _Warm(home)

    def give_back(self, warm: _Warm) -> None:
        """Keep what is open for the next call."""
        if len(self._warm) < _WARM_MAX:
            self._warm.append(warm)
        else:
            warm.close()

    def close(self) -> None:
        """Close what is kept open; it is opened again when it is needed."""
        while self._warm:
            self._warm.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def open_netns(path: str) -> NetNS | None:
    """Return the container's namespace; where there is none the plugins say so, or do without."""
    try:
        return NetNS(path) if path else None
    except (OSError, ValueError):
        return None


def fd_of(netns: NetNS | None) -> int | None:
    """Return the file descriptor of a namespace that may be none."""
    return None if netns is None else netns.fileno()


class InProcessCall:
    """One command for the plugins of a chain, which share the container's open namespace.

    Args:
        args: what the command says.
        place: where it takes effect.
        netns: the container's namespace, which is closed at the end.
        home: device and inode of the host's namespace.
        others: what runs plugins that are none of ours, if there can be such.
        end: what is called at the end.
    """

    def __init__(
        self,
        args: Args,
        place: Place,
        netns: NetNS | None,
        home: tuple[int, ...],
        *,
        others: Exec | None = None,
        end: Callable[[], object] | None = None,
    ) -> None:
        self._args = args
        env: Any = _Environment(args)
        self._env: Mapping[str, str] = env
        self._checked = False
        self._exec = others
        self._others: Call | None = None
        self._is_own: bool | None = None
        self._home = home
        self._netns = netns
        self._place = place
        self._end = end

    def with_result(self, found: str, conf: Input) -> Result:
        """Run a plugin; see `cnifast.invoke.call.Call`.

        Raises:
            CNIError: it failed; nothing is left behind.
        """
        if found:
            return self._other().with_result(found, conf)
        result = self._run(conf)
        if result is None:
            raise RuntimeError(f"{self._args.command} has no result")
        return result

    def without_result(self, found: str, conf: Input) -> None:
        """Run a plugin; see `cnifast.invoke.call.Call`.

        Raises:
            CNIError: it failed.
        """
        if found:
            self._other().without_result(found, conf)
        else:
            self._run(conf)

    def _run(self, conf: Input) -> Result | None:
        """Run a plugin of ours."""
        if self._args.cancel is not None:
            self._args.cancel.check()
        command = self._args.command
        known: Known | None = conf.memo.get(command)
        try:
            if not self._checked:
                check_environment(command, self._env)
                self._checked = True
            if known is None:
                known = conf.memo[command] = examine(conf.plugin, command, conf.conf)
            req = Request(
                conf.plugin,
                command,
                self._env,
                None,
                known.conf,
                known.name,
                known.version,
                self._place,
                known.derived,
                conf.previous,
            )
            return perform(req, load, self._is_own_netns, Result.as_version)
        except (CNIError, RunCold):
            raise
        except Exception as e:
            raise as_cni_error(e)[0] from e

    def _is_own_netns(self, _: Request) -> bool:
        """Tell whether the container's namespace is the one that this thread is in."""
        if self._is_own is None:
            self._is_own = self._netns is not None and self._netns.ident == self._home
        return self._is_own

    def _other(self) -> Call:
        """Return the same command for plugins that are none of ours."""
        if self._others is None:
            if self._exec is None:
                raise RuntimeError("no plugin but ours is run here")
            self._others = self._exec.call(self._args).__enter__()
        return self._others

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._others is not None:
            self._others.__exit__(*exc)
        if self._netns is not None:
            self._netns.close()
        if self._end is not None:
            self._end()


class _Environment:
    """The environment of a command, of which plugins of ours look at a few variables only."""

    __slots__ = ("_base", "_own")

    def __init__(self, args: Args) -> None:
        self._own = args.variables()
        self._base: Mapping[str, str] = os.environ if args.base is None else args.base

    def get(self, name: str, default: str = "") -> str:
        """Return the value of a variable."""
        value = self._own.get(name)
        return self._base.get(name, default) if value is None else value

    def keys(self) -> Iterator[str]:
        """Return the names of all variables."""
        return iter({**self._base, **self._own})

    def __getitem__(self, name: str) -> str:
        value = self._own.get(name)
        return self._base[name] if value is None else value
