"""Plugins called from Python: what a runtime does by executing a binary, in this process."""

from __future__ import annotations

import os

from cnifast.plugins import load
from cnifast.plugins.base import is_own_netns
from cnifast.protocol.codec import dumps, loads
from cnifast.protocol.errors import INTERNAL, CNIError
from cnifast.protocol.skel import dispatch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cnifast.protocol.request import Request
    from cnifast.protocol.result import Result
    from cnifast.protocol.skel import Plugin


class _Recorder:
    """A plugin that keeps what another one returned or raised."""

    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin
        self.result: Result | None = None
        self.error: Exception | None = None

    def add(self, req: Request, /) -> Result:
        self.result = self._run(self._plugin.add, req)
        return self.result

    def check(self, req: Request, /) -> None:
        self._run(self._plugin.check, req)

    def delete(self, req: Request, /) -> None:
        self._run(self._plugin.delete, req)

    def gc(self, req: Request, /) -> None:
        self._run(self._plugin.gc, req)

    def status(self, req: Request, /) -> None:
        self._run(self._plugin.status, req)

    def _run(self, call: Any, req: Request) -> Any:
        try:
            return call(req)
        except Exception as e:
            self.error = e
            raise


def call(
    command: str,
    plugin: str,
    conf: Mapping[str, Any] | bytes,
    *,
    container_id: str = "",
    netns: str = "",
    ifname: str = "",
    args: str = "",
    path: str | None = None,
) -> Result | None:
    """Run one command of a plugin by the rules of the specification; the Result of ADD.

    Raises:
        CNIError: whatever the plugin would have answered as an error.
    """
    env = {
        **os.environ,
        "CNI_COMMAND": command,
        "CNI_CONTAINERID": container_id,
        "CNI_NETNS": netns,
        "CNI_IFNAME": ifname,
        "CNI_ARGS": args,
        "CNI_PATH": path or os.environ.get("CNI_PATH") or os.defpath,
    }
    stdin = conf if isinstance(conf, bytes) else dumps(dict(conf))
    recorder = _Recorder(load(plugin))
    response = dispatch(plugin, env, stdin, lambda _: recorder, is_own_netns=is_own_netns)
    if response.exit_code:
        raise _as_error(response.stdout) from recorder.error
    return recorder.result


def _as_error(stdout: bytes) -> CNIError:
    """Return the error that a plugin printed."""
    body = loads(stdout)
    return CNIError(body.get("code", INTERNAL), body.get("msg", ""), body.get("details", ""))
