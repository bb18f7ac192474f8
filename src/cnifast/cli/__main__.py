"""`cnifast COMMAND ...`: each command is a module, imported when it is asked for."""

from __future__ import annotations

import gc
import os
import sys

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


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments and COMMANDS.get(arguments[0], ("",))[0] == "cnifast.cli.network":
        # As a whole command it must not take longer than what it runs, so nothing else is loaded.
        gc.disable()
        from cnifast.cli.network import main as network

        status = network(arguments[0], arguments[1:])
        if argv is None:
            # Nothing is left to be cleaned up, and the caller is waiting.
            try:
                sys.stdout.flush()
            except OSError:
                status = status or 1
            os._exit(status)
        return status

    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    from cnifast import __version__

    overview = ArgumentParser(
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
    parser = ArgumentParser(f"cnifast {command}", description=text)
    module.configure(parser)
    ended: int = module.run(parser.parse_args(arguments[1:]))
    return ended


if __name__ == "__main__":
    sys.exit(main())
