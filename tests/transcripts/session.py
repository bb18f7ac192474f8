"""A shell session as documents show one: files are written, commands typed, output is looked at."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.node import TOOLS_PATH
from helpers.ways import COMMAND

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
NETDIR = Path("/etc/cni/net.d")
BINARIES = os.path.dirname(COMMAND)


class Session:
    """Commands on the node that the calling thread is on.

    Attributes:
        env: what has been exported.
    """

    def __init__(self, plugins: str) -> None:
        """Start with CNI_PATH known; no service is left behind."""
        self.env = {
            "PATH": f"{BINARIES}:{TOOLS_PATH}",
            "LC_ALL": "C",
            "CNI_PATH": plugins,
            "CNIFAST_SERVICE": "off",
        }

    def write(self, name: str, conf: Mapping[str, Any] | str) -> None:
        """Write a configuration."""
        text = conf if isinstance(conf, str) else json.dumps(conf, indent=4)
        (NETDIR / name).write_text(text)

    def run(self, command: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Type a command in the checkout, with variables before it."""
        return subprocess.run(
            ["bash", "-c", command],
            env={**self.env, **env},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def show(self, command: str, **env: str) -> str:
        """Type a command that works; return what it shows.

        Raises:
            AssertionError: it does not work; carries what it says.
        """
        done = self.run(command, **env)
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout


class Interface:
    """An interface as `ifconfig` shows it."""

    def __init__(self, text: str) -> None:
        """Take the paragraph that is about it."""
        self.flags = set(re.findall(r"flags=\d+<([^>]*)>", text)[0].split(","))
        self.mtu = int(re.findall(r"mtu (\d+)", text)[0])
        self.inet = re.findall(r"inet (\S+)  netmask (\S+)", text)
        self.inet6 = re.findall(r"inet6 (\S+)  prefixlen (\d+)  scopeid \S+<(\w+)>", text)
        self.ether = "".join(re.findall(r"ether (\S+)", text))


def ifconfig(text: str) -> dict[str, Interface]:
    """Return the interfaces that `ifconfig` showed, by name."""
    found = {}
    for paragraph in re.split(r"\n\n+", text.strip()):
        name, _, rest = paragraph.partition(": ")
        found[name] = Interface(rest)
    return found
