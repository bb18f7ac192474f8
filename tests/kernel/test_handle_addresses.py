"""Handles from Python: addresses and routes, compared with what iproute2 shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kernel import Address, Handle, KernelError, Route
from cnifast.kernel.address import format_address

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from helpers.node import Node

IFA_F_NODAD = 0x02
IFA_F_TENTATIVE = 0x40
MAIN, LOCAL = 254, 255
UNIVERSE, LINK = 0, 253


class Linked:
    """A node's host with br0 (10.1.0.2/16, fd00::2/64) and br1, both up, and a handle on it."""

    def __init__(self, node: Node, handle: Handle) -> None:
        self.node = node
        self.handle = handle
        self.br0 = handle.link("br0").index
        self.br1 = handle.link("br1").index

    def addresses(self, name: str) -> dict[str, dict[str, Any]]:
        """Return what iproute2 says of a link's addresses, but for link-local ones."""
        (link,) = json.loads(self.node.ip(f"-j -d addr show dev {name}"))
        return {
            f"{a['local']}/{a['prefixlen']}": a
            for a in link["addr_info"]
            if not a["local"].startswith("fe80")
        }

    def routes(self, what: str) -> list[dict[str, Any]]:
        """Return what iproute2 says of routes."""
        found: list[dict[str, Any]] = json.loads(self.node.ip(f"-j -d {what}") or "[]")
        return found


@pytest.fixture
def linked(node: Node) -> Iterator[Linked]:
    """Two bridges to put addresses on."""
    node.ip("link add br0 up type bridge")
    node.ip("link add br1 up type bridge")
    node.ip("addr add 10.1.0.2/16 dev br0")
    node.ip("addr add fd00::2/64 dev br0 nodad")
    with Handle() as handle:
        yield Linked(node, handle)


def text(address: Address) -> str:
    """Return "10.1.0.5/16"."""
    return f"{format_address(address.packed)}/{address.prefixlen}"


def global_ones(addresses: list[Address]) -> list[str]:
    """Return the addresses that the kernel has not made by itself, in order."""
    return sorted(text(a) for a in addresses if not text(a).startswith("fe80"))


def refusal(call: Callable[[], object]) -> KernelError:
    """Return the error of a call that must fail."""
    with pytest.raises(KernelError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return caught.value


# -- addresses ----------------------------------------------------------------------------------


def test_addresses_are_set_as_iproute2_would(linked: Linked) -> None:
    """IPv4 ones get a broadcast address where there is one; IPv6 ones are valid at once if told."""
    for address in ("10.2.0.5/24", "10.3.0.4/31", "10.4.0.1/32"):
        linked.handle.add_address(linked.br1, address)
    linked.handle.add_address(linked.br1, "fd02::5/64", nodad=True)
    linked.handle.add_address(linked.br1, "fd03::5/64")
    found = linked.addresses("br1")
    assert set(found) == {"10.2.0.5/24", "10.3.0.4/31", "10.4.0.1/32", "fd02::5/64", "fd03::5/64"}
    assert found["10.2.0.5/24"]["broadcast"] == "10.2.0.255"
    assert "broadcast" not in found["10.3.0.4/31"]
    assert "broadcast" not in found["10.4.0.1/32"]
    assert found["fd02::5/64"]["nodad"]
    assert not found["fd03::5/64"].get("nodad")


def test_a_dump_of_addresses_has_their_attributes(linked: Linked) -> None:
    """Index, family, prefix, flags and scope of each address are as the kernel has them."""
    found = {text(a): a for a in linked.handle.addresses()}
    v4, v6, lo = found["10.1.0.2/16"], found["fd00::2/64"], found["127.0.0.1/8"]
    assert (v4.index, v4.family, v4.packed) == (linked.br0, 4, b"\x0a\x01\x00\x02")
    assert (v6.index, v6.family, len(v6.packed)) == (linked.br0, 6, 16)
    assert v6.flags & IFA_F_NODAD
    assert not v6.flags & IFA_F_TENTATIVE
    assert (v4.scope, lo.scope, lo.index) == (UNIVERSE, 254, 1)
    assert repr(v4) == f"<Address 10.1.0.2/16 on {linked.br0}>"
    assert [str(address) for address in (v4, v6)] == ["10.1.0.2/16", "fd00::2/64"]


def test_dumps_of_addresses_are_filtered(linked: Linked) -> None:
    """Only addresses of the link and the family asked for come."""
    handle = linked.handle
    handle.add_address(linked.br1, "10.2.0.5/24")
    assert global_ones(handle.addresses(index=linked.br0)) == ["10.1.0.2/16", "fd00::2/64"]
    assert global_ones(handle.addresses(index=linked.br0, family=4)) == ["10.1.0.2/16"]
    assert global_ones(handle.addresses(index=linked.br1, family=6)) == []
    assert global_ones(handle.addresses(family=4)) == ["10.1.0.2/16", "10.2.0.5/24", "127.0.0.1/8"]
    assert global_ones(handle.addresses(family=6)) == ["::1/128", "fd00::2/64"]


def test_an_address_is_there_once(linked: Linked) -> None:
    """The very same one is refused; one that is taken away is gone, and not found a second time."""
    handle, index = linked.handle, linked.br0
    for address in ("10.1.0.2/16", "fd00::2/64"):
        assert handle.has_address(index, address)
        error = refusal(lambda address=address: handle.add_address(index, address))
        assert isinstance(error, FileExistsError)
        said = f"add address to link with index {index} ({address}): file exists"
        assert str(error).startswith(said)
        handle.delete_address(index, address)
        assert not handle.has_address(index, address)
        error = refusal(lambda address=address: handle.delete_address(index, address))
        assert isinstance(error, FileNotFoundError)
    assert linked.addresses("br0") == {}


def test_having_an_address_means_that_very_one(linked: Linked) -> None:
    """Another prefix length, another link or another family is another address."""
    handle = linked.handle
    assert handle.has_address(linked.br0, "10.1.0.2/16")
    for index, address in (
        (linked.br0, "10.1.0.2/24"),
        (linked.br0, "10.1.0.3/16"),
        (linked.br1, "10.1.0.2/16"),
        (linked.br0, "fd00::2/65"),
        (linked.br1, "fd00::2/64"),
        (linked.br0, "::a01:2/16"),
    ):
        assert not handle.has_address(index, address)


@pytest.mark.parametrize("address", ["", "10.1.0.5", "10.1.0.5/33", "10.1.0/8", "fd00::/129", "x"])
def test_what_is_no_address_is_refused(linked: Linked, address: str) -> None:
    """A text that is not an address with a prefix length is a ValueError."""
    for call in (
        linked.handle.add_address,
        linked.handle.delete_address,
        linked.handle.has_address,
    ):
        with pytest.raises(ValueError, match="invalid CIDR address"):
            call(linked.br0, address)


def test_a_missing_link_is_not_found(linked: Linked) -> None:
    """Nothing can be set on a link that is not there, nor asked of it."""
    handle = linked.handle
    calls: list[tuple[Callable[[], object], str]] = [
        (
            lambda: handle.add_address(4711, "10.1.0.5/16"),
            "add address to link with index 4711 (10.1.0.5/16)",
        ),
        (lambda: handle.addresses(index=4711), "dump addresses"),
        (lambda: handle.addresses(index=4711, family=6), "dump addresses"),
        (lambda: handle.has_address(4711, "10.1.0.5/16"), "dump addresses"),
        (lambda: handle.routes(oif=4711), "dump routes"),
        (lambda: handle.routes(oif=4711, family=4, table=MAIN), "dump routes"),
    ]
    for call, step in calls:
        error = refusal(call)
        assert isinstance(error, FileNotFoundError)
        assert str(error).startswith(f"{step}: no such device")


# -- routes -------------------------------------------------------------------------------------


def test_routes_are_set_as_iproute2_would(linked: Linked) -> None:
    """Gateway, metric, MTU, MSS, table and scope of a route are what was asked for."""
    handle = linked.handle
    handle.add_route("0.0.0.0/0", gateway="10.1.0.1")
    handle.add_route("10.9.0.0/16", gateway="10.1.0.1", oif=linked.br0, priority=50, mtu=1300)
    handle.add_route("10.8.0.0/16", oif=linked.br0, scope=LINK, table=1000, advmss=1200)
    handle.add_route("fd09::/64", gateway="fd00::1", oif=linked.br0, table=100)
    (default,) = linked.routes("route show default")
    assert (default["gateway"], default["dev"], default["protocol"]) == ("10.1.0.1", "br0", "boot")
    (metric,) = linked.routes("route show 10.9.0.0/16")
    assert (metric["metric"], metric["metrics"]) == (50, [{"mtu": 1300}])
    (table,) = linked.routes("route show table 1000")
    assert (table["scope"], table["metrics"], table["dst"]) == (
        "link",
        [{"advmss": 1200}],
        "10.8.0.0/16",
    )
    (v6,) = linked.routes("-6 route show table 100")
    assert (v6["dst"], v6["gateway"], v6["dev"]) == ("fd09::/64", "fd00::1", "br0")


def shown(route: Route) -> tuple[str, str | None, int]:
    """Return destination, gateway and table."""
    gateway = format_address(route.gateway) if route.gateway else None
    return f"{format_address(route.dst)}/{route.prefixlen}", gateway, route.table


def test_a_dump_of_routes_has_their_attributes(linked: Linked) -> None:
    """Each attribute of a route is as it was set; a default route is to all zeros."""
    linked.node.ip("route add default via 10.1.0.1 metric 7 mtu 1400 advmss 1300 proto static")
    linked.node.ip("-6 route add default via fd00::1 dev br0")
    found = {shown(route): route for route in linked.handle.routes(table=MAIN)}
    route = found["0.0.0.0/0", "10.1.0.1", MAIN]
    assert (route.family, route.oif, route.priority) == (4, linked.br0, 7)
    assert (route.mtu, route.advmss, route.scope) == (1400, 1300, UNIVERSE)
    assert (route.protocol, route.type) == (4, 1)
    assert repr(route) == f"<Route 0.0.0.0/0 dev {linked.br0}>"
    assert (route.destination, route.via) == ("0.0.0.0/0", "10.1.0.1")
    six = found["::/0", "fd00::1", MAIN]
    assert (six.family, six.destination, six.via) == (6, "::/0", "fd00::1")
    assert found["10.1.0.0/16", None, MAIN].via == ""
    assert found["10.1.0.0/16", None, MAIN].scope == LINK


def test_dumps_of_routes_are_filtered(linked: Linked) -> None:
    """Only routes through the link, of the family and in the table asked for come."""
    handle = linked.handle
    handle.add_address(linked.br1, "10.2.0.2/16")
    handle.add_route("10.9.0.0/16", oif=linked.br1, table=1000)
    handle.add_route("fd09::/64", oif=linked.br1, table=1000)
    handle.add_route("fd08::/64", oif=linked.br0, table=1000)

    def kept(**filters: int) -> list[str]:
        found = [shown(route)[0] for route in handle.routes(**filters)]
        return sorted(dst for dst in found if not dst.startswith(("fe80", "ff00", "127", "::1")))

    assert kept(table=1000) == ["10.9.0.0/16", "fd08::/64", "fd09::/64"]
    assert kept(table=1000, oif=linked.br1) == ["10.9.0.0/16", "fd09::/64"]
    assert kept(table=1000, oif=linked.br1, family=6) == ["fd09::/64"]
    assert kept(table=MAIN, family=4) == ["10.1.0.0/16", "10.2.0.0/16"]
    assert kept(table=MAIN, family=4, oif=linked.br1) == ["10.2.0.0/16"]
    assert kept(table=4711) == []
    assert "10.1.0.2/32" in kept(table=LOCAL, oif=linked.br0)
    assert {route.family for route in handle.routes()} == {4, 6}


def test_a_route_is_there_once(linked: Linked) -> None:
    """A second one to the same destination is refused; one that is gone is not found."""
    handle = linked.handle
    for dst, gateway in (("10.9.0.0/16", "10.1.0.1"), ("fd09::/64", "fd00::1")):
        handle.add_route(dst, gateway=gateway)
        error = refusal(lambda d=dst, g=gateway: handle.add_route(d, gateway=g))
        assert isinstance(error, FileExistsError)
        assert str(error) == f"add route to routing table ({dst}): file exists"
        handle.delete_route(dst)
        error = refusal(lambda d=dst: handle.delete_route(d))
        assert isinstance(error, FileNotFoundError)
        assert str(error).startswith(f"delete route from routing table ({dst}): no such process")


def test_only_the_matching_route_is_deleted(linked: Linked) -> None:
    """Whatever is given of a route to delete has to match."""
    handle = linked.handle
    handle.add_route("10.9.0.0/16", gateway="10.1.0.1", priority=5)
    handle.add_route("10.9.0.0/16", gateway="10.1.0.3", priority=6)
    for arguments in (
        {"gateway": "10.1.0.4"},
        {"priority": 7},
        {"oif": linked.br1},
        {"table": 1000},
        {"scope": LINK},
    ):
        error = refusal(lambda a=arguments: handle.delete_route("10.9.0.0/16", **a))
        assert isinstance(error, FileNotFoundError)
    handle.delete_route("10.9.0.0/16", gateway="10.1.0.3")
    assert [r["gateway"] for r in linked.routes("route show 10.9.0.0/16")] == ["10.1.0.1"]


@pytest.mark.parametrize(
    ("dst", "arguments", "message"),
    [
        ("10.9.0.0/16", {"gateway": "10.200.0.1"}, "network is unreachable (Nexthop has invalid"),
        ("10.9.0.1/16", {"gateway": "10.1.0.1"}, "invalid argument (Invalid prefix"),
        ("10.9.0.0/16", {}, "no such device"),
        ("10.9.0.0/16", {"oif": 4711}, "no such device"),
    ],
)
def test_refused_routes_say_why(
    linked: Linked, dst: str, arguments: dict[str, Any], message: str
) -> None:
    """A route the kernel refuses is an error with the kernel's words."""
    error = refusal(lambda: linked.handle.add_route(dst, **arguments))
    assert str(error).startswith(f"add route to routing table ({dst}): {message}")


def test_gateways_are_of_the_routes_family(linked: Linked) -> None:
    """A gateway of the other family is a ValueError that names both, and no route is made."""
    for dst, gateway in (("10.9.0.0/16", "fd00::1"), ("fd09::/64", "10.1.0.1")):
        for call in (linked.handle.add_route, linked.handle.delete_route):
            with pytest.raises(ValueError, match=f"route {dst} via {gateway}: .* families"):
                call(dst, gateway=gateway, oif=linked.br0)
    assert linked.routes("route show 10.9.0.0/16") == []


@pytest.mark.parametrize(("dst", "gateway"), [("10.0.0.0", ""), ("", ""), ("10.0.0.0/8", "gate")])
def test_what_is_no_route_is_refused(linked: Linked, dst: str, gateway: str) -> None:
    """Texts that are no addresses are a ValueError."""
    for call in (linked.handle.add_route, linked.handle.delete_route):
        with pytest.raises(ValueError, match="invalid"):
            call(dst, gateway=gateway)
