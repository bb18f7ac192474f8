"""`cnifast serve`: the service in the foreground, or as a cold call leaves it behind."""

from __future__ import annotations

import os
import sys

from cnifast.cli import paths
from cnifast.invoke.options import count, kind, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable
    from typing import NoReturn

    from cnifast.service import Listener, Settings

EXIT_BUSY = 3


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--socket", metavar="PATH", help="listen here (default: the configuration's, or systemd's)"
    )
    parser.add_argument(
        "--idle",
        metavar="SECONDS",
        type=kind(whole),
        default=0,
        help="end when nobody called for so long (default: 0, never)",
    )
    parser.add_argument(
        "--threads",
        metavar="N",
        type=kind(count),
        help="calls to work on at once (default: the configuration's)",
    )


def run(args: Namespace) -> int:
    """Serve until told to stop; return the exit status."""
    from cnifast.service import Busy, Settings, activated, bind

    try:
        settings = Settings.read()
        listener = activated(os.environ) or _listen(bind, args.socket or settings.socket)
    except Busy as e:
        print(f"cnifast: {e}", file=sys.stderr)
        return EXIT_BUSY
    except OSError as e:
        print(f"cnifast: {e.strerror or e}", file=sys.stderr)
        return 1
    except ValueError as e:
        print(f"cnifast: {e}", file=sys.stderr)
        return 1
    return _serve(listener, settings, args.threads or settings.threads, args.idle)


def _listen(bind: Callable[[str], Listener], path: str) -> Listener:
    """Make the socket; a failure names it, and the file that is in the way."""
    try:
        return bind(path)
    except OSError as e:
        where = f"{e.filename}: " if e.filename else ""
        raise OSError(f"cannot listen on {path}: {where}{e.strerror or e}") from e


def resident(socket: str, lock: int) -> NoReturn:
    """Serve on the socket whose lock is held already, until nobody calls any more."""
    os.chdir("/")
    paths.complete()
    from cnifast.service import Settings, bind

    settings = Settings.read()
    os._exit(_serve(bind(socket, lock), settings, settings.threads, settings.idle))


def _serve(listener: Listener, settings: Settings, threads: int, idle: int) -> int:
    """Run the service; return the exit status."""
    from cnifast.cli import whole
    from cnifast.cli.handed import handed
    from cnifast.ipam.dhcp.hosted import Hosted
    from cnifast.kernel import netns
    from cnifast.plugins import NAMES, load
    from cnifast.service import Server
    from cnifast.service.log import to_stderr

    log = to_stderr()
    for key in settings.unknown:
        log("settings", unknown=key)
    try:
        netns.settle()
        dhcp = Hosted(log)
    except (OSError, ValueError) as e:
        print(f"cnifast: {e}", file=sys.stderr)
        return 1
    whole.load(log)
    with dhcp:
        server = Server(
            listener,
            load,
            names=NAMES,
            threads=threads,
            idle=idle,
            guest=dhcp,
            command=handed,
            log=log,
        )
        return 0 if server.run() else 1
