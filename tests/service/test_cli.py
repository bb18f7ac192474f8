"""The commands of `cnifast` that start, find and describe the service."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast import __version__
from cnifast.cli.install import install
from helpers import ways
from helpers.bench import PATIENCE, Bench, Service, left_service, wait_for
from helpers.nsutil import covered

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node


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


def rows(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Return what the doctor says, by what it looked at."""
    return {line[4:].split()[0]: line for line in done.stdout.splitlines()}


def test_doctor_says_why_a_binary_is_bad(bench: Bench) -> None:
    """Each way in which a binary would not work has its reason."""
    unfit = bench.root / "python"
    unfit.write_text("")
    bench.binary("bridge").chmod(0o644)
    bench.binary("ptp", script="/none/cnifast/cli/cold.py")
    bench.binary("vlan", python="/none/python")
    bench.binary("tap", python=str(unfit))
    (bench.bin / "vrf").symlink_to("nowhere")
    (bench.bin / "sbr").mkdir()
    done = cnifast(bench, "doctor", str(bench.bin))
    assert done.returncode == 1
    found = rows(done)
    for name, why in {
        "bridge": "may not be executed",
        "ptp": "/none/cnifast/cli/cold.py: No such file or directory",
        "vlan": "/none/python: No such file or directory",
        "tap": f"{unfit} may not be executed",
        "vrf": f"{bench.bin}/vrf: No such file or directory",
        "sbr": "not a file",
    }.items():
        assert found[name].startswith("BAD "), name
        assert found[name].endswith(f"; {why}"), name


def test_doctor_says_that_a_directory_is_not_there(bench: Bench) -> None:
    """A directory that was named and is none is bad; nothing can be said of plugins in it."""
    (bench.root / "file").write_text("")
    for name, why in {
        "none": f"{bench.root}/none: No such file or directory",
        "file": f"{bench.root}/file is not a directory",
    }.items():
        done = cnifast(bench, "doctor", str(bench.root / name))
        assert done.returncode == 1
        assert f"BAD  directory   {why}; no plugin is installed there\n" in done.stdout
        assert "bridge" not in rows(done)


@pytest.fixture
def configuration(node: Node) -> Iterator[Path]:
    """The configuration file, of which no other program knows."""
    assert node
    with covered("/etc"):
        path = Path("/etc/cnifast/config.toml")
        path.parent.mkdir()
        yield path


MISTAKES = {
    'service = "off"\nidel = 3\n': "config.toml: idel is unknown: there are service, socket, ",
    "[dhcp]\ntimeout = 'long'\n": "config.toml: dhcp.timeout is 'long': not a number of seconds",
    "[dhcp]\nthreads = 3\n": "config.toml: dhcp.threads is unknown: there are timeout, ",
    "idle = -1\n": "config.toml: idle is -1: not a whole number",
}


@pytest.mark.parametrize(("text", "said"), MISTAKES.items())
def test_doctor_reads_all_settings(bench: Bench, configuration: Path, text: str, said: str) -> None:
    """A key that nobody reads is found, and a value without meaning, also of the DHCP daemon."""
    configuration.write_text(text)
    done = cnifast(bench, "doctor", str(bench.bin))
    assert done.returncode == 1
    assert rows(done)["settings"].startswith("BAD ")
    assert said in rows(done)["settings"]


def test_serve_logs_unknown_settings(bench: Bench, configuration: Path) -> None:
    """A key that nobody reads does not keep the service from running, but it is said."""
    configuration.write_text("idel = 3\n[dhcp]\ntimeout = 0\n")
    done = cnifast(bench, "serve")
    unknown, wrong = done.stderr.splitlines()
    assert unknown.endswith(" event=settings unknown=idel")
    assert wrong == "cnifast: /etc/cnifast/config.toml: dhcp.timeout is 0: not a number of seconds"
    assert done.returncode == 1


def test_serve_names_what_is_in_the_way(bench: Bench) -> None:
    """A socket that cannot be made is named, with the directory that is at fault."""
    (bench.root / "file").write_text("")
    done = cnifast(bench, "serve", "--socket", f"{bench.root}/file/s")
    assert (done.returncode, done.stderr) == (
        1,
        f"cnifast: cannot listen on {bench.root}/file/s: {bench.root}/file: File exists\n",
    )


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
