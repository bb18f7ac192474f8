"""Sandboxes that are processes: each in a namespace of its own, for as long as it runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.kubernetes import DNSConfig, PortMapping, ProcessHost

if TYPE_CHECKING:
    from helpers.node import Node

pytestmark = pytest.mark.usefixtures("clean_node")


def netns(path: str) -> tuple[int, int]:
    """Return what names a namespace."""
    status = Path(path).stat()
    return status.st_dev, status.st_ino


def test_each_sandbox_has_a_namespace(clean_node: Node) -> None:
    """Sandboxes are in namespaces of their own, which are not the host's."""
    with ProcessHost() as host:
        for id_ in ("a", "b"):
            host.start_pod(id_)
        found = {netns(host.get_netns(id_)) for id_ in ("a", "b")}
        assert len(found | {netns("/proc/thread-self/ns/net")}) == 3
        assert host.live_pods() == ["a", "b"]
    assert clean_node.processes() == []


def test_a_sandbox_that_is_stopped() -> None:
    """A stopped sandbox is not live and has no namespace; stopping it again is no error."""
    with ProcessHost() as host:
        host.start_pod("a")
        host.stop_pod("a")
        host.stop_pod("a")
        assert host.live_pods() == []
        with pytest.raises(LookupError, match="there is no sandbox a"):
            host.get_netns("a")
        host.start_pod("a")
        assert host.live_pods() == ["a"]


def test_a_sandbox_that_is_killed() -> None:
    """A sandbox whose process has died is not live, until it is stopped its ID is taken."""
    with ProcessHost() as host:
        host.start_pod("a")
        pid = int(host.get_netns("a").split("/")[2])
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert host.live_pods() == []
        with pytest.raises(LookupError, match="sandbox a has ended"):
            host.get_netns("a")
        with pytest.raises(FileExistsError, match="there is a sandbox a already"):
            host.start_pod("a")


def test_what_pods_want() -> None:
    """The host tells what a sandbox was started with, and nothing of one it does not know."""
    with ProcessHost() as host:
        ports, dns = [PortMapping(80, 8080, "udp", "192.0.2.1")], DNSConfig(["10.96.0.10"])
        host.start_pod("a", port_mappings=ports, dns=dns, mac="02:00:00:00:00:05")
        assert list(host.get_pod_port_mappings("a")) == ports
        assert (host.get_pod_dns("a"), host.get_pod_mac("a")) == (dns, "02:00:00:00:00:05")
        assert host.get_pod_port_mappings("b") == ()
        assert (host.get_pod_dns("b"), host.get_pod_mac("b")) == (None, "")
        assert repr(ports[0]) == "<PortMapping 192.0.2.1:80 8080/udp>"


def test_a_program_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program that makes namespaces the error names it and its package."""
    monkeypatch.setenv("PATH", "/nowhere")
    with ProcessHost() as host:
        with pytest.raises(FileNotFoundError, match=r"no program unshare \(util-linux\)"):
            host.start_pod("a")
        assert host.live_pods() == []


def test_a_sandbox_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """When the process ends before it is ready its own words are in the error."""
    (tmp_path / "unshare").write_text("#!/bin/sh\necho out of namespaces >&2\nexit 1\n")
    (tmp_path / "unshare").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with ProcessHost() as host:
        with pytest.raises(OSError, match="sandbox a ended: out of namespaces"):
            host.start_pod("a")
        assert host.live_pods() == []
