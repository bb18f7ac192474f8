"""How the service starts, ends, and makes room for the next one, without losing a call."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from cnifast.kernel.intake import own_root
from cnifast.protocol import wire
from cnifast.service.probe import probe
from helpers.bench import HERE, PATIENCE, Bench, Service, wait_for

if TYPE_CHECKING:
    from pathlib import Path


def test_socket_is_private(bench: Bench, service: Service) -> None:
    """Socket and lock are for their owner alone."""
    assert service.path.stat().st_mode & 0o777 == 0o600
    assert (bench.run_dir / "s.lock").stat().st_mode & 0o777 == 0o600


def test_directory_is_made(bench: Bench) -> None:
    """A missing directory is made, for its owner alone."""
    bench.socket = bench.root / "new" / "dir" / "s"
    bench.serve()
    assert bench.socket.parent.stat().st_mode & 0o777 == 0o700


def test_unsafe_directory_is_refused(bench: Bench) -> None:
    """A service does not listen where others could take its place."""
    bench.run_dir.chmod(0o777)
    service = bench.serve(ready=False)
    assert service.process.wait(PATIENCE) != 0
    assert not bench.socket.exists()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_it(bench: Bench, sig: signal.Signals) -> None:
    """Told to end, an idle service does so at once and removes its socket."""
    service = bench.serve()
    start = time.monotonic()
    assert service.stop(sig) == 0
    assert time.monotonic() - start < 2
    assert not bench.socket.exists()
    assert f"reason={sig.name}" in service.log()[-1]


def test_calls_in_flight_are_finished(bench: Bench, service: Service) -> None:
    """A call that was taken before the end is answered."""
    before = service.fds()
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(bench.call, "slow", None, {"seconds": 0.5})
        wait_for(lambda: service.fds() > before)
        assert service.stop() == 0
        assert call.result()[0] == 0


def test_waiting_calls_are_served_before_the_end(bench: Bench) -> None:
    """Calls that wait in the queue of a service that is told to end are answered by it."""
    service = bench.serve("--threads", "1")
    before = service.fds()
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(bench.call, "slow", None, {"seconds": 0.4}) for _ in range(6)]
        wait_for(lambda: service.fds() > before)
        wait_for(lambda: waiting(bench) >= 2)
        assert service.stop() == 0
        results = [call.result() for call in calls]
    assert [status for status, _, _ in results] == [0] * 6
    # those that had not connected yet found nobody, and were run cold
    assert sum(out == b'{"cniVersion":"1.0.0"}\n' for _, out, _ in results) >= 3


def waiting(bench: Bench) -> int:
    """Return how many connections wait to be accepted."""
    with open("/proc/net/unix", encoding="ascii") as file:
        lines = [line.split() for line in file if line.rstrip().endswith(str(bench.socket))]
    # state 02 is a connection that nobody has accepted yet
    return sum(fields[5] == "02" for fields in lines)


def test_idle_service_ends(bench: Bench) -> None:
    """A service that nobody called for its idle time ends by itself."""
    service = bench.serve("--idle", "0.3")
    for _ in range(5):
        assert bench.call("noop")[0] == 0
        time.sleep(0.1)
    assert service.process.wait(PATIENCE) == 0
    assert "reason=idle" in service.log()[-1]


def test_no_call_is_lost_when_it_ends_idle(bench: Bench) -> None:
    """Calls that come at the very moment are served, or find nobody; none fails."""
    bench.binary("noop")
    warm = 0
    for round_ in range(25):
        service = bench.serve("--idle", "0.05")
        time.sleep(0.03 + round_ * 0.001)
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(lambda _: bench.call("noop"), range(12)))
        assert all(status == 0 for status, _, _ in results), results
        # cold calls print what they were given, warm ones the result
        warm += sum(out == b'{"cniVersion":"1.0.0"}\n' for _, out, _ in results)
        assert service.process.wait(PATIENCE) == 0
    assert 0 < warm < 25 * 12


def test_a_long_call_is_not_idle(bench: Bench) -> None:
    """A service that works is not idle, however long it takes."""
    service = bench.serve("--idle", "0.1")
    assert bench.call("slow", None, {"seconds": 0.5})[0] == 0
    assert service.process.wait(PATIENCE) == 0


def test_second_service_finds_the_place_taken(bench: Bench, service: Service) -> None:
    """Two services never share a socket: the second one gives up, the first one goes on."""
    second = bench.serve(ready=False)
    assert second.process.wait(PATIENCE) != 0
    assert "Busy" in "".join(second.log())
    assert bench.call("noop")[0] == 0
    assert service.process.poll() is None


def test_socket_of_another_is_left_alone(bench: Bench, service: Service) -> None:
    """A service that ends removes its own socket only."""
    bench.socket.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(bench.socket))
        assert service.stop() == 0
        assert bench.socket.exists()


def test_newer_plugins_make_an_older_service_end(bench: Bench, service: Service) -> None:
    """A call of a newer build is run cold, and the service makes room for its successor."""
    assert exchange(bench, "99.0.0").startswith("this service is 0.")
    assert service.process.wait(PATIENCE) == 0
    assert "newer plugins" in service.log()[-1]


@pytest.mark.parametrize("build", ["0.0.1", "", "nonsense"])
def test_older_plugins_do_not(bench: Bench, service: Service, build: str) -> None:
    """A call of an older build is run cold, and the service stays."""
    assert exchange(bench, build).startswith("this service is 0.")
    assert bench.call("noop")[0] == 0
    assert service.process.poll() is None


@pytest.mark.parametrize("count", [0, 2, 3, 4, 60])
def test_other_plugins_send_other_descriptors(bench: Bench, service: Service, count: int) -> None:
    """What a request of another build comes with is its business: it is run cold all the same."""
    before = service.fds()
    assert exchange(bench, "99.0.0" if count % 2 else "0.0.1", count).startswith("this service is")
    if not count % 2:
        assert bench.call("noop")[0] == 0
        wait_for(lambda: service.fds() == before)


def exchange(bench: Bench, build: str, descriptors: int = 1) -> str:
    """Return why a service does not answer a call of this build."""
    request = wire.WireRequest(own_root(), build, "noop", bench.env(), b"{}")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.connect(str(bench.socket))
        socket.send_fds(sock, [wire.encode_request(request)], [2] * descriptors)
        data = sock.recv(1 << 16)
    header = wire.decode_header(data[: wire.HEADER_SIZE])
    assert header.kind == wire.RUN_COLD
    return wire.decode_run_cold(data[wire.HEADER_SIZE :])


def test_probe_does_not_disturb(bench: Bench, service: Service) -> None:
    """Asking a service what it is has no effect on it."""
    assert f"process {service.pid} of user {os.geteuid()}" in probe(str(bench.socket))
    assert bench.call("noop")[0] == 0


ACTIVATE = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
sock.bind(sys.argv[1])
sock.listen()
os.dup2(sock.fileno(), 3)
os.set_inheritable(3, True)
for _ in range(int(sys.argv[2])):
    pid = os.fork()
    if pid == 0:
        env = {**os.environ, "LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
        os.execve(sys.executable, [sys.executable, *sys.argv[3:]], env)
    os.waitpid(pid, 0)
"""


def activate(bench: Bench, times: int, *options: str, **env: str) -> subprocess.Popen[bytes]:
    """Start a stand-in of systemd that hands its socket to one service after the other."""
    script = bench.root / "activate.py"
    script.write_text(ACTIVATE)
    return subprocess.Popen(
        [
            sys.executable,
            script,
            bench.socket,
            str(times),
            HERE / "noop_service.py",
            bench.socket,
            *options,
        ],
        env={**os.environ, **env},
        stderr=subprocess.PIPE,
    )


def test_socket_of_systemd_outlives_the_service(bench: Bench) -> None:
    """A service that ends idle leaves the socket to systemd, and the next one goes on."""
    with activate(bench, 2, "--idle", "2") as process:
        assert process.stderr is not None
        log = ""
        for awaited in ("event=ready", "reason=idle"):
            while awaited not in log:
                log += process.stderr.readline().decode()
            assert bench.call("noop") == (0, b'{"cniVersion":"1.0.0"}\n', b"")
        log += process.stderr.read().decode()
        assert process.wait(PATIENCE) == 0
    assert log.count("event=ready") == 2
    assert log.count("reason=idle") == 2
    assert log.count("event=call") == 2
    assert bench.socket.exists()
    assert not (bench.run_dir / "s.lock").exists()


def test_no_call_is_lost_between_services_of_systemd(bench: Bench) -> None:
    """Calls that come while one service ends and the next one starts wait, and are answered."""
    with activate(bench, 6, "--idle", "0.05") as process:
        wait_for(bench.socket.exists)
        for _ in range(4):
            with ThreadPoolExecutor(4) as pool:
                results = list(pool.map(lambda _: bench.call("noop"), range(8)))
            assert results == [(0, b'{"cniVersion":"1.0.0"}\n', b"")] * 8
            time.sleep(0.06)
        process.communicate(timeout=PATIENCE)


def test_systemd_is_told(bench: Bench, tmp_path: Path) -> None:
    """Systemd learns when the service is ready and when it stops."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE)
        sock.bind(str(tmp_path / "notify"))
        env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify")}
        service = bench.serve(env=env)
        assert sock.recv(100) == b"READY=1"
        service.stop()
        assert sock.recv(100) == b"STOPPING=1"


def test_variables_of_systemd_for_others_are_ignored(bench: Bench) -> None:
    """Sockets that were handed to another process are not taken for ours."""
    bench.serve(env={**os.environ, "LISTEN_PID": "1", "LISTEN_FDS": "1"})
    assert bench.call("noop")[0] == 0
