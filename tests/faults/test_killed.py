"""Kill -9 at random moments: no address has two owners, and DEL leaves nothing.

A runtime attaches and detaches containers, several at a time.  The service, or the process of each
cold call, is killed some time after the calls were sent; when decides which states are met, never
whether the test passes.  What was not answered with success, the runtime deletes.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import signal
import socket
import statistics
import sys
import time
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers import ways
from helpers.bench import wait_for
from helpers.node import need_tools
from helpers.plugin import BinaryRunner, Outcome, environment

if TYPE_CHECKING:
    from collections.abc import Iterable

    from helpers.node import Container, Node

STORE = Path("/var/lib/cni/networks")
TRY_AGAIN = 11
AT_ONCE = 4
MEASURED = 6  # rounds of calls that tell how long they take
SERVICE_KILLS = 220
COLD_ROUNDS = 180
MASTER = ("ip link add m0 type veth peer name m1", "ip link set m1 up", "ip link set m0 up")
# The ranges are so small that what leaks is missed.
BRIDGE: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "net",
    "type": "bridge",
    "bridge": "cni0",
    "isGateway": True,
    "ipMasq": True,
    "ipam": {
        "type": "host-local",
        "ranges": [[{"subnet": "10.1.0.0/28"}], [{"subnet": "fd01::/124"}]],
    },
}
GUARDED = {**BRIDGE, "macspoofchk": True}
MACVLAN: dict[str, Any] = {
    "cniVersion": "1.0.0",
    "name": "lan",
    "type": "macvlan",
    "master": "m0",
    "ipam": {"type": "host-local", "subnet": "10.2.0.0/28"},
}
IPTABLES = {**BRIDGE, "ipMasqBackend": "iptables"}
CONFS = (BRIDGE, GUARDED, MACVLAN, IPTABLES, GUARDED, BRIDGE, MACVLAN, GUARDED)


class Pod:
    """A container and its one attachment, as the runtime sees it.

    Attributes:
        addresses: what a successful ADD returned, until DEL is called; () when not attached.
        owed: a DEL is to be called.
    """

    def __init__(self, container: Container, conf: dict[str, Any]) -> None:
        self.container = container
        self.conf = conf
        self.addresses: tuple[str, ...] = ()
        self.owed = False

    @property
    def bare_addresses(self) -> list[str]:
        """The addresses without their prefix lengths."""
        return [address.partition("/")[0] for address in self.addresses]

    @property
    def elements(self) -> list[tuple[str, str]]:
        """What the firewall has because of the pod: (address or "port", owner), ("jump", chain)."""
        if "ipMasqBackend" in self.conf:
            name = f"{self.conf['name']}{self.container.name}".encode()
            chain = f"CNI-{hashlib.sha512(name).hexdigest()[:24]}"
            return [(word, chain) for word in ("chain", "jump") for _ in self.addresses]
        guarded = ["port"] if self.conf.get("macspoofchk") else []
        return [(key, self.container.name) for key in (*guarded, *self.bare_addresses)]


class Call:
    """A plugin that runs."""

    def __init__(self, runner: BinaryRunner, pod: Pod, command: str) -> None:
        self.pod = pod
        self.command = command
        self.process = runner.start(
            pod.conf["type"],
            environment(
                command,
                container_id=pod.container.name,
                netns=pod.container.path,
                ifname="eth0",
                path=runner.plugin_path,
            ),
        )
        if self.process.stdin:
            self.process.stdin.write(json.dumps(pod.conf).encode())
            self.process.stdin.close()
            self.process.stdin = None

    def finish(self) -> Outcome:
        """Wait for its end."""
        stdout, stderr = self.process.communicate(timeout=60)
        return Outcome(self.process.returncode, stdout.decode(), stderr.decode())


class Runtime:
    """A runtime on a node, and what must be true whatever is killed."""

    def __init__(self, node: Node, runner: BinaryRunner, chance: random.Random) -> None:
        need_tools("nft", "iptables", "ip6tables", "iptables-restore")
        for command in MASTER:
            node.run(command)
        self.node = node
        self.runner = runner
        self.chance = chance
        self.known = 0
        self.pods = [Pod(node.new_container(), conf) for conf in CONFS]

    def pick(self) -> list[tuple[Pod, str]]:
        """Choose what is done next: ADD for pods that are not attached, DEL for some that are."""
        count = self.chance.randint(1, AT_ONCE)
        return [
            (pod, "DEL" if pod.addresses else "ADD") for pod in self.chance.sample(self.pods, count)
        ]

    def start(self, wanted: Iterable[tuple[Pod, str]]) -> list[Call]:
        """Send calls; from then on a pod that is deleted has no addresses."""
        calls = []
        for pod, command in wanted:
            if command == "DEL":
                pod.addresses = ()
            calls.append(Call(self.runner, pod, command))
        return calls

    def finish(self, calls: Iterable[Call]) -> list[Outcome]:
        """Take the answers; what an ADD was given must be nobody else's."""
        outcomes = []
        for call in calls:
            outcome = call.finish()
            outcomes.append(outcome)
            call.pod.owed = not outcome.ok
            if outcome.ok and call.command == "ADD":
                taken = set(chain.from_iterable(pod.addresses for pod in self.pods))
                call.pod.addresses = tuple(ip["address"] for ip in outcome.json["ips"])
                assert not taken & set(call.pod.addresses)
        return outcomes

    def attempt(self, wanted: Iterable[tuple[Pod, str]]) -> None:
        """Make calls that nobody disturbs."""
        for outcome in self.finish(self.start(wanted)):
            assert outcome.ok, outcome

    def settle(self) -> None:
        """Delete what is owed, some of it twice, and some without its namespace."""
        owed = [pod for pod in self.pods if pod.owed]
        lost = [pod for pod in owed if self.chance.random() < 0.15]
        for pod in lost:
            self.node.remove_container(pod.container)
        self.attempt((pod, "DEL") for pod in owed)
        self.attempt((pod, "DEL") for pod in owed if self.chance.random() < 0.3)
        for pod in lost:
            pod.container = self.node.new_container(pod.container.name)
        self.check()

    def check(self) -> None:
        """Assert that there is what belongs to attachments that live, and nothing else."""
        wait_for(lambda: self.strangers() == [])
        live = [pod for pod in self.pods if pod.addresses]
        bridged = [pod for pod in live if pod.conf["type"] == "bridge"]
        assert _address_files() == sorted(
            (pod.conf["name"], address, pod.container.name)
            for pod in live
            for address in pod.bare_addresses
        )
        ports = {name for _, name in socket.if_nameindex()} - {"lo", "cni0", "m0", "m1"}
        assert len(ports) == len(bridged)
        for pod in self.pods:
            with self.node.inside(pod.container):
                links = {name for _, name in socket.if_nameindex()}
            assert ("eth0" in links) == bool(pod.addresses), pod.container.name
        assert self._elements() == sorted(chain.from_iterable(pod.elements for pod in bridged))

    def _elements(self) -> list[tuple[str, str]]:
        """Return what the firewall has because of pods; see `Pod.elements`."""
        text = self.node.ruleset()
        owned = re.findall(r'([^\s"]+)"? comment "(?:[0-9a-f:]{17} )?(\w+) eth0 net"', text)
        allowed = re.findall(r'"(veth\w+)" \. ', text)
        assert sorted(allowed) == sorted(key for key, _ in owned if key.startswith("veth"))
        chains = re.findall(r"(chain|jump) (CNI-\w+)", text)
        return sorted(
            [
                *(("port" if key.startswith("veth") else key, owner) for key, owner in owned),
                *chains,
            ]
        )

    def end(self) -> None:
        """Delete everything: nothing is left, and nothing holds a container's namespace."""
        for pod in self.pods:
            pod.owed = True
            pod.addresses = ()
        self.settle()
        for pod in self.pods:
            name = pod.container.name
            self.node.ip(f"link add probe-{name} type veth peer name probe netns {name}")
            self.node.remove_container(pod.container)

    def strangers(self) -> list[int]:
        """Return the processes on the node but the service."""
        return [pid for pid in self.node.processes() if pid != self.known]


def _address_files() -> list[tuple[str, str, str]]:
    """Return (network, address, container) of the files in the stores."""
    return sorted(
        (path.parent.name, path.name, path.read_bytes().split(b"\r\n")[0].decode())
        for path in STORE.glob("*/[0-9a-f]*")
    )


def _seconds_of_a_call(runtime: Runtime) -> float:
    """Return how long calls take of which as many run as later on."""
    took = []
    for _ in range(MEASURED):
        begin = time.monotonic()
        runtime.attempt((pod, "DEL" if pod.addresses else "ADD") for pod in runtime.pods[:AT_ONCE])
        took.append(time.monotonic() - begin)
    return statistics.median(took)


@pytest.fixture
def chance() -> random.Random:
    """Give the source of all decisions; its seed is told with a failure."""
    seed = int(os.environ.get("CNIFAST_SEED") or random.randrange(1 << 32))  # noqa: S311
    sys.stdout.write(f"CNIFAST_SEED={seed}\n")
    return random.Random(seed)  # noqa: S311


def test_killed_service(node: Node, plugin_directory: str, chance: random.Random) -> None:
    """Whenever the service is killed, DEL by the next one leaves nothing."""
    service = ways.Service()
    runtime = Runtime(node, ways.warm(plugin_directory), chance)
    runtime.known = service.pid
    longest = _seconds_of_a_call(runtime)
    broken = 0
    for _ in range(SERVICE_KILLS):
        calls = runtime.start(runtime.pick())
        time.sleep(chance.uniform(0, longest))
        service.kill()
        outcomes = runtime.finish(calls)
        assert {outcome.code for outcome in outcomes} <= {0, TRY_AGAIN}, outcomes
        broken += sum(not outcome.ok for outcome in outcomes)
        service = ways.Service()
        runtime.known = service.pid
        runtime.settle()
    assert broken
    runtime.end()
    assert service.stop() == 0, service.log


def test_killed_cold_calls(node: Node, plugin_directory: str, chance: random.Random) -> None:
    """Whenever processes of cold calls are killed, others get through, and DEL leaves nothing."""
    runtime = Runtime(node, ways.cold(plugin_directory), chance)
    longest = _seconds_of_a_call(runtime)
    broken = 0
    for _ in range(COLD_ROUNDS):
        calls = runtime.start(runtime.pick())
        _kill_some(calls, longest, chance)
        outcomes = runtime.finish(calls)
        assert all(outcome.exit_code in (0, -signal.SIGKILL) for outcome in outcomes), outcomes
        broken += sum(not outcome.ok for outcome in outcomes)
        runtime.settle()
    assert broken
    runtime.end()


def _kill_some(calls: list[Call], longest: float, chance: random.Random) -> None:
    """Kill most of the calls, each at a moment of its own."""
    begin = time.monotonic()
    doomed = chance.sample(calls, chance.randint(1, len(calls)))
    moments = sorted(chance.uniform(0, longest) for _ in doomed)
    for moment, call in zip(moments, doomed, strict=True):
        time.sleep(max(0.0, begin + moment - time.monotonic()))
        call.process.kill()
