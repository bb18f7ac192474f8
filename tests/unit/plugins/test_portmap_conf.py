"""The portmap plugin's configuration: what it says, in which letter case, and about whom."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cnifast.plugins.portmap_conf import PortmapConf, host_end, known_ports, load, pods_of
from cnifast.protocol.errors import CNIError
from cnifast.protocol.request import Request
from cnifast.protocol.result import Result


def request(**conf: Any) -> Request:
    """Return a request as plugins get it."""
    full = {"cniVersion": "1.1.0", "name": "net", "type": "portmap", **conf}
    stdin = json.dumps(full).encode()
    return Request("portmap", "ADD", {"CNI_IFNAME": "eth0"}, stdin, full, "net", "1.1.0")


def loaded(*mappings: dict[str, Any], **conf: Any) -> PortmapConf:
    """Load a configuration with port mappings."""
    return load(request(runtimeConfig={"portMappings": list(mappings)}, **conf))


def shown(conf: PortmapConf) -> list[tuple[str, int, int, str]]:
    """Return the ports as tuples."""
    return [(p.protocol, p.host_port, p.container_port, p.host_ip) for p in conf.ports]


def test_defaults_are_the_reference_s() -> None:
    """Without options there is masquerading by bit 13, and no port."""
    conf = load(request())
    assert (conf.chosen, conf.snat, conf.masq_all, conf.mark_bit) == ("nftables", True, False, 13)
    assert conf.ports == ()
    assert load(request(snat=None, conditionsV4=None, runtimeConfig=None)).mark_bit == 13
    assert load(request(snat=False, markMasqBit=3)).mark_bit == -1


@pytest.mark.parametrize(
    "keys",
    [
        ("hostPort", "containerPort", "protocol", "hostIP"),  # podman
        ("HostPort", "ContainerPort", "Protocol", "HostIP"),  # containerd
        ("HOSTPORT", "containerport", "pRotocol", "hostip"),
    ],
)
def test_mappings_in_any_letter_case(keys: tuple[str, ...]) -> None:
    """Keys match without regard to case, and so does the protocol."""
    mapping = dict(zip(keys, (8080, 80, "TCP", "192.0.2.1"), strict=True))
    assert shown(loaded(mapping)) == [("tcp", 8080, 80, "192.0.2.1")]


def test_addresses_are_brought_to_one_form() -> None:
    """The same address in two spellings is one mapping; an IPv4 address stays one in IPv6's."""
    mappings = [
        {"hostPort": 1, "containerPort": 2, "protocol": "sctp", "hostIP": text}
        for text in ("2001:DB8:0:0::1", "2001:db8::1", "::ffff:192.0.2.1", "192.0.2.1")
    ]
    assert shown(loaded(*mappings)) == [
        ("sctp", 1, 2, "2001:db8::1"),
        ("sctp", 1, 2, "192.0.2.1"),
    ]


def test_any_address_covers_those_of_a_family() -> None:
    """A mapping for any address makes the same one for any IPv4 address superfluous."""
    mappings = [
        {"hostPort": 1, "containerPort": 2, "protocol": "tcp", "hostIP": text}
        for text in ("0.0.0.0", "", "::", "127.0.0.1")  # noqa: S104 - not bound to
    ]
    assert shown(loaded(*mappings)) == [("tcp", 1, 2, ""), ("tcp", 1, 2, "127.0.0.1")]


@pytest.mark.parametrize(
    ("options", "backend"),
    [
        ({}, "nftables"),
        ({"backend": "nftables"}, "nftables"),
        ({"backend": "iptables"}, "iptables"),
        ({"externalSetMarkChain": "KUBE-MARK-MASQ"}, "iptables"),
        ({"conditionsV4": ["-s", "192.0.2.1"]}, "iptables"),
        ({"conditionsV6": ["!", "-s", "fd00::1"]}, "iptables"),
        ({"conditionsV4": ["ip", "saddr", "192.0.2.1"]}, "nftables"),
        ({"conditionsV4": [], "conditionsV6": [""]}, "nftables"),
    ],
    ids=str,
)
def test_the_backend_follows_from_the_options(options: dict[str, Any], backend: str) -> None:
    """Nftables is the default; an option that only iptables has chooses that."""
    assert load(request(**options)).chosen == backend


def test_known_ports_are_none_where_they_make_no_sense() -> None:
    """DEL takes what it is told only where ADD would have taken it."""
    good = PortmapConf.decode({"runtimeConfig": {"portMappings": [{"hostPort": 1}]}})
    assert known_ports(good) == ()
    with pytest.raises(CNIError):
        loaded({"hostPort": 1})


LINKS = [
    {"name": "cni0"},
    {"name": "veth0"},
    {"name": "eth0", "sandbox": "/run/netns/x"},
    {"name": "cni0.5"},
]


@pytest.mark.parametrize(
    ("interfaces", "expected"),
    [
        (LINKS, "veth0"),
        (LINKS[1:], "veth0"),
        (LINKS[2:3], ""),
        (LINKS[:2], "veth0"),
        ([LINKS[1], {"name": "net1", "sandbox": "/run/netns/x"}, LINKS[0], LINKS[2]], "cni0"),
        ([{"name": "a-name-of-16-letters"[:16]}, LINKS[2]], ""),
        ([], ""),
    ],
)
def test_the_host_s_end(interfaces: list[dict[str, Any]], expected: str) -> None:
    """It is the last interface of the host before the container's."""
    result = Result.from_json({"interfaces": interfaces}, "1.0.0")
    assert host_end(result, "eth0") == expected


def test_pods_are_the_first_addresses_of_the_container() -> None:
    """Addresses of other interfaces, and second ones of a family, are passed over."""
    result = Result.from_json(
        {
            "interfaces": LINKS,
            "ips": [
                {"address": "10.1.0.1/16", "interface": 0},
                {"address": "fd00::5/64", "interface": 2},
                {"address": "10.1.0.5/16", "interface": 2},
                {"address": "10.1.0.6/16", "interface": 2},
                {"address": "fd00::6/64"},
            ],
        },
        "1.0.0",
    )
    assert pods_of(result, "eth0") == ["10.1.0.5/16", "fd00::5/64"]
    assert pods_of(result, "eth1") == ["fd00::6/64"]
    far = Result.from_json({"ips": [{"address": "10.1.0.5/16", "interface": 9}]}, "1.0.0")
    assert pods_of(far, "eth0") == ["10.1.0.5/16"]
