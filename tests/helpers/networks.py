"""Networks on a node: their configurations, and what is there of their attachments."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnifast.invoke.process import ProcessExec
from cnifast.libcni import conf_list_from_bytes

from . import ways
from .node import TOOLS_PATH

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cnifast.invoke.call import Args
    from cnifast.libcni import NetworkConfigList

NETDIR = Path("/etc/cni/net.d")
CACHE = Path("/var/lib/cni/results")
STORE = Path("/var/lib/cni/networks/mynet")
BRIDGE: dict[str, Any] = {
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": True,
    "capabilities": {"mac": True},
    "ipam": {"type": "host-local", "subnet": "10.22.0.0/16"},
}
DUAL: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "bridge",
    "isDefaultGateway": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]],
    },
}
MYNET = {"cniVersion": "1.1.0", "name": "mynet", "plugins": [BRIDGE]}
NETNS = "/run/netns/blue"


class Shell:
    """The command on a node, in a directory of plugins.

    Attributes:
        env: the environment of every command.
    """

    def __init__(self, plugins: str, mode: str) -> None:
        self.env = {"PATH": TOOLS_PATH, "CNI_PATH": plugins, "CNIFAST_SERVICE": mode}

    def run(self, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run the command."""
        return subprocess.run(
            [ways.COMMAND, *words],
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def ok(self, *words: str, **env: str) -> str:
        """Run the command, which works; return what it prints.

        Raises:
            AssertionError: it does not.
        """
        done = self.run(*words, **env)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def refused(self, *words: str, **env: str) -> str:
        """Run the command, which fails and prints nothing but one line of error; return that.

        Raises:
            AssertionError: it does something else.
        """
        done = self.run(*words, **env)
        assert (done.returncode, done.stdout) == (1, "")
        [line] = done.stderr.splitlines()
        return line


def write(name: str, conf: Mapping[str, Any] | str) -> None:
    """Write a configuration."""
    (NETDIR / name).write_text(conf if isinstance(conf, str) else json.dumps(conf))


def taken() -> list[str]:
    """Return the addresses that are assigned."""
    return sorted(path.name for path in STORE.glob("*.*.*.*"))


class Nothing(ProcessExec):
    """An Exec for plugins that are not ours, for tests in which there are none."""

    def call(self, args: Args) -> Any:
        """Refuse."""
        raise AssertionError(f"{args.command} is not to be executed")


def network(*plugins: Any, **keys: Any) -> NetworkConfigList:
    """Return a network of plugins."""
    conf = {"cniVersion": "1.1.0", "name": "mynet", "plugins": list(plugins), **keys}
    return conf_list_from_bytes(json.dumps(conf).encode())
