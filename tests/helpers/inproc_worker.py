"""A program that calls plugins in process: `inproc_worker.py ANSWER_FD [SITE]`.

It reads a request per line on stdin and writes an answer per line on the descriptor:
{"plugin", "env", "stdin"} -> {"exit", "stdout", "stderr"};
    with "warm": true handles are kept from call to call, as a thread of the service does;
    with "fork": true a child answers, with the "steps" it took, or {"signal"} if it was killed;
    with "last": n as well the child is killed when it is about to do its n-th thing with files;
{"arm", "errno"} -> {}: let the step of that number fail (a build with fault injection);
{"failed": true} -> {"failed"}: the name of the step that did, null if none.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import sys
from typing import Any

if len(sys.argv) > 2 and sys.argv[2]:
    sys.path.insert(0, sys.argv[2])

from cnifast._native import ffi, lib
from cnifast.plugins import load
from cnifast.protocol.request import Place
from cnifast.protocol.skel import dispatch
from cnifast.service.worker import Warm

_warm = Warm()


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
    if "failed" in request:
        step = lib.cnif_fault_failed()
        return {"failed": ffi.string(step).decode() if step else None}
    return _by_child(request) if request.get("fork") else _call(request)


def _call(request: dict[str, Any]) -> dict[str, Any]:
    """Call a plugin."""
    place = Place(warm=_warm if request.get("warm") else None, exits=request.get("fork", False))
    response = dispatch(
        request["plugin"],
        request["env"],
        base64.b64decode(request["stdin"]),
        load,
        place=place,
        is_own_netns=_is_own_netns,
    )
    return {
        "exit": response.exit_code,
        "stdout": response.stdout.decode(),
        "stderr": response.stderr.decode(errors="replace"),
    }


def _by_child(request: dict[str, Any]) -> dict[str, Any]:
    """Call a plugin in a child of this process, which may be killed meanwhile."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        if "last" in request:
            _die_at(request["last"])
        answered = {**_call(request), "steps": lib.cnif_fault_count()}
        os.write(writing, json.dumps(answered).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    found: dict[str, Any] = json.loads(text)
    return found


def _die_at(last: int) -> None:
    """Have this process killed at one of the things it does with files, counted from 1."""
    left = last

    def hook(event: str, _arguments: object) -> None:
        nonlocal left
        if event == "open" or event.startswith("os."):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    """Answer until stdin ends."""
    with os.fdopen(int(sys.argv[1]), "w") as answers:
        for line in sys.stdin:
            answers.write(json.dumps(answer(json.loads(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
