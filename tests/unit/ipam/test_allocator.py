"""The allocator for programs."""

from __future__ import annotations

import fcntl
import os
import threading
from typing import TYPE_CHECKING

import pytest
from netaddr import IPAddress, IPNetwork, IPSet

import cnifast.ipam
from cnifast.ipam import Allocator, DuplicateError, ExhaustedError, RangeError, TakenError
from cnifast.ipam.listing import entries, networks
from cnifast.protocol.errors import CNIError

if TYPE_CHECKING:
    from pathlib import Path


def test_life_of_addresses(tmp_path: Path) -> None:
    """Addresses are handed out, found, listed and released."""
    allocator = Allocator("pods", ["10.1.0.0/24", IPNetwork("fd00::/64")], str(tmp_path))
    grants = allocator.allocate("c1", "eth0")
    assert [grant.address for grant in grants] == ["10.1.0.2/24", "fd00::2/64"]
    assert [grant.gateway for grant in grants] == ["10.1.0.1", "fd00::1"]
    assert sorted(allocator.lookup("c1", "eth0")) == ["10.1.0.2", "fd00::2"]
    assert allocator.taken() == IPSet(["10.1.0.2", "fd00::2"])
    assert [(e.address, e.container_id, e.ifname) for e in allocator.entries()] == [
        ("10.1.0.2", "c1", "eth0"),
        ("fd00::2", "c1", "eth0"),
    ]
    assert [usage.taken for usage in allocator.usage()] == [1, 1]
    assert sorted(allocator.release("c1")) == ["10.1.0.2", "fd00::2"]
    assert allocator.release("c1") == []


def test_ranges_as_mappings_and_sequences(tmp_path: Path) -> None:
    """A set may have several ranges, and a range the keys of the configuration."""
    low = {"subnet": "10.1.0.0/24", "rangeStart": IPAddress("10.1.0.9"), "rangeEnd": "10.1.0.9"}
    allocator = Allocator("pods", [[low, "10.2.0.0/24"]], str(tmp_path))
    assert [allocator.allocate(f"c{i}")[0].address for i in range(2)] == [
        "10.1.0.9/24",
        "10.2.0.2/24",
    ]


def test_requested_addresses(tmp_path: Path) -> None:
    """An address asked for is handed out if it is free and of a set, otherwise it is said why."""
    allocator = Allocator("pods", ["10.1.0.0/29"], str(tmp_path))
    assert allocator.allocate("a", requested=["10.1.0.4"])[0].address == "10.1.0.4/29"
    with pytest.raises(TakenError) as taken:
        allocator.allocate("b", requested=[IPAddress("10.1.0.4")])
    assert (taken.value.set_index, taken.value.address) == (0, "10.1.0.4")
    with pytest.raises(RangeError):
        allocator.allocate("b", requested=["10.2.0.4"])
    with pytest.raises(RangeError):
        allocator.allocate("b", requested=["10.1.0.5", "10.1.0.6"])
    with pytest.raises(DuplicateError):
        allocator.allocate("a")


def test_gateway_is_not_handed_out(tmp_path: Path) -> None:
    """Nobody gets the gateway, also who asks for it."""
    for ranges in ("10.1.0.0/28", [{"subnet": "10.1.0.0/28", "gateway": "10.1.0.5"}]):
        allocator = Allocator("pods", ranges, str(tmp_path))
        gateway = "10.1.0.1" if isinstance(ranges, str) else "10.1.0.5"
        with pytest.raises(TakenError, match=f"{gateway} is the gateway"):
            allocator.allocate("c1", requested=[gateway])
        assert allocator.entries() == []


def test_texts_are_no_owners(tmp_path: Path) -> None:
    """A container ID alone is not taken for a container ID and an interface."""
    allocator = Allocator("pods", IPNetwork("10.1.0.0/28"), str(tmp_path))
    allocator.allocate("c1")
    with pytest.raises(TypeError):
        allocator.gc(["c1"])  # type: ignore[list-item]
    assert allocator.lookup("c1") == ["10.1.0.2"]


def test_exhaustion_and_collection(tmp_path: Path) -> None:
    """A set that is used up says so, and has room again once owners are gone."""
    allocator = Allocator("pods", ["10.1.0.0/29"], str(tmp_path))
    for i in range(5):
        allocator.allocate(f"c{i}")
    assert allocator.usage()[0].exhausted
    with pytest.raises(ExhaustedError, match=r"10\.1\.0\.1-10\.1\.0\.6"):
        allocator.allocate("d")
    assert len(allocator.gc([("c1", "eth0"), ("c2", "eth9")])) == 4
    assert allocator.allocate("d")[0].address == "10.1.0.2/29"


@pytest.mark.parametrize("owner", [("", "eth0"), ("a/b", "eth0"), ("a", ""), ("a", "e\r\nx")])
def test_owner_names(tmp_path: Path, owner: tuple[str, str]) -> None:
    """An owner that could not be one of a CNI call is refused, and nothing is made."""
    with pytest.raises(CNIError):
        Allocator("pods", ["10.1.0.0/29"], str(tmp_path)).allocate(*owner)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("network", ["", "..", "a/b", ".cnifast"])
def test_network_names(tmp_path: Path, network: str) -> None:
    """A network that could not have a directory of its own is refused."""
    with pytest.raises(CNIError, match="network name"):
        Allocator(network, ["10.1.0.0/29"], str(tmp_path)).allocate("a")
    assert not list(tmp_path.iterdir())


def test_held_lock_is_reported_with_its_holder(tmp_path: Path) -> None:
    """A lock that is not let go in time is code 11, and the message says who has it."""
    allocator = Allocator("pods", ["10.1.0.0/24"], str(tmp_path), lock_wait=0.05)
    allocator.allocate("a")
    with (tmp_path / "pods" / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for call in (allocator.allocate, allocator.release, allocator.lookup):
            with pytest.raises(CNIError, match=rf"held by pid {os.getpid()} \(") as error:
                call("b")
            assert error.value.code == 11
    assert allocator.allocate("b")[0].address == "10.1.0.3/24"


def test_threads_share_an_allocator(tmp_path: Path) -> None:
    """However many threads allocate at once, nobody gets what another one has."""
    allocator = Allocator("pods", ["10.1.0.0/22"], str(tmp_path))
    got: list[str] = []

    def work(thread: int) -> None:
        for i in range(40):
            got.append(allocator.allocate(f"c{thread}-{i}")[0].address)
            if i % 3 == 0:
                allocator.release(f"c{thread}-{i}")
                got.pop(got.index(got[-1]))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    held = [entry.address for entry in allocator.entries()]
    assert len(held) == len(set(held)) == allocator.usage()[0].taken
    owners = [entry.container_id for entry in allocator.entries()]
    assert len(owners) == len(set(owners)) == 8 * 26


def test_listing(tmp_path: Path) -> None:
    """Networks and addresses are listed in order; what is no address file is left out."""
    assert networks(str(tmp_path / "none")) == []
    assert entries("none", str(tmp_path)) == []
    for name in ("b", "a"):
        allocator = Allocator(name, ["10.1.0.0/24"], str(tmp_path))
        for i in range(12):
            allocator.allocate(f"c{i}")
    assert networks(str(tmp_path)) == ["a", "b"]
    (tmp_path / "a" / "10.1.0.3").write_text("old")
    found = entries("a", str(tmp_path))
    assert [e.address for e in found] == [f"10.1.0.{i}" for i in range(2, 14)]
    assert (found[1].container_id, found[1].ifname) == ("old", "")
    assert found[0].since > 0


def test_unknown_name_is_an_attribute_error() -> None:
    """The package has the names that it says it has, and no others."""
    for name in cnifast.ipam.__all__:
        assert getattr(cnifast.ipam, name)
    with pytest.raises(AttributeError, match="Allocation"):
        cnifast.ipam.Allocation  # noqa: B018
