"""Handles under load: many links, dumps while links come and go, threads with a handle each."""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from cnifast.kernel import Handle, KernelError, NetNS, netns
from cnifast.kernel.attach import detach

if TYPE_CHECKING:
    from collections.abc import Callable

    from helpers.node import Node

OWN = "/proc/thread-self/ns/net"
PAIRS = 500
DUMPS = 40
MACVLAN_BRIDGE = 4


def identity() -> tuple[int, int]:
    """Return what names the calling thread's namespace."""
    status = Path(OWN).stat()
    return status.st_dev, status.st_ino


class Background(threading.Thread):
    """A thread that calls something again and again, until it is stopped or fails."""

    def __init__(self, work: Callable[[int], None]) -> None:
        super().__init__()
        self._work = work
        self._stopped = threading.Event()
        self.rounds = 0
        self.error: BaseException | None = None

    def run(self) -> None:
        """Work."""
        try:
            while not self._stopped.is_set():
                self._work(self.rounds)
                self.rounds += 1
        except BaseException as error:  # noqa: BLE001 - whatever it was, the test shall see it
            self.error = error

    def stop(self) -> None:
        """End the thread and raise what it raised."""
        self._stopped.set()
        self.join()
        if self.error is not None:
            raise self.error


def test_a_thousand_links_are_dumped_whole(node: Node) -> None:
    """A dump of 1,000 links has each of them once, with filters as well, as iproute2 does."""
    node.ip("link add br0 type bridge")
    pod = node.new_container()
    with Handle() as handle:
        master = handle.link("br0").index
        for n in range(PAIRS):
            handle.add_link("veth", f"v{n}", master=master, peer=f"w{n}")
        expected = {f"{side}{n}" for n in range(PAIRS) for side in "vw"}
        names = [link.name for link in handle.links()]
        assert len(names) == len(set(names))
        assert expected <= set(names)
        assert {link.name for link in handle.links(kind="veth")} == expected
        assert {link.name for link in handle.links(master=master)} == {
            f"v{n}" for n in range(PAIRS)
        }
        theirs = {link["ifname"]: link["ifindex"] for link in json.loads(node.ip("-j link show"))}
        assert {link.name: link.index for link in handle.links()} == theirs
        for n in (0, PAIRS - 1):
            assert handle.link(f"v{n}").parent == handle.link(f"w{n}").index
    with Handle(pod.fd) as inside:
        assert [link.name for link in inside.links(kind="veth")] == []


def test_dumps_are_whole_while_links_come_and_go(node: Node) -> None:
    """Every dump has the links that stay, each once, however often it had to start over."""
    with Handle() as handle:
        for n in range(100):
            handle.add_link("veth", f"v{n}", peer=f"w{n}")
        stay = {f"{side}{n}" for n in range(100) for side in "vw"}
        own = threading.local()

        def churn(number: int) -> None:
            if not hasattr(own, "handle"):
                own.handle = Handle()
            own.handle.add_link("veth", f"c{number % 7}", peer=f"d{number % 7}")
            detach(f"c{number % 7}")

        churner = Background(churn)
        churner.start()
        try:
            for _ in range(DUMPS):
                names = [link.name for link in handle.links()]
                assert len(names) == len(set(names))
                assert stay <= set(names)
                assert set(names) - stay - {"lo"} <= node.link_names() | {
                    f"{side}{n}" for side in "cd" for n in range(7)
                }
        finally:
            churner.stop()
        assert churner.rounds > 0


def test_dumps_of_addresses_and_routes_are_whole_while_others_change(node: Node) -> None:
    """Addresses and routes that stay are in every dump, each once."""
    node.ip("link add br0 up type bridge")
    node.ip("link add br1 up type bridge")
    with Handle() as handle:
        br0, br1 = handle.link("br0").index, handle.link("br1").index
        handle.add_address(br0, "10.1.0.1/16")
        for n in range(200):
            handle.add_address(br0, f"fd00::{n + 1:x}/128", nodad=True)
            handle.add_route(f"10.9.{n}.0/24", gateway="10.1.0.9")

        def churn(_number: int) -> None:
            with Handle() as own:
                own.add_address(br1, "10.2.0.1/16")
                own.add_route("10.8.0.0/16", gateway="10.2.0.9")
                own.delete_route("10.8.0.0/16")
                own.delete_address(br1, "10.2.0.1/16")

        churner = Background(churn)
        churner.start()
        try:
            for _ in range(DUMPS):
                found = [a.packed for a in handle.addresses(index=br0, family=6)]
                assert len(found) == len(set(found)) >= 200
                routes = [r.dst for r in handle.routes(family=4, table=254, oif=br0)]
                assert len(routes) == len(set(routes)) == 201
        finally:
            churner.stop()
        assert churner.rounds > 0


def test_each_thread_has_a_handle_of_its_own(node: Node) -> None:
    """Threads with handles in different namespaces do not disturb each other."""
    pods = [node.new_container() for _ in range(6)]
    node.ip("link add br0 up type bridge")
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            before = identity()
            with Handle() as host, Handle(pods[number].fd) as inside:
                parent = host.link("br0").index
                for turn in range(10):
                    name = f"m{turn}"
                    host.add_link(
                        "macvlan",
                        name,
                        parent=parent,
                        netns=pods[number].fd,
                        macvlan_mode=MACVLAN_BRIDGE,
                    )
                    index = inside.link(name).index
                    inside.add_address(index, f"10.{number}.{turn}.1/24")
                    inside.set_link(index, up=True)
                    assert len(inside.addresses(family=4, index=index)) == 1
                    assert identity() == before
                kept = {link.name for link in inside.links(kind="macvlan")}
                assert kept == {f"m{turn}" for turn in range(10)}
        except BaseException as error:  # noqa: BLE001 - whatever it was, the test shall see it
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(pods))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for number, pod in enumerate(pods):
        with Handle(pod.fd) as inside:
            firsts = {a.packed[1] for a in inside.addresses(family=4)}
            assert firsts == {number}


def test_other_threads_run_while_the_kernel_works(node: Node) -> None:
    """A call that takes the kernel long does not keep other threads from running."""
    node.ip("link add v0 type veth peer name v1")
    counted = 0

    def count(_number: int) -> None:
        nonlocal counted
        counted += 1

    with Handle() as handle:
        index = handle.link("v0").index
        counter = Background(count)
        counter.start()
        before = counted
        handle.delete_link(index)  # some 20 ms
        assert counted > before
        counter.stop()


def test_no_method_leaves_its_thread_elsewhere(node: Node) -> None:
    """Whether it succeeds or fails, a method returns in the namespace its thread was in."""
    pod = node.new_container()
    with Handle(pod.fd) as inside:
        inside.set_link(1, up=True)
        calls: list[Callable[[], object]] = [
            lambda: Handle(pod.fd).close(),
            lambda: Handle(1000),
            lambda: inside.link("lo"),
            lambda: inside.link("nobody"),
            inside.links,
            lambda: inside.links(master=4711),
            lambda: inside.add_link("bridge", "b0"),
            lambda: inside.add_link("bridge", "b0"),
            lambda: inside.add_link("veth", "v0", netns=pod.fd, peer_netns=node.fd),
            lambda: inside.set_link(1, mtu=60000),
            lambda: inside.set_link(1, netns=node.fd),
            lambda: inside.set_port(1, hairpin=True),
            lambda: inside.port_vlans(1),
            lambda: inside.add_port_vlan(1, 5),
            lambda: inside.delete_port_vlan(1, 5),
            lambda: inside.add_address(1, "10.1.0.1/16"),
            lambda: inside.add_address(1, "10.1.0.1/16"),
            inside.addresses,
            lambda: inside.has_address(1, "10.1.0.1/16"),
            lambda: inside.add_route("10.9.0.0/16", oif=1),
            lambda: inside.add_route("10.9.0.0/16", gateway="10.200.0.1"),
            inside.routes,
            lambda: inside.delete_route("10.9.0.0/16"),
            lambda: inside.delete_route("10.9.0.0/16"),
            lambda: inside.delete_address(1, "10.1.0.1/16"),
            lambda: inside.delete_link(inside.link("b0").index),
            lambda: detach("v0", netns=pod.fd),
            lambda: detach("v0", netns=pod.fd),
            lambda: detach("v0", netns=1000),
            lambda: detach("lo", netns=pod.fd),
        ]
        before = identity()
        for number, call in enumerate(calls):
            with contextlib.suppress(KernelError):
                call()
            assert identity() == before, number


def test_handles_open_in_namespaces_that_come_and_go(node: Node) -> None:
    """Opening, using and closing handles while others make and remove namespaces works."""
    stays = node.new_container()

    def churn(number: int) -> None:
        path = f"/run/netns/churn{number % 5}"
        netns.create(path)
        with NetNS(path) as space, Handle(space) as inside:
            netns.remove(path)
            assert [link.name for link in inside.links() if link.name == "lo"] == ["lo"]

    churner = Background(churn)
    churner.start()
    try:
        for _ in range(100):
            with Handle(stays.fd) as inside:
                assert inside.link("lo").index == 1
    finally:
        churner.stop()
    assert churner.rounds > 0
