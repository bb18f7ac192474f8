"""A kubelet, plugins and a bridge that only write down what network plugins ask of them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

from cnifast.invoke.call import VersionInfo
from cnifast.protocol.errors import CNIError
from cnifast.protocol.result import Interface, IPConfig, Result
from cnifast.protocol.versions import SUPPORTED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from cnifast.invoke.call import Args, Input
    from cnifast.kubernetes import DNSConfig, PortMapping
    from helpers.node import Container, Node

SECONDS = 30
BRIDGE_MAC = "02:00:00:00:00:01"


class FakeHost:
    """A kubelet with the sandboxes that a test puts into it."""

    def __init__(self, *sandboxes: str) -> None:
        self.netns = {id_: f"/run/netns/{id_}" for id_ in sandboxes}
        self.ports: dict[str, list[PortMapping]] = {}
        self.dns: dict[str, DNSConfig] = {}
        self.mac: dict[str, str] = {}

    def get_netns(self, id_: str) -> str:
        """See `cnifast.kubernetes.Host`."""
        try:
            return self.netns[id_]
        except KeyError:
            raise LookupError(f"there is no sandbox {id_}") from None

    def get_pod_port_mappings(self, id_: str) -> list[PortMapping]:
        """See `cnifast.kubernetes.Host`."""
        return self.ports.get(id_, [])

    def get_pod_dns(self, id_: str) -> DNSConfig | None:
        """See `cnifast.kubernetes.Host`."""
        return self.dns.get(id_)

    def get_pod_mac(self, id_: str) -> str:
        """See `cnifast.kubernetes.Host`."""
        return self.mac.get(id_, "")

    def live_pods(self) -> list[str]:
        """See `cnifast.kubernetes.Host`."""
        return list(self.netns)


class Made:
    """A plugin's call as it was made."""

    def __init__(self, args: Args, conf: Input) -> None:
        self.command = args.command
        self.plugin = conf.plugin
        self.container_id = args.container_id
        self.netns = args.netns
        self.ifname = args.ifname
        self.args = args.args
        self.conf = conf.conf

    @property
    def short(self) -> tuple[str, str, str]:
        """Command, plugin and sandbox."""
        return self.command, self.plugin, self.container_id

    @property
    def runtime_config(self) -> Any:
        """What the plugin was given for its capabilities."""
        return self.conf.get("runtimeConfig")


class Held:
    """A call that is held up.

    Attributes:
        go_on: set to let it go.
    """

    def __init__(self) -> None:
        self._begun = threading.Event()
        self.go_on = threading.Event()

    def wait(self) -> None:
        """Be the call: wait until it is let go."""
        self._begun.set()
        assert self.go_on.wait(SECONDS)

    def when_begun(self) -> None:
        """Wait until the call has begun."""
        assert self._begun.wait(SECONDS)


class Threads:
    """Calls that are made by threads of their own; leaving waits for their ends."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, call: Callable[..., object], *arguments: object) -> None:
        """Make a call."""
        self._threads.append(threading.Thread(target=call, args=arguments))
        self._threads[-1].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for thread in self._threads:
            thread.join(SECONDS)


class FakeExec:
    """An Exec that has all plugins but ``missing``, of which each succeeds unless it is to fail.

    Attributes:
        calls: what was made.
        failures: errors by (command, plugin), each for one call.
    """

    def __init__(self, *missing: str) -> None:
        self.missing = missing
        self.calls: list[Made] = []
        self.failures: dict[tuple[str, str], list[CNIError]] = {}
        self._held: dict[tuple[str, str, str], Held] = {}
        self._given = 1
        self._lock = threading.Lock()

    def fail(self, command: str, plugin: str, message: str, code: int = 999) -> None:
        """Have the next call of a plugin fail."""
        self.failures.setdefault((command, plugin), []).append(CNIError(code, message))

    def hold(self, command: str, plugin: str, id_: str) -> Held:
        """Have a call wait until it is let go."""
        held = self._held[command, plugin, id_] = Held()
        return held

    def find_in_path(self, plugin: str, path: str) -> str:
        """See `cnifast.invoke.call.Exec`."""
        if plugin in self.missing:
            raise CNIError(999, f'failed to find plugin "{plugin}" in path [{path}]')
        return ""

    def call(self, args: Args) -> _FakeCall:
        """See `cnifast.invoke.call.Exec`."""
        return _FakeCall(self, args)

    def version_info(self, plugin: str, found: str) -> VersionInfo:  # noqa: ARG002
        """See `cnifast.invoke.call.Exec`."""
        return VersionInfo("1.1.0", tuple(SUPPORTED))

    def make(self, made: Made) -> Result:
        """Make a call."""
        held = self._held.get(made.short)
        if held is not None:
            held.wait()
        with self._lock:
            self.calls.append(made)
            failures = self.failures.get((made.command, made.plugin))
            if failures:
                raise failures.pop(0)
            self._given += made.command == "ADD" and made.plugin == "bridge"
            given = self._given
        interfaces = [Interface("cbr0", BRIDGE_MAC), Interface("veth1"), Interface("eth0")]
        ranges = made.conf.get("ipam", {}).get("ranges", ())
        ips = [
            IPConfig(
                f"fd00::{given}/64" if ":" in r[0]["subnet"] else f"10.244.1.{given}/24", None, 2
            )
            for r in ranges
        ]
        return Result(interfaces, ips)

    def made(self, *commands: str) -> list[tuple[str, str, str]]:
        """Return what was made in short, of these commands or of all, and forget it."""
        found = [c.short for c in self.calls if not commands or c.command in commands]
        self.calls.clear()
        return found


class _FakeCall:
    """See `cnifast.invoke.call.Call`."""

    def __init__(self, exec_: FakeExec, args: Args) -> None:
        self._exec = exec_
        self._args = args

    def with_result(self, found: str, conf: Input) -> Result:  # noqa: ARG002
        return self._exec.make(Made(self._args, conf))

    def without_result(self, found: str, conf: Input) -> None:  # noqa: ARG002
        self._exec.make(Made(self._args, conf))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class FakeBridge:
    """A bridge that only exists on paper; see `cnifast.kubernetes.cbr0.Cbr0`.

    Attributes:
        done: what was asked for, in words.
        left: what ``readdress`` finds to be left for pods of former subnets.
        refuses: an error for everything that is done from now on.
    """

    def __init__(self) -> None:
        self.done: list[str] = []
        self.left: list[str] = []
        self.refuses: OSError | None = None

    def _do(self, what: str) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.done.append(what)

    def filter_packets(self) -> None:
        """See `Cbr0`."""
        self._do("filter")

    def least_mtu(self) -> int:
        """See `Cbr0`."""
        return 1400

    def readdress(self, gateways: Sequence[str], in_use: Collection[tuple[int, int]]) -> list[str]:
        """See `Cbr0`."""
        self._do(f"readdress {' '.join(gateways)} for {len(in_use)}")
        return self.left

    def masquerade(self, pods: Collection[str], cluster: Collection[str]) -> None:
        """See `Cbr0`."""
        self._do(f"masquerade {' '.join(pods)} outside {' '.join(cluster)}")

    def guard(self, mac: str, gateways: Collection[str]) -> None:
        """See `Cbr0`."""
        self._do(f"guard {mac} {' '.join(gateways)}")

    def leave_promiscuous(self) -> None:
        """See `Cbr0`."""
        self._do("leave promiscuous")


class NodeHost(FakeHost):
    """A kubelet whose sandboxes are containers of a test's node."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node

    def start(self, id_: str) -> Container:
        """Start a sandbox."""
        container = self.node.new_container(id_)
        self.netns[id_] = container.path
        return container

    def end(self, id_: str) -> None:
        """End a sandbox, and its namespace with it."""
        del self.netns[id_]
        self.node.remove_container(self.node.containers[id_])
