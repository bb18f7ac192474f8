"""The systemd units: what systemd thinks of them, and the service as it runs under them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from helpers import ways
from helpers.node import TOOLS_PATH, need_tools

from .conftest import DEPLOY, on_throwaway_host

UNITS = DEPLOY / "systemd"
SYSTEMD = "/lib/systemd/systemd"
EXPOSURE = 45  # tenths; what systemd calls the exposure of a service
TARGETS = ("sysinit", "basic", "sockets", "local-fs", "multi-user", "shutdown", "umount")
CALLS = Path(__file__).with_name("systemd_calls.py")


def placed(directory: Path) -> Path:
    """Put the units into a directory, with this installation's command; return it."""
    directory.mkdir()
    for name in ("cnifast.socket", "cnifast.service"):
        text = (UNITS / name).read_text()
        (directory / name).write_text(text.replace("/usr/local/bin/cnifast", ways.COMMAND))
    assert ways.COMMAND in (directory / "cnifast.service").read_text()
    return directory


def test_units_are_in_order(tmp_path: Path) -> None:
    """Nothing is wrong with the units by systemd's word, no setting is unknown or misspelt."""
    need_tools("systemd-analyze")
    units = placed(tmp_path / "units")
    done = subprocess.run(
        ["systemd-analyze", "verify", *sorted(units.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_units_are_hardened() -> None:
    """The service's exposure, as systemd rates it, is no more than what its work takes."""
    need_tools("systemd-analyze")
    done = subprocess.run(
        [
            *("systemd-analyze", "security", "--offline=yes", "--no-pager"),
            f"--threshold={EXPOSURE}",
            str(UNITS / "cnifast.service"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"Overall exposure level for cnifast.service: [1-4]\.", done.stdout)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What calls gave on a host whose systemd has the units."""
    return booted(tmp_path_factory.mktemp("systemd"))


@pytest.fixture(scope="module")
def said_with_drop_in(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The same, with the drop-in that gives up mounts of its own."""
    return booted(tmp_path_factory.mktemp("systemd"), UNITS / "same-mounts.conf")


def booted(directory: Path, *drop_ins: Path) -> dict[str, str]:
    """Boot a host whose systemd has the units, have calls made there, and return what they gave."""
    need_tools("ip", "nft", "iptables")
    if not os.path.exists(SYSTEMD):
        pytest.skip("needs Debian's systemd")
    results = directory / "results"
    results.mkdir()
    units = placed(results / "units")
    command = [ways.COMMAND, "plugins", "install", results / "bin"]
    subprocess.run(command, check=True, capture_output=True)
    for drop_in in drop_ins:
        (units / "cnifast.service.d").mkdir(exist_ok=True)
        (units / "cnifast.service.d" / drop_in.name).write_bytes(drop_in.read_bytes())
    log = results / "service.log"
    (units / "cnifast.service.d").mkdir(exist_ok=True)
    (units / "cnifast.service.d" / "log.conf").write_text(
        f"[Service]\nStandardError=append:/run/results/{log.name}\n"
    )
    for target in TARGETS:
        (units / f"{target}.target").write_text("[Unit]\nDefaultDependencies=no\n")
    (units / "calls.service").write_text(
        "[Unit]\nDefaultDependencies=no\nRequires=cnifast.socket\nAfter=cnifast.socket\n"
        "SuccessAction=exit-force\nFailureAction=exit-force\n"
        "[Service]\nType=oneshot\n"
        f"ExecStart={sys.executable} {CALLS} /run/results/bin {ways.COMMAND}"
        " /run/results/said.json\n"
        "StandardOutput=file:/run/results/log\nStandardError=inherit\n"
    )
    boot = ["env", "-i", f"PATH={TOOLS_PATH}", "container=test"]
    boot += ["SYSTEMD_UNIT_PATH=/run/results/units", SYSTEMD, "--system", "--unit=calls.service"]
    on_throwaway_host(results, *boot)
    told = results / "said.json"
    assert told.exists(), "".join(path.read_text() for path in results.glob("*log"))
    found: dict[str, str] = json.loads(told.read_text())
    found["log"] = log.read_text()
    return found


@pytest.mark.parametrize("backend", ["nftables", "iptables"])
def test_service_works_as_hardened(said: dict[str, str], backend: str) -> None:
    """Under the units the service attaches, masquerades by each backend, checks and detaches."""
    result = json.loads(said[f"{backend} ADD"])
    assert [ip["address"].rpartition(".")[0] or ip["address"][:6] for ip in result["ips"]] == [
        "10.9.0",
        "fd00:9",
    ]
    assert "masquerade" in said[f"{backend} rules"].lower()
    assert (said[f"{backend} CHECK"], said[f"{backend} DEL"]) == ("", "")
    assert (said["held"], said["links"]) == ("", "")


def test_service_takes_commands(said: dict[str, str]) -> None:
    """A command is handed to the service, though its mounts are not those of the command."""
    result = json.loads(said["command add"])
    assert result["ips"][0]["address"].startswith("10.9.0.")
    assert said["command del"] == ""
    commands = [line for line in said["log"].splitlines() if 'command="' in line]
    assert [line.split('"')[1].split()[0] for line in commands] == ["add", "del"]


def test_service_makes_its_directory(said: dict[str, str]) -> None:
    """On a node that never had a plugin, /var/lib/cni becomes what the reference would make."""
    assert said["mode"] == "755 root:root"


def test_service_makes_taps(said: dict[str, str]) -> None:
    """The one device that it needs can be opened: a tap is made by the service itself."""
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("needs the tun driver")
    assert json.loads(said["tap ADD"])["interfaces"][0]["name"] == "eth0"
    assert "tun type tap" in said["tap"]
    assert said["tap DEL"] == ""
    assert "event=call" in said["log"]
    assert "event=cold" not in said["log"]


def test_service_has_only_its_capabilities(said: dict[str, str]) -> None:
    """The running service has the capabilities of its unit, a filter, and no way to more."""
    fields = dict(re.findall(r"^(\w+):\t(\S+)$", said["status"], re.MULTILINE))
    net_admin, net_raw, sys_ptrace, sys_admin = 12, 13, 19, 21
    bounds = sum(1 << bit for bit in (net_admin, net_raw, sys_ptrace, sys_admin))
    assert int(fields["CapBnd"], 16) == int(fields["CapEff"], 16) == bounds
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")


def test_service_is_started_by_its_socket(said: dict[str, str]) -> None:
    """The first call starts the service, no other does, and a call after its end does again."""
    assert (said["state"], said["restarts"], said["stopped"]) == ("active", "0", "success")
    assert json.loads(said["again"])["ips"]


def test_drop_in_gives_up_mounts(said: dict[str, str], said_with_drop_in: dict[str, str]) -> None:
    """Only with the drop-in does the service see the node's own mounts; it works all the same."""
    assert (said["mounts"], said_with_drop_in["mounts"]) == ("its own", "the node's")
    assert json.loads(said_with_drop_in["nftables ADD"])["ips"]
    assert said_with_drop_in["held"] == ""
