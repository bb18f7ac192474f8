"""containerd with deploy/containerd: containers with both families, and its configuration."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from cnifast.cli import confschema
from helpers import ways
from helpers.node import TOOLS_PATH, need_tools

from .conftest import DEPLOY, REST, make_rootfs, need_plugins, on_throwaway_host

EXAMPLE = DEPLOY / "containerd"
SCRIPT = Path(__file__).with_name("containerd_calls.sh")


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What was seen on a host with containerd, by what was looked at."""
    need_tools("containerd", "ctr", "runc", "iptables")
    need_plugins("portmap")
    directory = tmp_path_factory.mktemp("containerd")
    make_rootfs(directory / "rootfs")
    command = [ways.COMMAND, "plugins", "install", directory / "bin"]
    subprocess.run(command, check=True, capture_output=True)
    on_throwaway_host(directory, "bash", str(SCRIPT), str(EXAMPLE), REST)
    assert (directory / "done").exists(), "".join(p.read_text() for p in directory.glob("*log"))
    return {path.stem: path.read_text() for path in directory.glob("*.said")}


def test_container_has_its_addresses(said: dict[str, str]) -> None:
    """A container has an address of each family by the example list, and gives them back."""
    assert "inet 10.244.0.2/24" in said["addresses"]
    assert "inet6 fd00:244::2/64" in said["addresses"]
    assert "default via 10.244.0.1" in said["routes"]
    assert set(said["held"].split()) == {"lock", "last_reserved_ip.0", "last_reserved_ip.1"}
    assert said["links"] == ""


def test_next_container_has_the_next_addresses(said: dict[str, str]) -> None:
    """Addresses that were given back are not handed out again at once."""
    assert "inet 10.244.0.3/24" in said["next"]


def test_configuration_is_containerds() -> None:
    """The configuration's keys are containerd's own, and name where plugins and networks are."""
    need_tools("containerd")
    done = subprocess.run(
        ["containerd", f"--config={EXAMPLE}/config.toml", "config", "dump"],
        env={"PATH": TOOLS_PATH},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert 'bin_dir = "/opt/cni/bin"' in done.stdout
    assert 'conf_dir = "/etc/cni/net.d"' in done.stdout


@pytest.mark.parametrize("path", sorted(DEPLOY.rglob("*.conflist")), ids=lambda path: path.name)
def test_lists_are_valid(path: Path) -> None:
    """Every example of a network is valid by the schema of lists."""
    validator = Draft202012Validator(confschema.of_lists(), format_checker=FormatChecker())
    validator.validate(json.loads(path.read_text()))
