"""Names of sysctls: what they stand for, what leads out of the network's, what is allowed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.plugins import tuning_sysctls
from cnifast.plugins.tuning_sysctls import path_of, refuse_repeated, require_allowed
from cnifast.protocol.errors import CNIError
from cnifast.protocol.request import Request

if TYPE_CHECKING:
    from pathlib import Path

NAME = "net.ipv4.conf.IFNAME.arp_filter"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net..ipv4//ip_forward.", "net/ipv4/ip_forward"),
        (".net.core.somaxconn", "net/core/somaxconn"),
        (NAME, "net/ipv4/conf/eth0.100/arp_filter"),
        ("net.IFNAME.IFNAME", "net/eth0.100/IFNAME"),
    ],
)
def test_paths(name: str, path: str) -> None:
    """Dots become slashes, then the first IFNAME the interface, whose own dots stay."""
    assert path_of(name, "eth0.100") == path


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "net", "net.", "network.x", "kernel.domainname", "fs.file-max", "IFNAME.x"),
        *("net.ipv4.ip_forward\n", "net.ipv4.ip_forward\0", "net.ipv4.ip forward", " net.ipv4.x"),
        *("../kernel/x", "/kernel/net.x"),
    ],
)
def test_what_is_no_sysctl_of_the_network(name: str) -> None:
    """A name that is not below net, or that no file has, is refused by its name."""
    with pytest.raises(CNIError, match="invalid net sysctl key") as caught:
        path_of(name, "eth0")
    assert "\n" not in caught.value.msg


@pytest.mark.parametrize("ifname", ["..", ".", "../../kernel", "../../../etc/x", "x/../../kernel"])
@pytest.mark.parametrize("name", [NAME, "net.IFNAME", "net.ipv4.conf.IFNAME"])
def test_an_interface_leads_nowhere_else(name: str, ifname: str) -> None:
    """Whatever the interface is called, IFNAME never leads out of /proc/sys/net."""
    try:
        path = path_of(name, ifname)
    except CNIError:
        return
    assert path.startswith("net/")
    assert ".." not in path.split("/")


def _request(stdin: str) -> Request:
    """Return a request with this on standard input."""
    conf: dict[str, Any] = json.loads(stdin)
    return Request("tuning", "ADD", {}, stdin.encode(), conf, "net", "1.0.0")


@pytest.mark.parametrize(
    "stdin",
    [
        '{"sysctl": {"net.a": "1", "net.a": "2"}}',
        '{"sysctl": {"net.a": "1", "net.b": "1", "net.a": "1"}}',
        r'{"sysctl": {"net.a": "1", "net\u002ea": "2"}}',
        '{"sysctl": {"net.a": "1"}, "SYSCTL": {"net.a": "2"}}',
    ],
)
def test_repeated_names_are_refused(stdin: str) -> None:
    """A name that stands there twice, however it is written, is an error that tells which."""
    req = _request(stdin)
    with pytest.raises(CNIError, match=r'duplicated sysctl keys are not allowed: "net\.a"'):
        refuse_repeated(req, req.conf["sysctl"])


@pytest.mark.parametrize(
    "stdin",
    [
        '{"sysctl": {"net.a": "1", "net.b": "1"}}',
        '{"sysctl": {"net.a": "net.a"}, "args": {"cni": {"sysctl": {"net.a": "2"}}}}',
        r'{"name": "a\\b", "sysctl": {"net.a": "1"}, "x": [{"net.a": "1"}]}',
        '{"sysctl": {"net.a": "1"}, "SYSCTL": null}',
    ],
)
def test_names_elsewhere_are_no_repetition(stdin: str) -> None:
    """Only the names of what is configured count, not what "args" puts in their place."""
    req = _request(stdin)
    refuse_repeated(req, req.conf["sysctl"])


@pytest.fixture
def allowlist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the allowlist is."""
    path = tmp_path / "allowlist.conf"
    monkeypatch.setattr(tuning_sysctls, "ALLOWLIST", str(path))
    return path


def test_without_the_file_all_is_allowed(allowlist: Path) -> None:
    """A node without an allowlist allows every sysctl; an empty one allows none."""
    require_allowed([NAME])
    allowlist.write_text("\n \n")
    require_allowed([])
    with pytest.raises(CNIError, match="is not allowed: no line of"):
        require_allowed([NAME])


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        (rf"^{NAME}$", True),
        ("  arp_filter\t", True),
        ("^arp_filter", False),
        ("^net.ipv4.conf.IFNAME.arp$", False),
        (r"^net\.ipv4\.[a-z.]+IFNAME\.arp_filter\z", True),
        ("^[[:alpha:]]+$", False),
        (r"^([[:word:]]+\.)+[[:lower:]]+_[[:lower:]]+$", True),
        ("^[^[:upper:]]+$", False),
        ("(?i)ARP_FILTER$", True),
    ],
)
def test_lines_are_regular_expressions(allowlist: Path, line: str, allowed: bool) -> None:
    """A sysctl is allowed when a line, an expression as Go reads it, matches a part of its name."""
    allowlist.write_text(f"other\n{line}\n")
    try:
        require_allowed([NAME])
    except CNIError:
        assert not allowed
    else:
        assert allowed


def test_each_name_needs_a_line(allowlist: Path) -> None:
    """One sysctl that is not allowed is enough, and the error tells which."""
    allowlist.write_text("ipv4\n")
    with pytest.raises(CNIError, match=r'"net\.ipv6\.x" is not allowed'):
        require_allowed([NAME, "net.ipv6.x"])


def test_what_is_no_expression_allows_nothing(allowlist: Path) -> None:
    """A line that cannot be understood is an error that shows it, whatever the others allow."""
    allowlist.write_text("arp_filter\nnet.(\n")
    with pytest.raises(CNIError, match=r'allowlist\.conf: "net\.\(": '):
        require_allowed([NAME])


def test_an_unreadable_file_allows_nothing(allowlist: Path) -> None:
    """Where the allowlist cannot be read, nothing is taken for allowed."""
    allowlist.mkdir()
    with pytest.raises(OSError, match="directory"):
        require_allowed([NAME])
