"""The commands of `cnifast` that start, find and describe the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import __version__
from cnifast.cli.install import install
from helpers import ways
from helpers.bench import PATIENCE, Bench, Service, left_service, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


def cnifast(bench: Bench, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end."""
    return subprocess.run(
        [sys.executable, "-m", "cnifast.cli", *arguments],
        env={**os.environ, "CNIFAST_SOCKET": str(bench.socket), **env},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def served(bench: Bench) -> Iterator[subprocess.Popen[Any]]:
    """Give a service as `cnifast serve` starts it."""
    with subprocess.Popen(
        [sys.executable, "-m", "cnifast.cli", "serve", "--threads", "3"],
        env={**os.environ, "CNIFAST_SOCKET": str(bench.socket)},
        stderr=subprocess.PIPE,
    ) as process:
        wait_for(lambda: left_service(str(bench.socket)))
        yield process
        process.kill()


def test_serve_answers_with_the_real_plugins(bench: Bench, served: subprocess.Popen[bytes]) -> None:
    """Plugin binaries find the service, and the service finds every plugin."""
    env = bench.env("STATUS", CNIFAST_SERVICE="required")
    conf = {"cniVersion": "1.1.0", "type": "loopback"}
    assert bench.call("loopback", env, conf) == (0, b"", b"")
    served.send_signal(signal.SIGTERM)
    _, log = served.communicate(timeout=PATIENCE)
    assert served.returncode == 0
    assert b"event=unavailable" not in log
    assert b"threads=3" in log
    assert b"command=STATUS plugin=loopback" in log


def test_second_one_is_told(bench: Bench, served: subprocess.Popen[bytes]) -> None:
    """A second `cnifast serve` says who is in the way, and has a status of its own."""
    done = cnifast(bench, "serve")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert f"cnifast: another service, process {served.pid}, holds " in done.stderr
    assert served.poll() is None


def test_settings_without_meaning_are_told(bench: Bench) -> None:
    """What is wrong with the settings is said in one line."""
    done = cnifast(bench, "serve", CNIFAST_SERVICE="sometimes")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "sometimes" in done.stderr


def test_doctor_finds_the_service(bench: Bench, service: Service) -> None:
    """The doctor names the service, its build, and the binaries."""
    ways.need_own_installation()
    install(str(bench.bin), ["bridge", "loopback"])
    (bench.bin / "static").write_text("theirs")
    (bench.bin / "static").chmod(0o755)
    done = cnifast(bench, "doctor", str(bench.bin))
    lines = {line[4:].split()[0]: line for line in done.stdout.splitlines()}
    assert done.returncode == 0, done.stdout
    assert f"process {service.pid}" in lines["service"]
    assert lines["service"].endswith(f" of user 0: this service is {__version__}")
    assert "works" in lines["cold"]
    assert f"cnifast {__version__}" in lines["bridge"]
    assert "not ours" in lines["static"]
    assert "not installed" in lines["macvlan"]
    assert service.process.poll() is None


def test_doctor_finds_what_is_wrong(bench: Bench) -> None:
    """What would make calls fail is found, and the status says so."""
    ways.need_own_installation()
    bench.run_dir.chmod(0o777)
    bench.binary("bridge", python="/nonexistent/python")
    done = cnifast(bench, "doctor", str(bench.bin))
    assert done.returncode == 1
    bad = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("BAD")]
    assert bad == ["service", "bridge"]


def test_doctor_without_a_service(bench: Bench) -> None:
    """That nobody listens is in order, unless the service is required."""
    ways.need_own_installation()
    assert cnifast(bench, "doctor", str(bench.bin)).returncode == 0
    done = cnifast(bench, "doctor", str(bench.bin), CNIFAST_SERVICE="required")
    assert done.returncode == 1
    assert "BAD  service" in done.stdout


def test_overview(bench: Bench) -> None:
    """Without a known command the commands are listed."""
    done = cnifast(bench, "--help")
    assert done.returncode == 0
    assert "doctor" in done.stdout
    assert cnifast(bench, "--version").stdout == f"cnifast {__version__}\n"
    assert cnifast(bench, "dance").returncode == 2
