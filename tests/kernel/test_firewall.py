"""What the firewall plugin lets through and keeps out, by each kind of rules."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import plugins
from cnifast.kernel import firewall
from cnifast.kernel.nft import NftSocket, Owner
from cnifast.protocol.errors import CNIError
from helpers import nsutil
from helpers.firewalled import SECOND, SOON, VERSION, Firewalled, Pod, is_kept_from, reaches
from helpers.flavour import choose
from helpers.node import need_tools
from helpers.packets import ping
from helpers.routed import NEIGHBOUR

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

FAMILIES = pytest.mark.parametrize("family", [4, 6])
COMMANDS = {4: "iptables", 6: "ip6tables"}
MEANS = ("iptables", "legacy", "nftables")


@pytest.fixture
def scene(node: Node) -> Firewalled:
    """Pods on a fresh node."""
    need_tools("nft", "iptables-nft", "iptables-legacy")
    return Firewalled(node)


@pytest.fixture(params=MEANS)
def means(node: Node, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """One kind of rules: iptables in nf_tables, legacy iptables, or a table of our own."""
    need_tools("nft", "iptables-nft", "iptables-legacy")
    found: str = request.param
    choose(node, "legacy" if found == "legacy" else "nft", monkeypatch)
    return found


of_iptables = pytest.mark.parametrize("means", ["iptables", "legacy"], indirect=True)


def options(means: str, **more: Any) -> dict[str, Any]:
    """Return the configuration for a kind of rules."""
    return {"backend": "nftables" if means == "nftables" else "iptables", **more}


def close_forwarding(node: Node, means: str) -> None:
    """Drop what nobody lets through, in the table that the rules are in."""
    if means == "nftables":
        node.run("nft add rule inet cnifast-firewall forward drop")
    else:
        for command in COMMANDS.values():
            node.run(f"{command} -P FORWARD DROP")


def saved(node: Node) -> list[str]:
    """Return all rules that either kind of iptables has of pods, and all records."""
    found = []
    for command in COMMANDS.values():
        for kind in ("nft", "legacy"):
            lines = node.run(f"{command}-{kind}-save -t filter", check=False).splitlines()
            found += [line for line in lines if line.startswith("-A CNI-FORWARD -")]
    with NftSocket(node.fd) as nft:
        for means in (*MEANS, "firewalld"):
            found += [f"{r.means} {r.address} {r.owner}" for r in firewall.recorded(nft, means)]
    return [line for line in found if "admin overrides" not in line]


@FAMILIES
def test_a_pod_is_let_through(scene: Firewalled, means: str, family: int) -> None:
    """What a pod sends is forwarded and answered, what others begin is not; DEL ends it."""
    pod, neighbour = scene.first, scene.neighbour.fd
    scene.greet(family)
    pod.add(**options(means))
    close_forwarding(scene.node, means)
    assert reaches(pod.fd, neighbour, NEIGHBOUR[family])
    assert is_kept_from(neighbour, pod, pod.addresses[family])
    assert is_kept_from(scene.other.fd, neighbour, NEIGHBOUR[family])
    pod.check()
    pod.delete()
    assert is_kept_from(pod.fd, neighbour, NEIGHBOUR[family], 4001)


@FAMILIES
def test_the_administrator_is_asked_first(scene: Firewalled, means: str, family: int) -> None:
    """What the administrator's chain drops is dropped although the pod is let through."""
    pod, neighbour = scene.first, scene.neighbour.fd
    scene.greet(family)
    pod.add(**options(means))
    assert reaches(pod.fd, neighbour, NEIGHBOUR[family])
    if means == "nftables":
        scene.node.run("nft add rule inet cnifast-firewall admin udp dport 4001 drop")
    else:
        for command in COMMANDS.values():
            scene.node.run(f"{command} -A CNI-ADMIN -p udp --dport 4001 -j DROP")
    assert is_kept_from(pod.fd, neighbour, NEIGHBOUR[family], 4001)
    assert reaches(pod.fd, neighbour, NEIGHBOUR[family], 4002)


@pytest.mark.parametrize("policy", ["", "open", "same-bridge", "isolated"])
@FAMILIES
def test_policies(scene: Firewalled, means: str, policy: str, family: int) -> None:
    """Other bridges and the bridge's own pods reach a pod as far as the policy allows."""
    scene.filter_bridged()
    scene.greet(family)
    conf = options(means, ingressPolicy=policy) if policy else options(means)
    first, second, other = pods = (scene.first, scene.second, scene.other)
    for pod in pods:
        pod.add(**conf)
        pod.check()
    across = is_kept_from if policy in ("same-bridge", "isolated") else reaches
    within = is_kept_from if policy == "isolated" else reaches
    assert across(other.fd, first, first.addresses[family])
    assert across(first.fd, other, SECOND[family])
    assert within(second.fd, first, first.addresses[family], 4001)
    # Who is on no bridge with a policy is not concerned.
    assert reaches(scene.neighbour.fd, first, first.addresses[family], 4002)
    assert reaches(first.fd, scene.neighbour.fd, NEIGHBOUR[family], 4003)


def test_a_bridge_without_a_policy_is_not_concerned(scene: Firewalled, means: str) -> None:
    """A pod on a bridge with a policy is reached from a bridge that has none."""
    scene.first.add(**options(means, ingressPolicy="isolated"))
    scene.other.add(**options(means))
    assert reaches(scene.other.fd, scene.first, scene.first.addresses[4])


def test_add_twice_is_add_once(scene: Firewalled, means: str) -> None:
    """ADD again adds no rule and no record."""
    conf = options(means, ingressPolicy="isolated")
    for _ in range(2):  # what has been made is seen, and remembered, by the next one
        scene.first.add(**conf)
    once = scene.node.ruleset().replace(" ", "")
    legacy = saved(scene.node)
    scene.first.add(**conf)
    assert scene.node.ruleset().replace(" ", "") == once
    assert saved(scene.node) == legacy


WITHOUT = {
    "nothing": (),
    "netns": ("netns",),
    "prevResult": ("prevResult",),
    "both": ("netns", "prevResult"),
    "backend": ("netns", "prevResult", "backend"),
}


@pytest.mark.parametrize("name", WITHOUT)
def test_delete(scene: Firewalled, means: str, name: str) -> None:
    """DEL removes all of one pod and nothing of another's, also twice, whatever it is told."""
    conf = options(means, ingressPolicy="same-bridge")
    scene.second.add(**conf)
    before = saved(scene.node)
    assert before
    scene.first.add(**conf)
    assert saved(scene.node) != before
    for _ in range(2):
        scene.first.delete(*WITHOUT[name])
        assert sorted(saved(scene.node)) == sorted(before)
    scene.second.check()


def test_delete_with_a_configuration_that_makes_no_sense(scene: Firewalled, means: str) -> None:
    """DEL removes everything although ADD would refuse the configuration."""
    scene.first.add(**options(means))
    conf = {"ingressPolicy": "x", "iptablesAdminChainName": "\0", "firewalldZone": "\n"}
    scene.first.delete("prevResult", **{**conf, "backend": "rubbish"})
    assert saved(scene.node) == []


def test_delete_with_a_configuration_of_the_wrong_kind(scene: Firewalled, means: str) -> None:
    """DEL removes everything, and then says what is wrong."""
    scene.first.add(**options(means))
    with pytest.raises(CNIError, match="ingressPolicy"):
        scene.first.delete("prevResult", ingressPolicy=7)
    assert saved(scene.node) == []


def test_an_address_that_has_gone_to_another_pod(scene: Firewalled, means: str) -> None:
    """DEL of who had an address before leaves it to who has it now."""
    scene.first.add(**options(means))
    heir = Pod(scene.pods[1], "br0", {4: "10.1.0.5/16", 6: "fd00:1::5/64"})
    heir.add(**options(means))
    scene.first.delete()
    heir.check()
    heir.delete()
    assert saved(scene.node) == []


@of_iptables
def test_rules_that_are_there_several_times(scene: Firewalled, means: str) -> None:
    """DEL removes all rules of a pod, however many somebody has added."""
    scene.first.add(**options(means))
    for family, command in COMMANDS.items():
        for rule in scene.first.rules(family) * 20:
            scene.node.run(f"{command} {rule}")
    scene.first.delete()
    assert saved(scene.node) == []


SAID = "CNI firewall plugin rules"
DAMAGE = {
    "rule for answers": "-D CNI-FORWARD {answers}",
    "rule for what is sent": "-D CNI-FORWARD {sent}",
    "jump to the pods": f'-D FORWARD -m comment --comment "{SAID}" -j CNI-FORWARD',
    "jump to the administrator": "-D CNI-FORWARD 1",
    "policy": "-F CNI-ISOLATION-STAGE-2",
}


@of_iptables
@pytest.mark.parametrize("name", DAMAGE)
@FAMILIES
def test_check_notices_what_iptables_lacks(
    scene: Firewalled, means: str, name: str, family: int
) -> None:
    """CHECK fails where a rule is missing, and the next ADD puts it back."""
    pod = scene.first
    pod.add(**options(means, ingressPolicy="same-bridge"))
    answers, sent = (rule.removeprefix("-A CNI-FORWARD ") for rule in pod.rules(family))
    scene.node.run(f"{COMMANDS[family]} {DAMAGE[name].format(answers=answers, sent=sent)}")
    with pytest.raises(CNIError, match="lack"):
        pod.check()
    pod.add(**options(means, ingressPolicy="same-bridge"))
    pod.check()


@pytest.mark.parametrize(
    "damage",
    [
        "delete element inet cnifast-firewall nftables4 { 10.1.0.5 }",
        "delete element inet cnifast-firewall nftables6 { fd00:1::5 }",
        "delete element inet cnifast-firewall bridges { br0 }",
        "flush chain inet cnifast-firewall forward",
    ],
)
def test_check_notices_what_nftables_lacks(scene: Firewalled, damage: str) -> None:
    """CHECK fails where an element or the rules are missing."""
    scene.first.add(backend="nftables", ingressPolicy="same-bridge")
    scene.first.check()
    scene.node.run(f"nft {damage}")
    with pytest.raises(CNIError):
        scene.first.check()


def test_gc(scene: Firewalled, means: str) -> None:
    """GC removes what is not valid of its network, and leaves everything else."""
    for pod in (scene.first, scene.second):
        pod.add(**options(means))
    scene.other.add(**options(means), name="another")
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "firewall", **options(means)}
    plugins.gc("firewall", {**conf, "cni.dev/valid-attachments": [_valid(scene.second)]})
    scene.second.check()
    scene.other.check()
    with pytest.raises(CNIError):
        scene.first.check()
    left = saved(scene.node)
    assert left
    assert not any("10.1.0.5" in line or "fd00:1::5" in line for line in left)


def _valid(pod: Pod) -> dict[str, str]:
    return {"containerID": pod.name, "ifname": "eth0"}


def test_pods_outlive_a_change_of_backend(scene: Firewalled, means: str) -> None:
    """CHECK and DEL find what ADD made when another backend is configured by then."""
    scene.first.add(**options(means))
    other = "iptables" if means == "nftables" else "nftables"
    scene.first.check(backend=other)
    scene.first.delete(backend=other)
    assert saved(scene.node) == []


def test_status(scene: Firewalled, means: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """STATUS succeeds where an ADD would, and answers 50 without the iptables that is asked for."""
    assert scene.node
    conf = {"cniVersion": "1.1.0", "name": "net", "type": "firewall", **options(means)}
    plugins.status("firewall", conf)
    monkeypatch.setattr("cnifast.kernel.program.DIRECTORIES", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    if means == "nftables":
        plugins.status("firewall", conf)
        return
    with pytest.raises(CNIError, match="iptables is not installed") as refused:
        plugins.status("firewall", conf)
    assert refused.value.code == 50


def test_without_iptables_nftables_is_the_default(
    scene: Firewalled, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a node without iptables and firewalld pods are let through by a table of our own."""
    monkeypatch.setattr("cnifast.kernel.program.DIRECTORIES", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    scene.first.add(backend="")
    with NftSocket(scene.node.fd) as nft:
        assert {r.address for r in firewall.recorded(nft, "nftables")} == {"10.1.0.5", "fd00:1::5"}
    monkeypatch.undo()
    scene.first.delete()
    assert saved(scene.node) == []


@of_iptables
@pytest.mark.parametrize("change", ["flush", "replace", "table", "other chain"])
def test_rules_that_were_moved(scene: Firewalled, means: str, change: str) -> None:
    """What ADD remembers of where rules were is not believed when somebody has changed them."""
    node = scene.node
    for _ in range(3):
        scene.first.add(**options(means, ingressPolicy="isolated"))
    for command, kind in ((c, means.replace("iptables", "nft")) for c in COMMANDS.values()):
        if change == "flush":
            node.run(f"{command} -F FORWARD")
        elif change == "replace":
            text = node.run(f"{command}-{kind}-save -t filter")
            node.run(["sh", "-c", f"{command}-{kind}-restore <<'END'\n{text}\nEND"])
        elif change == "table" and kind == "nft":
            node.run(f"nft delete table {'ip' if command == 'iptables' else 'ip6'} filter")
            for port in range(1, 20):  # rules with the handles that those had
                node.run(f"{command} -A FORWARD -p tcp --dport {port} -j ACCEPT")
    if change == "other chain":
        scene.second.add(**options(means, iptablesAdminChainName="OTHER"))
    scene.second.add(**options(means, ingressPolicy="isolated"))
    scene.first.add(**options(means, ingressPolicy="isolated"))
    for pod in (scene.first, scene.second):
        pod.check()
    for command in COMMANDS.values():
        found = [line for line in node.run(f"{command} -S").splitlines() if line[:2] == "-A"]
        assert len(found) == len(set(found))


@of_iptables
def test_rules_of_others_stay(scene: Firewalled, means: str) -> None:
    """Rules, policies and counters of iptables' other users are left as they are."""
    node = scene.node
    for command in COMMANDS.values():
        node.run(f"{command} -P FORWARD DROP")
        node.run(f"{command} -N CNI-ADMIN")
        node.run(f"{command} -A CNI-ADMIN -p tcp --dport 25 -j DROP")
        node.run(f"{command} -A FORWARD -i eth9 -j ACCEPT")
    before = [node.run(f"{command} -S") for command in COMMANDS.values()]
    scene.first.add(**options(means))
    scene.first.delete()
    for was, command in zip(before, COMMANDS.values(), strict=True):
        lines = node.run(f"{command} -S").splitlines()
        assert set(was.splitlines()) <= set(lines)
        assert lines.index("-A FORWARD -i eth9 -j ACCEPT") > next(
            at for at, line in enumerate(lines) if line.endswith("-j CNI-FORWARD")
        )


def test_one_address_of_many(scene: Firewalled, means: str) -> None:
    """All addresses of a result are let through, each once, those in one batch and the others."""
    addresses = [f"10.1.3.{number}/16" for number in range(1, 11)]
    result = {**scene.first.result(), "ips": [{"address": a} for a in [*addresses, *addresses]]}
    scene.first.add(**options(means), prevResult=result)
    scene.first.check()
    with NftSocket(scene.node.fd) as nft:
        owner = Owner("c5", "eth0", "net")
        assert len(firewall.recorded(nft, means, owner)) == len(addresses)
    scene.first.delete()
    assert saved(scene.node) == []


def test_without_addresses_nothing_is_done(scene: Firewalled, means: str) -> None:
    """A result without addresses is passed on, and no rule is made."""
    before = scene.node.ruleset()
    result = {**scene.first.result(), "ips": []}
    assert scene.first.add(**options(means), prevResult=result).ips == []
    scene.first.check()
    scene.first.delete()
    assert scene.node.ruleset() == before


@pytest.fixture
def workers(node: Node) -> Iterator[list[str]]:
    """What threads on the node complain of; none may."""
    assert node
    complaints: list[str] = []
    yield complaints
    assert complaints == []


@pytest.mark.parametrize("means", ["iptables", "nftables"])
def test_many_at_once(scene: Firewalled, means: str, workers: list[str]) -> None:
    """Pods that come and go at the same time get each rule once, and leave nothing."""
    node = scene.node

    def work(number: int) -> None:
        nsutil.setns(node.fd)
        try:
            for turn in range(5):
                address = f"10.1.{number}.{turn + 1}/16"
                conf = {
                    **scene.first.configuration(**options(means, ingressPolicy="isolated")),
                    "prevResult": {**scene.first.result(), "ips": [{"address": address}]},
                }
                who = {**scene.first.who(), "container_id": f"t{number}-{turn}"}
                plugins.add("firewall", conf, **who)
                plugins.check("firewall", conf, **who)
                if turn % 2:
                    plugins.delete("firewall", conf, **who)
        except (CNIError, OSError) as error:
            workers.append(f"{number}: {error}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with NftSocket(node.fd) as nft:
        assert len(firewall.recorded(nft, means)) == 8 * 3
    if means == "iptables":
        rules = [line for line in node.run("iptables -S").splitlines() if line[:2] == "-A"]
        assert len(set(rules)) == len(rules)
        assert len([rule for rule in rules if rule.startswith("-A CNI-FORWARD -s")]) == 8 * 3


@pytest.mark.parametrize("policy", ["same-bridge", "isolated"])
def test_behind_the_bridge_plugin(node: Node, means: str, policy: str) -> None:
    """In a chain with bridge, pods reach their own network as the policy says, and no other one."""
    node.run("sysctl -qw net.bridge.bridge-nf-call-iptables=1")
    pods = {name: node.new_container(name) for name in ("foo1", "foo2", "bar1")}
    addresses = {}
    for name, pod in pods.items():
        network = name[:3]
        subnet = "10.88.3.0/24" if network == "foo" else "10.88.4.0/24"
        base = {"cniVersion": VERSION, "name": network}
        ipam = {"type": "host-local", "subnet": subnet, "routes": [{"dst": "0.0.0.0/0"}]}
        conf = {**base, "type": "bridge", "bridge": network, "isGateway": True, "ipam": ipam}
        who = {"container_id": name, "netns": pod.path, "ifname": "eth0"}
        result = plugins.add("bridge", conf, **who)
        addresses[name] = result.ips[0].address.partition("/")[0]
        chained = {**base, "type": "firewall", "prevResult": result.to_json(VERSION)}
        plugins.add("firewall", {**chained, **options(means, ingressPolicy=policy)}, **who)
    assert ping(pods["foo1"].fd, addresses["foo2"]) is (policy == "same-bridge")
    assert not ping(pods["foo1"].fd, addresses["bar1"], timeout=SOON)
    assert not ping(pods["bar1"].fd, addresses["foo1"], timeout=SOON)
    assert ping(pods["foo1"].fd, "10.88.3.1")
