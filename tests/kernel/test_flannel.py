"""The flannel plugin on a node: what its delegates attach, and what DEL finds of it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers import flannel
from helpers.flannel import SAVED, SUBNET_FILE, conf, flanneld, saved
from helpers.packets import ping
from helpers.plugin import Attachment, Outcome, must
from helpers.ways import InprocRunner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from helpers.node import Container, Node
    from helpers.plugin import Runner

STORE = Path("/var/lib/cni/networks/net")
MACVLAN = {"type": "macvlan", "master": "m0"}
PROGRAM = """#!/bin/sh
echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $(cat)" >>/run/programs/log
[ ! -e /run/programs/fails ] || { cat /run/programs/fails; exit 1; }
[ $CNI_COMMAND != ADD ] || echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.1.17.77/24"}]}'
"""
BUSY = '{"cniVersion": "1.1.0", "code": 11, "msg": "too busy"}'


@pytest.fixture
def spotless(node: Node) -> Iterator[Node]:
    """A node on which nothing may be left: no link, no address, nothing saved."""
    yield node
    assert (node.strays(), held(), saved()) == ([], set(), set())


def addresses(node: Node, pod: Container, link: str = "eth0") -> set[str]:
    """Return the addresses of a container's interface but for link-local ones."""
    shown = json.loads(node.ip(f"-n {pod.name} -j addr show dev {link}"))[0]["addr_info"]
    return {f"{a['local']}/{a['prefixlen']}" for a in shown if a["scope"] == "global"}


def held() -> set[str]:
    """Return the addresses that host-local has handed out on the network "net"."""
    return {path.name for path in STORE.glob("[0-9a-f]*")} if STORE.is_dir() else set()


def programs(*names: str) -> str:
    """Make programs that log their calls; return their directory."""
    directory = Path("/run/programs")
    directory.mkdir()
    for name in names:
        (directory / name).write_text(PROGRAM)
        (directory / name).chmod(0o755)
    return str(directory)


def calls() -> list[tuple[str, Any]]:
    """Return ("COMMAND CONTAINER IFNAME", configuration) of the programs' calls."""
    lines = Path("/run/programs/log").read_text().splitlines()
    return [(" ".join(line.split(" ", 3)[:3]), json.loads(line.split(" ", 3)[3])) for line in lines]


def test_bridge(spotless: Node, runner: Runner) -> None:
    """Without a delegate it is a bridge, with the subnets, MTU and routes that flanneld names."""
    flanneld(flannel.DUAL)
    pod = spotless.new_container()
    one = Attachment(runner, conf(), pod)
    result = must(one.add()).json
    assert [ip["gateway"] for ip in result["ips"]] == ["10.1.17.1", "fd01:0:0:11::1"]
    assert result["routes"] == [{"dst": "10.1.0.0/16"}, {"dst": "fd01::/48"}]
    assert addresses(spotless, pod) == {"10.1.17.2/24", "fd01:0:0:11::2/64"}
    assert {ip["address"] for ip in result["ips"]} == addresses(spotless, pod)
    links = {link["ifname"]: link for link in (*spotless.links(), *spotless.links(pod))}
    assert links["cni0"]["linkinfo"]["info_kind"] == "bridge"
    assert links["eth0"]["mtu"] == 1450
    routes = spotless.ip(f"-n {pod.name} route") + spotless.ip(f"-n {pod.name} -6 route")
    assert "10.1.0.0/16 via 10.1.17.1 dev eth0" in routes
    assert "fd01::/48 via fd01:0:0:11::1 dev eth0" in routes
    for address in ("10.1.17.1", "fd01:0:0:11::1"):
        assert ping(pod.fd, address)
    assert saved() == {pod.name}
    must(one.check())
    must(one.delete())
    assert (spotless.link_names(pod), held(), saved()) == ({"lo"}, set(), set())


def test_macvlan(spotless: Node, runner: Runner) -> None:
    """Another delegate is given what flanneld names, too."""
    for command in ("add m0 type veth peer name m1", "set m0 up", "set m1 up"):
        spotless.ip(f"link {command}")
    flanneld(flannel.DUAL)
    pod = spotless.new_container()
    one = Attachment(runner, conf(delegate=MACVLAN), pod)
    must(one.add())
    assert addresses(spotless, pod) == {"10.1.17.2/24", "fd01:0:0:11::2/64"}
    (eth0,) = (link for link in spotless.links(pod) if link["ifname"] == "eth0")
    assert (eth0["linkinfo"]["info_kind"], eth0["mtu"]) == ("macvlan", 1450)
    must(one.check())
    must(one.delete())
    must(one.delete())
    assert (spotless.link_names(pod), held(), saved()) == ({"lo"}, set(), set())
    spotless.ip("link delete m0")


@pytest.mark.parametrize("masquerades", ["true", "false"])
def test_masquerading(node: Node, runner: Runner, masquerades: str) -> None:
    """The bridge masquerades where flanneld does not; its rule goes with the attachment."""
    flanneld({**flannel.V4, "FLANNEL_IPMASQ": masquerades})
    one = Attachment(runner, conf(), node.new_container())
    must(one.add())
    assert ("10.1.17.2" in node.ruleset()) == (masquerades == "false")
    SUBNET_FILE.unlink()
    must(one.call("DEL", netns="", prev=False))
    assert "10.1.17.2" not in node.ruleset()


def test_delete_without_flanneld(spotless: Node, runner: Runner) -> None:
    """DEL, as often as it is called, needs neither flanneld's file nor namespace nor result."""
    flanneld()
    pods = [spotless.new_container() for _ in range(3)]
    ones = [Attachment(runner, conf(), pod) for pod in pods]
    for one in ones:
        must(one.add())
    SUBNET_FILE.unlink()
    must(ones[0].delete())
    must(ones[1].call("DEL", netns="", prev=False))
    spotless.remove_container(pods[2])
    for one in ones * 2:
        must(one.delete())
        must(one.call("DEL", netns="", prev=False))
    assert (held(), saved()) == (set(), set())


def test_delete_by_what_was(spotless: Node, runner: Runner) -> None:
    """DEL takes back what ADD made, whatever flanneld and the configuration say by now."""
    flanneld({**flannel.V4, "FLANNEL_IPMASQ": "false"})
    pod = spotless.new_container()
    one = Attachment(runner, conf(delegate={"bridge": "br7", "macspoofchk": True}), pod)
    must(one.add())
    rules = spotless.ruleset()
    assert pod.name in rules
    flanneld({**flannel.V4, "FLANNEL_SUBNET": "10.1.99.1/24"})
    must(one.call("DEL", netns="", delegate={"type": "macvlan", "master": "nobody"}))
    assert (held(), saved()) == (set(), set())
    assert pod.name not in spotless.ruleset()


def test_two_interfaces(spotless: Node, runner: Runner) -> None:
    """Each interface of a container has a configuration of its own, in whichever order they go."""
    flanneld()
    pod = spotless.new_container()
    first = Attachment(runner, conf(), pod)
    other = conf(name="other", delegate={"bridge": "br1"}, ipam={"dataDir": "/var/lib/cni/o"})
    second = Attachment(runner, other, pod, ifname="net1")
    for one, two in ((first, second), (second, first)):
        must(one.add())
        must(two.add())
        assert len(saved()) == 2
        SUBNET_FILE.rename("/run/away")
        must(one.check())
        must(two.check())
        must(one.delete())
        must(two.check())
        assert len(saved()) == 1
        must(one.delete())
        must(two.check())
        must(two.delete())
        assert (spotless.link_names(pod), held(), saved()) == ({"lo"}, set(), set())
        assert list(Path("/var/lib/cni/o/other").glob("10.*")) == []
        Path("/run/away").rename(SUBNET_FILE)


def test_failed_add(spotless: Node, runner: Runner) -> None:
    """An ADD that the delegate refuses leaves no configuration behind."""
    flanneld()
    pod = spotless.new_container()
    spotless.ip(f"-n {pod.name} link add eth0 type bridge")
    outcome = Attachment(runner, conf(), pod).add()
    assert (outcome.code, "exists" in outcome.message) == (999, True), outcome
    assert (held(), saved()) == (set(), set())


def test_second_add(spotless: Node, runner: Runner) -> None:
    """A second ADD is refused, and what is saved stays that of the first."""
    flanneld()
    pod = spotless.new_container()
    one = Attachment(runner, conf(delegate={"bridge": "br7"}), pod)
    must(one.add())
    before = (SAVED / pod.name).read_bytes()
    flanneld(flannel.DUAL)
    assert one.call("ADD", delegate={"bridge": "br8"}).code == 999
    assert ((SAVED / pod.name).read_bytes(), saved()) == (before, {pod.name})
    must(one.check())
    must(one.delete())
    assert (held(), saved()) == (set(), set())


@pytest.mark.parametrize("left", [b"", b'{"name": "net", "ty', b"[]", b'{"name": "net"}'])
def test_damaged_file(spotless: Node, runner: Runner, left: bytes) -> None:
    """What a crash of the machine left of a file is replaced by what flanneld says now."""
    flanneld()
    pod = spotless.new_container()
    one = Attachment(runner, conf(), pod)
    must(one.add())
    (SAVED / pod.name).write_bytes(left)
    assert "no configuration" in one.check().message
    must(one.delete())
    assert (spotless.link_names(pod), held(), saved()) == ({"lo"}, set(), set())
    (SAVED / pod.name).write_bytes(left)
    must(one.add())
    must(one.check())
    SUBNET_FILE.unlink()
    must(one.delete())
    (SAVED / pod.name).write_bytes(left)
    must(one.delete())
    assert (held(), saved()) == (set(), set())


def test_check(node: Node, runner: Runner) -> None:
    """CHECK finds what is missing of an attachment, and that DEL could not find it."""
    flanneld()
    pod = node.new_container()
    one = Attachment(runner, conf(), pod)
    must(one.add())
    node.ip(f"-n {pod.name} addr del 10.1.17.2/24 dev eth0")
    assert one.check().code == 999
    node.ip(f"-n {pod.name} addr add 10.1.17.2/24 dev eth0")
    node.ip(f"-n {pod.name} route add 10.1.0.0/16 via 10.1.17.1")
    must(one.check())
    outcome = one.call("CHECK", prev=False)
    assert "prevResult" in outcome.message, outcome
    (SAVED / pod.name).unlink()
    outcome = one.check()
    assert "no configuration of eth0" in outcome.message, outcome


def test_status(node: Node, runner: Runner) -> None:
    """STATUS answers 50 until flanneld's file is there and in order, and asks the delegate."""
    one = Attachment(runner, conf(), node.new_container())
    outcome = one.call("STATUS")
    assert (outcome.code, str(SUBNET_FILE) in outcome.message) == (50, True), outcome
    flanneld({"FLANNEL_SUBNET": "10.1.17.1/24"})
    outcome = one.call("STATUS")
    assert (outcome.code, "FLANNEL_NETWORK" in outcome.message) == (50, True), outcome
    flanneld({**flannel.V4, "FLANNEL_SUBNET": "10.1.17.1/30"})
    must(one.call("STATUS"))
    must(one.add())
    outcome = one.call("STATUS")
    assert (outcome.code, "no IP addresses available" in outcome.message) == (50, True), outcome
    must(one.delete())
    must(one.call("STATUS"))


def test_gc(spotless: Node, runner: Runner) -> None:
    """GC deletes what is not valid of its own network, with or without flanneld's file."""
    flanneld({**flannel.V4, "FLANNEL_IPMASQ": "false"})
    pods = [spotless.new_container() for _ in range(4)]
    ones = [Attachment(runner, conf(), pod) for pod in pods]
    away = conf(name="away", delegate={"bridge": "br1"}, ipam={"dataDir": "/var/lib/cni/o"})
    other = Attachment(runner, away, pods[0], ifname="net1")
    for one in (*ones, other):
        must(one.add())
    # What the reference saved does not say whose it is.
    path = SAVED / pods[2].name
    path.write_text(json.dumps({**json.loads(path.read_text()), "cnifast": None}))
    valid = [{"containerID": pods[0].name, "ifname": "eth0"}]
    for keep in ([*valid, {"containerID": pods[1].name, "ifname": "eth0"}], valid):
        must(ones[0].call("GC", **{"cni.dev/valid-attachments": keep}))
        assert saved() == {
            pods[0].name,
            f"{pods[0].name}:net1",
            *({pods[1].name} if len(keep) > 1 else ()),
        }
        assert len(held()) == len(keep)
        must(ones[0].check())
        must(other.check())
        if SUBNET_FILE.exists():
            SUBNET_FILE.unlink()
    assert ones[0].call("GC").code == 7
    for one in (ones[0], other):
        must(one.delete())
    assert (held(), saved()) == (set(), set())


def test_program(node: Node, runner: Runner) -> None:
    """A delegate of somebody else is executed with the caller's environment, for all commands."""
    flanneld()
    pod = node.new_container()
    path = f"{programs('theirs')}:{runner.plugin_path}"
    one = Attachment(runner, conf(delegate={"type": "theirs"}), pod, path=path)
    assert must(one.add()).json["ips"] == [{"address": "10.1.17.77/24"}]
    must(one.check())
    must(one.call("STATUS"))
    stale = Attachment(runner, one.conf, node.new_container(), path=path)
    must(stale.add())
    valid = [{"containerID": pod.name, "ifname": "eth0"}]
    must(one.call("GC", **{"cni.dev/valid-attachments": valid}))
    must(one.delete())
    must(one.delete())
    seen = calls()
    named = f"{pod.name} eth0"
    assert [call for call, _ in seen] == [
        *(f"{command} {named}" for command in ("ADD", "CHECK", "STATUS")),
        *(f"{command} {stale.container_id} eth0" for command in ("ADD", "DEL")),
        *(f"{command} {named}" for command in ("GC", "DEL")),
    ]
    plain = seen[0][1]
    assert seen[1][1] == {**plain, "prevResult": one.result}
    assert seen[5][1] == {**plain, "cni.dev/valid-attachments": valid}
    assert seen[6][1] == seen[2][1] == plain
    assert saved() == set()


def test_program_that_fails(node: Node, runner: Runner) -> None:
    """Its error is passed on as it is, and DEL reaches it until it succeeds."""
    flanneld()
    pod = node.new_container()
    path = f"{programs('theirs')}:{runner.plugin_path}"
    fails = Path("/run/programs/fails")
    fails.write_text(BUSY)
    one = Attachment(runner, conf(delegate={"type": "theirs"}), pod, path=path)
    for call in (one.add, one.delete, one.delete):
        outcome = call()
        assert (outcome.code, outcome.message) == (11, "too busy"), outcome
        assert saved() == {pod.name}
    fails.unlink()
    must(one.delete())
    must(one.delete())
    assert [call.split()[0] for call, _ in calls()] == ["ADD", "DEL", "DEL", "DEL"]
    assert saved() == set()


def test_program_that_is_gone(node: Node, runner: Runner) -> None:
    """DEL fails while the delegate is not installed, and loses nothing."""
    flanneld()
    pod = node.new_container()
    path = f"{programs('theirs')}:{runner.plugin_path}"
    one = Attachment(runner, conf(delegate={"type": "theirs"}), pod, path=path)
    must(one.add())
    one.path = runner.plugin_path
    outcome = one.delete()
    assert (outcome.code, '"theirs"' in outcome.message) == (999, True), outcome
    assert saved() == {pod.name}
    one.path = path
    must(one.delete())
    assert saved() == set()


class Mortal(InprocRunner):
    """Calls made by a process that is killed when it is about to do its n-th thing with files.

    Attributes:
        last: n, 0 for calls that nobody kills.
    """

    last = 0

    def call(self, plugin: str, environment: Mapping[str, str], stdin: bytes) -> Outcome:
        """Call the plugin's function; the exit code is -9 if the process was killed."""
        answer = self.ask(
            plugin=plugin,
            env=dict(environment),
            stdin=base64.b64encode(stdin).decode(),
            fork=True,
            last=self.last,
        )
        if "signal" in answer:
            return Outcome(-answer["signal"], "", "")
        return Outcome(answer["exit"], answer["stdout"], answer["stderr"])

    def die_each(self, call: Callable[[], Outcome]) -> Iterator[None]:
        """Make a call again and again, killed at one thing after the other, until it succeeds."""
        for last in range(1, 100):
            self.last = last
            outcome = call()
            self.last = 0
            yield
            if outcome.exit_code != -9:
                must(outcome)
                assert last > 4
                return


@pytest.mark.parametrize("ifname", ["eth0", "net1"])
def test_killed(spotless: Node, plugin_directory: str, ifname: str) -> None:
    """Whenever ADD or DEL is killed between two things it does with files, DEL leaves nothing."""
    flanneld()
    mortal = Mortal(plugin_directory)
    pod = spotless.new_container()
    first = Attachment(mortal, conf(name="first"), pod)
    one = Attachment(mortal, conf(), pod, ifname=ifname)
    left: set[str] = set()
    if ifname != "eth0":  # whose configuration is in the way then
        must(first.add())
        left = saved()
    for _ in mortal.die_each(one.add):
        must(one.delete())
        assert (spotless.link_names(pod) - {"eth0"}, held(), saved()) == ({"lo"}, set(), left)
    must(one.add())
    for _ in mortal.die_each(one.delete):
        must(one.delete())
        assert (spotless.link_names(pod) - {"eth0"}, held(), saved()) == ({"lo"}, set(), left)
        must(one.add())
    must(one.delete())
    must(first.delete())
    mortal.close()
