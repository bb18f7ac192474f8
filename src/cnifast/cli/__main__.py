"""`cnifast COMMAND ...`: each command is a module, imported when it is asked for."""

from __future__ import annotations

import sys

COMMANDS = {
    "serve": ("cnifast.cli.serve", "answer the calls of plugin binaries, in the foreground"),
    "plugins": ("cnifast.cli.install", "install plugin binaries, or list what is installed"),
    "ipam": ("cnifast.cli.ipam", "list or release the addresses that host-local handed out"),
    "demo": ("cnifast.cli.demo", "attach and detach a container on a private node, and look at it"),
    "doctor": ("cnifast.cli.doctor", "say what a call would meet on this machine"),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    from argparse import ArgumentParser, RawDescriptionHelpFormatter

    from cnifast import __version__

    arguments = sys.argv[1:] if argv is None else argv
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
    status: int = module.run(parser.parse_args(arguments[1:]))
    return status


if __name__ == "__main__":
    sys.exit(main())
