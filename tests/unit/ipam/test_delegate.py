"""Who answers for an IPAM type: a program on CNI_PATH, or one of ours in this process."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.ipam.delegate import resolve
from cnifast.protocol.errors import CNIError, RunCold
from cnifast.protocol.request import Place, Request

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = """#!/bin/sh
echo "$CNI_COMMAND $CNI_CONTAINERID $(cat)" >> "$0.log"
[ "$CNI_COMMAND" != ADD ] || echo '{"ips": [{"version": "4", "address": "10.9.0.5/24"}]}'
"""


def request(path: Path, ipam: dict[str, Any], **place: Any) -> Request:
    """Return a request of a main plugin with this "ipam"."""
    env = {"CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0", "CNI_PATH": str(path), "PATH": "/bin"}
    conf = {"cniVersion": "0.4.0", "name": "net", "type": "bridge", "ipam": ipam}
    stdin = json.dumps(conf).encode()
    return Request("bridge", "ADD", env, stdin, conf, "net", "0.4.0", Place(**place))


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A directory with programs that log their calls."""
    for name in ("other", "host-local"):
        (tmp_path / name).write_text(SCRIPT)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def test_ours_in_process(tmp_path: Path) -> None:
    """Without a program of that name host-local is called in this process."""
    ipam = {"type": "host-local", "dataDir": str(tmp_path / "data"), "subnet": "10.1.0.0/24"}
    req = request(tmp_path, ipam)
    found = resolve(req, "host-local")
    assert found.in_process
    assert found.add(req).ips[0].address == "10.1.0.2/24"
    found.check(req)
    assert found.owned(req) == ["10.1.0.2"]
    found.status(req)
    found.delete(req)
    assert found.owned(req) == []
    assert found.add(req).ips[0].address == "10.1.0.3/24"
    req.conf["cni.dev/valid-attachments"] = []
    found.gc(req)
    assert found.owned(req) == []


@pytest.mark.parametrize("name", ["other", "host-local"])
def test_program(program: Path, name: str) -> None:
    """A program is given the configuration and the environment, with the command replaced."""
    req = request(program, {"type": name})
    ipam = resolve(req, name)
    assert not ipam.in_process
    assert [ip.address for ip in ipam.add(req).ips] == ["10.9.0.5/24"]
    ipam.check(req)
    ipam.delete(req)
    ipam.status(req)
    ipam.gc(req)
    assert ipam.owned(req) == []
    log = (program / f"{name}.log").read_text().splitlines()
    assert [line.split()[:2] for line in log] == [
        [command, "c1"] for command in ("ADD", "CHECK", "DEL", "STATUS", "GC")
    ]
    assert all(line.endswith(req.stdin.decode()) for line in log)


def test_program_elsewhere(program: Path) -> None:
    """Where nothing may be executed the call is left to the caller's process, untouched."""
    with pytest.raises(RunCold, match="other"):
        resolve(request(program, {}, delegates=False), "other")
    assert not (program / "other.log").exists()


def test_paths_of_the_caller(tmp_path: Path) -> None:
    """Where CNI_PATH or the store cannot be seen as the caller sees them, nobody is resolved."""
    ipam = {"type": "host-local", "subnet": "10.1.0.0/24"}
    with pytest.raises(RunCold, match="mount namespace"):
        resolve(request(tmp_path, ipam, mount_same=False), "host-local")
    req = request(tmp_path, {**ipam, "DATADIR": "relative"}, delegates=False)
    with pytest.raises(RunCold, match="relative"):
        resolve(req, "host-local")
    req.place.delegates = True
    assert resolve(req, "host-local").in_process
    req = request(tmp_path, ipam, delegates=False)
    req.path = "relative:/opt/cni/bin"
    with pytest.raises(RunCold, match="CNI_PATH"):
        resolve(req, "host-local")


def test_nobody(tmp_path: Path) -> None:
    """A type that nobody answers for is an error that names it."""
    with pytest.raises(CNIError, match='"calico-ipam"'):
        resolve(request(tmp_path, {}), "calico-ipam")
