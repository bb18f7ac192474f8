"""A service whose plugins do nothing but what the name says; run as `python noop_service.py ...`.

It is started like the real one, with another registry: that is the only difference.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING

from cnifast.protocol.errors import CNIError, RunCold
from cnifast.protocol.result import DNS, Result
from cnifast.service import Server, activated, bind
from cnifast.service.log import to_stderr

if TYPE_CHECKING:
    from cnifast.protocol.request import Request


class Plugin:
    """Answers at once."""

    def add(self, _: Request, /) -> Result:
        """Return an empty result."""
        return Result()

    def check(self, req: Request, /) -> None:
        """Succeed."""

    def delete(self, req: Request, /) -> None:
        """Succeed."""

    def gc(self, req: Request, /) -> None:
        """Succeed."""

    def status(self, req: Request, /) -> None:
        """Succeed."""


class Slow(Plugin):
    """Takes the seconds that its configuration asks for."""

    def add(self, req: Request, /) -> Result:
        """Wait, then answer."""
        time.sleep(req.conf["seconds"])
        return Result()


class Held(Plugin):
    """Is at work until something is written to the pipe that its configuration names."""

    def add(self, req: Request, /) -> Result:
        """Wait, as for somebody else if told so, then answer."""
        req.place.waits(req.conf.get("patient", False))
        with open(req.conf["pipe"], "rb") as pipe:
            pipe.read()
        return Result()


class Cold(Plugin):
    """Can only be run by the caller."""

    def add(self, _: Request, /) -> Result:
        """Refuse."""
        raise RunCold("the test wants it")


class Failing(Plugin):
    """Fails in the way its configuration asks for."""

    def add(self, req: Request, /) -> Result:
        """Raise."""
        if req.conf.get("defect"):
            raise RuntimeError("a defect")
        raise CNIError(7, "the test wants it")


class Big(Plugin):
    """Answers with a result of the size that its configuration asks for."""

    def add(self, req: Request, /) -> Result:
        """Return it."""
        return Result(dns=DNS(domain="x" * req.conf["size"]))


class Where(Plugin):
    """Says in its error what it was given."""

    def add(self, req: Request, /) -> Result:
        """Raise."""
        place = req.place
        said = [
            "host=" + ("own" if place.host_netns is None else "fd"),
            "netns=" + ("none" if place.netns is None else "fd"),
            f"mount={place.mount_same}",
            f"delegates={place.delegates}",
            f"warm={type(place.warm).__name__}",
            f"fds={len(os.listdir('/proc/self/fd'))}",
        ]
        raise CNIError(999, " ".join(said))


PLUGINS: dict[str, type[Plugin]] = {
    "noop": Plugin,
    "loopback": Plugin,
    "slow": Slow,
    "held": Held,
    "cold": Cold,
    "failing": Failing,
    "big": Big,
    "where": Where,
}


def main() -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser()
    parser.add_argument("socket")
    parser.add_argument("--idle", type=float, default=0)
    parser.add_argument("--threads", type=int, default=4)
    args = parser.parse_args()
    server = Server(
        activated(os.environ) or bind(args.socket),
        lambda name: PLUGINS[name](),
        threads=args.threads,
        idle=args.idle,
        log=to_stderr(),
    )
    return 0 if server.run() else 1


if __name__ == "__main__":
    sys.exit(main())
