"""`cnifast COMMAND ...`: each command is a module, imported when it is asked for."""

from __future__ import annotations

import gc
import os
import sys
from _signal import SIG_DFL, SIGCHLD, signal  # without the enumerations of signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

COMMANDS = {
    "add": ("cnifast.cli.network", "attach a container's namespace to a network"),
    "del": ("cnifast.cli.network", "detach it"),
    "check": ("cnifast.cli.network", "check that it is attached as it was"),
    "gc": ("cnifast.cli.network", "release what belongs to no valid attachment of a network"),
    "status": ("cnifast.cli.network", "say whether a network can be attached to now"),
    "run": ("cnifast.cli.run", "run a program in a namespace that is attached to networks"),
    "version": ("cnifast.cli.version", "say which versions of the specification plugins speak"),
    "serve": ("cnifast.cli.serve", "answer the calls of plugin binaries, in the foreground"),
    "dhcp": ("cnifast.cli.dhcp", "keep leases of DHCP servers without a service"),
    "plugins": ("cnifast.cli.install", "install plugin binaries, or list what is installed"),
    "ipam": ("cnifast.cli.ipam", "list or release the addresses that host-local handed out"),
    "schema": ("cnifast.cli.schema", "print the JSON Schema of configurations, or their reference"),
    "demo": ("cnifast.cli.demo", "attach and detach a container on a private node, and look at it"),
    "doctor": ("cnifast.cli.doctor", "say what a call would meet on this machine"),
}


EXIT_SIGINT = 128 + 2
EXIT_BROKEN_PIPE = 128 + 13  # as if SIGPIPE had ended it
_TAKES_SIGNALS_ITSELF = "serve"


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    if argv is None:
        _fill_streams()
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] and arguments[0].startswith("-"):
        from cnifast.cli.network import command_first

        arguments = command_first(arguments)
    command = arguments[0] if arguments else ""
    try:
        if argv is None:
            signal(SIGCHLD, SIG_DFL)  # the ends of programs are seen, whatever our caller ignores
        if argv is None and command != _TAKES_SIGNALS_ITSELF:
            from cnifast.cli.interrupt import SIGNALS

            SIGNALS.watch()
        if COMMANDS.get(command, ("",))[0] == "cnifast.cli.network":
            return _network(command, arguments[1:], whole=argv is None)
        status = _run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has had enough; nothing is to be written at exit, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)
        return EXIT_BROKEN_PIPE
    except OSError as e:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)
        sys.stderr.write(f"cnifast {command}: {e.strerror or e}\n")
        return 1
    except KeyboardInterrupt:  # before signals were taken, or in `serve`
        sys.stderr.write(f"cnifast {command}: interrupted by SIGINT\n")
        return EXIT_SIGINT
    except BaseException as e:
        ended: int | None = getattr(e, "exit_status", None)  # that of Interrupted
        if ended is None:
            raise
        from cnifast.cli.interrupt import with_notes

        sys.stderr.write(f"cnifast {command}: {with_notes(e)}\n")
        return ended
    return status


def _fill_streams() -> None:
    """Put /dev/null where a standard stream is closed, so that no other file takes its number."""
    for fd, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
            setattr(sys, name, os.fdopen(fd, mode, encoding="utf-8"))


def _network(command: str, arguments: list[str], *, whole: bool) -> int:
    """Run a command that must not take longer than what it runs, so nothing else is loaded.

    ``whole`` tells that the process ends with it.
    """
    gc.disable()
    from cnifast.cli.network import main as network

    status = network(command, arguments)
    if whole:
        os._exit(status)  # nothing is left to be cleaned up, and the caller is waiting
    return status


def _run(arguments: list[str]) -> int:
    """Run any other command; return the exit status."""
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    from cnifast import __version__

    class Parser(ArgumentParser):
        def _print_message(self, message: str, file: Any = None) -> None:
            # argparse itself takes no notice of a text that cannot be written.
            if message:
                print(message, end="", file=file or sys.stderr, flush=True)

    overview = Parser(
        "cnifast",
        description="CNI plugins with a native core.",
        epilog="\n".join(f"  {name:10}{text}" for name, (_, text) in COMMANDS.items()),
        formatter_class=RawDescriptionHelpFormatter,
    )
    overview.add_argument("--version", action="version", version=f"cnifast {__version__}")
    overview.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of those below")
    command = overview.parse_args(arguments[:1]).command

    path, text = COMMANDS[command]
    module = __import__(path, fromlist=("run",))
    parser = Parser(f"cnifast {command}", description=text)
    module.configure(parser)
    ended: int = module.run(parser.parse_args(arguments[1:]))
    return ended


if __name__ == "__main__":
    sys.exit(main())
