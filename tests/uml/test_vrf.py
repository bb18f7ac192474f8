"""The vrf plugin on a kernel that has VRFs."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import plugins
from cnifast.cli.features import missing
from cnifast.protocol.errors import CNIError
from helpers import ways
from helpers.bench import wait_for
from helpers.networks import DUAL
from helpers.packets import ping
from helpers.plugin import Attachment, BinaryRunner, must

if TYPE_CHECKING:
    from helpers.node import Container, Node
    from helpers.plugin import Runner

pytestmark = pytest.mark.second_kernel("vrf")

PATIENCE = 20.0  # seconds for a packet that must get through
PREVIOUS: dict[str, Any] = {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0"}]}


def conf(name: str = "blue", **keys: Any) -> dict[str, Any]:
    """Return a configuration of vrf."""
    base = {"cniVersion": "1.0.0", "name": "net", "type": "vrf", "prevResult": PREVIOUS}
    return {**base, "vrfname": name, **keys}


def call(command: Any, keys: dict[str, Any], ifname: str = "eth0") -> Any:
    """Call vrf for the container."""
    return command("vrf", keys, container_id="pod", netns="/run/netns/pod", ifname=ifname)


def give(node: Node, ifname: str, number: int) -> None:
    """Give the container an interface with addresses of both families, and routes by it."""
    node.ip(f"link add h{number} type veth peer name {ifname} netns pod")
    node.ip(f"addr add 10.{number}.0.1/24 dev h{number}")
    node.ip(f"addr add fd0{number}::1/64 dev h{number} nodad")
    node.ip(f"link set h{number} up")
    node.ip(f"-n pod link set {ifname} up")
    node.ip(f"-n pod addr add 10.{number}.0.5/24 dev {ifname}")
    node.ip(f"-n pod addr add fd0{number}::5/64 dev {ifname} nodad")
    node.ip(f"-n pod route add 10.9{number}.0.0/16 via 10.{number}.0.1 metric 50 mtu 1300")
    node.ip(f"-n pod -6 route add fd9{number}::/64 via fd0{number}::1")


@pytest.fixture
def pod(node: Node) -> Container:
    """A container with an eth0 that stands for another plugin's."""
    container = node.new_container("pod")
    furnish(node)
    return container


def furnish(node: Node) -> None:
    """Give the container lo, and an eth0 with default routes."""
    node.ip("-n pod link set lo up")
    give(node, "eth0", 1)
    node.ip("-n pod route add default via 10.1.0.1")
    node.ip("-n pod -6 route add default via fd01::1")


def links(node: Node, container: Container) -> dict[str, tuple[str | None, int | None]]:
    """Return master and VRF's table of the container's links, but for lo."""
    return {
        link["ifname"]: (
            link.get("master"),
            link.get("linkinfo", {}).get("info_data", {}).get("table"),
        )
        for link in node.links(container)
        if link["ifname"] != "lo"
    }


def routes(node: Node, table: int | str, ifname: str = "eth0") -> list[str]:
    """Return the routes of a table by an interface, as `ip route` prints them."""
    shown = ""
    for family in ("-4", "-6"):
        command = f"ip -n pod {family} route show table {table} dev {ifname}"
        shown += node.run(command, check=False)  # a table nobody has used yet
    lines = (line.strip() for line in shown.splitlines())
    by_and_by = ("fe80", "local fe80", "ff00", "multicast", "anycast")
    kept = (line for line in lines if not line.startswith(by_and_by))
    return sorted(line.replace(" pref medium", "") for line in kept)


def addresses(node: Node, ifname: str = "eth0") -> list[str]:
    """Return the global addresses of an interface."""
    (link,) = json.loads(node.ip(f"-n pod -j addr show dev {ifname}"))
    return [
        f"{address['local']}/{address['prefixlen']}"
        for address in link["addr_info"]
        if address["scope"] == "global"
    ]


MOVED = [
    "10.1.0.0/24 proto kernel scope link src 10.1.0.5",
    "10.91.0.0/16 via 10.1.0.1 metric 50 mtu 1300",
    "broadcast 10.1.0.255 proto kernel scope link src 10.1.0.5",
    "default via 10.1.0.1",
    "default via fd01::1 metric 1024",
    "fd01::/64 proto kernel metric 256",
    "fd91::/64 via fd01::1 metric 1024",
    "local 10.1.0.5 proto kernel scope host src 10.1.0.5",
    "local fd01::5 proto kernel metric 0",
]


@pytest.mark.parametrize("kept", [0, 1], ids=["addresses lost", "addresses kept"])
def test_add_and_delete(node: Node, runner: Runner, pod: Container, kept: int) -> None:
    """The interface moves with all its addresses and routes; the VRF goes with its last port."""
    node.run(f"ip netns exec pod sysctl -qw net.ipv6.conf.eth0.keep_addr_on_down={kept}")
    before = addresses(node)
    one = Attachment(runner, conf(), pod)
    assert must(one.add()).json == PREVIOUS
    assert links(node, pod) == {"eth0": ("blue", None), "blue": (None, 1)}
    assert addresses(node) == before
    assert routes(node, 1) == MOVED
    assert routes(node, "main") == []
    assert "UP" in next(link for link in node.links(pod) if link["ifname"] == "blue")["flags"]
    must(one.check())
    for _ in range(2):
        must(one.delete())
        assert links(node, pod) == {"eth0": (None, None)}
    must(one.call("DEL", netns=""))


def test_packets_stay_in_their_vrf(node: Node, pod: Container) -> None:
    """The same addresses may be used in two VRFs: each interface reaches its own neighbour."""
    call(plugins.add, conf())
    node.ip("link add h2 type veth peer name net1 netns pod")
    other = node.new_container("other")
    node.ip("link set h2 netns other")
    node.ip("-n other addr add 10.1.0.1/24 dev h2")
    node.ip("-n other link set h2 up")
    node.ip("-n pod link set net1 up")
    node.ip("-n pod addr add 10.1.0.6/24 dev net1")
    call(plugins.add, conf("red"), "net1")
    assert links(node, pod)["red"] == (None, 2)
    for vrf in ("blue", "red"):
        node.run(f"ip -n pod vrf show {vrf}")
    assert ping(other.fd, "10.1.0.6", timeout=PATIENCE)
    assert not ping(other.fd, "10.1.0.5")


def test_two_ports(node: Node, pod: Container) -> None:
    """The second interface joins the VRF that is there, and keeps it when the first one leaves."""
    give(node, "net1", 2)
    call(plugins.add, conf(table=500))
    call(plugins.add, conf(), "net1")
    assert links(node, pod) == {
        "eth0": ("blue", None),
        "net1": ("blue", None),
        "blue": (None, 500),
    }
    call(plugins.delete, conf())
    assert links(node, pod) == {
        "eth0": (None, None),
        "net1": ("blue", None),
        "blue": (None, 500),
    }
    with pytest.raises(CNIError, match="failed to find eth0 associated to vrf blue"):
        call(plugins.check, conf())
    call(plugins.check, conf(), "net1")
    node.ip("-n pod link del net1")
    call(plugins.delete, conf(), "net1")
    assert links(node, pod) == {"eth0": (None, None)}


def test_tables(node: Node, pod: Container) -> None:
    """A VRF without a table of its own gets the first one that no other VRF has."""
    for name, table in (("vrf1", 1), ("vrf2", 3), ("vrf3", 2)):
        node.ip(f"-n pod link add {name} type vrf table {table}")
    call(plugins.add, conf())
    assert links(node, pod)["blue"] == (None, 4)


@pytest.mark.parametrize(
    ("before", "keys", "words"),
    [
        ((), {"prevResult": None}, "required prevResult missing"),
        (("link set eth0 name eth1",), {}, "interface eth0 is not in the container"),
        (
            ("link add red type vrf table 7", "link set eth0 master red"),
            {},
            "interface eth0 has already a master set: red",
        ),
        (("link add blue type bridge",), {}, "link blue is not a VRF"),
        (("link add blue type vrf table 7",), {"table": 8}, "with another routing table: 7"),
        ((), {"vrfname": "lo"}, "link lo is not a VRF"),
        ((), {"vrfname": "eth0"}, "link eth0 is not a VRF"),
        ((), {"vrfname": ""}, "expected to have a valid vrf name"),
        ((), {"vrfname": "../blue"}, 'invalid vrf name "../blue"'),
        ((), {"vrfname": "b" * 16}, "interface name is too long"),
    ],
)
def test_refused(
    node: Node, pod: Container, before: tuple[str, ...], keys: dict[str, Any], words: str
) -> None:
    """What cannot be done is told, and nothing is changed."""
    if "name eth1" in str(before):
        node.ip("-n pod link set eth0 down")
    for command in before:
        node.ip(f"-n pod {command}")
    state = links(node, pod), routes(node, "all")
    with pytest.raises(CNIError, match=words):
        call(plugins.add, conf(**keys))
    assert (links(node, pod), routes(node, "all")) == state


def test_a_vrf_that_is_taken_back(node: Node, pod: Container) -> None:
    """A route that the VRF cannot have makes ADD fail, and all is as before."""
    node.ip("-n pod addr add fd77::5/128 dev lo nodad")
    node.ip("-n pod -6 route add fd78::/64 via fd01::1 src fd77::5")
    before = links(node, pod), addresses(node), routes(node, "main")
    with pytest.raises(CNIError, match=r"copy route to routing tables \(fd78::/64\)"):
        call(plugins.add, conf())
    assert (links(node, pod), addresses(node), routes(node, "main")) == before


def flags(node: Node, address: str) -> set[str]:
    """Return what is said of an address of eth0."""
    (link,) = json.loads(node.ip("-n pod -j addr show dev eth0"))
    (found,) = (entry for entry in link["addr_info"] if entry.get("local") == address)
    return {"tentative", "dadfailed", "nodad"} & found.keys()


@pytest.mark.usefixtures("pod")
def test_an_address_that_is_looked_for_elsewhere(node: Node) -> None:
    """Detection of duplicates is not skipped, and has ended when ADD returns."""
    node.run("ip netns exec pod sysctl -qw net.ipv6.neigh.eth0.retrans_time_ms=2000")
    node.ip("-n pod addr add fd01::7/64 dev eth0")
    call(plugins.add, conf())
    assert flags(node, "fd01::7") == set()
    assert flags(node, "fd01::5") == {"nodad"}
    assert [route for route in routes(node, 1) if "local fd01::7" in route] != []


def test_an_address_that_somebody_else_has(node: Node, pod: Container) -> None:
    """A duplicate does not become valid by moving: ADD fails, and all is as before."""
    node.ip("addr add fd01::9/64 dev h1 nodad")
    node.ip("-n pod addr add fd01::9/64 dev eth0")
    wait_for(lambda: "dadfailed" in flags(node, "fd01::9"))
    before = links(node, pod), sorted(addresses(node)), routes(node, "main")
    with pytest.raises(CNIError, match="restore addresses of eth0: connection timed out"):
        call(plugins.add, conf())
    assert (links(node, pod), sorted(addresses(node)), routes(node, "main")) == before
    assert "nodad" not in flags(node, "fd01::9")


def test_what_the_kernel_can_do(node: Node) -> None:  # noqa: ARG001 - it is there
    """`cnifast doctor` finds that there are VRFs here."""
    assert [text for text in missing() if "vrf" in text] == []


def test_del_of_other_things(node: Node, pod: Container) -> None:
    """DEL leaves a link of the VRF's name alone that is none, and a port of another VRF."""
    node.ip("-n pod link add blue type bridge")
    call(plugins.delete, conf())
    node.ip("-n pod link add red type vrf table 7")
    node.ip("-n pod link set eth0 master red")
    node.ip("-n pod link add green type vrf table 8")
    call(plugins.delete, conf("green"))
    assert links(node, pod) == {"eth0": ("red", None), "blue": (None, None), "red": (None, 7)}


def test_gc_and_status(node: Node) -> None:
    """GC and STATUS have nothing to look for outside of containers; STATUS refuses nonsense."""
    assert node.links()
    newer = {"cniVersion": "1.1.0", "cni.dev/valid-attachments": []}
    plugins.gc("vrf", conf(**newer))
    plugins.status("vrf", conf(**newer))
    with pytest.raises(CNIError, match="valid vrf name"):
        plugins.status("vrf", conf("", **newer))


def test_check_of_the_plugin_before(node: Node, inproc: Runner) -> None:
    """CHECK of bridge finds its routes in the VRF's table, and notices when one is gone."""
    pod = node.new_container("pod")
    bridge = Attachment(inproc, DUAL, pod)
    must(bridge.add())
    vrf = Attachment(inproc, conf(), pod)
    vrf.conf["prevResult"] = bridge.result
    must(vrf.add())
    must(bridge.check())
    must(vrf.check())
    node.ip("-n pod route del default table 1")
    assert bridge.check().code == 999
    must(vrf.delete())
    must(bridge.delete())


def test_at_the_same_time(node: Node, pod: Container) -> None:
    """Interfaces that join VRFs at the same time find one VRF, or tables of their own."""
    names = {"net2": "blue", "net3": "blue", "net4": "red", "net5": "green"}
    for number, ifname in enumerate(names, 2):
        give(node, ifname, number)
    threads = [
        threading.Thread(target=call, args=(plugins.add, conf(vrf), ifname))
        for ifname, vrf in names.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = links(node, pod)
    assert {ifname: seen[ifname][0] for ifname in names} == names
    assert sorted(seen[vrf][1] or 0 for vrf in ("blue", "red", "green")) == [1, 2, 3]


@pytest.mark.sampled("keys", one_in=2)
@pytest.mark.parametrize(
    "keys", [{}, {"table": 500}, {"cniVersion": "0.3.1"}], ids=["plain", "table", "0.3.1"]
)
def test_as_the_reference(
    node: Node, pod: Container, plugin_directory: str, reference: str, keys: dict[str, Any]
) -> None:
    """Result, links, addresses and routes are the reference's, after ADD and after each DEL."""
    give(node, "net1", 2)
    wanted = conf(**keys)
    wanted["prevResult"] = {**PREVIOUS, "cniVersion": wanted["cniVersion"]}
    theirs = _life(node, pod, BinaryRunner("reference", reference), wanted)
    node.close()
    node.open()
    again = node.new_container("pod")
    furnish(node)
    give(node, "net1", 2)
    runner = ways.InprocRunner(plugin_directory)
    ours = _life(node, again, runner, wanted)
    runner.close()
    if not any(" via " in line and " table " in line for line in theirs):
        # Only newer releases take the routes along that others have made.
        ours, theirs = ([line for line in lines if " via " not in line] for lines in (ours, theirs))
    assert ours == theirs


def _life(node: Node, pod: Container, runner: Runner, wanted: dict[str, Any]) -> list[str]:
    """Add two interfaces and delete them; return all that is to be seen, a fact in each line."""
    seen: list[str] = []
    ones = [Attachment(runner, wanted, pod, ifname=ifname) for ifname in ("eth0", "net1")]

    def look(step: str, outcome: Any) -> None:
        # Of an empty key the older releases say that it is empty.
        result = {key: value for key, value in (outcome.json or {}).items() if value != {}}
        seen.append(f"{step}: {outcome.code} {result if outcome.ok else ''}")
        seen.extend(f"{step}: {name} {what}" for name, what in links(node, pod).items())
        for one in ones:
            facts = [*addresses(node, one.ifname), *routes(node, "all", one.ifname)]
            seen.extend(f"{step}: {one.ifname} {fact}" for fact in facts)

    for one in ones:
        look(f"ADD {one.ifname}", one.add())
        look(f"CHECK {one.ifname}", one.call("CHECK"))
    look("ADD again", ones[0].add())  # it has a master
    for one in ones:
        look(f"DEL {one.ifname}", one.delete())
    return seen
