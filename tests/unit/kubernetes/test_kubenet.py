"""kubenet without a kernel: what it asks of the plugins, the bridge and the kubelet, and when."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kubernetes import (
    NET_PLUGIN_CAPABILITY_SHAPER,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR,
    KubenetNetworkPlugin,
    NetworkPluginError,
    PodNetworkStatus,
    PortMapping,
)
from cnifast.plugins import MODULES
from helpers.kubelet import BRIDGE_MAC, FakeBridge, FakeExec, FakeHost

if TYPE_CHECKING:
    from collections.abc import Mapping

SECONDS = 30
V4, BOTH = "10.244.1.0/24", "10.244.1.0/24,fd00::/64"
USELESS_CIDRS = (
    *(None, 5, "", "10.244.1.0", "x", f"{V4},"),
    *(f"{V4},10.245.0.0/24", "10.244.1.0/31", "fd00::/127"),
)
EXHAUSTED = "failed to allocate for range 0: no IP addresses available in range set: 10.244.1.1-.2"


class Setup:
    """A plugin with a host, plugins and a bridge that write down what is asked of them."""

    def __init__(self, tmp_path: Path) -> None:
        self.host = FakeHost("c1", "c2", "c3")
        self.exec = FakeExec()
        self.bridge = FakeBridge()
        self.store = tmp_path / "networks"
        self.cache = tmp_path / "cache"
        self.plugin = self.again()

    def again(self) -> KubenetNetworkPlugin:
        """Return another plugin on the same node, as after a restart."""
        return KubenetNetworkPlugin(self.exec, str(self.cache), str(self.store), self.bridge)

    def init(self, hairpin: str = "none", inside: str = "10.0.0.0/8", mtu: int = 0) -> None:
        """Initialise the plugin."""
        self.plugin.init(self.host, hairpin, inside, mtu)

    def event(self, cidr: object) -> None:
        """Tell of the node's pod CIDRs."""
        self.plugin.event(
            NET_PLUGIN_EVENT_POD_CIDR_CHANGE, {NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR: cidr}
        )

    def ready(self, cidr: str = V4, **how: Any) -> None:
        """Initialise the plugin, tell of the CIDRs, and forget what that took."""
        self.init(**how)
        self.event(cidr)
        self.exec.calls.clear()
        self.bridge.done.clear()

    def up(self, id_: str = "c1", annotations: Mapping[str, str] | None = None) -> None:
        """Set up a pod."""
        self.plugin.set_up_pod("default", f"pod-{id_}", id_, annotations or {})

    def down(self, id_: str = "c1") -> None:
        """Tear down a pod."""
        self.plugin.tear_down_pod("default", f"pod-{id_}", id_)

    def ips(self, id_: str = "c1") -> tuple[str, ...]:
        """Return a pod's addresses."""
        return self.plugin.get_pod_network_status("default", f"pod-{id_}", id_).ips

    def has_address(self, text: str, owner: str = "gone") -> None:
        """Have host-local's store know an address."""
        directory = self.store / "kubenet"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / text).write_text(f"{owner}\r\neth0")


@pytest.fixture
def kubenet(tmp_path: Path) -> Setup:
    """A plugin that has not been initialised."""
    return Setup(tmp_path)


# -- before a pod CIDR is known --------------------------------------------------------------------


def test_nothing_can_be_set_up_before_a_pod_cidr_is_known(kubenet: Setup) -> None:
    """Status and set-up fail until the node's pod CIDR is known, and no plugin is called."""
    kubenet.init()
    with pytest.raises(NetworkPluginError, match="pod CIDR is not known yet"):
        kubenet.plugin.status()
    with pytest.raises(NetworkPluginError, match=r"set up pod default/pod-c1: .*not known yet"):
        kubenet.up()
    with pytest.raises(NetworkPluginError, match=r"tear down pod default/pod-c1: .*not known yet"):
        kubenet.down()
    assert kubenet.exec.calls == []
    kubenet.event(V4)
    kubenet.plugin.status()
    kubenet.up()


@pytest.mark.parametrize(
    "cidr",
    [
        None,
        5,
        "",
        "10.244.1.0",
        "x",
        f"{V4},10.245.0.0/24",
        f"{V4},",
        "10.244.1.0/31",
        "fd00::/127",
    ],
)
def test_an_event_without_usable_cidrs_is_ignored(
    kubenet: Setup, cidr: object, caplog: pytest.LogCaptureFixture
) -> None:
    """What is no CIDR, or has no room for pods, is logged and changes nothing."""
    kubenet.init()
    kubenet.event(cidr)
    with pytest.raises(NetworkPluginError):
        kubenet.plugin.status()
    kubenet.event(V4)
    kubenet.bridge.done.clear()
    kubenet.event(cidr)
    kubenet.plugin.status()
    assert kubenet.bridge.done == []
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]


def test_other_events_are_ignored(kubenet: Setup) -> None:
    """Only a change of the pod CIDR concerns kubenet."""
    kubenet.init()
    kubenet.plugin.event("something-else", {NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR: V4})
    with pytest.raises(NetworkPluginError):
        kubenet.plugin.status()


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"hairpin": "sideways"}, 'hairpin mode "sideways" is none of promiscuous-bridge, hairpin'),
        ({"mtu": -1}, "MTU -1 is not between 0 and 65535"),
        ({"mtu": 65536}, "MTU 65536 is not"),
        ({"inside": "10.0.0.0"}, 'non-masquerade CIDR "10.0.0.0" is not a subnet'),
        ({"inside": ""}, 'non-masquerade CIDR "" is not a subnet'),
        ({"inside": "10.0.0.0/8,11.0.0.0/8"}, "names two subnets of a family"),
    ],
)
def test_arguments_that_make_no_sense(kubenet: Setup, how: dict[str, Any], why: str) -> None:
    """A wrong argument is refused before anything is done."""
    with pytest.raises(NetworkPluginError, match=why):
        kubenet.init(**how)
    assert kubenet.bridge.done == []


def test_name_and_capabilities(kubenet: Setup) -> None:
    """The plugin is called kubenet and limits bandwidth."""
    assert kubenet.plugin.name() == "kubenet"
    assert kubenet.plugin.capabilities() == {NET_PLUGIN_CAPABILITY_SHAPER}


# -- configuration ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hairpin", "veth", "promisc"),
    [
        ("none", False, False),
        ("hairpin-veth", True, False),
        ("promiscuous-bridge", False, True),
    ],
)
def test_the_network(kubenet: Setup, hairpin: str, veth: bool, promisc: bool) -> None:
    """The bridge plugin gets cbr0 with ranges, routes and MTU, and one of the hairpin modes."""
    kubenet.ready(BOTH, hairpin=hairpin, mtu=1300)
    kubenet.up()
    bridge = kubenet.exec.calls[1].conf
    assert bridge == {
        "cniVersion": "1.1.0",
        "name": "kubenet",
        "type": "bridge",
        "bridge": "cbr0",
        "mtu": 1300,
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": veth,
        "promiscMode": promisc,
        "ipam": {
            "type": "host-local",
            "dataDir": str(kubenet.store),
            "ranges": [[{"subnet": "10.244.1.0/24"}], [{"subnet": "fd00::/64"}]],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
        },
    }


def test_the_mtu_is_the_smallest_of_the_host_by_default(kubenet: Setup) -> None:
    """Without an MTU the one that the bridge finds is used."""
    kubenet.ready()
    kubenet.up()
    assert kubenet.exec.calls[1].conf["mtu"] == 1400


def test_what_init_does(kubenet: Setup) -> None:
    """Bridged packets are filtered; what a former promiscuous mode has left goes."""
    kubenet.init()
    assert kubenet.bridge.done == ["filter", "leave promiscuous"]
    kubenet.bridge.done.clear()
    kubenet.init(hairpin="promiscuous-bridge")
    assert kubenet.bridge.done == ["filter"]


# -- setting up and tearing down -------------------------------------------------------------------


def test_loopback_first(kubenet: Setup) -> None:
    """A pod's lo is set up before eth0; it is torn down after it."""
    kubenet.ready()
    kubenet.up()
    calls = kubenet.exec.calls
    assert [(c.command, c.plugin, c.ifname, c.netns) for c in calls] == [
        ("ADD", "loopback", "lo", "/run/netns/c1"),
        ("ADD", "bridge", "eth0", "/run/netns/c1"),
    ]
    calls.clear()
    kubenet.down()
    assert [(c.command, c.plugin, c.ifname) for c in calls] == [
        ("DEL", "bridge", "eth0"),
        ("DEL", "loopback", "lo"),
    ]


def test_the_masquerading_is_ensured_with_each_pod(kubenet: Setup) -> None:
    """Whoever removes the rules has them again with the next pod."""
    kubenet.ready(BOTH, inside="10.0.0.0/8,fd00::/8")
    for id_ in ("c1", "c2"):
        kubenet.up(id_)
    rule = "masquerade 10.244.1.0/24 fd00::/64 outside 10.0.0.0/8 fd00::/8"
    assert kubenet.bridge.done == [rule, rule]


def test_a_pod_without_masquerading_is_none(kubenet: Setup) -> None:
    """If the rules cannot be made no plugin is called."""
    kubenet.ready()
    kubenet.bridge.refuses = PermissionError("no rules for you")
    with pytest.raises(NetworkPluginError, match="default/pod-c1: no rules for you"):
        kubenet.up()
    assert kubenet.exec.calls == []


def test_a_promiscuous_bridge_is_guarded(kubenet: Setup, caplog: pytest.LogCaptureFixture) -> None:
    """With each pod the guard is ensured, for the bridge's MAC and addresses; as well as it can."""
    kubenet.ready(BOTH, hairpin="promiscuous-bridge")
    kubenet.up()
    assert kubenet.bridge.done[1:] == [f"guard {BRIDGE_MAC} 10.244.1.1/24 fd00::1/64"]

    def guard(*_: object) -> None:
        raise OSError("no guard")

    kubenet.bridge.guard = guard  # type: ignore[method-assign]
    kubenet.up("c2")
    assert "packets may be delivered twice: no guard" in caplog.text
    assert kubenet.ips("c2")


def test_addresses(kubenet: Setup) -> None:
    """The status of a pod has all its addresses, the first of which it is known by."""
    kubenet.ready(BOTH)
    kubenet.up()
    status = kubenet.plugin.get_pod_network_status("default", "pod-c1", "c1")
    assert status == PodNetworkStatus(["10.244.1.2", "fd00::2"])
    assert status.ip == "10.244.1.2"
    assert "10.244.1.2" in repr(status)
    assert hash(status) == hash(PodNetworkStatus(status.ips))


def test_no_addresses_without_a_pod(kubenet: Setup) -> None:
    """The status of an unknown sandbox, or of one whose namespace is gone, is an error."""
    kubenet.ready()
    with pytest.raises(NetworkPluginError, match="pod default/pod-c9: no network namespace"):
        kubenet.ips("c9")
    kubenet.up()
    kubenet.down()
    with pytest.raises(NetworkPluginError, match="reading the addresses of eth0"):
        kubenet.ips()


def test_a_sandbox_must_have_a_namespace(kubenet: Setup) -> None:
    """A sandbox that has ended, or shares the host's network, is not set up."""
    kubenet.ready()
    kubenet.host.netns["host"] = ""
    for id_, why in (("c9", "there is no sandbox c9"), ("host", "no network namespace of its own")):
        with pytest.raises(NetworkPluginError, match=why):
            kubenet.up(id_)
    assert kubenet.exec.calls == []


def test_a_sandbox_is_set_up_once(kubenet: Setup) -> None:
    """A second set-up is refused and leaves the first as it is, also after a restart."""
    kubenet.ready()
    kubenet.up()
    kubenet.exec.calls.clear()
    with pytest.raises(NetworkPluginError, match="sandbox c1 has been set up already"):
        kubenet.up()
    kubenet.plugin = kubenet.again()
    kubenet.init()
    kubenet.event(V4)
    kubenet.exec.calls.clear()
    with pytest.raises(NetworkPluginError, match="sandbox c1 has been set up already"):
        kubenet.up()
    assert kubenet.exec.calls == []


@pytest.mark.parametrize("plugin", ["loopback", "bridge"])
def test_a_failed_set_up_leaves_nothing(kubenet: Setup, plugin: str) -> None:
    """What was set up before a failure is undone; the pod can be set up again."""
    kubenet.ready()
    kubenet.exec.fail("ADD", plugin, "nothing doing")
    with pytest.raises(NetworkPluginError, match=r"set up pod default/pod-c1: .*nothing doing"):
        kubenet.up()
    done = kubenet.exec.made()
    if plugin == "bridge":
        assert done[1:] == [("ADD", "bridge", "c1"), ("DEL", "loopback", "c1")]
    assert list(Path(kubenet.cache, "results").iterdir()) == []
    kubenet.up()
    assert kubenet.ips()


def test_tearing_down_what_is_not_there(kubenet: Setup) -> None:
    """A pod that was never set up, or is torn down again, takes the whole chain, and succeeds."""
    kubenet.ready()
    following = [name for name in ("bandwidth", "portmap") if name in MODULES]
    whole = [("DEL", name, "c1") for name in (*following, "bridge", "loopback")]
    kubenet.down()
    assert kubenet.exec.made() == whole
    kubenet.up()
    kubenet.down()
    kubenet.exec.calls.clear()
    kubenet.down()
    assert kubenet.exec.made() == whole


def test_tearing_down_a_dead_sandbox(kubenet: Setup) -> None:
    """A sandbox that has ended is torn down without a namespace."""
    kubenet.ready()
    kubenet.up()
    del kubenet.host.netns["c1"]
    kubenet.exec.calls.clear()
    kubenet.down()
    assert [(c.command, c.plugin, c.netns) for c in kubenet.exec.calls] == [
        ("DEL", "bridge", ""),
        ("DEL", "loopback", ""),
    ]


def test_a_failed_tear_down_can_be_repeated(kubenet: Setup) -> None:
    """A failure is reported, and the rest is done; the next attempt does all of it again."""
    kubenet.ready()
    kubenet.up()
    kubenet.exec.calls.clear()
    kubenet.exec.fail("DEL", "bridge", "busy")
    with pytest.raises(NetworkPluginError, match=r"tear down pod default/pod-c1: .*busy"):
        kubenet.down()
    assert kubenet.exec.made() == [("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")]
    assert kubenet.ips() == ("10.244.1.2",)
    kubenet.down()
    assert kubenet.exec.made() == [("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")]


@pytest.mark.parametrize(
    ("plugin", "message"), [("bridge", "x: no such file or directory"), ("loopback", "busy")]
)
def test_failures_that_do_not_count(kubenet: Setup, plugin: str, message: str) -> None:
    """What is gone already, and the loopback interface, are no reason for tearing down to fail."""
    kubenet.ready()
    kubenet.up()
    kubenet.exec.fail("DEL", plugin, message)
    kubenet.down()
    assert [c[1] for c in kubenet.exec.made("DEL")] == ["bridge", "loopback"]


def test_after_a_restart(kubenet: Setup) -> None:
    """A pod of an earlier process is torn down by what libcni kept, before a CIDR is known."""
    kubenet.ready()
    kubenet.up()
    kubenet.exec.calls.clear()
    kubenet.plugin = kubenet.again()
    kubenet.init()
    kubenet.down()
    assert kubenet.exec.made() == [("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")]


def test_a_record_that_cannot_be_read(kubenet: Setup) -> None:
    """A damaged record is no reason not to tear down."""
    kubenet.ready()
    kubenet.up()
    (record,) = Path(kubenet.cache, "results").glob("kubenet-c1-*")
    record.write_text("{")
    kubenet.plugin = kubenet.again()
    kubenet.ready()
    kubenet.down()
    assert ("DEL", "bridge", "c1") in kubenet.exec.made()


# -- host ports and bandwidth ----------------------------------------------------------------------


def need(plugin: str) -> None:
    """Skip the test when a plugin is not there."""
    if plugin not in MODULES:
        pytest.skip(f"there is no plugin {plugin}")


def test_host_ports(kubenet: Setup) -> None:
    """A pod with host ports has the portmap plugin in its chain, another one has not."""
    need("portmap")
    kubenet.ready()
    kubenet.host.ports["c1"] = [
        PortMapping(8080, 80, "TCP"),
        PortMapping(0, 81),
        PortMapping(53, 53, "udp", "192.0.2.1"),
    ]
    kubenet.up()
    kubenet.up("c2")
    assert kubenet.exec.made() == [
        ("ADD", "loopback", "c1"),
        ("ADD", "bridge", "c1"),
        ("ADD", "portmap", "c1"),
        ("ADD", "loopback", "c2"),
        ("ADD", "bridge", "c2"),
    ]
    kubenet.host.ports.clear()  # DEL goes by what ADD was given
    kubenet.down()
    portmap = kubenet.exec.calls[0]
    assert portmap.short == ("DEL", "portmap", "c1")
    assert portmap.runtime_config == {
        "portMappings": [
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": ""},
            {"hostPort": 53, "containerPort": 53, "protocol": "udp", "hostIP": "192.0.2.1"},
        ]
    }


def test_bandwidth(kubenet: Setup) -> None:
    """A pod with limits has the bandwidth plugin in its chain."""
    need("bandwidth")
    kubenet.ready()
    kubenet.up("c1", {"kubernetes.io/ingress-bandwidth": "10M"})
    bandwidth = kubenet.exec.calls[2]
    assert bandwidth.short == ("ADD", "bandwidth", "c1")
    assert bandwidth.runtime_config == {
        "bandwidth": {"ingressRate": 10_000_000, "ingressBurst": 2**31 - 1}
    }
    kubenet.exec.calls.clear()
    kubenet.down()
    assert kubenet.exec.made()[0] == ("DEL", "bandwidth", "c1")


def test_limits_that_make_no_sense(kubenet: Setup) -> None:
    """A limit that cannot be is refused before a plugin is called."""
    kubenet.ready()
    with pytest.raises(NetworkPluginError, match=r"ingress-bandwidth: .* is not a quantity"):
        kubenet.up("c1", {"kubernetes.io/ingress-bandwidth": "fast"})
    assert kubenet.exec.calls == []


def test_a_failure_behind_the_bridge_is_undone(kubenet: Setup) -> None:
    """When a host port is taken the pod's interfaces go again."""
    need("portmap")
    kubenet.ready()
    kubenet.host.ports["c1"] = [PortMapping(80, 80)]
    kubenet.exec.fail("ADD", "portmap", "port 80 is taken")
    with pytest.raises(NetworkPluginError, match="port 80 is taken"):
        kubenet.up()
    assert kubenet.exec.made("DEL") == [("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")]


# -- addresses of pods that are gone ---------------------------------------------------------------


def test_addresses_are_collected_at_the_start(kubenet: Setup) -> None:
    """When the CIDR becomes known what dead pods have left is collected, live pods are spared."""
    kubenet.ready()
    kubenet.up()
    del kubenet.host.netns["c1"]
    kubenet.plugin = kubenet.again()
    kubenet.init()
    kubenet.exec.calls.clear()
    kubenet.event(V4)
    collections = {c.plugin: c.conf for c in kubenet.exec.calls if c.command == "GC"}
    assert collections["bridge"]["cni.dev/valid-attachments"] == [
        {"containerID": id_, "ifname": "eth0"} for id_ in ("c2", "c3")
    ]
    assert {("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")} <= set(kubenet.exec.made("DEL"))
    assert list(Path(kubenet.cache, "results").iterdir()) == []


def test_a_failing_collection_is_no_obstacle(
    kubenet: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be collected now is logged, and pods are set up nevertheless."""
    kubenet.exec.fail("GC", "bridge", "disk on fire")
    kubenet.ready()
    assert "disk on fire" in caplog.text
    kubenet.up()


def test_collection_when_addresses_run_out(kubenet: Setup) -> None:
    """An exhausted range is collected once, sparing the pod itself, and ADD tried again."""
    kubenet.ready()
    kubenet.up("c2")
    del kubenet.host.netns["c2"]  # its sandbox has died
    kubenet.exec.fail("ADD", "bridge", EXHAUSTED)
    kubenet.exec.calls.clear()
    kubenet.up("c1")
    made = [c for c in kubenet.exec.made("ADD", "DEL", "GC") if c[1] == "bridge"]
    assert made == [
        ("ADD", "bridge", "c1"),
        ("DEL", "bridge", "c2"),  # by libcni's records
        ("GC", "bridge", ""),
        ("ADD", "bridge", "c1"),
    ]
    assert kubenet.ips("c1")
    with pytest.raises(NetworkPluginError):
        kubenet.ips("c2")


def test_exhaustion_in_earnest(kubenet: Setup) -> None:
    """When there is nothing to collect the error says that addresses have run out."""
    kubenet.ready()
    for _ in range(2):
        kubenet.exec.fail("ADD", "bridge", EXHAUSTED)
    with pytest.raises(NetworkPluginError, match="no IP addresses available"):
        kubenet.up()
    assert kubenet.exec.made("DEL", "ADD")[-1] == ("DEL", "loopback", "c1")


def test_other_failures_collect_nothing(kubenet: Setup) -> None:
    """A failure that has nothing to do with addresses is not tried again."""
    kubenet.ready()
    kubenet.exec.fail("ADD", "bridge", "no bridge")
    with pytest.raises(NetworkPluginError):
        kubenet.up()
    assert kubenet.exec.made("GC") == []


def test_a_pod_under_way_is_spared(kubenet: Setup) -> None:
    """A pod that is being set up, and that the kubelet does not list, is not collected."""
    kubenet.ready()
    adding, collected = threading.Event(), threading.Event()

    def before(made: Any) -> None:
        if made.short == ("ADD", "bridge", "c1"):
            adding.set()
            assert collected.wait(SECONDS)

    kubenet.exec.before = before
    kubenet.host.live_pods = list  # type: ignore[method-assign]
    first = threading.Thread(target=kubenet.up, args=("c1",))
    first.start()
    assert adding.wait(SECONDS)
    kubenet.exec.fail("ADD", "loopback", EXHAUSTED)
    kubenet.up("c2")
    collected.set()
    first.join(SECONDS)
    valid = [
        c.conf["cni.dev/valid-attachments"]
        for c in kubenet.exec.calls
        if c.plugin == "bridge" and c.command == "GC"
    ]
    assert [sorted(v["containerID"] for v in found) for found in valid] == [["c1", "c2"]]
    assert kubenet.ips("c1")
    assert kubenet.ips("c2")


def test_nobody_begins_while_addresses_are_collected(kubenet: Setup) -> None:
    """A pod whose set-up begins during a collection waits for its end."""
    kubenet.ready()
    collecting, go_on = threading.Event(), threading.Event()

    def before(made: Any) -> None:
        if made.short == ("GC", "bridge", ""):
            collecting.set()
            assert go_on.wait(SECONDS)

    kubenet.exec.before = before
    kubenet.exec.fail("ADD", "loopback", EXHAUSTED)
    first = threading.Thread(target=kubenet.up, args=("c1",))
    first.start()
    assert collecting.wait(SECONDS)
    second = threading.Thread(target=kubenet.up, args=("c2",))
    second.start()
    go_on.set()
    for thread in (first, second):
        thread.join(SECONDS)
    made = kubenet.exec.made()
    assert made.index(("ADD", "loopback", "c2")) > made.index(("GC", "bridge", ""))


# -- locks -----------------------------------------------------------------------------------------


def test_one_call_at_a_time_for_a_pod(kubenet: Setup) -> None:
    """Tearing a pod down waits until it is set up; other pods go on meanwhile."""
    kubenet.ready()
    adding, go_on = threading.Event(), threading.Event()

    def before(made: Any) -> None:
        if made.short == ("ADD", "bridge", "c1"):
            adding.set()
            assert go_on.wait(SECONDS)

    kubenet.exec.before = before
    up = threading.Thread(target=kubenet.up)
    up.start()
    assert adding.wait(SECONDS)
    down = threading.Thread(target=kubenet.down)
    down.start()
    kubenet.up("c2")  # is not held up
    go_on.set()
    for thread in (up, down):
        thread.join(SECONDS)
    assert [c for c in kubenet.exec.made() if c[2] == "c1"] == [
        ("ADD", "loopback", "c1"),
        ("ADD", "bridge", "c1"),
        ("DEL", "bridge", "c1"),
        ("DEL", "loopback", "c1"),
    ]


def test_many_pods_at_a_time(kubenet: Setup) -> None:
    """Many pods set up by many threads all get addresses of their own."""
    kubenet.ready()
    ids = [f"many{number}" for number in range(64)]
    kubenet.host.netns.update({id_: f"/run/netns/{id_}" for id_ in ids})
    threads = [threading.Thread(target=kubenet.up, args=(id_,)) for id_ in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len({kubenet.ips(id_) for id_ in ids}) == len(ids)


# -- another pod CIDR ------------------------------------------------------------------------------


def test_the_same_cidr_again(kubenet: Setup) -> None:
    """An event that says what is known already does nothing."""
    kubenet.ready(BOTH)
    kubenet.event(" 10.244.1.7/24 , fd00::5/64")
    assert kubenet.bridge.done == []
    assert kubenet.exec.calls == []


def test_another_cidr(kubenet: Setup) -> None:
    """New pods get addresses from the new CIDR; those that are left keep theirs and the gateway."""
    kubenet.ready(hairpin="promiscuous-bridge")
    kubenet.up()
    kubenet.has_address("10.244.1.2", "c1")
    kubenet.bridge.left = ["10.244.1.1/24"]
    kubenet.bridge.done.clear()
    kubenet.event("10.244.9.0/24")
    assert kubenet.bridge.done == [
        "readdress 10.244.9.1/24 for 1",
        "masquerade 10.244.9.0/24 10.244.1.0/24 outside 10.0.0.0/8",
    ]
    kubenet.exec.calls.clear()
    kubenet.bridge.done.clear()
    kubenet.up("c2")
    assert kubenet.exec.calls[1].conf["ipam"]["ranges"] == [[{"subnet": "10.244.9.0/24"}]]
    assert kubenet.bridge.done[1] == f"guard {BRIDGE_MAC} 10.244.9.1/24 10.244.1.1/24"
    assert kubenet.ips() == ("10.244.1.2",)
    kubenet.bridge.left = []
    kubenet.bridge.done.clear()
    kubenet.exec.calls.clear()
    kubenet.down()
    assert kubenet.exec.calls[0].conf["ipam"]["ranges"] == [[{"subnet": "10.244.1.0/24"}]]
    assert kubenet.bridge.done[-1] == "masquerade 10.244.9.0/24 outside 10.0.0.0/8"
    kubenet.bridge.done.clear()
    kubenet.down("c2")
    assert kubenet.bridge.done == []


def test_another_cidr_waits_for_pods_under_way(kubenet: Setup) -> None:
    """The bridge is not changed under a pod that is being set up."""
    kubenet.ready()
    adding, go_on = threading.Event(), threading.Event()

    def before(made: Any) -> None:
        if made.short == ("ADD", "bridge", "c1"):
            adding.set()
            assert go_on.wait(SECONDS)
            assert not any("10.244.9" in done for done in kubenet.bridge.done)

    kubenet.exec.before = before
    up = threading.Thread(target=kubenet.up)
    up.start()
    assert adding.wait(SECONDS)
    event = threading.Thread(target=kubenet.event, args=("10.244.9.0/24",))
    event.start()
    go_on.set()
    for thread in (up, event):
        thread.join(SECONDS)
    assert kubenet.ips() == ("10.244.1.2",)
    assert kubenet.bridge.done[-1].startswith("masquerade 10.244.9.0/24")


def test_a_bridge_that_cannot_be_readdressed(
    kubenet: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure is logged; pods are set up from the new CIDR as soon as the kernel lets us."""
    kubenet.ready()
    kubenet.bridge.refuses = OSError("no bridge")
    kubenet.event("10.244.9.0/24")
    assert "bridge and rules are not ready for 10.244.9.0/24: no bridge" in caplog.text
    kubenet.bridge.refuses = None
    kubenet.up()
    assert kubenet.exec.calls[1].conf["ipam"]["ranges"] == [[{"subnet": "10.244.9.0/24"}]]


def test_former_addresses_that_stay(kubenet: Setup, caplog: pytest.LogCaptureFixture) -> None:
    """When a former gateway cannot be removed tearing down succeeds all the same."""
    kubenet.ready()
    kubenet.up()
    kubenet.bridge.left = ["10.244.1.1/24"]
    kubenet.event("10.244.9.0/24")
    kubenet.bridge.refuses = OSError("busy")
    with caplog.at_level(logging.WARNING):
        kubenet.down()
    assert "the bridge keeps addresses of former pod CIDRs: busy" in caplog.text
