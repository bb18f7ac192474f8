"""A program that calls plugins in process: `inproc_worker.py ANSWER_FD [SITE]`.

It reads a request per line on stdin and writes an answer per line on the descriptor:
{"plugin", "env", "stdin"} -> {"exit", "stdout", "stderr"};
{"arm", "errno"} -> {}: let the step of that number fail (a build with fault injection);
{"count": true} -> {"count"}: the steps taken since.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from typing import Any

if len(sys.argv) > 2 and sys.argv[2]:
    sys.path.insert(0, sys.argv[2])

from cnifast._native import lib
from cnifast.plugins import load
from cnifast.protocol.skel import dispatch


def _is_own_netns(request: Any) -> bool:
    """Tell whether CNI_NETNS is where this program is."""
    try:
        theirs = os.stat(request.netns)
    except OSError:
        return False
    ours = os.stat("/proc/thread-self/ns/net")
    return (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino)


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Do what one request asks for."""
    if "arm" in request:
        lib.cnif_fault_arm(request["arm"], request["errno"])
        return {}
    if "count" in request:
        return {"count": lib.cnif_fault_count()}
    response = dispatch(
        request["plugin"],
        request["env"],
        base64.b64decode(request["stdin"]),
        load,
        is_own_netns=_is_own_netns,
    )
    return {
        "exit": response.exit_code,
        "stdout": response.stdout.decode(),
        "stderr": response.stderr.decode(errors="replace"),
    }


def main() -> None:
    """Answer until stdin ends."""
    with os.fdopen(int(sys.argv[1]), "w") as answers:
        for line in sys.stdin:
            answers.write(json.dumps(answer(json.loads(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
