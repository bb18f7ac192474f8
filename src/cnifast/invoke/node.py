"""A private node for demonstrations: a module run where it can touch no network but its own.

The kernel takes everything away when the module ends: namespaces, links, rules, processes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

INSIDE = "--inside"
STORE = "/var/lib/cni"

_ENTER = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_MOUNT = "/bin/mount"


def run_module(module: str, arguments: Sequence[str] = ()) -> int:
    """Run a module of this interpreter, with INSIDE as its last argument; return its exit status.

    Raises:
        PermissionError: it takes root.
        FileNotFoundError: a program for it is missing.
    """
    if os.geteuid() != 0:
        raise PermissionError("network namespaces take root")
    if shutil.which(_ENTER[0]) is None:
        raise FileNotFoundError(f"there is no program {_ENTER[0]} (util-linux)")
    command = [*_ENTER, sys.executable, "-m", module, *arguments, INSIDE]
    return subprocess.run(command, check=False).returncode


def furnish() -> None:
    """Give the node that this process is on directories of its own."""
    for directory in ("/run", STORE):
        os.makedirs(directory, exist_ok=True)
        subprocess.run([_MOUNT, "-t", "tmpfs", "tmpfs", directory], check=True)
    os.makedirs("/run/netns")
