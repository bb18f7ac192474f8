"""`cnifast add|del|check|gc|status` as the service does them for the program.

All is as in a process of the caller's own, and where it would not be, the caller is told to use
one: where a path leads it to something else, where a program has to be executed.
"""

from __future__ import annotations

from cnifast.cli.interrupt import ENDING, Ending, Interrupted
from cnifast.cli.network import (
    USAGE,
    Caller,
    HelpWanted,
    UsageError,
    failure,
    netdir,
    parse,
    plugin_path,
    run,
)
from cnifast.libcni.cache import DIRECTORY
from cnifast.libcni.conf import ConfigError
from cnifast.libcni.files import load_all
from cnifast.libcni.served import ServedExec
from cnifast.protocol.errors import TRY_AGAIN_LATER, CNIError, RunCold
from cnifast.protocol.skel import Response
from cnifast.service.paths import named_paths

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cnifast.service.worker import Command


class Told(Ending):
    """Whether the program that gave the command wants it to end, or is gone."""

    __slots__ = ("_ask", "_settled")

    def __init__(self, ask: Callable[[], int | None]) -> None:
        # No descriptor that somebody could wait for: nothing is waited for here.
        self._fd = -1
        self._ask = ask
        self._settled = False
        self.is_set = False
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


def handed(given: Command) -> Response:
    """Run a command for another process; of its output, that of a failure is for standard error.

    Raises:
        RunCold: it has to be done by that process; nothing was done, or it was undone.
    """
    command, *arguments = given.words
    told = Told(given.told)
    try:
        options = parse(command, arguments)
        if options.timeout is not None:
            raise RunCold("it may have to end a program")
        _require_place(given, options.netns)
        text = run(command, options, Caller(given.env, ServedExec(given.place), told))
    except HelpWanted:
        return Response(0, _encoded(USAGE))
    except (UsageError, CNIError) as e:
        said, status = failure(command, e, told)
        return Response(status, _encoded(said))
    except Interrupted as e:
        said = "; ".join([str(e), *getattr(e, "__notes__", ())])
        return Response(e.exit_status, _encoded(f"cnifast {command}: {said}\n"))
    return Response(0, _encoded(text))


def _encoded(text: str) -> bytes:
    """Return a text as it is written."""
    return text.encode("utf-8", "backslashreplace")


def _require_place(given: Command, netns: str) -> None:
    """Refuse to act where a path means something else than for the caller.

    Raises:
        RunCold: one does.
    """
    env, same = given.env, given.place.same_path
    directory = netdir(env)
    paths = [directory, DIRECTORY, *plugin_path(env).split(":"), *filter(None, [netns])]
    if not given.same_root or not all(path.startswith("/") for path in paths):
        raise RunCold("it has paths of the caller's own")
    if same is None:
        return
    try:
        for net in load_all(directory):
            for plugin in net.plugins:
                paths += named_paths(plugin.conf, env)
    except ConfigError as e:
        raise RunCold(str(e)) from None
    for path in paths:
        if not same(path):
            raise RunCold(f"{path} is of the caller's mount namespace")
