"""Ranges: what is filled in, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from netaddr import IPNetwork

from cnifast.ipam.ranges import Range, RangeConf, RangeError, complete, describe
from cnifast.protocol import ip
from cnifast.protocol.errors import DecodeError


def one(**conf: Any) -> Range:
    """Return one completed range."""
    return complete([[RangeConf.decode(conf)]])[0][0]


@pytest.mark.parametrize(
    ("subnet", "first", "last", "gateway"),
    [
        ("10.1.0.0/16", "10.1.0.1", "10.1.255.254", "10.1.0.1"),
        ("192.0.2.0/30", "192.0.2.1", "192.0.2.2", "192.0.2.1"),
        ("fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff", "fd00::1"),
        ("fd00::4/126", "fd00::5", "fd00::7", "fd00::5"),
        ("0.0.0.0/0", "0.0.0.1", "255.255.255.254", "0.0.0.1"),
    ],
)
def test_defaults(subnet: str, first: str, last: str, gateway: str) -> None:
    """A subnet alone gives its usable addresses and its first one as gateway."""
    found = one(subnet=subnet)
    assert str(found) == f"{first}-{last}"
    assert ip.format_ip(*found.gateway) == gateway
    assert (found.family, found.prefixlen) == (
        IPNetwork(subnet).version,
        IPNetwork(subnet).prefixlen,
    )


@pytest.mark.parametrize("prefixlen", range(1, 31))
def test_defaults_agree_with_netaddr(prefixlen: int) -> None:
    """The ends of a range are those of the hosts that another library finds."""
    network = IPNetwork(f"10.128.0.0/{prefixlen}").cidr
    found = one(subnet=str(network))
    assert (found.first, found.last) == (network.first + 1, network.last - 1)


@pytest.mark.parametrize(
    ("conf", "text"),
    [
        ({}, "no subnet"),
        ({"subnet": "10.1.0.0/31"}, "too small"),
        ({"subnet": "10.1.0.5/24"}, "host bits set.*10.1.0.0"),
        ({"subnet": "::ffff:10.1.0.0/120"}, "written as an IPv6 network"),
        ({"subnet": "10.1.0.0/24", "rangeStart": "10.1.1.0"}, "RangeStart 10.1.1.0 not in"),
        ({"subnet": "10.1.0.0/24", "rangeStart": "fd00::1"}, "RangeStart fd00::1 not in"),
        ({"subnet": "10.1.0.0/24", "rangeEnd": "10.0.255.255"}, "RangeEnd 10.0.255.255 not in"),
        ({"subnet": "10.1.0.0/24", "rangeStart": "10.1.0.255"}, "before the start"),
        ({"subnet": "10.1.0.0/24", "rangeEnd": "10.1.0.0"}, "before the start"),
    ],
)
def test_refused(conf: dict[str, str], text: str) -> None:
    """A range without a usable address is refused with what is wrong with it."""
    with pytest.raises(RangeError, match=f"invalid range set 0: .*{text}"):
        one(**conf)


def test_sets_must_not_overlap() -> None:
    """Neither the ranges of one set nor two sets may have an address in common."""
    a, b = RangeConf.decode({"subnet": "10.1.0.0/24"}), RangeConf.decode({"subnet": "10.1.0.0/16"})
    with pytest.raises(RangeError, match="overlap"):
        complete([[a, b]])
    with pytest.raises(RangeError, match="range set 0 overlaps with 1"):
        complete([[a], [b]])
    low = RangeConf.decode({"subnet": "10.1.0.0/16", "rangeEnd": "10.1.0.99"})
    high = RangeConf.decode({"subnet": "10.1.0.0/16", "rangeStart": "10.1.0.100"})
    assert describe(complete([[low, high]])[0]) == "10.1.0.1-10.1.0.99,10.1.0.100-10.1.255.254"


def test_one_family_per_set() -> None:
    """A set hands out one address, so its ranges are of one family; and it has ranges."""
    v4, v6 = RangeConf.decode({"subnet": "10.1.0.0/24"}), RangeConf.decode({"subnet": "fd00::/64"})
    with pytest.raises(RangeError, match="mixed address families"):
        complete([[v4, v6]])
    with pytest.raises(RangeError, match="empty range set"):
        complete([[v4], []])
    with pytest.raises(RangeError, match="no IP ranges"):
        complete([])


def test_wrong_kind_names_the_key() -> None:
    """A value of the wrong kind is refused with the path to it."""
    with pytest.raises(DecodeError, match="subnet"):
        RangeConf.decode({"subnet": 10})
    with pytest.raises(DecodeError, match=r"10\.1\.0/24"):
        RangeConf.decode({"subnet": "10.1.0/24"})
