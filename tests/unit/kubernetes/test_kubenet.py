"""kubenet without a kernel: what it asks of the plugins, the bridge and the kubelet, and when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kubernetes import (
    NET_PLUGIN_CAPABILITY_SHAPER,
    NET_PLUGIN_EVENT_POD_CIDR_CHANGE_DETAIL_CIDR,
    NetworkPluginError,
    PodNetworkStatus,
)
from cnifast.plugins import MODULES
from helpers.kubelet import BRIDGE_MAC
from helpers.kubenet import BOTH, V4

if TYPE_CHECKING:
    from helpers.kubenet import Kubenet

USELESS_CIDRS = (
    *(None, 5, "", "10.244.1.0", "x", f"{V4},"),
    *(f"{V4},10.245.0.0/24", "10.244.1.0/31", "fd00::/127"),
)


# -- before a pod CIDR is known --------------------------------------------------------------------


def test_nothing_can_be_set_up_before_a_pod_cidr_is_known(kubenet: Kubenet) -> None:
    """Status and set-up fail until the node's pod CIDR is known, and no plugin is called."""
    kubenet.init()
    with pytest.raises(NetworkPluginError, match="pod CIDR is not known yet"):
        kubenet.plugin.status()
    with pytest.raises(NetworkPluginError, match=r"set up pod default/pod-c1: .*not known yet"):
        kubenet.up()
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
    kubenet: Kubenet, cidr: object, caplog: pytest.LogCaptureFixture
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


def test_other_events_are_ignored(kubenet: Kubenet) -> None:
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
def test_arguments_that_make_no_sense(kubenet: Kubenet, how: dict[str, Any], why: str) -> None:
    """A wrong argument is refused before anything is done."""
    with pytest.raises(NetworkPluginError, match=why):
        kubenet.init(**how)
    assert kubenet.bridge.done == []


def test_name_and_capabilities(kubenet: Kubenet) -> None:
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
def test_the_network(kubenet: Kubenet, hairpin: str, veth: bool, promisc: bool) -> None:
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


def test_the_mtu_is_the_smallest_of_the_host_by_default(kubenet: Kubenet) -> None:
    """Without an MTU the one that the bridge finds is used."""
    kubenet.ready()
    kubenet.up()
    assert kubenet.exec.calls[1].conf["mtu"] == 1400


def test_what_init_does(kubenet: Kubenet) -> None:
    """Bridged packets are filtered; what a former promiscuous mode has left goes."""
    kubenet.init()
    assert kubenet.bridge.done == ["filter", "leave promiscuous"]
    kubenet.bridge.done.clear()
    kubenet.init(hairpin="promiscuous-bridge")
    assert kubenet.bridge.done == ["filter"]


# -- setting up and tearing down -------------------------------------------------------------------


def test_loopback_first(kubenet: Kubenet) -> None:
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


def test_the_masquerading_is_ensured_with_each_pod(kubenet: Kubenet) -> None:
    """Whoever removes the rules has them again with the next pod."""
    kubenet.ready(BOTH, inside="10.0.0.0/8,fd00::/8")
    for id_ in ("c1", "c2"):
        kubenet.up(id_)
    rule = "masquerade 10.244.1.0/24 fd00::/64 outside 10.0.0.0/8 fd00::/8"
    assert kubenet.bridge.done == [rule, rule]


def test_a_pod_without_masquerading_is_none(kubenet: Kubenet) -> None:
    """If the rules cannot be made no plugin is called."""
    kubenet.ready()
    kubenet.bridge.refuses = PermissionError("no rules for you")
    with pytest.raises(NetworkPluginError, match="default/pod-c1: no rules for you"):
        kubenet.up()
    assert kubenet.exec.calls == []


def test_a_promiscuous_bridge_is_guarded(
    kubenet: Kubenet, caplog: pytest.LogCaptureFixture
) -> None:
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


def test_addresses(kubenet: Kubenet) -> None:
    """The status of a pod has all its addresses, the first of which it is known by."""
    kubenet.ready(BOTH)
    kubenet.up()
    status = kubenet.plugin.get_pod_network_status("default", "pod-c1", "c1")
    assert status == PodNetworkStatus(["10.244.1.2", "fd00::2"])
    assert status.ip == "10.244.1.2"
    assert "10.244.1.2" in repr(status)
    assert hash(status) == hash(PodNetworkStatus(status.ips))


def test_no_addresses_without_a_pod(kubenet: Kubenet) -> None:
    """The status of an unknown sandbox, or of one whose namespace is gone, is an error."""
    kubenet.ready()
    with pytest.raises(NetworkPluginError, match="pod default/pod-c9: no network namespace"):
        kubenet.ips("c9")
    kubenet.up()
    kubenet.down()
    with pytest.raises(NetworkPluginError, match="reading the addresses of eth0"):
        kubenet.ips()


def test_a_sandbox_must_have_a_namespace(kubenet: Kubenet) -> None:
    """A sandbox that has ended, or shares the host's network, is not set up."""
    kubenet.ready()
    kubenet.host.netns["host"] = ""
    for id_, why in (("c9", "there is no sandbox c9"), ("host", "no network namespace of its own")):
        with pytest.raises(NetworkPluginError, match=why):
            kubenet.up(id_)
    assert kubenet.exec.calls == []


def test_a_sandbox_is_set_up_once(kubenet: Kubenet) -> None:
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
def test_a_failed_set_up_leaves_nothing(kubenet: Kubenet, plugin: str) -> None:
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


def test_tearing_down_what_is_not_there(kubenet: Kubenet) -> None:
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


def test_tearing_down_a_dead_sandbox(kubenet: Kubenet) -> None:
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


def test_a_failed_tear_down_can_be_repeated(kubenet: Kubenet) -> None:
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
def test_failures_that_do_not_count(kubenet: Kubenet, plugin: str, message: str) -> None:
    """What is gone already, and the loopback interface, are no reason for tearing down to fail."""
    kubenet.ready()
    kubenet.up()
    kubenet.exec.fail("DEL", plugin, message)
    kubenet.down()
    assert [c[1] for c in kubenet.exec.made("DEL")] == ["bridge", "loopback"]


def test_after_a_restart(kubenet: Kubenet) -> None:
    """A pod of an earlier process is torn down by what libcni kept, before a CIDR is known."""
    kubenet.ready()
    kubenet.up()
    kubenet.exec.calls.clear()
    kubenet.plugin = kubenet.again()
    kubenet.init()
    kubenet.down()
    assert kubenet.exec.made() == [("DEL", "bridge", "c1"), ("DEL", "loopback", "c1")]
    kubenet.down()
    kubenet.down("c9")
    assert kubenet.exec.calls == []


def test_a_sandbox_of_another_plugin_is_not_set_up(kubenet: Kubenet) -> None:
    """A sandbox that is on another network by libcni's records is refused."""
    kubenet.ready()
    kubenet.up()
    (record,) = Path(kubenet.cache, "results").glob("kubenet-c1-*")
    entry = json.loads(record.read_text())
    record.unlink()
    Path(record.parent, "other-c1-eth0").write_text(json.dumps({**entry, "networkName": "other"}))
    kubenet.exec.calls.clear()
    with pytest.raises(NetworkPluginError, match="sandbox c1 has been set up already"):
        kubenet.up()
    assert kubenet.exec.calls == []


def test_a_record_that_cannot_be_read(kubenet: Kubenet) -> None:
    """A damaged record is no reason not to tear down."""
    kubenet.ready()
    kubenet.up()
    (record,) = Path(kubenet.cache, "results").glob("kubenet-c1-*")
    record.write_text("{")
    kubenet.plugin = kubenet.again()
    kubenet.ready()
    kubenet.down()
    assert ("DEL", "bridge", "c1") in kubenet.exec.made()
