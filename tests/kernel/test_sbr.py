"""sbr on the kernel: what the records of tests/conformance do not show."""

from __future__ import annotations

import fcntl
import json
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import plugins
from cnifast.cli.features import missing
from cnifast.kernel.netns import NetNSLock
from cnifast.protocol.errors import CNIError
from helpers.bench import wait_for
from helpers.networks import DUAL
from helpers.plugin import Attachment

if TYPE_CHECKING:
    from helpers.node import Container, Node
    from helpers.plugin import Runner

V4 = {"address": "10.1.0.5/24", "gateway": "10.1.0.1", "interface": 0}
V6 = {"address": "fd01::5/64", "gateway": "fd01::1", "interface": 0}


@pytest.fixture
def pod(node: Node) -> Container:
    """A container with an eth0 that has addresses and routes of both families."""
    container = node.new_container("pod")
    give(node, "eth0", 1)
    node.ip("-n pod addr add fd01::5/64 dev eth0 nodad")
    node.ip("-n pod -6 route add default via fd01::1")
    node.ip("-n pod route add default via 10.1.0.1")
    return container


def give(node: Node, ifname: str, number: int) -> None:
    """Give the container an interface with 10.NUMBER.0.5."""
    node.ip(f"link add h{number} type veth peer name {ifname} netns pod")
    node.ip(f"link set h{number} up")
    node.ip(f"-n pod link set {ifname} up")
    node.ip(f"-n pod addr add 10.{number}.0.5/24 dev {ifname}")


def conf(*ips: dict[str, Any], ifname: str = "eth0", **keys: Any) -> dict[str, Any]:
    """Return a configuration of sbr behind a plugin that assigned addresses."""
    interfaces = [{"name": ifname, "sandbox": "/run/netns/pod"}]
    previous = {"cniVersion": "1.1.0", "interfaces": interfaces, "ips": list(ips)}
    base = {"cniVersion": "1.1.0", "name": "net", "type": "sbr", "prevResult": previous}
    return {**base, **keys}


def call(command: Any, container: Container, keys: dict[str, Any], ifname: str = "eth0") -> Any:
    """Call sbr for the container."""
    return command("sbr", keys, container_id="pod", netns=container.path, ifname=ifname)


def rules(node: Node) -> dict[str, str]:
    """Return the tables of the container's rules by their sources."""
    found = {}
    for family in ("-4", "-6"):
        for rule in json.loads(node.ip(f"-n pod {family} -j rule show")):
            if rule["src"] != "all":
                found[rule["src"]] = rule["table"]
    return found


def state(node: Node) -> list[str]:
    """Return all rules and routes of the container but those that the kernel makes by and by."""
    shown = [node.ip(f"-n pod {family} rule show") for family in ("-4", "-6")]
    shown += [node.ip(f"-n pod {family} route show table all") for family in ("-4", "-6")]
    lines = "".join(shown).splitlines()
    return sorted(line for line in lines if "table local" not in line and "fe80:" not in line)


def way(node: Node, source: str) -> tuple[str, str]:
    """Return gateway and interface by which packets of a source leave for somewhere far away."""
    far = "2001:db8::1" if ":" in source else "192.0.2.1"
    (route,) = json.loads(node.ip(f"-n pod -j route get {far} from {source}"))
    return route["gateway"], route["dev"]


def test_packets_leave_by_the_interface_of_their_source(node: Node, pod: Container) -> None:
    """Each source has its own way out, whatever the main table says."""
    give(node, "net1", 2)
    call(plugins.add, pod, conf(V4, V6))
    second = {"address": "10.2.0.5/24", "gateway": "10.2.0.1", "interface": 0}
    call(plugins.add, pod, conf(second, ifname="net1"), ifname="net1")
    node.ip("-n pod route add default via 10.2.0.7 dev net1 onlink")
    assert way(node, "10.1.0.5") == ("10.1.0.1", "eth0")
    assert way(node, "10.2.0.5") == ("10.2.0.1", "net1")
    assert way(node, "fd01::5") == ("fd01::1", "eth0")
    assert rules(node) == {"10.1.0.5": "100", "fd01::5": "101", "10.2.0.5": "102"}


def test_link_local_routes_stay(node: Node, pod: Container) -> None:
    """What a link-local address needs is left where it is looked for: it has no rule."""
    call(plugins.add, pod, conf(V4, V6))
    assert "fe80::/64 dev eth0" in node.ip("-n pod -6 route show table main")


def test_no_address_of_the_interface(node: Node, pod: Container) -> None:
    """Where no address is the interface's, its routes are left alone."""
    before = state(node)
    call(plugins.add, pod, conf(V4, ifname="net1"))
    assert state(node) == before


@pytest.mark.parametrize(
    ("ips", "keys", "words"),
    [
        ([V4, {**V6, "gateway": "fd77::1"}], {}, "add route to routing tables (::/0): "),
        ([V4, {**V4, "gateway": "10.77.0.1"}], {}, "network is unreachable"),
        (
            [{**V4, "address": "10.1.0.6/24"}],
            {"addSourceHints": True},
            "add route to routing tables (10.1.0.0/24): ",
        ),
        ([V4], {"table": 0}, "invalid table 0"),
        ([V4], {"table": -1}, "invalid table -1"),
        ([V4], {"table": 2**32}, "invalid table 4294967296"),
        ([V4], {"table": 7, "gateways": ["x"]}, "invalid static gateway: invalid IP address: x"),
        ([V4], {"gateways": ["fd01::9", "::FD01:9", "fd01::8"]}, "multiple IPv6 addresses"),
    ],
)
def test_what_fails_changes_nothing(
    node: Node, pod: Container, ips: list[dict[str, Any]], keys: dict[str, Any], words: str
) -> None:
    """Wherever an ADD fails, rules and routes of both families are as before."""
    node.ip("-n pod route add 10.9.0.0/16 via 10.1.0.1 metric 50 mtu 1300")
    before = state(node)
    with pytest.raises(CNIError, match=re.escape(words)):
        call(plugins.add, pod, conf(*ips, **keys))
    assert state(node) == before


def test_a_second_add_fails_and_changes_nothing(node: Node, pod: Container) -> None:
    """The gateway is not reached from the main table any more: all of it is taken back."""
    call(plugins.add, pod, conf(V4, V6))
    before = state(node)
    with pytest.raises(CNIError, match="unreachable"):
        call(plugins.add, pod, conf(V4, V6))
    assert state(node) == before


def test_a_second_add_with_a_table_changes_nothing(node: Node, pod: Container) -> None:
    """A rule that is there is not made twice."""
    call(plugins.add, pod, conf(V4, V6, table=1000))
    before = state(node)
    call(plugins.add, pod, conf(V4, V6, table=1000))
    assert state(node) == before
    call(plugins.check, pod, conf(V4, V6, table=1000))


def test_more_than_one_transaction(node: Node, pod: Container) -> None:
    """A hundred addresses have a hundred tables, or none when the last one cannot be had."""
    ips = []
    for number in range(6, 106):
        node.ip(f"-n pod addr add 10.1.0.{number}/24 dev eth0")
        ips.append({**V4, "address": f"10.1.0.{number}/24"})
    before = state(node)
    with pytest.raises(CNIError, match="no route to host"):
        call(plugins.add, pod, conf(*ips, {**V6, "gateway": "fd77::1"}))
    assert state(node) == before
    call(plugins.add, pod, conf(*ips))
    assert sorted(map(int, rules(node).values())) == list(range(100, 200))
    call(plugins.check, pod, conf(*ips))
    call(plugins.delete, pod, conf(*ips))
    assert rules(node) == {}


def test_tables_in_use_are_passed_over(node: Node, pod: Container) -> None:
    """A table that somebody's rule leads to, or that has routes of either family, is taken."""
    node.ip("-n pod link set lo up")
    node.ip("-n pod rule add fwmark 7 table 100")
    node.ip("-n pod route add 10.66.0.0/16 dev lo table 101")
    node.ip("-n pod -6 route add fd66::/64 dev lo table 102")
    call(plugins.add, pod, conf(V4))
    assert rules(node) == {"10.1.0.5": "103"}


def test_del_leaves_rules_of_others(node: Node, pod: Container) -> None:
    """DEL deletes the rules of the interface's addresses, of its table if it names one."""
    call(plugins.add, pod, conf(V4, V6))
    node.ip("-n pod rule add from 10.9.9.9 table 7")
    node.ip("-n pod rule add from 10.1.0.5 table 8")
    call(plugins.delete, pod, conf(V4, V6, table=8))
    assert rules(node) == {"10.1.0.5": "100", "fd01::5": "101", "10.9.9.9": "7"}
    for _ in range(2):
        call(plugins.delete, pod, conf(V4, V6))
        assert rules(node) == {"10.9.9.9": "7"}


def test_del_by_what_the_kernel_knows(node: Node, pod: Container) -> None:
    """DEL needs no previous result, and minds none that is not in order."""
    for previous in (None, {"ips": 5}, {"cniVersion": "1.1.0"}):
        call(plugins.add, pod, conf(V4, V6, table=150))
        call(plugins.delete, pod, conf(prevResult=previous))
        assert rules(node) == {}


def test_del_by_the_previous_result(node: Node, pod: Container) -> None:
    """DEL of an interface that is gone deletes the rules of the addresses that it had."""
    call(plugins.add, pod, conf(V4, V6))
    node.ip("-n pod link del eth0")
    assert rules(node) == {"10.1.0.5": "100", "fd01::5": "101"}
    call(plugins.delete, pod, conf(V4, V6))
    assert rules(node) == {}


@pytest.mark.parametrize("netns", ["", "/run/netns/gone"])
def test_del_without_a_namespace(node: Node, netns: str) -> None:
    """DEL succeeds where the namespace is unknown or gone."""
    assert node.links()
    plugins.delete("sbr", conf(V4), container_id="pod", netns=netns)


def test_what_the_kernel_can_do(node: Node) -> None:  # noqa: ARG001 - it is there
    """`cnifast doctor` finds that there is routing by source."""
    assert [text for text in missing() if "source" in text] == []


def test_gc_and_status(node: Node) -> None:
    """GC and STATUS have nothing to look for outside of containers; STATUS refuses nonsense."""
    assert node.links()
    plugins.gc("sbr", conf(**{"cni.dev/valid-attachments": []}))
    plugins.status("sbr", conf())
    with pytest.raises(CNIError, match="invalid table"):
        plugins.status("sbr", conf(table=0))


def test_check_of_the_plugin_before(node: Node, runner: Runner) -> None:
    """CHECK of bridge finds the routes that sbr has moved, and still notices when one is gone."""
    pod = node.new_container("pod")
    ipam = {**DUAL["ipam"], "routes": [{"dst": "10.9.0.0/16"}]}
    bridge = Attachment(runner, {**DUAL, "ipam": ipam}, pod)
    assert bridge.add().ok
    sbr = Attachment(runner, {"cniVersion": "1.0.0", "name": "net", "type": "sbr"}, pod)
    sbr.result = bridge.result
    added = sbr.call("ADD", prevResult=bridge.result)
    assert added.ok, added
    assert sbr.check().ok
    checked = bridge.check()
    assert checked.ok, checked
    for route in ("10.9.0.0/16 table 100", "10.1.0.0/24 table 100"):
        node.ip(f"-n pod route del {route}")
        assert bridge.check().code == 999
        node.ip(f"-n pod route add {route} dev eth0 scope link")
    assert sbr.delete().ok
    assert bridge.delete().ok


def test_one_at_a_time(node: Node, pod: Container) -> None:
    """An ADD waits until the other one, be it the reference's, lets go of the namespace."""
    descriptor = os.open(pod.path, os.O_RDONLY)
    inode = os.fstat(descriptor).st_ino
    fcntl.flock(descriptor, fcntl.LOCK_EX)  # as the reference does it
    adding = threading.Thread(target=call, args=(plugins.add, pod, conf(V4)))
    adding.start()
    wait_for(lambda: any("->" in line and f":{inode} " in line for line in locks()))
    assert rules(node) == {}
    os.close(descriptor)
    adding.join()
    assert rules(node) == {"10.1.0.5": "100"}


def locks() -> list[str]:
    """Return the kernel's list of locks and of who waits for them."""
    return Path("/proc/locks").read_text().splitlines()


def test_who_holds_the_lock_too_long_is_told(
    pod: Container, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits in vain is told by whom, with the code for trying again later."""
    monkeypatch.setattr("cnifast.kernel.netns._LOCK_MS", 1)
    held = NetNSLock(pod.fd)
    with pytest.raises(CNIError, match=f"network namespace: held by pid {os.getpid()}") as caught:
        call(plugins.add, pod, conf(V4))
    assert caught.value.code == 11
    held.release()
    held.release()
    call(plugins.add, pod, conf(V4))


def test_many_at_the_same_time(node: Node, pod: Container) -> None:
    """Interfaces that are added at the same time get tables of their own."""
    count = 8
    for number in range(2, 2 + count):
        give(node, f"net{number}", number)

    def add(number: int) -> None:
        ip = {"address": f"10.{number}.0.5/24", "gateway": f"10.{number}.0.1", "interface": 0}
        ifname = f"net{number}"
        call(plugins.add, pod, conf(ip, ifname=ifname), ifname=ifname)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(2, 2 + count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, rules(node).values())) == list(range(100, 100 + count))
