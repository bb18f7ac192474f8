"""The firewall plugin's configuration: what it says, and what makes no sense."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cnifast.plugins.firewall_conf import addresses_of, bridge_of, load
from cnifast.plugins.meta import firewall
from cnifast.protocol.errors import CNIError, RunCold
from cnifast.protocol.request import Place, Request
from cnifast.protocol.result import Interface, IPConfig, Result

PREVIOUS = {
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "cni0"}],
    "ips": [{"address": "10.1.0.5/16"}],
}


def request(command: str = "ADD", place: Place | None = None, **conf: Any) -> Request:
    """Return a request as plugins get it."""
    full = {"cniVersion": "1.1.0", "name": "net", "type": "firewall", **conf}
    stdin = json.dumps(full).encode()
    found = Request("firewall", command, {"CNI_IFNAME": "eth0"}, stdin, full, "net", "1.1.0")
    if place is not None:
        found.place = place
    return found


def test_defaults_are_the_reference_s() -> None:
    """Without options the backend is chosen, the chain CNI-ADMIN, the zone trusted, all is open."""
    for empty in ({}, dict.fromkeys(("backend", "firewalldZone", "ingressPolicy"))):
        conf = load(request(**empty))
        assert (conf.backend, conf.admin, conf.sources_zone) == ("", "CNI-ADMIN", "trusted")
        assert not conf.has_policy
    assert not load(request(backend="", iptablesAdminChainName="", firewalldZone="")).has_policy


def test_letter_case_does_not_matter() -> None:
    """Keys match as Go's decoder matches them."""
    conf = load(request(BACKEND="iptables", IPTablesAdminChainName="X", IngressPolicy="isolated"))
    assert (conf.backend, conf.admin, conf.has_policy) == ("iptables", "X", True)


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"backend": "ipfw"}, 'unknown backend "ipfw"'),
        ({"backend": "IPTABLES"}, 'unknown backend "IPTABLES"'),
        ({"ingressPolicy": "closed"}, 'unknown ingressPolicy "closed"'),
        ({"backend": "nftables", "firewalldZone": "work"}, "firewalldZone has no meaning"),
        ({"backend": "nftables", "iptablesAdminChainName": "X"}, "iptablesAdminChainName has no"),
        *(
            ({"iptablesAdminChainName": name}, "is no chain of an administrator")
            for name in ("a b", "-j", "!x", "x" * 29, "\n", "FORWARD", "CNI-FORWARD", "ACCEPT")
        ),
        ({"firewalldZone": "a\nb"}, "is no name of a zone"),
    ],
)
def test_what_makes_no_sense(conf: dict[str, Any], words: str) -> None:
    """An option that cannot be meant is refused by ADD, CHECK and STATUS, and named."""
    for command in (firewall.add, firewall.check, firewall.status):
        with pytest.raises(CNIError, match=words):
            command(request(prevResult=PREVIOUS, **conf))


def test_options_of_backends_that_are_not_chosen_are_allowed() -> None:
    """A configuration of the reference may have a zone and a chain whatever its backend is."""
    both = {"firewalldZone": "work", "iptablesAdminChainName": "X"}
    for backend in ("", "iptables", "firewalld"):
        assert load(request(backend=backend, **both)).sources_zone == "work"


def test_addresses() -> None:
    """All addresses of a result are meant, whatever interface has them, each once."""
    texts = ("10.1.0.5/16", "fd00::5/64", "10.1.0.5/24", "10.1.0.6/32")
    result = Result(ips=[IPConfig(text) for text in texts])
    assert addresses_of(result) == ["10.1.0.5", "fd00::5", "10.1.0.6"]
    assert addresses_of(Result()) == []


def test_the_bridge_is_the_first_interface() -> None:
    """A policy is about the first interface of the result; without a policy none is needed."""
    isolated = load(request(ingressPolicy="isolated"))
    links = [Interface("cni0"), Interface("veth1"), Interface("eth0", sandbox="/run/netns/a")]
    assert bridge_of(isolated, Result(interfaces=links)) == "cni0"
    assert bridge_of(load(request()), Result()) == ""
    for names in ([], [""], ["x" * 16], ["a b"]):
        with pytest.raises(CNIError, match="prevResult"):
            bridge_of(isolated, Result(interfaces=[Interface(name) for name in names]))


@pytest.mark.parametrize("command", [firewall.add, firewall.check])
@pytest.mark.parametrize(
    "previous",
    [None, {"cniVersion": "9.9.9"}, {"cniVersion": "1.1.0", "ips": [{"address": "x"}]}, []],
)
def test_no_previous_result(command: Any, previous: Any) -> None:
    """ADD and CHECK need the result of the plugin before, in a version that is known."""
    with pytest.raises(CNIError):
        command(request(prevResult=previous))


def test_who_looks_for_iptables_must_be_where_the_caller_is() -> None:
    """Where paths mean something else than for the caller, only nftables can be seen to."""
    elsewhere = Place(mount_same=False)
    for conf in ({}, {"backend": "firewalld"}, {"backend": "iptables"}):
        for command in (firewall.add, firewall.check, firewall.delete, firewall.status):
            with pytest.raises(RunCold):
                command(request(place=elsewhere, prevResult=PREVIOUS, **conf))
    listed = {"cni.dev/valid-attachments": []}
    with pytest.raises(RunCold):
        firewall.gc(request("GC", elsewhere, **listed))
    conf = {"backend": "nftables", "prevResult": {**PREVIOUS, "ips": []}}
    assert firewall.add(request(place=elsewhere, **conf)).ips == []
