"""Every kernel call of a command is made to fail, one after the other: nothing may be left of it.

The same with the process killed there: what is left then, the runtime's DEL takes away.
"""

from __future__ import annotations

import errno
import re
from typing import TYPE_CHECKING, Any

import pytest

from helpers import flannel
from helpers.case import Case
from helpers.faulty import STEPS_MAX, FaultyRunner, await_equal
from helpers.node import need_tools
from helpers.plugin import Attachment
from helpers.snapshot import Snapshot, changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from helpers.node import Node
    from helpers.plugin import Outcome

V4 = {"type": "host-local", "subnet": "10.1.0.0/24"}
DUAL = {
    "type": "host-local",
    "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]],
    "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
}
STATIC = {
    "type": "static",
    "addresses": [{"address": "10.1.0.9/24", "gateway": "10.1.0.1"}, {"address": "fd01::9/64"}],
    "routes": [{"dst": "10.9.0.0/16"}],
}
GATEWAYS = {
    "type": "static",
    "addresses": [
        {"address": "10.1.0.9/24", "gateway": "10.1.0.1"},
        {"address": "fd01::9/64", "gateway": "fd01::1"},
    ],
}
LED_ELSEWHERE = (
    "ip link add other type veth peer name others",
    "ip link set others up",
    "ip link set other up",
    "ip route add 10.1.0.9 dev other",
    "ip route add fd01::9 dev other",
)
MASTER = ("ip link add m0 type veth peer name m1", "ip link set m1 up", "ip link set m0 up")
DEVICE = (
    "ip link add d0 type veth peer name d1",
    "ip link set d0 up alias uplink",
    "ip link set d1 up",
)
SHORT_DAD = tuple(
    f"ip netns exec pod1 sysctl -qw net.ipv6.conf.default.{setting}=0"
    for setting in ("dad_transmits", "router_solicitation_delay")
)
SUBNET_ENV = " ".join(f"{key}={value}" for key, value in flannel.V4.items())
FLANNELD = ("mkdir /run/flannel", f"sh -c 'printf %s\\\\n {SUBNET_ENV} >/run/flannel/subnet.env'")
OTHER_GATEWAY = ("ip link add cni0 type bridge", "ip addr add 10.7.0.1/16 brd + dev cni0")


ETH0 = (
    "ip link add h0 type veth peer name eth0 netns pod1",
    "ip link set h0 up",
    "ip -n pod1 link set eth0 up",
)
ETH0_ROUTED = (
    *ETH0,
    "ip -n pod1 addr add 10.1.0.5/24 dev eth0",
    "ip -n pod1 addr add fd01::5/64 dev eth0 nodad",
    "ip -n pod1 route add default via 10.1.0.1",
    "ip -n pod1 -6 route add default via fd01::1",
)
ADDRESSES = [
    {"address": "10.1.0.5/24", "gateway": "10.1.0.1", "interface": 0},
    {"address": "fd01::5/64", "gateway": "fd01::1", "interface": 0},
]
PREVIOUS = {"cniVersion": "1.1.0", "interfaces": [{"name": "eth0"}]}


def _bridge(name: str, before: tuple[str, ...] = (), *needs: str, **conf: Any) -> Case:
    """Build a case of the bridge plugin; `needs` are programs."""
    return Case(name, {"bridge": "cni0", **conf}, before=before, tags=frozenset(needs))


def _ports(name: str, *needs: str, **conf: Any) -> Case:
    """Build a case of the portmap plugin, with a pod that is said to be on a bridge of the host."""
    return Case(
        name,
        {
            "prevResult": {
                "cniVersion": "1.1.0",
                "interfaces": [{"name": "br0"}, {"name": "eth0", "sandbox": "/run/netns/pod1"}],
                "ips": [
                    {"address": "10.1.0.5/24", "interface": 1},
                    {"address": "fd01::5/64", "interface": 1},
                ],
            },
            "runtimeConfig": {
                "portMappings": [
                    {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
                    {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "10.1.0.1"},
                    {"hostPort": 54, "containerPort": 53, "protocol": "udp"},
                ]
            },
            **conf,
        },
        plugin="portmap",
        before=(
            "ip link add br0 up type bridge",
            "ip addr add 10.1.0.1/24 dev br0",
            "ip addr add fd01::1/64 dev br0 nodad",
            "nft add table ip track",
            "nft 'add chain ip track out { type nat hook output priority 0; }'",
        ),
        tags=frozenset(("nft", *needs)),
    )


def _firewall(name: str, *needs: str, **conf: Any) -> Case:
    """Build a case of the firewall plugin."""
    return Case(
        f"firewall-{name}",
        {
            "prevResult": {
                "cniVersion": "1.1.0",
                "interfaces": [{"name": "br0"}, {"name": "eth0", "sandbox": "/run/netns/pod1"}],
                "ips": [{"address": "10.1.0.5/24"}, {"address": "fd01::5/64"}],
            },
            **conf,
        },
        plugin="firewall",
        tags=frozenset(("nft", *needs)),
    )


CASES = [
    _bridge("l2"),
    _bridge("plain", ipam=V4),
    _bridge("static", isGateway=True, ipam=STATIC),
    _bridge(
        "ports",
        SHORT_DAD,
        isGateway=True,
        hairpinMode=True,
        portIsolation=True,
        enabledad=True,
        ipam=DUAL,
    ),
    _bridge("vlan", isGateway=True, vlan=100, vlanTrunk=[{"id": 7}], macspoofchk=True, ipam=V4),
    _bridge("force-address", OTHER_GATEWAY, isGateway=True, forceAddress=True, ipam=V4),
    _bridge("nftables", (), "nft", isGateway=True, ipMasq=True, macspoofchk=True, ipam=DUAL),
    _bridge(
        "iptables",
        (),
        "iptables-restore",
        isGateway=True,
        ipMasq=True,
        ipMasqBackend="iptables",
        ipam=V4,
    ),
    Case("macvlan", {"master": "m0", "ipam": DUAL}, plugin="macvlan", before=MASTER),
    Case("loopback", {}, plugin="loopback"),
    Case(
        "tap",
        {"multiQueue": True, "owner": 1, "mtu": 1400, "bridge": "br0", "ipam": DUAL},
        plugin="tap",
        before=("ip -n pod1 link add br0 type bridge",),
    ),
    Case("host-device", {"device": "d0", "ipam": DUAL}, plugin="host-device", before=DEVICE),
    Case("ptp", {"ipMasq": True, "ipam": DUAL}, plugin="ptp", tags=frozenset(["nft"])),
    Case(
        "ptp-led-elsewhere",
        {"ipMasq": True, "ipam": GATEWAYS},
        plugin="ptp",
        before=LED_ELSEWHERE,
        tags=frozenset(["nft"]),
    ),
    Case("host-local", {"ipam": DUAL}, plugin="host-local"),
    Case(
        "flannel",
        {"delegate": {"ipMasq": True}},
        plugin="flannel",
        before=FLANNELD,
        tags=frozenset({"nft"}),
    ),
    _ports("ports-nftables"),
    _ports("ports-conditions", conditionsV4=["ip", "saddr", "!=", "10.9.0.0/16"]),
    _ports("ports-iptables", "iptables-restore", backend="iptables"),
    Case(
        "tuning",
        {
            "sysctl": {"net.ipv4.conf.IFNAME.arp_notify": "1", "net.ipv4.ip_forward": "1"},
            "mac": "02:00:00:00:00:05",
            "mtu": 1400,
            "promisc": True,
            "dataDir": "/var/lib/cni/tuning",
            "prevResult": PREVIOUS,
        },
        plugin="tuning",
        before=ETH0,
    ),
    Case(
        "sbr-table",
        {"table": 1000, "prevResult": {**PREVIOUS, "ips": ADDRESSES}},
        plugin="sbr",
        before=ETH0_ROUTED,
    ),
    _firewall("iptables", "iptables-nft", ingressPolicy="isolated"),
    _firewall("nftables", backend="nftables", ingressPolicy="isolated"),
]
# What a first ADD makes for all that follow, and what the kernel gives to lo.
_MAY_BE_LEFT = r"^file .*(/|/lock|/last_reserved_ip\.\d) |forward|addr lo 127\.0\.0\.1"
THREADS_MAX = 8  # of a process that makes one call at a time, whatever happened before
BY_NAME = {case.name: case for case in CASES}
FEATURE = {"vlan": pytest.mark.second_kernel("bridge VLANs", slow=True)}
each_way = pytest.mark.parametrize("warm", [False, True], ids=["fresh", "warm"])


def some_cases(*names: str) -> pytest.MarkDecorator:
    """Run a test with the cases of these names."""
    params = [pytest.param(BY_NAME[name], marks=FEATURE.get(name, ()), id=name) for name in names]
    return pytest.mark.parametrize("case", params)


each_case = some_cases(*BY_NAME)


class Scene:
    """A node, a program that calls plugins on it, and one attachment of the container pod1."""

    def __init__(self, node: Node, directory: str, case: Case, *, warm: bool = False) -> None:
        need_tools(*case.tags)
        self.node = node
        self.case = case
        self._directory = directory
        self._warm = warm
        self._begin()

    def _begin(self) -> None:
        """Prepare the node."""
        self.pod = self.node.new_container("pod1")
        for command in self.case.before:
            self.node.run(command)
        self.runner = FaultyRunner(self._directory, warm=self._warm)
        self.one = self.attachment("pod1")

    def restart(self) -> None:
        """Begin again on a fresh node."""
        self.runner.close()
        self.node.close()
        self.node.open()
        self._begin()

    def attachment(self, name: str) -> Attachment:
        """Return the attachment of a container."""
        conf = {**self.case.full_conf, "cniVersion": "1.1.0"}
        return Attachment(self.runner, conf, self.node.containers[name])

    def state(self) -> list[str]:
        """Return what is on the node, with every word of the firewall but for what it counts."""
        seen = Snapshot(self.node)
        firewall = re.sub("elements = {|}|,", "\n", seen.firewall)
        firewall = re.sub(r"counter packets \d+ bytes \d+", "counter", firewall)
        lines = (*seen.lines(), *map(str.strip, firewall.splitlines()))
        return [line for line in lines if "/last_reserved_ip." not in line]

    def add(self) -> None:
        """Attach; it must succeed."""
        outcome = self.one.add()
        assert outcome.ok, outcome

    def delete(self) -> None:
        """Detach; it must succeed."""
        outcome = self.one.delete()
        assert outcome.ok, outcome
        self.one.result = None

    def lose_container(self) -> None:
        """Take the container away before DEL, as some runtimes do."""
        self.node.remove_container(self.pod)

    def find_container(self) -> None:
        """Have another container of the same name."""
        self.pod = self.node.new_container("pod1")

    def rehearse(self) -> list[str]:
        """Attach and detach, twice because the second time may find more; return what is left."""
        for _ in range(2):
            self.add()
            self.delete()
        return self.state()


@pytest.fixture
def scene(node: Node, plugin_directory: str) -> Iterator[Callable[..., Scene]]:
    """Build a scene for a case; its program must end properly."""
    made: list[Scene] = []

    def build(case: Case, *, warm: bool = False) -> Scene:
        made.append(Scene(node, plugin_directory, case, warm=warm))
        return made[0]

    yield build
    for one in made:
        one.runner.close()


def _assert_error(outcome: Outcome, step: str) -> None:
    """Assert that a call failed with the kernel's words after the name of the step."""
    assert outcome.code == 999, (step, outcome)
    assert ": input/output error" in outcome.message, (step, outcome)
    assert not outcome.stderr, (step, outcome)


@some_cases(
    *("l2", "ports", "vlan", "nftables", "iptables", "force-address"),
    *("macvlan", "loopback", "flannel", "ptp", "ptp-led-elsewhere", "tap", "host-device"),
    *("ports-nftables", "ports-conditions", "ports-iptables"),
    *("tuning", "firewall-iptables", "firewall-nftables", "sbr-table"),
)
def test_failed_add_on_an_empty_node(scene: Callable[..., Scene], case: Case) -> None:
    """Whichever step of the first ADD fails, no link, address, route or address file is left."""

    def left() -> list[str]:
        seen = Snapshot(the.node, tokens={"pod1": "pod1"})
        return [line for line in seen.lines() if not re.search(_MAY_BE_LEFT, line)]

    the = scene(case)
    before = left()
    for n in range(1, STEPS_MAX):
        outcome, step = the.runner.fail(the.one.add, n, errno.EIO)
        if step is None:
            assert outcome.ok, outcome
            return
        if outcome.ok:
            the.restart()
            before = left()
        else:
            _assert_error(outcome, step)
            assert changes(before, left()) == [], (n, step, outcome)


@each_case
@each_way
def test_failed_add_changes_nothing(scene: Callable[..., Scene], case: Case, warm: bool) -> None:
    """Whichever step of ADD fails, the node and the calling process are as before."""
    the = scene(case, warm=warm)
    before = the.rehearse()
    held = the.runner.settled()
    for outcome, step in the.runner.fail_each(the.one.add):
        if outcome.ok:
            the.delete()
        else:
            _assert_error(outcome, step)
        assert changes(before, the.state()) == [], (step, outcome)
        await_equal(the.runner.held, held)
    the.delete()
    assert changes(before, the.state()) == []
    assert the.runner.threads() <= THREADS_MAX


@some_cases(
    *("l2", "static", "vlan", "nftables", "iptables"),
    *("macvlan", "loopback", "host-local", "flannel", "ptp", "tap", "host-device"),
    *("ports-nftables", "ports-iptables"),
    *("tuning", "firewall-iptables", "firewall-nftables", "sbr-table"),
)
@each_way
def test_failed_delete(scene: Callable[..., Scene], case: Case, warm: bool) -> None:
    """Whichever step of DEL fails, nothing is left when it succeeds, and then the next one does."""
    the = scene(case, warm=warm)
    before = the.rehearse()
    the.add()
    held = the.runner.settled()
    for outcome, step in the.runner.fail_each(the.one.delete):
        if outcome.ok:
            assert changes(before, the.state()) == [], (step, outcome)
        else:
            _assert_error(outcome, step)
        the.delete()
        assert changes(before, the.state()) == [], (step, outcome)
        the.add()
        await_equal(the.runner.held, held)
    assert changes(before, the.state()) == []


@some_cases(
    *("plain", "nftables", "macvlan", "flannel", "ports-nftables", "ptp"),
    *("firewall-iptables", "firewall-nftables"),
)
def test_failed_delete_of_a_container_that_is_gone(scene: Callable[..., Scene], case: Case) -> None:
    """The same without a namespace, for which there are other ways to find what is to go."""
    the = scene(case)
    before = the.rehearse()
    held = the.runner.settled()
    for n in range(1, STEPS_MAX):
        the.add()
        the.lose_container()
        outcome, step = the.runner.fail(the.one.delete, n, errno.EIO)
        if not outcome.ok:
            _assert_error(outcome, f"step {n}, {step}")
            the.delete()
        the.find_container()
        assert changes(before, the.state()) == [], (n, step, outcome)
        await_equal(the.runner.held, held)
        if step is None:
            assert outcome.ok, outcome
            return


@some_cases(
    *("l2", "static", "vlan", "nftables", "iptables"),
    *("macvlan", "loopback", "host-local", "flannel", "ptp", "tap", "host-device"),
    *("ports-nftables", "ports-iptables"),
    *("tuning", "firewall-iptables", "firewall-nftables", "sbr-table"),
)
def test_failed_check(scene: Callable[..., Scene], case: Case) -> None:
    """Whichever step of CHECK fails, it changes nothing."""
    the = scene(case)
    the.add()
    before = the.state()
    outcome = the.one.check()
    assert outcome.ok, outcome
    held = the.runner.settled()
    for outcome, step in the.runner.fail_each(the.one.check):
        if not outcome.ok:
            _assert_error(outcome, step)
        assert changes(before, the.state()) == [], (step, outcome)
        await_equal(the.runner.held, held)


@some_cases(
    *("plain", "nftables", "iptables", "macvlan", "flannel", "ptp"),
    *("firewall-iptables", "firewall-nftables"),
)
def test_failed_gc(scene: Callable[..., Scene], case: Case) -> None:
    """Whichever step of GC fails, the valid stay; the next GC leaves them and nothing else."""

    def collect() -> Outcome:
        valid = [{"containerID": "pod1", "ifname": "eth0"}]
        return the.one.call("GC", **{"cni.dev/valid-attachments": valid})

    def seen() -> list[str]:
        """Leave out what only the container itself can lose: GC of macvlan does not go there."""
        return [line for line in the.state() if not line.startswith("pod2 ")]

    the = scene(case)
    the.node.new_container("pod2")
    stale = the.attachment("pod2")
    the.add()
    assert stale.add().ok
    assert stale.delete().ok
    before = seen()
    held = the.runner.settled()
    for n in range(1, STEPS_MAX):
        assert stale.add().ok
        outcome, step = the.runner.fail(collect, n, errno.EIO)
        lost = [line for line in changes(before, seen()) if line.startswith("-")]
        assert lost == [], (n, step, outcome)
        if not outcome.ok:
            _assert_error(outcome, f"step {n}, {step}")
            outcome = collect()
        assert outcome.ok, outcome
        assert changes(before, seen()) == [], (n, step)
        assert stale.delete().ok
        await_equal(the.runner.held, held)
        if step is None:
            return


KILLED = (
    *("plain", "nftables", "iptables", "macvlan", "flannel"),
    *("ports-nftables", "ports-iptables", "ptp", "ptp-led-elsewhere", "tap", "host-device"),
    *("tuning", "firewall-iptables", "firewall-nftables", "sbr-table"),
)


@some_cases(*KILLED)
def test_killed_add(scene: Callable[..., Scene], case: Case) -> None:
    """At whichever step an ADD is killed, DEL leaves nothing."""
    the = scene(case)
    before = the.rehearse()
    for outcome in the.runner.kill_each(the.one.add):
        the.delete()
        assert changes(before, the.state()) == [], outcome


@some_cases(*KILLED)
def test_killed_delete(scene: Callable[..., Scene], case: Case) -> None:
    """At whichever step a DEL is killed, the next one leaves nothing."""
    the = scene(case)
    before = the.rehearse()
    the.add()
    for outcome in the.runner.kill_each(the.one.delete):
        the.delete()
        assert changes(before, the.state()) == [], outcome
        the.add()
