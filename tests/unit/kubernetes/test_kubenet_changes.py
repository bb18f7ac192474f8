"""kubenet without a kernel: pods that are gone, pods at the same time, and other pod CIDRs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.kubernetes import NetworkPluginError
from helpers.kubelet import BRIDGE_MAC, Threads
from helpers.kubenet import BOTH, EXHAUSTED, V4

if TYPE_CHECKING:
    from helpers.kubenet import Kubenet


# -- addresses of pods that are gone ---------------------------------------------------------------


def test_addresses_are_collected_at_the_start(kubenet: Kubenet) -> None:
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
    kubenet: Kubenet, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be collected now is logged, and pods are set up nevertheless."""
    kubenet.exec.fail("GC", "bridge", "disk on fire")
    kubenet.ready()
    assert "disk on fire" in caplog.text
    kubenet.up()


def test_collection_when_addresses_run_out(kubenet: Kubenet) -> None:
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


def test_exhaustion_in_earnest(kubenet: Kubenet) -> None:
    """When there is nothing to collect the error says that addresses have run out."""
    kubenet.ready()
    for _ in range(2):
        kubenet.exec.fail("ADD", "bridge", EXHAUSTED)
    with pytest.raises(NetworkPluginError, match="no IP addresses available"):
        kubenet.up()
    assert kubenet.exec.made("DEL", "ADD")[-1] == ("DEL", "loopback", "c1")


def test_other_failures_collect_nothing(kubenet: Kubenet) -> None:
    """A failure that has nothing to do with addresses is not tried again."""
    kubenet.ready()
    kubenet.exec.fail("ADD", "bridge", "no bridge")
    with pytest.raises(NetworkPluginError):
        kubenet.up()
    assert kubenet.exec.made("GC") == []


def test_a_pod_under_way_is_spared(kubenet: Kubenet) -> None:
    """A pod that is being set up, and that the kubelet does not list, is not collected."""
    kubenet.ready()
    held = kubenet.exec.hold("ADD", "bridge", "c1")
    kubenet.host.live_pods = list  # type: ignore[method-assign]
    with Threads() as threads:
        threads.start(kubenet.up, "c1")
        held.when_begun()
        kubenet.exec.fail("ADD", "loopback", EXHAUSTED)
        kubenet.up("c2")
        held.go_on.set()
    valid = [
        c.conf["cni.dev/valid-attachments"]
        for c in kubenet.exec.calls
        if c.plugin == "bridge" and c.command == "GC"
    ]
    assert [sorted(v["containerID"] for v in found) for found in valid] == [["c1", "c2"]]
    assert kubenet.ips("c1")
    assert kubenet.ips("c2")


def test_nobody_begins_while_addresses_are_collected(kubenet: Kubenet) -> None:
    """A pod whose set-up begins during a collection waits for its end."""
    kubenet.ready()
    held = kubenet.exec.hold("GC", "bridge", "")
    kubenet.exec.fail("ADD", "loopback", EXHAUSTED)
    with Threads() as threads:
        threads.start(kubenet.up, "c1")
        held.when_begun()
        threads.start(kubenet.up, "c2")
        held.go_on.set()
    made = kubenet.exec.made()
    assert made.index(("ADD", "loopback", "c2")) > made.index(("GC", "bridge", ""))


# -- locks -----------------------------------------------------------------------------------------


def test_one_call_at_a_time_for_a_pod(kubenet: Kubenet) -> None:
    """Tearing a pod down waits until it is set up; other pods go on meanwhile."""
    kubenet.ready()
    held = kubenet.exec.hold("ADD", "bridge", "c1")
    with Threads() as threads:
        threads.start(kubenet.up)
        held.when_begun()
        threads.start(kubenet.down)
        kubenet.up("c2")  # is not held up
        held.go_on.set()
    assert [c for c in kubenet.exec.made() if c[2] == "c1"] == [
        ("ADD", "loopback", "c1"),
        ("ADD", "bridge", "c1"),
        ("DEL", "bridge", "c1"),
        ("DEL", "loopback", "c1"),
    ]


def test_many_pods_at_a_time(kubenet: Kubenet) -> None:
    """Many pods set up by many threads all get addresses of their own."""
    kubenet.ready()
    ids = [f"many{number}" for number in range(64)]
    kubenet.host.netns.update({id_: f"/run/netns/{id_}" for id_ in ids})
    with Threads() as threads:
        for id_ in ids:
            threads.start(kubenet.up, id_)
    assert len({kubenet.ips(id_) for id_ in ids}) == len(ids)


# -- another pod CIDR ------------------------------------------------------------------------------


def test_the_same_cidr_again(kubenet: Kubenet) -> None:
    """An event that says what is known already does nothing."""
    kubenet.ready(BOTH)
    kubenet.event(" 10.244.1.7/24 , fd00::5/64")
    assert kubenet.bridge.done == []
    assert kubenet.exec.calls == []


def test_another_cidr(kubenet: Kubenet) -> None:
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


def test_another_cidr_waits_for_pods_under_way(kubenet: Kubenet) -> None:
    """The bridge is not changed under a pod that is being set up."""
    kubenet.ready()
    held = kubenet.exec.hold("ADD", "bridge", "c1")
    with Threads() as threads:
        threads.start(kubenet.up)
        held.when_begun()
        threads.start(kubenet.event, "10.244.9.0/24")
        assert not any("10.244.9" in done for done in kubenet.bridge.done)
        held.go_on.set()
    assert kubenet.ips() == ("10.244.1.2",)
    assert kubenet.bridge.done[-1].startswith("masquerade 10.244.9.0/24")


def test_a_bridge_that_cannot_be_readdressed(
    kubenet: Kubenet, caplog: pytest.LogCaptureFixture
) -> None:
    """A failure is logged; pods are set up from the new CIDR as soon as the kernel lets us."""
    kubenet.ready()
    kubenet.bridge.refuses = OSError("no bridge")
    kubenet.event("10.244.9.0/24")
    assert "bridge and rules are not ready for 10.244.9.0/24: no bridge" in caplog.text
    kubenet.bridge.refuses = None
    kubenet.up()
    assert kubenet.exec.calls[1].conf["ipam"]["ranges"] == [[{"subnet": "10.244.9.0/24"}]]


def test_former_addresses_that_stay(kubenet: Kubenet, caplog: pytest.LogCaptureFixture) -> None:
    """When a former gateway cannot be removed tearing down succeeds all the same."""
    kubenet.ready()
    kubenet.up()
    kubenet.bridge.left = ["10.244.1.1/24"]
    kubenet.event("10.244.9.0/24")
    kubenet.bridge.refuses = OSError("busy")
    with caplog.at_level(logging.WARNING):
        kubenet.down()
    assert "the bridge keeps addresses of former pod CIDRs: busy" in caplog.text
