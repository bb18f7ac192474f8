"""The cold path: one call of a plugin in a process of its own.

Every import here is paid for by every such call, so there are few.
"""

from __future__ import annotations

import gc
import os
import sys
from _signal import SIG_DFL, SIGCHLD, signal  # without the enumerations of signal

from cnifast.cli import paths
from cnifast.plugins import load
from cnifast.protocol.request import Place
from cnifast.protocol.skel import STDIN_MAX, dispatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from cnifast.protocol.request import Request


def main(arguments: list[str]) -> NoReturn:
    """Run the call that environment and standard input describe, and exit as a plugin does.

    ``arguments`` are the plugin's name and, when a service is to be left for the next call,
    the path of its socket.  `dhcp daemon` is no call but a daemon, as the reference has it.
    """
    signal(SIGCHLD, SIG_DFL)  # the ends of programs are seen, whatever our caller ignores
    paths.complete()
    if arguments[:2] == ["dhcp", "daemon"]:
        from cnifast.cli.__main__ import main as command

        sys.exit(command(arguments))
    gc.disable()
    response = dispatch(
        arguments[0],
        os.environ,
        _read_stdin(),
        load,
        place=Place(exits=True, leaves_service=len(arguments) > 1),
        is_own_netns=_is_own_netns,
    )
    _write(2, response.stderr)
    _write(1, response.stdout)
    if len(arguments) > 1:
        from cnifast.cli.leave import leave_service

        leave_service(arguments[1])
    # Nothing is left to be cleaned up, and the caller is waiting.
    os._exit(response.exit_code)


def _read_stdin() -> bytes:
    """Return standard input, of which one byte more than allowed is enough."""
    chunks = []
    left = STDIN_MAX + 1
    while left:
        chunk = os.read(0, left)
        if not chunk:
            break
        chunks.append(chunk)
        left -= len(chunk)
    return b"".join(chunks)


def _is_own_netns(req: Request) -> bool:
    """Tell whether CNI_NETNS is the network namespace of this process."""
    try:
        theirs = os.stat(req.netns)
    except OSError:
        return False
    ours = os.stat("/proc/self/ns/net")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def _write(fd: int, data: bytes) -> None:
    """Write all of it; exit when nobody reads."""
    try:
        while data:
            data = data[os.write(fd, data) :]
    except OSError:
        sys.exit(1)
