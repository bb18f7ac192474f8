"""`cnifast run`: a program in a network namespace that is attached to networks while it runs."""

from __future__ import annotations

import os
import sys

from cnifast.cli.interrupt import GRACE, SIGNALS
from cnifast.cli.network import (
    LOOPBACK,
    add_all,
    attachments,
    capability_args,
    del_all,
    describe,
    interfaces,
    netdir,
    plugin_path,
    require_declared,
)
from cnifast.cli.run_plugins import Plugins
from cnifast.invoke.options import kind, seconds
from cnifast.libcni import (
    CNIConfig,
    conf_from_bytes,
    conf_list_from_conf,
    load_all,
    load_network_conf,
)
from cnifast.protocol.codec import dumps
from cnifast.protocol.errors import CNIError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Sequence

    from cnifast.libcni import NetworkConfigList

NAMESPACES = "/run/netns"
LO = {"cniVersion": "1.0.0", "name": "lo", "type": LOOPBACK}
EXIT_NOT_RUN, EXIT_NOT_FOUND = 126, 127  # as shells have them


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "-n",
        "--network",
        metavar="NETWORK",
        action="append",
        help="attach to this one (default: all in NETCONFPATH, in the order of their files)",
    )
    parser.add_argument("--container-id", metavar="ID", help="(default: a random one)")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=kind(seconds),
        help="kill a plugin's program that takes longer (default: wait for it)",
    )
    parser.add_argument("program", metavar="PROGRAM")
    parser.add_argument("arguments", metavar="ARGUMENT", nargs="...")


def run(args: Namespace) -> int:
    """Run the program; return its exit status, or 128 and the number of what killed it.

    127 where there is no such program, 126 where it cannot be run.
    """
    SIGNALS.grace = GRACE
    try:
        plugins = Plugins(exits=True, timeout=args.timeout)
        try:
            return _run(CNIConfig(plugin_path(os.environ), plugins.exec), args)
        finally:
            plugins.leave_service()
    except (CNIError, OSError) as e:
        print(f"cnifast run: {describe(e) if isinstance(e, CNIError) else e}", file=sys.stderr)
        return 1


def networks(names: Sequence[str] | None) -> list[NetworkConfigList]:
    """Return the networks of these names, or all; one with loopback is always among them."""
    directory = netdir(os.environ)
    nets = [load_network_conf(directory, name) for name in names] if names else load_all(directory)
    if all(plugin.type != LOOPBACK for net in nets for plugin in net.plugins):
        nets.append(conf_list_from_conf(conf_from_bytes(dumps(LO))))
    return nets


def _run(cni: CNIConfig, args: Namespace) -> int:
    """Make a namespace, attach it, run the program in it, and take all of it away again."""
    from cnifast.kernel import netns

    nets = networks(args.network)
    require_declared(nets, capability_args(os.environ))
    owner = args.container_id or os.urandom(8).hex()
    path = f"{NAMESPACES}/{owner}"
    meant = attachments(interfaces(nets), owner, path, os.environ)
    os.makedirs(NAMESPACES, exist_ok=True)
    netns.create(path)
    try:
        add_all(cni, meant, SIGNALS)
        try:
            return _program(path, [args.program, *args.arguments])
        finally:
            SIGNALS.settle()
            del_all(cni, meant)
    finally:
        netns.remove(path)


def _program(path: str, argv: Sequence[str]) -> int:
    """Run a program in a namespace; return its exit status."""
    if SIGNALS.fork() == 0:
        _become(path, argv)
    return SIGNALS.wait()


def _become(path: str, argv: Sequence[str]) -> None:
    """Become a program in a namespace."""
    from cnifast.kernel import NetNS, netns

    status = EXIT_NOT_RUN
    try:
        namespace = NetNS(path)
        try:
            netns.become(namespace, argv)
        except FileNotFoundError:
            status = EXIT_NOT_FOUND
            raise
    except (OSError, ValueError) as e:
        os.write(2, f"cnifast run: {e}\n".encode())
    finally:
        os._exit(status)
