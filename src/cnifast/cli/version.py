"""`cnifast version`: which versions of the specification there are, here and in plugins."""

from __future__ import annotations

import os
import sys

from cnifast import __version__
from cnifast.cli.network import describe, plugin_path
from cnifast.libcni import CNIConfig, InProcessExec, ProcessExec
from cnifast.protocol import versions
from cnifast.protocol.errors import CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

TIMEOUT = 10  # seconds; a program that is no plugin may wait for ever


def configure(parser: ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "plugins", metavar="PLUGIN", nargs="*", help="a plugin in CNI_PATH that is to be asked"
    )


def run(args: Namespace) -> int:
    """Print versions; return the exit status."""
    if not args.plugins:
        print(f"cnifast {__version__}: {' '.join(versions.SUPPORTED)}")
        return 0
    cni = CNIConfig(plugin_path(os.environ), InProcessExec(ProcessExec(timeout=TIMEOUT)))
    failed = 0
    for plugin in args.plugins:
        try:
            print(f"{plugin}: {' '.join(cni.get_version_info(plugin).supported_versions)}")
        except CNIError as e:
            print(f"cnifast version: {plugin}: {describe(e)}", file=sys.stderr)
            failed = 1
    return failed
