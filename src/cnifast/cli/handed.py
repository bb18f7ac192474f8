"""`cnifast add|del|check|gc|status` as the service does them for the program.

All is as in a process of the caller's own, but for its umask, and where it would not be, the caller
is told to use one: where a path leads it to something else, where a program has to be executed.
"""

from __future__ import annotations

from cnifast.cli.interrupt import ENDING, Ending, Interrupted, with_notes
from cnifast.cli.network import USAGE, Caller, HelpWanted, UsageError, failure, netdir, parse, run
from cnifast.cli.owner import way_to
from cnifast.invoke.delegate import find_foreign
from cnifast.invoke.find import find_in_path
from cnifast.ipam.delegate import IN_PROCESS
from cnifast.libcni import cache
from cnifast.libcni.files import conf_files
from cnifast.libcni.served import ServedExec
from cnifast.plugins import MODULES
from cnifast.protocol.errors import TRY_AGAIN_LATER, CNIError, RunCold
from cnifast.protocol.keys import lookup
from cnifast.protocol.skel import Response, as_cni_error
from cnifast.service.paths import named_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator
    from typing import Any

    from cnifast.cli.network import Options
    from cnifast.libcni.conf import NetworkConfigList
    from cnifast.service.worker import Command

OF_A_PROCESS = frozenset(("/proc/self", "/proc/thread-self"))


class Told(Ending):
    """Whether the program that gave the command wants it to end, or is gone."""

    __slots__ = ("_ask", "_settled")

    def __init__(self, ask: Callable[[], int | None]) -> None:
        super().__init__()
        self._ask = ask
        self._settled = False
        self.number = 0

    def check(self) -> None:
        """Refuse to take another step when the command is to end.

        Raises:
            Interrupted: a signal ends it.
            CNIError: nobody waits for it any more (code 11).
        """
        if self._settled:
            return
        number = self._ask()
        if number is None:
            return
        self.is_set = self._settled = True
        if number in ENDING:
            self.number = number
            raise Interrupted(number, torn=False)
        raise CNIError(TRY_AGAIN_LATER, "the command was given up")

    def settle(self) -> None:
        """Have no request to end count any more."""
        self._settled = True


class Elsewhere(Caller):
    """A caller of whom we cannot be sure that it sees what we see."""

    __slots__ = ("_given",)

    def __init__(self, given: Command, ending: Ending) -> None:
        super().__init__(given.env, ServedExec(given.place, given.env), ending)
        self._given = given

    def require(self, options: Options) -> None:
        """Refuse to act where a path is the caller's own, or a program's time is limited.

        Raises:
            RunCold: it is so.
        """
        if options.timeout is not None:
            raise RunCold("it may have to end a program")
        directory = netdir(self.env)
        paths = [directory, *self.cni.path.split(":"), *filter(None, [options.netns])]
        if not all(path.startswith("/") for path in paths):
            raise RunCold("it has paths of the caller's own")
        for path in paths:
            if not OF_A_PROCESS.isdisjoint(way_to(path)):
                raise RunCold(f"{path} is of the caller's process")
        self._require_same(*paths, cache.DIRECTORY, f"{cache.DIRECTORY}/results")
        if self._given.place.same_path is not None:
            self._require_same(*conf_files(directory, (".conf", ".conflist", ".json")))

    def meant(self, nets: list[NetworkConfigList]) -> list[NetworkConfigList]:
        """Refuse networks of which something has to be executed, or leads elsewhere.

        Raises:
            RunCold: there is such a one.
        """
        place, path = self._given.place, self.cni.path
        for net in nets:
            for plugin in net.plugins:
                for name, ours in _programs(plugin.type, plugin.conf):
                    try:
                        find_foreign(place, path, name, ours)
                        if place.same_path is not None:
                            self._require_same(find_in_path(name, path))
                    except CNIError:
                        continue  # there is none, which somebody else will say
                if place.same_path is not None:
                    self._require_same(*named_paths(plugin.conf, self.env))
            if place.same_path is not None and not net.load_only_inlined_plugins:
                self._require_same(*conf_files(f"{netdir(self.env)}/{net.name}", (".conf",)))
        return nets

    def _require_same(self, *paths: str) -> None:
        """Refuse paths that lead the caller to something else.

        Raises:
            RunCold: one does.
        """
        same = self._given.place.same_path
        for path in paths:
            if same is not None and not same(path):
                raise RunCold(f"{path} is of the caller's mount namespace")


def _programs(plugin: str, conf: dict[str, Any]) -> Iterator[tuple[str, Container[str]]]:
    """Yield the programs that a plugin's call may take, each with the names that need none."""
    yield plugin, MODULES
    ipam = lookup(conf, "ipam")
    name = lookup(ipam, "type") if type(ipam) is dict else None
    if type(name) is str and name:
        yield name, IN_PROCESS


def handed(given: Command) -> Response:
    """Run a command for another process; of its output, that of a failure is for standard error.

    Raises:
        RunCold: it has to be done by that process; nothing was done, or it was undone.
    """
    command, *arguments = given.words
    told = Told(given.told)
    try:
        options = parse(command, arguments)
        caller = Elsewhere(given, told)
        caller.require(options)
        return Response(0, _encoded(run(command, options, caller)))
    except HelpWanted:
        return Response(0, _encoded(USAGE))
    except (UsageError, CNIError) as e:
        said, status = failure(command, e, told)
        return Response(status, _encoded(said), _trace(e))
    except Interrupted as e:
        return _failed(command, e, e.exit_status)
    except RunCold as e:
        if hasattr(e, "__notes__"):  # not all could be undone
            return _failed(command, e, 1)
        raise
    except Exception as e:  # noqa: BLE001 - whatever went wrong, the caller gets an answer
        error, trace = as_cni_error(e)
        return Response(1, _encoded(failure(command, error, told)[0]), trace)
    finally:
        told.close()


def _failed(command: str, e: BaseException, status: int) -> Response:
    """Return the answer for what came to its end, with what failed when it was undone."""
    return Response(status, _encoded(f"cnifast {command}: {with_notes(e)}\n"))


def _trace(e: BaseException) -> bytes:
    """Return where a defect behind an error is, nothing where there is none."""
    while e.__cause__ is not None:
        e = e.__cause__
    return as_cni_error(e)[1] if isinstance(e, Exception) and not isinstance(e, UsageError) else b""


def _encoded(text: str) -> bytes:
    """Return a text as it is written."""
    return text.encode("utf-8", "backslashreplace")
