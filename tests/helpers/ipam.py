"""Calling IPAM plugins, the reference's and ours, and looking at the files they keep.

They touch neither namespaces nor links, so they need no private node; ours run in-process.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cnifast.plugins import load
from cnifast.protocol.skel import dispatch

from .plugin import Outcome, environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .plugin import Runner


class InProcess:
    """Our plugins, called as the service calls them."""

    name = "cnifast"
    plugin_path = "/nonexistent"

    def call(self, plugin: str, environment: Mapping[str, str], stdin: bytes) -> Outcome:
        """See `Runner.call`."""
        response = dispatch(plugin, environment, stdin, load, is_own_netns=lambda _: False)
        return Outcome(response.exit_code, response.stdout.decode(), response.stderr.decode())


def call(
    runner: Runner,
    command: str,
    conf: Mapping[str, Any] | str,
    *,
    plugin: str = "host-local",
    container_id: str = "c1",
    ifname: str = "eth0",
    args: str = "",
) -> Outcome:
    """Call an IPAM plugin; ``conf`` is a configuration, or the text of one."""
    stdin = conf if isinstance(conf, str) else json.dumps(conf)
    variables = environment(
        command,
        container_id=container_id,
        netns="/var/run/netns/none",
        ifname=ifname,
        path=runner.plugin_path,
        args=args,
    )
    return runner.call(plugin, variables, stdin.encode())


def host_local(data_dir: Path | str, **ipam: Any) -> dict[str, Any]:
    """Return a configuration of host-local for the network "net"."""
    return {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "bridge",
        "ipam": {"type": "host-local", "dataDir": str(data_dir), **ipam},
    }


def answer(outcome: Outcome) -> Any:
    """Return the JSON of a success, the code of a failure.

    An empty "dns" is left out: whether it is printed depends on the reference's release.
    """
    if not outcome.ok:
        return outcome.code
    found = outcome.json
    if found and found.get("dns") == {}:
        del found["dns"]
    return found


def files(directory: Path) -> dict[str, str]:
    """Return the content of every file of a network's directory but the lock."""
    if not directory.is_dir():
        return {}
    return {
        path.name: path.read_bytes().decode("latin-1")
        for path in sorted(directory.iterdir())
        if path.is_file() and path.name != "lock"
    }


def addresses(directory: Path) -> dict[str, str]:
    """Return the content of every address file of a network's directory."""
    return {
        name: text
        for name, text in files(directory).items()
        if not name.startswith(("last_reserved_ip.", "."))
    }
