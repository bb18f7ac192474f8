"""Asking over D-Bus: what is sent, what answers mean, and buses that are not as they should be."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from cnifast.kernel import dbus, firewalld
from helpers.fakebus import FakeBus, Zones

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.fakebus import Answer

NAME, OBJECT = "org.example.Name", "/org/example"


@pytest.mark.parametrize("order", ["<", ">"])
def test_answers(tmp_path: Path, order: str) -> None:
    """Texts and booleans come back in either byte order, whatever else the bus sends."""

    def answer(member: str, *texts: str) -> Answer:
        return {"Text": "-".join(texts), "Yes": True, "No": False, "Nothing": None}[member]

    with FakeBus(tmp_path / "bus", answer, order) as fake, dbus.Bus(fake.address) as bus:
        assert bus.call(NAME, OBJECT, "org.example.I.Text", "a", "", "ünï" * 50) == (
            "a--" + "ünï" * 50
        )
        assert bus.call(NAME, OBJECT, "org.example.I.Yes") is True
        assert bus.call(NAME, OBJECT, "org.example.I.No", "x") is False
        assert bus.call(NAME, OBJECT, "org.example.I.Nothing") is None
    assert fake.asked[0] == ("Text", "a", "", "ünï" * 50)
    assert [asked[0] for asked in fake.asked] == ["Text", "Yes", "No", "Nothing"]


def test_errors(tmp_path: Path) -> None:
    """An error answer is an exception with the error's name and words; the bus goes on after it."""

    def answer(member: str) -> Answer:
        return ("org.example.Error", "so it is") if member == "Fail" else "fine"

    with FakeBus(tmp_path / "bus", answer) as fake, dbus.Bus(fake.address) as bus:
        with pytest.raises(dbus.BusError, match="Name: Fail: so it is") as failed:
            bus.call(NAME, OBJECT, "org.example.I.Fail")
        assert failed.value.name == "org.example.Error"
        assert bus.call(NAME, OBJECT, "org.example.I.Go") == "fine"


@pytest.mark.parametrize(
    "address",
    ["unix:path={}/nothing", "unix:tmpdir={}", "tcp:host=localhost,port=1", "rubbish", ""],
)
def test_no_bus(tmp_path: Path, address: str) -> None:
    """Where there is no bus that is an error of its own, and firewalld does not run there."""
    with pytest.raises(FileNotFoundError, match="no D-Bus at"):
        dbus.Bus(address.format(tmp_path))
    assert not firewalld.runs(address.format(tmp_path))


def test_the_first_address_that_is_known_counts(tmp_path: Path) -> None:
    """Of several addresses, and keys of one, those that can be used are."""
    with FakeBus(tmp_path / "bus", lambda _: "x") as fake:
        address = f"tcp:host=nowhere;unix:guid=00,path={tmp_path}/bus"
        with dbus.Bus(address) as bus:
            assert bus.call(NAME, OBJECT, "org.example.I.M") == "x"
    assert fake.asked


def test_abstract_sockets() -> None:
    """An address may be an abstract one."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("\0cnifast-test-bus")
        listening.listen()
        with dbus.Bus("unix:abstract=cnifast-test-bus"):
            pass


BROKEN = {
    "closes": b"l",
    "says rubbish": b"l\2\0\1" + b"\xff" * 12,
    "unknown header": b"l\2\0\1" + bytes(8) + b"\x08\0\0\0" + b"\x09\1a\0" + bytes(4),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_bus_that_breaks(tmp_path: Path, name: str) -> None:
    """An answer that makes no sense, or none, is an error, and firewalld does not run there."""
    with FakeBus(tmp_path / "bus", lambda *_: BROKEN[name]) as fake:
        with dbus.Bus(fake.address) as bus, pytest.raises(OSError, match="D-Bus"):
            bus.call(NAME, OBJECT, "org.example.I.M")
        assert not firewalld.runs(fake.address)


def test_a_bus_that_does_not_let_us_in(tmp_path: Path) -> None:
    """Being refused is an error with the bus's words."""
    with FakeBus(tmp_path / "bus", lambda *_: "x") as fake:
        fake.welcome = b"REJECTED KERBEROS\r\n"
        with dbus.Bus(fake.address) as bus, pytest.raises(OSError, match="REJECTED KERBEROS"):
            bus.has_owner(NAME)


def test_a_bus_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for an answer has an end."""
    monkeypatch.setattr(dbus, "_ANSWER_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/bus")
        listening.listen()
        with (
            dbus.Bus(f"unix:path={tmp_path}/bus") as bus,
            pytest.raises(TimeoutError, match="was not answered"),
        ):
            bus.has_owner(NAME)


A, B, C = "10.1.0.5/32", "fd00:1::5/128", "10.1.0.6/32"


def test_sources_of_a_zone(tmp_path: Path) -> None:
    """Sources are added, seen and removed; what is as it should be already is no error."""
    zones = Zones(trusted={C}, other=set())
    with FakeBus(tmp_path / "bus", zones) as fake:
        assert firewalld.runs(fake.address)
        firewalld.add_sources(fake.address, "trusted", [A, B, C])
        assert zones.sources["trusted"] == {A, B, C}
        firewalld.add_sources(fake.address, "trusted", [A])
        firewalld.see_sources(fake.address, "trusted", [A, B])
        firewalld.remove_sources(fake.address, "trusted", [A, B])
        firewalld.remove_sources(fake.address, "trusted", [A, B])
        firewalld.remove_sources(fake.address, "nothing", [A])
        with pytest.raises(FileNotFoundError, match="/32 is not in firewalld's zone"):
            firewalld.see_sources(fake.address, "trusted", [C, A])
    assert zones.sources == {"trusted": {C}, "other": set()}


def test_sources_that_were_added_are_removed_again(tmp_path: Path) -> None:
    """Where one is refused those before it go, but not what had been there."""
    zones = Zones(trusted={C}, other={B})
    with FakeBus(tmp_path / "bus", zones) as fake:
        with pytest.raises(OSError, match="addSource: ZONE_CONFLICT"):
            firewalld.add_sources(fake.address, "trusted", [C, A, B])
        with pytest.raises(OSError, match="INVALID_ZONE: nothing"):
            firewalld.add_sources(fake.address, "nothing", [A])
    assert zones.sources == {"trusted": {C}, "other": {B}}


def test_removing_without_firewalld(tmp_path: Path) -> None:
    """Where firewalld does not run there is nothing to remove, and it is not started for that."""
    firewalld.remove_sources(f"unix:path={tmp_path}/nothing", "trusted", [A])
    with FakeBus(tmp_path / "bus", lambda *_: False) as fake:
        firewalld.remove_sources(fake.address, "trusted", [A])
    assert fake.asked == [("NameHasOwner", "org.fedoraproject.FirewallD1")]
