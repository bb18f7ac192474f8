"""`cnifast ipam`: what addresses are in use, and releasing those that nobody has any more."""

from __future__ import annotations

import json
import os
import sys
import time

from cnifast.invoke.options import attachment, kind, patience
from cnifast.ipam.listing import entries, networks
from cnifast.ipam.store import DEFAULT_DATA_DIR, LOCK_WAIT_MS, Store
from cnifast.protocol.errors import CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    """Declare the subcommands and their options."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    ls = commands.add_parser("ls", help="list the addresses in use, of one or of all networks")
    ls.add_argument("network", metavar="NETWORK", nargs="?")
    ls.add_argument("--json", action="store_true", help="as one JSON array")

    gc = commands.add_parser(
        "gc",
        help="release the addresses of all attachments but the valid ones",
        description="Release the addresses of a network that belong to none of the valid "
        "attachments, and print them.  Name the valid ones with --valid, or give a JSON array "
        'of {"containerID": ..., "ifname": ...} on standard input with --stdin; an object with '
        'such an array under "cni.dev/valid-attachments" is taken, too.  To release all, say '
        "--none-valid.",
    )
    gc.add_argument("network", metavar="NETWORK")
    valid = gc.add_mutually_exclusive_group(required=True)
    valid.add_argument(
        "--valid",
        metavar="ID/IFNAME",
        type=kind(attachment),
        nargs="+",
        action="extend",
        help="attachments to keep, CONTAINER/INTERFACE",
    )
    valid.add_argument("--stdin", action="store_true", help="read the attachments to keep")
    valid.add_argument("--none-valid", action="store_true", help="release everything")
    gc.add_argument(
        "--lock-wait",
        metavar="SECONDS",
        type=kind(patience),
        default=LOCK_WAIT_MS / 1000,
        help="how long to wait for the network's lock (default: %(default)g)",
    )
    for command in (ls, gc):
        command.add_argument(
            "--data-dir", metavar="DIR", default="", help="dataDir of the configuration, if any"
        )


def run(args: Namespace) -> int:
    """Run a subcommand; return the exit status."""
    try:
        return _ls(args) if args.action == "ls" else _gc(args)
    except (CNIError, OSError, ValueError) as e:
        print(f"cnifast ipam {args.action}: {e}", file=sys.stderr)
        return 1


def _ls(args: Namespace) -> int:
    """Print the addresses in use."""
    _tell_of_absence(args)
    names = [args.network] if args.network else networks(args.data_dir)
    found = [(name, entry) for name in names for entry in entries(name, args.data_dir)]
    if args.json:
        shown = [
            {
                "network": name,
                "address": entry.address,
                "containerID": entry.container_id,
                "ifname": entry.ifname,
                "since": entry.since,
            }
            for name, entry in found
        ]
        print(json.dumps(shown))
        return 0
    rows = [
        (name, entry.address, entry.container_id or "-", entry.ifname or "-", _when(entry.since))
        for name, entry in found
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(
            "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return 0


def _when(since: float) -> str:
    """Return a time as text, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since))


def _tell_of_absence(args: Namespace) -> None:
    """Say that host-local never had the network that is named: it may be mistyped."""
    path = os.path.join(args.data_dir or DEFAULT_DATA_DIR, args.network or "")
    if args.network and not os.path.lexists(path):
        print(f"cnifast ipam {args.action}: {path} does not exist", file=sys.stderr)


def _gc(args: Namespace) -> int:
    """Release what is nobody's, and print it."""
    _tell_of_absence(args)
    valid = _attachments(json.load(sys.stdin)) if args.stdin else args.valid or []
    store = Store(args.network, args.data_dir, lock_wait_ms=int(args.lock_wait * 1000))
    for address in store.gc(valid):
        print(address)
    return 0


def _attachments(document: object) -> list[tuple[str, str]]:
    """Return (container ID, interface name) of each attachment of a JSON document."""
    if isinstance(document, dict):
        document = document.get("cni.dev/valid-attachments")
    if not isinstance(document, list):
        raise ValueError("standard input has no array of attachments")  # noqa: TRY004 - see below
    valid = []
    for item in document:
        if not isinstance(item, dict):
            raise ValueError("an attachment is not an object")  # noqa: TRY004 - bad input, not a bug
        container_id, ifname = item.get("containerID"), item.get("ifname")
        if not (isinstance(container_id, str) and container_id and isinstance(ifname, str)):
            raise ValueError(f"an attachment without containerID and ifname: {item}")
        valid.append((container_id, ifname))
    return valid
