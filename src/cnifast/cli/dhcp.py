"""`cnifast dhcp daemon`: keeps the leases of containers, as the reference's `dhcp daemon` does.

The service hosts such a daemon anyhow; this one is for those who want one by itself.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from argparse import ArgumentTypeError

from cnifast.ipam.dhcp.conf import DEFAULT_SOCKET

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import MutableMapping

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_FIRST_ACTIVATED = 3


def configure(parser: ArgumentParser) -> None:
    """Declare the options, by the names that the reference has for them."""
    parser.add_argument("action", choices=["daemon"], metavar="daemon", help="run the daemon")
    for name, default, text in (
        ("socketpath", DEFAULT_SOCKET, "socket that plugins connect to"),
        ("pidfile", "", "write the process ID into this file"),
        ("hostprefix", "", "put this before the paths of the socket and of namespaces"),
    ):
        parser.add_argument(f"-{name}", f"--{name}", metavar="PATH", default=default, help=text)
    for name, seconds, text in (
        ("timeout", 10.0, "how long to wait for the answer to a request"),
        ("resendmax", 62.0, "the longest delay between packets"),
        ("resendtimeout", 208.0, "how long to try to get a lease"),
    ):
        parser.add_argument(
            f"-{name}",
            f"--{name}",
            metavar="DURATION",
            type=duration,
            default=seconds,
            help=f"{text} (such as 1m30s; default {seconds:g}s)",
        )
    parser.add_argument(
        "-broadcast",
        "--broadcast",
        metavar="BOOL",
        nargs="?",
        const=True,
        default=False,
        type=_truth,
        help="ask servers to broadcast their answers",
    )


def run(args: Namespace) -> int:
    """Keep leases until told to stop; return the exit status."""
    from cnifast.ipam.dhcp.daemon import BusyError, Daemon
    from cnifast.ipam.dhcp.exchange import Timing
    from cnifast.service.log import to_stderr

    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # the threads to come inherit it
    log = to_stderr()
    try:
        with Daemon(
            args.socketpath or DEFAULT_SOCKET,
            root=args.hostprefix,
            timing=Timing(args.timeout, args.resendmax, args.resendtimeout),
            broadcast=args.broadcast,
            given=_activated(os.environ),
            log=log,
        ):
            if args.pidfile:
                _write_pid(args.pidfile)
            log("ready", socket=args.hostprefix + args.socketpath, pid=os.getpid())
            end = signal.sigwait(ends)
            if args.pidfile:
                os.unlink(args.pidfile)
    except (BusyError, OSError, ValueError) as e:
        print(f"dhcp: {e}", file=sys.stderr)
        return 1
    log("stopped", reason=signal.Signals(end).name)
    return 0


def duration(text: str) -> float:
    """Return the seconds of a duration as Go writes it, such as "1m30s".

    Raises:
        ArgumentTypeError: it is none, or not a positive one.
    """
    seconds, rest = 0.0, text
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("hmsun"))]
        rest = rest[len(unit) :]
        try:
            seconds += float(number) * _UNITS[unit]
        except (ValueError, KeyError):
            break
    else:
        if seconds > 0:
            return seconds
    raise ArgumentTypeError(f"{text!r} is no duration such as 10s or 1m30s")


def _truth(text: str) -> bool:
    """Return a truth value as Go takes it."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ArgumentTypeError(f"{text!r} is neither true nor false")


def _write_pid(path: str) -> None:
    """Write the process ID into a file.

    Raises:
        ValueError: the path is not absolute.
        OSError: it cannot be written.
    """
    if not path.startswith("/"):
        raise ValueError(f"Error writing pidfile {path!r}: path not absolute")
    with open(path, "w", encoding="ascii") as file:
        file.write(str(os.getpid()))


def _activated(env: MutableMapping[str, str]) -> socket.socket | None:
    """Return the socket that systemd handed over, None when it did not.

    Raises:
        ValueError: it handed over several.
    """
    if env.get("LISTEN_PID") != str(os.getpid()):
        return None
    count = env.get("LISTEN_FDS", "")
    if count != "1":
        raise ValueError(f"Too many ({count}) FDs passed through socket activation")
    return socket.socket(fileno=_FIRST_ACTIVATED)
