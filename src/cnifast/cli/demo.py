"""`cnifast demo`: attach a container to a bridge network, look at it, detach it.

All of it happens in namespaces of its own (network, mounts, processes): the machine's network is
not touched, no packet leaves it, and the kernel takes everything away when the demo ends.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from cnifast.cli.install import install
from cnifast.invoke import node
from cnifast.kernel import Handle, NetNS, netns
from cnifast.kernel.lasting import lasting
from cnifast.kernel.nft import NftSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterator

NETWORK: dict[str, object] = {
    "cniVersion": "1.1.0",
    "name": "demo",
    "type": "bridge",
    "bridge": "cnifast0",
    "isDefaultGateway": True,
    "ipMasq": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.88.0.0/16"}], [{"subnet": "fd88::/64"}]],
    },
}
LOOPBACK: dict[str, object] = {"cniVersion": "1.1.0", "name": "demo-lo", "type": "loopback"}
INTERFACES = (("lo", LOOPBACK), ("eth0", NETWORK))
CONTAINER = "demo"
NETNS = f"/run/netns/{CONTAINER}"
PLUGINS = "/run/plugins"
STORE = f"{node.STORE}/networks/{NETWORK['name']}"
MAIN_TABLE = 254


def configure(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(node.INSIDE, action="store_true", help="not for users: we are on the node")


def run(args: Namespace) -> int:
    """Run the demo; return 1 when something was left."""
    if args.inside:
        return _demonstrate()
    try:
        return node.run_module("cnifast.cli", ["demo"])
    except OSError as e:
        print(f"cnifast: {e}", file=sys.stderr)
        return 1


def _demonstrate() -> int:
    """Do what the demo is about, on the private node that this process is on already."""
    node.furnish()
    before = lasting()
    install(PLUGINS)
    netns.create(NETNS)
    print(f"A node of its own, a container's namespace {NETNS}, and the network")
    print(f"  {json.dumps(NETWORK)}")
    print("\nADD, through the installed plugin binaries:")
    results = {ifname: _call("ADD", ifname, conf) for ifname, conf in INTERFACES}
    print("\nWhat the container has:")
    with NetNS(NETNS) as container, Handle(container) as inside:
        _show(inside)
    print("\nCHECK and DEL:")
    for ifname, conf in reversed(INTERFACES):
        _call("CHECK", ifname, {**conf, "prevResult": results[ifname]})
        _call("DEL", ifname, {**conf, "prevResult": results[ifname]})
    print("\nOnce more, now that the first call has left a service behind:")
    result = _call("ADD", "eth0", NETWORK)
    _call("DEL", "eth0", {**NETWORK, "prevResult": result})
    left = list(_left())
    print(f"\nWhat is left of the container: {', '.join(left) or 'nothing'}")
    print("What stays for the next one, and ends with this node here:")
    for what in (*lasting(), f"directory {STORE}"):
        if what not in before:
            print(f"  {what}")
    return int(bool(left))


def _call(command: str, ifname: str, conf: dict[str, object]) -> object:
    """Execute a plugin binary as a container runtime does; return its result.

    Raises:
        SystemExit: it failed; its answer has been printed.
    """
    start = time.perf_counter()
    done = subprocess.run(
        [f"{PLUGINS}/{conf['type']}"],
        input=json.dumps(conf).encode(),
        stdout=subprocess.PIPE,
        env={
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": CONTAINER,
            "CNI_NETNS": NETNS,
            "CNI_IFNAME": ifname,
            "CNI_PATH": PLUGINS,
        },
        check=False,
    )
    took = (time.perf_counter() - start) * 1000
    print(f"  {conf['type']:9} {command:5} {ifname:5} {took:6.1f} ms")
    if done.returncode != 0:
        sys.exit(done.stdout.decode())
    return json.loads(done.stdout) if done.stdout else None


def _show(handle: Handle) -> None:
    """Print links, addresses and routes by way of a gateway of a namespace."""
    names = {}
    for link in handle.links():
        names[link.index] = link.name
        state = "up" if link.is_up else "down"
        print(f"  {link.name:5} {link.kind or 'device':7} {state:5} mtu {link.mtu:<6} {link.mac}")
        for address in handle.addresses(index=link.index):
            print(f"  {'':5} {address}")
    for route in handle.routes(table=MAIN_TABLE):
        if route.gateway:
            print(f"  {route.destination} via {route.via} dev {names[route.oif]}")


def _left() -> Iterator[str]:
    """Yield what should not be there any more."""
    with Handle() as host:
        for link in host.links():
            if link.kind == "veth":
                yield f"link {link.name}"
    with NetNS(NETNS) as container, Handle(container) as inside:
        for link in inside.links():
            if link.kind == "veth":
                yield f"link {link.name} in the container"
    with NftSocket() as nft:
        for element in nft.masquerades("demo"):
            yield f"masquerading of {element.address}"
    for directory, _, names in os.walk(STORE):
        for name in names:
            if name != "lock" and not name.startswith("last_reserved_ip."):
                yield os.path.join(directory, name)
