"""Taps as a virtual machine meets them: free to be opened, by as many queues as was asked for."""

from __future__ import annotations

import fcntl
import os
import struct
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.kernel import Handle
from cnifast.kernel.tap import Tap
from helpers import nsutil, ways
from helpers.bench import wait_for
from helpers.node import need_tools
from helpers.opened import open_files
from helpers.plugin import Attachment

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.node import Container, Node
    from helpers.plugin import Runner
    from helpers.ways import Service

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_MULTI_QUEUE = 0x2, 0x1000, 0x100
V4 = {"type": "host-local", "subnet": "10.1.0.0/24"}


def conf(**options: Any) -> dict[str, Any]:
    """Build a configuration."""
    return {"cniVersion": "1.1.0", "name": "net", "type": "tap", **options}


def open_queue(pod: Container, flags: int, held: ExitStack) -> int:
    """Open one queue of the container's tap, as a virtual machine does; return its descriptor."""
    with nsutil.inside(pod.fd):
        fd = os.open("/dev/net/tun", os.O_RDWR)
    held.callback(os.close, fd)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"eth0", IFF_TAP | IFF_NO_PI | flags))
    return fd


def test_nobody_holds_it(node: Node, runner: Runner) -> None:
    """After ADD the tap is free: the first to open its one queue gets it, and has the carrier."""
    pod = node.new_container()
    assert Attachment(runner, conf(ipam=V4), pod).add().ok
    # The kernel tells a while later whether there is a carrier.
    wait_for(lambda: "NO-CARRIER" in node.links(pod)[1]["flags"])
    with ExitStack() as held:
        open_queue(pod, 0, held)
        wait_for(lambda: "NO-CARRIER" not in node.links(pod)[1]["flags"])
        with pytest.raises(OSError, match="busy"):
            open_queue(pod, 0, held)


def test_several_queues(node: Node, runner: Runner) -> None:
    """With multiQueue several can be open at a time, and there are no more than those."""
    pod = node.new_container()
    assert Attachment(runner, conf(multiQueue=True), pod).add().ok
    with ExitStack() as held:
        for _ in range(3):
            open_queue(pod, IFF_MULTI_QUEUE, held)
        assert node.links(pod)[1]["linkinfo"]["info_data"]["numqueues"] == 3


def test_the_service_keeps_nothing_open(
    node: Node, plugin_directory: str, service: Service
) -> None:
    """After many ADDs and DELs the service has no more files open than after the first ones."""
    pod = node.new_container()
    attachment = Attachment(ways.warm(plugin_directory), conf(multiQueue=True), pod)
    for _ in range(20):
        assert attachment.add().ok
        assert attachment.delete().ok
    wait_for(lambda: not any("tun" in name for name in open_files(service.pid).values()))


def test_the_name_is_taken(node: Node, runner: Runner) -> None:
    """Neither another's tap nor any other link of the name is taken over."""
    pod = node.new_container()
    attachment = Attachment(runner, conf(), pod)
    assert attachment.add().ok
    again = attachment.call("ADD")
    assert (again.code, "already" in again.message) == (999, True), again
    assert len(node.links(pod)) == 2
    assert attachment.delete().ok
    node.ip(f"-n {pod.name} link add eth0 type bridge")
    assert attachment.call("ADD").code == 999
    assert node.links(pod)[1]["linkinfo"]["info_kind"] == "bridge"


def test_check(node: Node, runner: Runner) -> None:
    """CHECK misses an address, another kind of link, another MAC, and a queue too few or many."""
    pod = node.new_container()
    attachment = Attachment(runner, conf(ipam=V4), pod)
    assert attachment.add().ok
    assert attachment.check().ok
    assert "multiQueue" in attachment.call("CHECK", multiQueue=True).message
    for damage, word in (
        ("link set eth0 address 02:00:00:00:00:09", "MAC"),
        ("addr flush dev eth0", "MAC"),
        ("link del eth0", "not found"),
        ("link add eth0 type bridge", "is not a tun"),
    ):
        node.ip(f"-n {pod.name} {damage}")
        assert word in attachment.check().message


def test_selinux_context(node: Node, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that makes the tap is executed while the context of the next one is set."""
    need_tools("ip")
    pod = node.new_container()
    label, seen, stub = tmp_path / "label", tmp_path / "seen", tmp_path / "ip"
    label.touch()
    stub.write_text(f'#!/bin/sh\ncat {label} > {seen}\necho "$@" >> {seen}\nexec /sbin/ip "$@"\n')
    stub.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    exec_label = f"/proc/{os.getpid()}/task/{threading.get_native_id()}/attr/exec"
    nsutil.mount(str(label), exec_label, None, nsutil.MS_BIND)
    try:
        Tap(1000, None, multi_queue=True).create_labelled(pod.fd, "eth0", "a_u:a_r:a_t:s0")
    finally:
        nsutil.umount(exec_label)
    context, words = seen.read_text().split("\n", 1)[0], seen.read_text()
    assert "a_u:a_r:a_t:s0" in context
    assert "tuntap add mode tap name eth0 multi_queue user 1000" in words
    with Handle(pod.fd) as inside:
        link = inside.link("eth0")
    assert (link.kind, link.tap_owner, link.tap_group) == ("tun", 1000, None)
    assert link.tap_multi_queue


def test_service_without_the_device(node: Node, plugin_directory: str) -> None:
    """Where the service cannot open the device the caller makes the tap, or says why it cannot."""
    pod = node.new_container()
    with nsutil.covered("/dev/net"):
        lacking = ways.Service()
        missing = Attachment(ways.warm(plugin_directory), conf(), pod).add()
        assert (missing.code, "open /dev/net/tun" in missing.message) == (999, True), missing
        having = ways.Elsewhere(plugin_directory, "umount /dev/net")
        attachment = Attachment(having, conf(), pod)
        assert attachment.add().ok
        assert attachment.delete().ok
        assert lacking.stop() == 0
    assert len(node.links(pod)) == 1
    reasons = [line for line in lacking.log if "event=cold" in line]
    assert len(reasons) == 2
    assert all("/dev/net/tun cannot be opened here" in line for line in reasons)
