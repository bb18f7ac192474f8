"""The daemon as a process: its options, whoever connects to it, and many at once."""

from __future__ import annotations

import os
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.ipam.dhcp.daemon import BusyError, Daemon
from cnifast.ipam.dhcp.rpc import UNKNOWN_METHOD, Args, Client, RemoteError
from helpers import dhcp, ways
from helpers.plugin import Attachment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

SOCKET = "/run/cni/dhcp.sock"
PODS = 24
ARGS = Args("pod", "/run/netns/none", "eth0", "", b'{"name":"net","ipam":{"type":"dhcp"}}')


@pytest.fixture
def daemon(node: Node) -> Iterator[dhcp.Daemon]:  # noqa: ARG001 - it is there
    """A daemon on the node, which must end properly."""
    with dhcp.Daemon() as running:
        yield running


def test_places(node: Node, plugin_directory: str) -> None:
    """Socket, PID file and prefix are where the options say, and are gone in the end."""
    prefix = Path("/run/host")
    (prefix / "run").mkdir(parents=True)
    os.symlink("/run/netns", prefix / "run" / "netns")
    options = ("-socketpath", "/run/d/x.sock", "-hostprefix=/run/host", "--pidfile", "/run/x.pid")
    pod = node.new_container()
    with dhcp.Dnsmasq(dhcp.bridge(node)), dhcp.Daemon(*options, "-broadcast") as daemon:
        assert Path("/run/x.pid").read_text() == str(daemon.pid)
        path = "/run/host/run/d/x.sock"
        assert Path(path).stat().st_mode & 0o777 == 0o600
        assert Path(path).parent.stat().st_mode & 0o777 == 0o700
        attachment = Attachment(ways.cold(plugin_directory), dhcp.conf(daemonSocketPath=path), pod)
        assert attachment.call("STATUS").ok
        outcome = attachment.add()
        assert outcome.ok, (outcome, daemon.log)
        assert len(list(Path("/run/host/run/d/x.leases").iterdir())) == 1
        assert attachment.delete().ok
        assert list(Path("/run/host/run/d/x.leases").iterdir()) == []
    assert not Path("/run/x.pid").exists()
    assert not Path(path).exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("-timeout", "10"), "'10' is no duration such as 10s or 1m30s"),
        (("-resendmax=-5s",), "no duration"),
        (("-broadcast=perhaps",), "'perhaps' is neither true nor false"),
        (("-nonsense",), "unrecognized arguments: -nonsense"),
        (("-pidfile", "here"), "Error writing pidfile 'here': path not absolute"),
        (("-pidfile", "/nonexistent/here"), "/nonexistent/here"),
        (("-socketpath", "/etc/passwd/x.sock"), "File exists"),
    ],
)
def test_bad_options(node: Node, options: tuple[str, ...], why: str) -> None:  # noqa: ARG001
    """What makes no sense is said, and nothing is started."""
    done = subprocess.run(
        [ways.COMMAND, "dhcp", "daemon", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode != 0
    assert why in done.stderr


def test_only_one(daemon: dhcp.Daemon) -> None:  # noqa: ARG001 - it is the one
    """A second daemon on a socket ends at once; so does one beside somebody else's."""
    done = subprocess.run(
        [ways.COMMAND, "dhcp", "daemon"], capture_output=True, text=True, check=False, timeout=20
    )
    assert done.returncode == 1
    assert "another DHCP daemon holds /run/cni/dhcp.sock.lock" in done.stderr


def test_foreign_one(node: Node) -> None:  # noqa: ARG001 - it is there
    """A daemon that takes no lock is recognised by its answering, a dead one's socket is not."""
    Path("/run/cni").mkdir()
    with socket.socket(socket.AF_UNIX) as theirs:
        theirs.bind(SOCKET)
        theirs.listen()
        with pytest.raises(BusyError, match="another DHCP daemon listens on"):
            Daemon()
    with Daemon():
        Client(SOCKET, 5).close()
    Path(SOCKET).write_text("a file")
    with pytest.raises(OSError, match="in use"):
        Daemon()


def test_handed_over(node: Node) -> None:  # noqa: ARG001 - it is there
    """A socket that systemd handed over is served, and lives on."""
    with socket.socket(socket.AF_UNIX) as given:
        given.bind("/run/given.sock")
        given.listen()
        script = (
            f"exec env LISTEN_FDS=1 LISTEN_PID=$$ {ways.COMMAND} dhcp daemon 3<&{given.fileno()}"
        )
        with subprocess.Popen(
            ["bash", "-c", script], pass_fds=[given.fileno()], stderr=subprocess.PIPE
        ) as process:
            assert process.stderr is not None
            assert b"event=ready" in process.stderr.readline()
            Client("/run/given.sock", 5).close()
            process.terminate()
            assert process.wait(20) == 0
        with socket.socket(socket.AF_UNIX) as later:
            later.connect("/run/given.sock")
    assert Path("/run/given.sock").exists()
    assert not Path(SOCKET).exists()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HTTP/1.0\r\n\r\n",
        b"x" * 10_000,
        b"CONNECT /_goRPC_ HTTP/1.0\n\n\xf0",
        b"CONNECT /_goRPC_ HTTP/1.0\n\n" + bytes(2000),
        b"CONNECT /_goRPC_ HTTP/1.0\n\n\xfc\x7f\xff\xff\xff",
        b"CONNECT /_goRPC_ HTTP/1.0\n\n" + os.urandom(5000),
    ],
)
def test_hostile_peer(daemon: dhcp.Daemon, said: bytes) -> None:
    """Whoever says something else is hung up on, and others are served."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(20)
        peer.connect(SOCKET)
        peer.sendall(said)
        peer.shutdown(socket.SHUT_WR)
        try:
            while peer.recv(4096):
                pass
        except ConnectionResetError:
            pass
    with Client(SOCKET, 5) as client:
        client.release(ARGS)
    assert not [line for line in daemon.log if "Traceback" in line]


def test_refused_calls(daemon: dhcp.Daemon) -> None:
    """What cannot be done is answered in words, and the connection goes on."""
    with Client(SOCKET, 5) as client:
        for stdin, why in (
            (b"", "."),
            (b"[]", "object"),
            (b"{}", "IPAM config missing"),
            (b'{"ipam":{"request":[{"option":"x"}]}}', "neither a number"),
            (ARGS.stdin, "failed to open netns"),
        ):
            with pytest.raises(RemoteError, match=why):
                client.allocate(Args("pod", "/run/netns/none", "eth0", "", stdin))
        with pytest.raises(RemoteError, match=UNKNOWN_METHOD + "DHCP.Nonsense"):
            client._call("DHCP.Nonsense", ARGS)
        with pytest.raises(RemoteError, match="GC needs"):
            client.collect(ARGS)
        client.release(ARGS)
    assert not [line for line in daemon.log if "Traceback" in line]


def test_many_at_once(node: Node, plugin_directory: str, service: ways.Service) -> None:
    """Many containers have different addresses, and all are given back."""
    runner = ways.warm(plugin_directory)
    pods = [node.new_container() for _ in range(PODS)]
    with dhcp.Dnsmasq(dhcp.bridge(node)) as server:
        attachments = [Attachment(runner, dhcp.conf(), pod) for pod in pods]
        with ThreadPoolExecutor(8) as pool:
            added = list(pool.map(Attachment.add, attachments))
            assert all(outcome.ok for outcome in added), (added, service.log)
            assert len({outcome.json["ips"][0]["address"] for outcome in added}) == PODS
            assert len(server.leases()) == PODS
            assert len(dhcp.recorded()) == PODS
            assert all(outcome.ok for outcome in pool.map(Attachment.delete, attachments))
        server.wait_until(lambda: not server.leases())
    assert dhcp.recorded() == []
    assert node.strays() == dhcp.WIRE


def test_killed(node: Node, plugin_directory: str) -> None:
    """After kill -9 of the service the next one has every lease."""
    runner = ways.warm(plugin_directory)
    pods = [node.new_container() for _ in range(3)]
    with dhcp.Dnsmasq(dhcp.bridge(node)) as server:
        first = ways.Service()
        attachments = [Attachment(runner, dhcp.conf(), pod) for pod in pods]
        assert all(attachment.add().ok for attachment in attachments)
        first.kill()
        second = ways.Service()
        assert all(attachment.check().ok for attachment in attachments)
        assert all(attachment.delete().ok for attachment in attachments)
        assert second.stop() == 0
        server.wait_until(lambda: not server.leases())
    assert dhcp.recorded() == []


def test_idle_service_with_leases(node: Node, plugin_directory: str) -> None:
    """A service that would end for want of calls stays as long as there are leases."""
    runner = ways.warm(plugin_directory)
    pod = node.new_container()
    with dhcp.Dnsmasq(dhcp.bridge(node)):
        service = ways.Service("--idle", "1")
        attachment = Attachment(runner, dhcp.conf(), pod)
        assert attachment.add().ok
        with pytest.raises(subprocess.TimeoutExpired):
            service.process.wait(3)
        assert attachment.delete().ok
        assert service.process.wait(20) == 0
        assert any("reason=idle" in line for line in service.log)
        service.stop()


def test_stopped_while_it_waits(node: Node, plugin_directory: str) -> None:
    """A service that is told to stop keeps nobody waiting for a server that does not answer."""
    dhcp.bridge(node)
    pod = node.new_container()
    service = ways.Service()
    attachment = Attachment(ways.warm(plugin_directory), dhcp.conf(), pod)
    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(attachment.add)
        while "eth0" not in node.link_names(pod):
            assert not adding.done(), adding.result()
        assert service.stop() == 0
        assert adding.result().code == 11
    assert "eth0" not in node.link_names(pod)
    assert node.strays() == dhcp.WIRE
    assert dhcp.recorded() == []


def test_binary_is_a_daemon(node: Node, plugin_directory: str) -> None:
    """`dhcp daemon` is the daemon; other words make no daemon of it, nor of other plugins."""
    pod = node.new_container()
    binary = f"{plugin_directory}/dhcp"
    with dhcp.Dnsmasq(dhcp.bridge(node)), dhcp.Daemon(program=binary):
        attachment = Attachment(ways.cold(plugin_directory), dhcp.conf(), pod)
        assert attachment.add().ok
        assert attachment.delete().ok
    for words in ([binary, "Daemon"], [binary], [f"{plugin_directory}/bridge", "daemon"]):
        done = subprocess.run(words, env={}, capture_output=True, check=False, timeout=20)
        assert done.returncode == 0
        assert b"CNI protocol versions supported" in done.stderr
    many = subprocess.run(
        [binary, "daemon", *["x"] * 100], capture_output=True, text=True, check=False, timeout=20
    )
    assert "too many arguments" in many.stdout
