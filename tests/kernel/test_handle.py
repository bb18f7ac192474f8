"""Handles from Python: links, bridge ports, errors, and the life of a handle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import kernel
from cnifast.kernel import Handle, KernelError, NetNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from helpers.node import Container, Node

MACVLAN_BRIDGE = 4


@pytest.fixture
def handle(node: Node) -> Iterator[Handle]:
    """A handle on a node's host that has the bridge br0."""
    node.ip("link add br0 up type bridge")
    with Handle() as opened:
        yield opened


@pytest.fixture
def pod(node: Node) -> Container:
    """A container."""
    return node.new_container("pod")


def shown(node: Node, name: str, where: str = "") -> dict[str, Any]:
    """Return what iproute2 says of a link."""
    found: dict[str, Any] = json.loads(node.ip(f"{where} -j -d link show {name}"))[0]
    return found


def failure(call: Callable[[], object]) -> KernelError:
    """Return the error of a call that must fail, having looked at its form."""
    with pytest.raises(KernelError) as caught:
        call()
    error = caught.value
    assert str(error) == error.strerror
    assert "\n" not in str(error)
    assert error.errno
    return error


# -- reading ------------------------------------------------------------------------------------


def test_a_link_is_what_iproute2_shows(node: Node, handle: Handle) -> None:
    """By name and by index, each attribute of a link has the value that iproute2 reports."""
    node.ip("link add v0 mtu 1400 txqueuelen 77 address 02:00:00:00:00:01 type veth peer name v1")
    node.ip("link set v0 master br0 group 5 promisc on alias mine up")
    node.run("bridge link set dev v0 hairpin on isolated on")
    theirs = shown(node, "v0")
    for link in (handle.link("v0"), handle.link(theirs["ifindex"])):
        assert (link.name, link.index, link.kind) == ("v0", theirs["ifindex"], "veth")
        assert (link.mac, link.mtu, link.txqlen) == ("02:00:00:00:00:01", 1400, 77)
        assert (link.alias, link.group) == ("mine", 5)
        assert link.promiscuity == theirs["promiscuity"]
        assert link.master == handle.link("br0").index
        assert link.parent == handle.link("v1").index
        assert link.parent_netnsid is None
        assert link.is_up
        assert (link.is_port, link.hairpin, link.isolated) == (True, True, True)
        assert link.type == 1
        assert repr(link) == f"<Link {link.index} v0 veth>"


def test_a_dump_says_the_same_as_single_questions(node: Node, handle: Handle) -> None:
    """Links of a dump and links asked for one by one are alike in every attribute."""
    node.ip("link add v0 master br0 type veth peer name v1")
    node.ip("link add m0 link v1 type macvlan mode bridge bcqueuelen 500")
    names = [name for name in dir(kernel.Link) if not name.startswith("_")]
    # A question settles the state of what it is about; a dump does not.
    singles = {name: handle.link(name) for name in node.link_names()}
    found = {link.name: link for link in handle.links()}
    assert set(found) == set(singles)
    assert len(names) > 15
    for name, link in found.items():
        single = singles[name]
        assert type(link) is kernel.Link
        assert {n: getattr(link, n) for n in names} == {n: getattr(single, n) for n in names}
        assert repr(link) == repr(single)
    assert (found["m0"].macvlan_mode, found["m0"].bcqueuelen) == (MACVLAN_BRIDGE, 500)
    assert found["m0"].parent == found["v1"].index
    assert found["lo"].kind == ""
    assert found["lo"].mac == "00:00:00:00:00:00"


def test_dumps_are_filtered(node: Node, handle: Handle) -> None:
    """Only links of the master and the kind asked for come."""
    node.ip("link add br1 type bridge")
    node.ip("link add v0 master br0 type veth peer name v1")
    node.ip("link add v2 master br1 type veth peer name v3")
    node.ip("link add m0 link v3 type macvlan")
    br0, br1 = handle.link("br0").index, handle.link("br1").index
    assert [link.name for link in handle.links(master=br0)] == ["v0"]
    assert {link.name for link in handle.links(kind="bridge")} == {"br0", "br1"}
    assert {link.name for link in handle.links(kind="veth")} == {"v0", "v1", "v2", "v3"}
    assert [link.name for link in handle.links(master=br1, kind="veth")] == ["v2"]
    assert handle.links(master=br1, kind="bridge") == []
    assert handle.links(kind="nonsense") == []


def test_the_other_end_of_a_pair_is_known_by_namespace(
    node: Node, handle: Handle, pod: Container
) -> None:
    """A veth whose peer is elsewhere names the peer's index and the ID of its namespace."""
    handle.add_link("veth", "v0", peer="eth0", peer_netns=pod.fd)
    link = handle.link("v0")
    assert link.parent_netnsid is not None
    with Handle(pod.fd) as inside:
        assert inside.link("eth0").index == link.parent
    assert shown(node, "v0")["link_netnsid"] == link.parent_netnsid


# -- making and changing ------------------------------------------------------------------------


def test_links_are_made_as_described(node: Node, handle: Handle, pod: Container) -> None:
    """A bridge, a pair across namespaces and a macvlan elsewhere have what was asked for."""
    master = handle.add_link("bridge", "br7", mtu=1400, mac="02:00:00:00:00:07", up=True)
    br7 = shown(node, "br7")
    assert br7["ifindex"] == master
    assert (br7["mtu"], br7["address"]) == (1400, "02:00:00:00:00:07")
    assert "UP" in br7["flags"]

    v0 = handle.add_link("veth", "v0", mtu=1300, master=master, peer="eth0", peer_netns=pod.fd)
    assert shown(node, "v0")["ifindex"] == v0
    assert shown(node, "v0")["master"] == "br7"
    assert shown(node, "v0")["mtu"] == 1300
    assert shown(node, "eth0", "-n pod")["linkinfo"]["info_kind"] == "veth"
    assert shown(node, "eth0", "-n pod")["mtu"] == 1300

    mode = MACVLAN_BRIDGE
    far = handle.add_link("macvlan", "eth1", parent=master, netns=pod.fd, macvlan_mode=mode)
    assert far == 0
    assert shown(node, "eth1", "-n pod")["linkinfo"]["info_data"]["mode"] == "bridge"
    handle.add_link("veth", "v1")
    assert handle.link("v1").kind == "veth"


def test_only_what_is_given_of_a_link_changes(node: Node, handle: Handle, pod: Container) -> None:
    """Each argument of set_link changes one thing."""
    handle.add_link("veth", "v0", peer="v1")
    index = handle.link("v0").index
    master = handle.link("br0").index
    handle.set_link(index)
    changes: list[tuple[dict[str, Any], str, object]] = [
        ({"up": True}, "is_up", True),
        ({"promisc": True}, "promiscuity", 1),
        ({"mtu": 1400}, "mtu", 1400),
        ({"mac": "02:00:00:00:00:09"}, "mac", "02:00:00:00:00:09"),
        ({"master": master}, "master", master),
        ({"master": 0}, "master", 0),
        ({"promisc": False}, "promiscuity", 0),
        ({"up": False}, "is_up", False),
        ({"name": "other"}, "name", "other"),
    ]
    looked_at = ("is_up", "mtu", "mac", "name")
    for arguments, attribute, value in changes:
        before = handle.link(index)
        handle.set_link(index, **arguments)
        after = handle.link(index)
        assert getattr(after, attribute) == value
        for name in looked_at:
            assert name == attribute or getattr(after, name) == getattr(before, name)
    handle.set_link(index, netns=pod.fd)
    assert "other" in node.link_names(pod)


def test_deleting_takes_the_pair_away(node: Node, handle: Handle) -> None:
    """When delete_link returns neither end is there, and a second time it is not found."""
    handle.add_link("veth", "v0", peer="v1")
    index = handle.link("v0").index
    handle.delete_link(index)
    assert not {"v0", "v1"} & node.link_names()
    assert isinstance(failure(lambda: handle.delete_link(index)), FileNotFoundError)


def test_port_options_are_set_one_by_one(node: Node, handle: Handle) -> None:
    """Hairpin and isolation of a port follow what is given, and nothing else."""
    node.ip("link add v0 master br0 type veth peer name v1")
    index = handle.link("v0").index
    for arguments, expected in (
        ({"hairpin": True}, (True, False)),
        ({"isolated": True}, (True, True)),
        ({"hairpin": False}, (False, True)),
        ({"hairpin": True, "isolated": False}, (True, False)),
    ):
        handle.set_port(index, **arguments)
        link = handle.link(index)
        assert (link.hairpin, link.isolated) == expected
    other = handle.link("v1").index
    error = failure(lambda: handle.set_port(other, hairpin=True))
    assert str(error).startswith(f"set options of bridge port with index {other}: ")


# -- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "builtin", "message"),
    [
        (lambda h: h.link("nobody"), FileNotFoundError, "get link nobody: no such device"),
        (lambda h: h.link(4711), FileNotFoundError, "get link index 4711: no such device"),
        (lambda h: h.link(""), FileNotFoundError, "get link : no such device"),
        (lambda h: h.link("x" * 16), FileNotFoundError, f"get link {'x' * 16}: no such device"),
        (lambda h: h.add_link("bridge", "br0"), FileExistsError, "create link br0: file exists"),
        (lambda h: h.set_link(4711, up=True), FileNotFoundError, "change link index 4711: no such"),
        (lambda h: h.set_link(1, name="br0"), OSError, "change link index 1: "),
        (lambda h: h.set_link(2, mtu=10**6), OSError, "change link index 2: "),
        (lambda h: h.delete_link(1), OSError, "delete link index 1: operation not supported"),
        (lambda h: h.add_link("veth", "v0", peer="br0"), FileExistsError, "create link v0: "),
        (lambda h: h.add_link("veth", "v0", master=4711), OSError, "create link v0: "),
        (lambda h: h.add_link("macvlan", "m0", parent=4711), FileNotFoundError, "create link m0: "),
        (lambda h: h.add_link("nonsense", "n0"), OSError, "create link n0: operation not suppo"),
        (lambda h: h.add_link("bridge", "a/b"), OSError, "create link a/b: invalid argument"),
        (lambda h: h.add_link("bridge", "x" * 16), OSError, f"create link {'x' * 16}: numerical"),
        (lambda h: h.add_link("bridge", "b1", netns=1000), OSError, "create link b1: bad file"),
        (lambda h: h.links(kind="x" * 300), OSError, "netlink request for links does not fit"),
    ],
)
def test_errors_say_step_object_and_reason(
    handle: Handle, node: Node, call: Callable[[Handle], object], builtin: type, message: str
) -> None:
    """A refusal is one line, an exception of the fitting built-in kind, and changes nothing."""
    before = node.link_names()
    error = failure(lambda: call(handle))
    assert isinstance(error, builtin)
    assert str(error).startswith(message)
    assert node.link_names() == before


def test_the_kernels_words_are_in_the_message(handle: Handle) -> None:
    """What the kernel says beyond an errno value stands in parentheses."""
    error = failure(lambda: handle.add_link("nonsense", "n0"))
    assert str(error) == "create link n0: operation not supported (Unknown device type)"


def test_lack_of_permission_is_a_permission_error(node: Node) -> None:
    """Without privileges a change is a PermissionError, and looking is allowed."""
    program = (
        "import os; from cnifast.kernel import Handle, NotPermittedError\n"
        "Handle().links()  # whose modules the user may not be able to read\n"
        "os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "handle = Handle(); assert handle.link('lo').index == 1 and handle.links()\n"
        "try: handle.add_link('bridge', 'b0')\n"
        "except PermissionError as e: print(isinstance(e, NotPermittedError), e)"
    )
    printed = node.run([sys.executable, "-c", program])
    assert printed.strip() == "True create link b0: operation not permitted"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda h: h.add_link("bridge", "b0", mac="02:00:00:00:00"), ValueError),
        (lambda h: h.add_link("bridge", "b0", mac="02:00:00:00:00:0g"), ValueError),
        (lambda h: h.add_link("bridge", "b\0"), ValueError),
        (lambda h: h.add_link("bri\0dge", "b0"), ValueError),
        (lambda h: h.add_link("veth", "v0", peer="v\0"), ValueError),
        (lambda h: h.add_link("bridge", "b0", mtu=-1), OverflowError),
        (lambda h: h.add_link("bridge", "b0", mtu=2**32), OverflowError),
        (lambda h: h.set_link(1, name="l\0"), ValueError),
        (lambda h: h.link("lo\0"), ValueError),
        (lambda h: h.link(2**31), OverflowError),
        (lambda h: h.links(kind="veth\0"), ValueError),
        (lambda h: h.addresses(family=5), ValueError),
        (lambda h: h.routes(family=5), ValueError),
        (lambda h: h.add_port_vlan(1, 65536), OverflowError),
    ],
)
def test_senseless_arguments_are_refused(
    handle: Handle, node: Node, call: Callable[[Handle], object], error: type[Exception]
) -> None:
    """What cannot be put into a request is a ValueError or OverflowError, and nothing is sent."""
    before = node.link_names()
    with pytest.raises(error):
        call(handle)
    assert node.link_names() == before


# -- the life of a handle -----------------------------------------------------------------------


def test_a_handle_works_in_the_namespace_it_was_opened_in(
    node: Node, handle: Handle, pod: Container
) -> None:
    """By descriptor or NetNS; it goes on working when the namespace's file is gone."""
    with NetNS(pod.path) as space, Handle(space) as one, Handle(pod.fd) as other:
        one.add_link("bridge", "inside")
        assert other.link("inside").kind == "bridge"
        assert "inside" not in {link.name for link in handle.links()}
        space.close()
        node.remove_container(pod)
        assert other.link("inside").kind == "bridge"


def test_a_closed_handle_refuses_everything(node: Node) -> None:
    """After close, a second time without effect, every method is a ValueError."""
    handle = Handle()
    handle.close()
    handle.close()
    calls: list[Callable[[], object]] = [
        lambda: handle.raw,
        lambda: handle.link("lo"),
        handle.links,
        lambda: handle.add_link("bridge", "b0"),
        lambda: handle.set_link(1),
        lambda: handle.delete_link(1),
        lambda: handle.set_port(1),
        lambda: handle.port_vlans(1),
        lambda: handle.add_port_vlan(1, 1),
        lambda: handle.delete_port_vlan(1, 1),
        handle.addresses,
        lambda: handle.has_address(1, "127.0.0.1/8"),
        lambda: handle.add_address(1, "10.0.0.1/8"),
        lambda: handle.delete_address(1, "10.0.0.1/8"),
        handle.routes,
        lambda: handle.add_route("10.0.0.0/8"),
        lambda: handle.delete_route("10.0.0.0/8"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="socket is closed"):
            call()
    assert node.link_names() & {"b0"} == set()


def test_a_closed_namespace_is_not_the_current_one(pod: Container) -> None:
    """A handle cannot be opened in a namespace that was closed."""
    space = NetNS(pod.path)
    space.close()
    with pytest.raises(ValueError, match="is closed"):
        Handle(space)


@pytest.mark.usefixtures("node")
def test_dropped_and_failed_handles_leave_no_descriptor() -> None:
    """A handle that is dropped, or could not be opened, closes its socket."""
    before = len(os.listdir("/proc/self/fd"))
    with Path("/dev/null").open("rb") as null:
        for _ in range(3):
            Handle().link("lo")
            error = failure(lambda: Handle(null.fileno()))
            assert str(error) == "enter network namespace: invalid argument"
    assert isinstance(failure(lambda: Handle(1000)), KernelError)
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_package_imports_little() -> None:
    """Importing the kernel package does not load what only dumps need, nor typing or enum."""
    program = (
        "import sys; before = set(sys.modules); import cnifast.kernel\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert "cnifast.kernel.handle" in loaded
    assert not {"cnifast._native._dump", "typing", "enum", "ipaddress", "netaddr"} & set(loaded)
    with pytest.raises(AttributeError):
        _ = kernel.Nonsense  # type: ignore[attr-defined]
