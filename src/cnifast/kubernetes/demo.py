"""`python -m cnifast.kubernetes.demo`: what a kubelet does, with as many pods as one likes.

Pods come and go some at a time: their sandboxes are started, their networks set up, their addresses
printed, their networks torn down, and the sandboxes ended.  All of it happens on a private node,
unless it is to happen here; in the end nothing may be left of a pod.  What pods share (bridge,
rules, settings) stays, and is named.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cnifast.invoke import node
from cnifast.invoke.options import count, kind
from cnifast.ipam.listing import entries, networks
from cnifast.kernel import Handle
from cnifast.kernel.lasting import lasting
from cnifast.kubernetes.cni import DEFAULT_BIN_DIR, DEFAULT_CONF_DIR, CNINetworkPlugin
from cnifast.kubernetes.host import ProcessHost
from cnifast.kubernetes.kubenet import KubenetNetworkPlugin
from cnifast.kubernetes.network_plugin import (
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR,
    HairpinMode,
    NetworkPluginError,
)
from cnifast.kubernetes.registry import DEFAULT_NON_MASQUERADE_CIDR, init_network_plugin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from cnifast.kubernetes.network_plugin import NetworkPlugin

NAMESPACE = "default"
POD_CIDR = "10.244.0.0/16,fd00:10:244::/64"


class Kubelet:
    """Starts and ends pods, several at a time, and counts what becomes of them."""

    def __init__(
        self, plugin: NetworkPlugin, host: ProcessHost, workers: int, *, quiet: bool
    ) -> None:
        self._plugin = plugin
        self._host = host
        self._pool = ThreadPoolExecutor(workers)
        self._quiet = quiet
        self.seconds = {"set up": 0.0, "torn down": 0.0}
        self.addresses = 0
        self.faults: list[str] = []

    def run(self, pods: int, at_a_time: int) -> None:
        """Have that many pods come and go."""
        for first in range(0, pods, at_a_time):
            names = [f"pod-{number}" for number in range(first, min(first + at_a_time, pods))]
            names = self._all(self._host.start_pod, names)
            running = self._timed("set up", self._set_up, names)
            for name in running:
                self._show(name)
            self._timed("torn down", self._tear_down, names)
            self._all(self._host.stop_pod, names)

    def _set_up(self, name: str) -> None:
        self._plugin.set_up_pod(NAMESPACE, name, name, {})

    def _tear_down(self, name: str) -> None:
        self._plugin.tear_down_pod(NAMESPACE, name, name)

    def _show(self, name: str) -> None:
        """Print the addresses of a pod."""
        try:
            status = self._plugin.get_pod_network_status(NAMESPACE, name, name)
        except NetworkPluginError as e:
            self.faults.append(str(e))
            return
        ips = status.ips if status else ()
        self.addresses += len(ips)
        if not self._quiet:
            print(f"{NAMESPACE}/{name:10} {' '.join(ips)}")

    def _timed(self, what: str, do: Callable[[str], object], names: list[str]) -> list[str]:
        """Do something for each pod, and see how long it takes for all."""
        start = time.perf_counter()
        done = self._all(do, names)
        self.seconds[what] += time.perf_counter() - start
        return done

    def _all(self, do: Callable[[str], object], names: list[str]) -> list[str]:
        """Do something for each pod, by as many threads as there are; return which it was done."""
        faults = list(self._pool.map(_fault_of(do), names))
        self.faults += filter(None, faults)
        return [name for name, fault in zip(names, faults, strict=True) if not fault]


def _fault_of(do: Callable[[str], object]) -> Callable[[str], str]:
    """Return a function that returns what went wrong, "" for nothing."""

    def attempt(name: str) -> str:
        try:
            do(name)
        except (NetworkPluginError, OSError) as e:
            return str(e)
        return ""

    return attempt


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return 1 when something failed or was left."""
    args = _parse(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    if not (args.here or args.inside):
        try:
            given = sys.argv[1:] if arguments is None else arguments
            return node.run_module("cnifast.kubernetes.demo", given)
        except OSError as e:
            print(f"cnifast: {e}", file=sys.stderr)
            return 1
    if args.inside:
        node.furnish()
    try:
        return _demonstrate(args)
    except (NetworkPluginError, OSError) as e:
        print(f"cnifast: {e}", file=sys.stderr)
        return 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser("python -m cnifast.kubernetes.demo", description=__doc__)
    number = kind(count)
    parser.add_argument("--pods", type=number, default=200, metavar="N")
    parser.add_argument("--at-a-time", type=number, default=20, metavar="K")
    parser.add_argument("--workers", type=number, default=16, metavar="W", help="threads")
    parser.add_argument("--network-plugin", choices=("kubenet", "cni"), default="kubenet")
    parser.add_argument("--pod-cidr", default=POD_CIDR, metavar="CIDR[,CIDR]")
    modes = [mode.value for mode in HairpinMode]
    parser.add_argument("--hairpin-mode", choices=modes, default=HairpinMode.NONE.value)
    parser.add_argument("--conf-dir", default=DEFAULT_CONF_DIR, metavar="DIR", help="of cni")
    parser.add_argument("--bin-dir", default=DEFAULT_BIN_DIR, metavar="DIR", help="of cni")
    parser.add_argument("--here", action="store_true", help="on this host, not on a private node")
    parser.add_argument("--quiet", action="store_true", help="do not print pods")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(node.INSIDE, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def _demonstrate(args: argparse.Namespace) -> int:
    """Run the kubelet where this process is."""
    before, shared = set(_remains()), set(_stays())
    plugins: list[NetworkPlugin] = [
        KubenetNetworkPlugin(),
        CNINetworkPlugin(args.conf_dir, args.bin_dir.split(":")),
    ]
    with ProcessHost() as host:
        plugin = init_network_plugin(
            plugins,
            args.network_plugin,
            host,
            HairpinMode(args.hairpin_mode),
            DEFAULT_NON_MASQUERADE_CIDR,
        )
        detail = {NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR: args.pod_cidr}
        plugin.event(NET_PLUGIN_EVENT_POD_CIDR_CHANGE, detail)
        plugin.status()
        kubelet = Kubelet(plugin, host, args.workers, quiet=args.quiet or args.json)
        kubelet.run(args.pods, args.at_a_time)
    left = sorted(set(_remains()) - before)
    _report(args, kubelet, left, [what for what in _stays() if what not in shared])
    return int(bool(left or kubelet.faults))


def _report(args: argparse.Namespace, kubelet: Kubelet, left: list[str], stays: list[str]) -> None:
    """Print what became of the pods, and what stays on the node that was not there before."""
    rates = {what: args.pods / seconds for what, seconds in kubelet.seconds.items()}
    rates["both"] = args.pods / sum(kubelet.seconds.values())
    if args.json:
        asked = {"pods": args.pods, "at_a_time": args.at_a_time, "workers": args.workers}
        seen = {"addresses": kubelet.addresses, "faults": kubelet.faults}
        print(json.dumps({**asked, "rates": rates, **seen, "left": left, "stays": stays}))
        return
    for fault in kubelet.faults:
        print(f"cnifast: {fault}", file=sys.stderr)
    print(f"{args.pods} pods, {args.at_a_time} at a time, {args.workers} workers")
    for what, rate in rates.items():
        print(f"pods per second, {what}: {rate:.0f}")
    print(f"what is left of the pods: {', '.join(left) or 'nothing'}")
    print(f"what stays for the next ones: {', '.join(stays) or 'nothing new'}")


def _remains() -> Iterator[str]:
    """Yield what pods have of the node: links and addresses."""
    with Handle() as host:
        for link in host.links(kind="veth"):
            yield f"link {link.name}"
    yield from _addresses(networks())


def _stays() -> Iterator[str]:
    """Yield what pods share and leave to the next ones."""
    yield from lasting()
    for name in networks():
        yield f"records of network {name}"


def _addresses(names: Iterable[str]) -> Iterator[str]:
    """Yield the addresses in use in networks."""
    for name in names:
        for entry in entries(name):
            yield f"address {entry.address} of {name}"


if __name__ == "__main__":
    sys.exit(main())
