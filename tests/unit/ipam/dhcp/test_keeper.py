"""Keeping leases: renewed, rebound, released and lost, in a time that the test makes pass."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.ipam.dhcp import message as dhcp
from cnifast.ipam.dhcp.exchange import EVERY_MAC, EVERYBODY, Timing
from cnifast.ipam.dhcp.keeper import Keeper
from cnifast.ipam.dhcp.lease import Lease, Order
from cnifast.ipam.dhcp.store import Store
from cnifast.protocol.errors import CNIError
from helpers.dhcpserver import ADDRESS, NETNS, SERVER, Request, System, raw

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = ("pod", "net", "eth0")
ORDER = Order(*KEY, NETNS, ((dhcp.REQUEST_LIST, b"\3\1"),))
OTHER = 0x0A050099


@pytest.fixture
def system() -> Iterator[System]:
    """A network with a server; nothing of it is open in the end."""
    made = System()
    yield made
    assert (made.open_wires, made.open_netns_count) == (0, 0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Where leases are written down."""
    return Store(str(tmp_path / "dhcp.sock"))


@pytest.fixture
def keeper(system: System, store: Store) -> Iterator[Keeper]:
    """A keeper on that network."""
    with made(system, store) as keeper:
        yield keeper


def made(system: System, store: Store) -> Keeper:
    """Make a keeper."""
    return Keeper(store, Timing(10, 20, 60), system=system)  # type: ignore[arg-type]


def pass_time(keeper: Keeper, system: System, seconds: float) -> None:
    """Let the keeper do all that is due within a time."""
    end = system.time + seconds
    while True:
        wait = keeper.turn()
        if wait is None or system.time + wait > end:
            break
        system.time += max(wait, 0.001)
    system.time = end


def files(store: Store) -> list[str]:
    """Return the files of leases."""
    return sorted(path.name for path in Path(store.path).glob("*"))


def test_renewed(keeper: Keeper, system: System, store: Store) -> None:
    """At half of its time a lease is renewed with its server, again and again."""
    lease = keeper.allocate(ORDER)
    assert system.server.kinds() == [dhcp.DISCOVER, dhcp.REQUEST]
    assert system.open_wires == 0
    pass_time(keeper, system, 1799)
    assert system.server.kinds() == []
    for _ in range(3):
        pass_time(keeper, system, 2)
        (request,) = system.server.heard
        assert (request.packet.source, request.packet.target) == (ADDRESS, SERVER)
        assert system.server.kinds() == [dhcp.REQUEST]
        assert lease.expires == pytest.approx(system.time + 3600, abs=3)
        recorded = store.read(KEY)
        assert recorded is not None
        assert recorded.expires == pytest.approx(lease.expires, abs=0.01)
        pass_time(keeper, system, 1799)
        assert system.open_wires == 0


def test_times_of_the_server(keeper: Keeper, system: System) -> None:
    """The server's own times for renewing and rebinding count, if they are in order."""
    system.server.answer = lambda r: [
        raw(r.kind + (1 if r.kind == 1 else 2), r.xid, o58=(100).to_bytes(4), o59=(200).to_bytes(4))
    ]
    lease = keeper.allocate(ORDER)
    now = system.time
    assert (lease.renew_at, lease.rebind_at, lease.expires) == (now + 100, now + 200, now + 3600)
    keeper.release(KEY)
    system.server.answer = lambda r: [
        raw(r.kind + (1 if r.kind == 1 else 2), r.xid, o58=(300).to_bytes(4), o59=(200).to_bytes(4))
    ]
    lease = keeper.allocate(ORDER)
    now = system.time
    assert lease.renew_at == now + 1800
    assert lease.rebind_at == pytest.approx(now + 3060)


def test_for_ever(keeper: Keeper, system: System, store: Store) -> None:
    """A lease without an end is kept without renewing it, and so is what is written down of it."""
    system.server.seconds = 0xFFFFFFFF
    keeper.allocate(ORDER)
    assert keeper.turn() is None
    recorded = store.read(KEY)
    assert recorded is not None
    assert recorded.expires == float("inf")


def test_rebound(keeper: Keeper, system: System) -> None:
    """When its server is gone, every server is asked, from 85 % of the time on."""
    lease = keeper.allocate(ORDER)
    system.server.kinds()
    system.server.up = False
    pass_time(keeper, system, 3050)
    assert {r.packet.target for r in system.server.heard} == {SERVER}
    attempts = len(system.server.kinds())
    assert 5 < attempts < 60
    pass_time(keeper, system, 60)
    assert {(r.packet.target, r.packet.mac) for r in system.server.heard} == {
        (EVERYBODY, EVERY_MAC)
    }
    system.server.kinds()
    system.server.answer = lambda r: [raw(dhcp.ACK, r.xid, server=OTHER)]
    system.server.up = True
    pass_time(keeper, system, 300)
    assert system.server.kinds() == [dhcp.REQUEST]
    assert lease.server == OTHER
    assert lease.expires > system.time + 3000


def test_expired(keeper: Keeper, system: System, store: Store) -> None:
    """A lease that nobody renews is given up at its end: the link goes down."""
    keeper.allocate(ORDER)
    system.server.up = False
    pass_time(keeper, system, 3599)
    assert system.down == []
    assert keeper.busy
    pass_time(keeper, system, 2)
    assert system.down == ["eth0"]
    assert not keeper.busy
    assert files(store) == []
    system.server.kinds()
    pass_time(keeper, system, 7200)
    assert system.server.kinds() == []


def test_refused_but_given_again(keeper: Keeper, system: System) -> None:
    """A server that forgot the lease is asked for the same address at once."""
    lease = keeper.allocate(ORDER)
    system.server.kinds()
    system.server.answer = lambda r: (
        system.server.refuse(r) if r.address else system.server.grant(r)
    )
    pass_time(keeper, system, 1802)
    assert system.server.kinds() == [dhcp.REQUEST, dhcp.DISCOVER, dhcp.REQUEST]
    assert lease.address == ADDRESS
    assert lease.expires > system.time + 3500
    pass_time(keeper, system, 1802)
    assert system.server.kinds()[0] == dhcp.REQUEST


def test_refused_for_good(keeper: Keeper, system: System) -> None:
    """Another address than the container has is not taken; in the end its link goes down."""
    keeper.allocate(ORDER)

    def server(request: Request) -> list[bytes]:
        if request.kind == dhcp.REQUEST:
            return system.server.refuse(request)
        return [raw(dhcp.OFFER, request.xid, address=OTHER)]

    system.server.answer = server
    system.server.kinds()
    pass_time(keeper, system, 3590)
    assert not [r for r in system.server.heard if r.options.get(50) == OTHER.to_bytes(4)]
    assert system.down == []
    pass_time(keeper, system, 20)
    assert system.down == ["eth0"]


@pytest.mark.parametrize("gone", ["namespace", "other namespace", "link"])
def test_gone(keeper: Keeper, system: System, store: Store, gone: str) -> None:
    """A lease ends with its namespace or link; nothing is sent from another one at its path."""
    keeper.allocate(ORDER)
    system.server.kinds()
    if gone == "namespace":
        system.namespaces.clear()
    elif gone == "link":
        system.links.clear()
    else:
        system.namespaces[NETNS] = (4, 8)
    pass_time(keeper, system, 1801)
    assert system.server.kinds() == []
    assert not keeper.busy
    assert files(store) == []


def test_released(keeper: Keeper, system: System, store: Store) -> None:
    """RELEASE goes from the address to the server, once; again it is success without it."""
    lease = keeper.allocate(ORDER)
    system.server.kinds()
    keeper.release(KEY)
    (request,) = system.server.heard
    assert request.kind == dhcp.RELEASE
    assert request.address == ADDRESS
    assert (request.packet.source, request.packet.target) == (ADDRESS, SERVER)
    assert request.packet.mac == EVERY_MAC
    assert request.options == {
        53: b"\7",
        54: SERVER.to_bytes(4),
        61: lease.client.client_id,
    }
    assert files(store) == []
    system.server.kinds()
    keeper.release(KEY)
    assert system.server.kinds() == []
    assert keeper.turn() is None


def test_released_by_way_of_a_relay(keeper: Keeper, system: System) -> None:
    """A server that is elsewhere is sent its RELEASE by way of whoever brought its answer."""
    far = 0x0A090001
    system.server.answer = lambda r: [raw(r.kind + (1 if r.kind == 1 else 2), r.xid, server=far)]
    lease = keeper.allocate(ORDER)
    system.server.kinds()
    keeper.release(KEY)
    assert system.server.heard[0].packet.mac == lease.sender
    assert system.server.heard[0].packet.target == far


def test_released_while_it_is_renewed(keeper: Keeper, system: System) -> None:
    """DEL in the middle of a renewal ends that."""
    keeper.allocate(ORDER)
    system.server.up = False
    system.time += 1801
    keeper.turn()
    assert system.open_wires == 1
    system.server.kinds()
    keeper.release(KEY)
    assert system.open_wires == 0
    assert system.server.kinds() == [dhcp.RELEASE]
    assert keeper.turn() is None


def test_released_without_namespace(keeper: Keeper, system: System, store: Store) -> None:
    """Without the namespace nobody can be told, and the lease is forgotten."""
    keeper.allocate(ORDER)
    system.namespaces.clear()
    system.server.kinds()
    keeper.release(KEY)
    assert system.server.kinds() == []
    assert files(store) == []


def test_asked_again(keeper: Keeper, system: System) -> None:
    """Who has a lease is told of it again; one of another namespace is no good."""
    first = keeper.allocate(ORDER)
    system.server.kinds()
    assert keeper.allocate(ORDER) is first
    assert system.server.kinds() == []
    system.namespaces[NETNS] = (4, 9)
    second = keeper.allocate(ORDER)
    assert second is not first
    assert second.ident == (4, 9)
    assert system.server.kinds() == [dhcp.DISCOVER, dhcp.REQUEST]


def test_no_answer(keeper: Keeper, system: System, store: Store) -> None:
    """Without a server the wait is bounded, and the error says for how long and where."""
    system.server.up = False
    start = system.time
    with pytest.raises(CNIError, match=r"no DHCP answer within 60 s: .* on eth0 of /run") as caught:
        keeper.allocate(ORDER)
    assert caught.value.code == 999
    assert system.time == pytest.approx(start + 60)
    assert not keeper.busy
    assert files(store) == []


def test_deleted_meanwhile(keeper: Keeper, system: System, store: Store) -> None:
    """DEL while ADD waits for the server makes that fail."""
    system.server.up = False
    system.meanwhile = lambda: keeper.release(KEY)
    with pytest.raises(CNIError, match="is being deleted") as caught:
        keeper.allocate(ORDER)
    assert caught.value.code == 11
    assert files(store) == []


def test_deleted_at_the_last_moment(keeper: Keeper, system: System, store: Store) -> None:
    """DEL that comes with the acknowledgement makes ADD give the lease back."""

    def server(request: Request) -> list[bytes]:
        if request.kind == dhcp.REQUEST:
            keeper.release(KEY)
        return system.server.grant(request)

    system.server.answer = server
    with pytest.raises(CNIError) as caught:
        keeper.allocate(ORDER)
    assert caught.value.code == 11
    assert files(store) == []
    assert not keeper.busy


def test_two_at_once(keeper: Keeper, system: System) -> None:
    """A second ADD of the same attachment is told to come again while the first is at it."""
    seen: list[CNIError] = []

    def another() -> None:
        with pytest.raises(CNIError) as caught:
            keeper.allocate(ORDER)
        seen.append(caught.value)

    system.meanwhile = another
    keeper.allocate(ORDER)
    assert {error.code for error in seen} == {11}


def test_stopped(keeper: Keeper, system: System) -> None:
    """Who waits for a lease is told to try again when the keeper stops."""
    system.server.up = False
    system.meanwhile = keeper.stop
    with pytest.raises(CNIError, match="about to end") as caught:
        keeper.allocate(ORDER)
    assert caught.value.code == 11


def test_other_namespace_than_the_caller_s(keeper: Keeper, system: System) -> None:
    """A path that leads the keeper elsewhere than the caller is refused."""
    order = Order(*KEY, NETNS, ident=(4, 99))
    with pytest.raises(CNIError, match="is another one for who keeps DHCP leases"):
        keeper.allocate(order)
    assert system.server.kinds() == []
    with pytest.raises(CNIError, match="failed to open netns"):
        keeper.allocate(Order(*KEY, "/run/netns/none"))


def test_loaded(system: System, store: Store) -> None:
    """The next keeper goes on: what is overdue is renewed, what has ended is given up."""
    with made(system, store) as first:
        lease = first.allocate(ORDER)
    system.server.kinds()
    system.time += 2000
    with made(system, store) as second:
        second.load()
        pass_time(second, system, 1)
        assert system.server.kinds() == [dhcp.REQUEST]
        assert second.allocate(ORDER).address == lease.address
        assert second.allocate(ORDER) is not lease
    system.time += 4000
    with made(system, store) as third:
        third.load()
        pass_time(third, system, 1)
        assert system.down == ["eth0"]
        assert not third.busy
    assert files(store) == []


def test_loaded_without_namespace(system: System, store: Store) -> None:
    """What is gone while nobody kept it is forgotten."""
    with made(system, store) as first:
        first.allocate(ORDER)
    system.namespaces.clear()
    with made(system, store) as second:
        second.load()
        assert not second.busy
    assert files(store) == []


def test_adopted(keeper: Keeper, system: System, store: Store) -> None:
    """A lease that another process wrote down is adopted when it is asked for."""
    with made(system, store) as other:
        lease = other.allocate(ORDER)
    system.server.kinds()
    assert keeper.allocate(ORDER).address == lease.address
    assert system.server.kinds() == []
    pass_time(keeper, system, 1801)
    assert system.server.kinds() == [dhcp.REQUEST]


def test_collected(keeper: Keeper, system: System, store: Store) -> None:
    """Only leases of the network whose attachments are not valid are given back."""
    keys = [
        ("a", "net", "eth0"),
        ("a", "net", "eth1"),
        ("a", "other", "eth0"),
        ("b", "net", "eth0"),
    ]
    system.links.add("eth1")
    for key in keys:
        keeper.allocate(Order(*key, NETNS))
    system.server.kinds()
    keeper.collect("net", {("a", "eth1")})
    assert system.server.kinds() == [dhcp.RELEASE] * 2
    assert sorted(lease.key for lease in store.leases()) == keys[1:3]


def test_written_down(keeper: Keeper, store: Store) -> None:
    """A lease is read as it was written; damaged files do not count."""
    lease = keeper.allocate(ORDER)
    read = store.read(KEY)
    assert read is not None
    for name in ("key", "netns", "ident", "address", "server", "sender", "options"):
        assert getattr(read, name) == getattr(lease, name)
    for name in ("mac", "client_id", "options", "broadcast"):
        assert getattr(read.client, name) == getattr(lease.client, name)
    (name,) = files(store)
    path = Path(store.path, name)
    whole = path.read_bytes()
    for damaged in (b"", b"{}", b"[]", b"7", whole[:-20], whole.replace(b"10.5.0.50", b"ten")):
        path.write_bytes(damaged)
        assert store.read(KEY) is None
        assert list(store.leases()) == []
    path.write_bytes(whole.replace(b'"pod"', b'"pig"'))
    assert list(store.leases()) == []


def test_result() -> None:
    """A lease without a mask is of no use, and says so."""
    lease = Lease.__new__(Lease)
    lease.address = ADDRESS
    lease.options = {1: b"\1\2\3\4"}
    with pytest.raises(CNIError, match="DHCP option Subnet Mask not found in DHCPACK"):
        lease.result()


def test_not_written_down(system: System, tmp_path: Path) -> None:
    """A lease that cannot be written down is given back."""
    (tmp_path / "file").write_text("")
    with made(system, Store(str(tmp_path / "file" / "dhcp.sock"))) as keeper:
        with pytest.raises(NotADirectoryError):
            keeper.allocate(ORDER)
        assert system.server.kinds() == [dhcp.DISCOVER, dhcp.REQUEST, dhcp.RELEASE]
        assert not keeper.busy
