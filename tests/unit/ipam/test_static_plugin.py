"""static as a plugin: the commands that the reference lacks."""

from __future__ import annotations

from cnifast.ipam import static
from cnifast.protocol.request import Request
from helpers.ipam import InProcess, call

CONF = {
    "cniVersion": "1.1.0",
    "name": "net",
    "type": "bridge",
    "ipam": {"type": "static", "addresses": [{"address": "10.1.0.5/24"}]},
}


def test_gc_and_status_have_nothing_to_do() -> None:
    """GC succeeds without any list, STATUS as long as ADD would."""
    for command in ("GC", "STATUS"):
        assert call(InProcess(), command, CONF, plugin="static").stdout == ""
    bad = {**CONF, "ipam": {"type": "static", "addresses": [{"address": "x"}]}}
    assert call(InProcess(), "STATUS", bad, plugin="static").code == 999


def test_owned_is_what_is_configured() -> None:
    """The owner's addresses are those that ADD would return."""
    env = {"CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_ARGS": "IP=fd00::5/64"}
    req = Request("static", "DEL", env, b"", CONF, "net", "1.1.0")
    assert static.owned(req) == ["10.1.0.5", "fd00::5"]
    assert static.gc(req) == []
