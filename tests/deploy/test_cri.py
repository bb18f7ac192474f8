"""containerd's CRI with deploy/containerd: pods' sandboxes as kubelet has them run, and ended."""

from __future__ import annotations

import hashlib
import importlib
import io
import ipaddress
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from helpers import ways
from helpers.node import need_tools

from .conftest import DEPLOY, REST, make_rootfs, on_throwaway_host

if TYPE_CHECKING:
    from collections.abc import Callable

    Said = dict[str, Any]

EXAMPLE = DEPLOY / "containerd"
CALLS = Path(__file__).with_name("cri_calls.py")
IMAGE = "cnifast.example/sandbox:1"
MODES = ("off", "auto", "required")
SERVER = ["/bin/httpd", "-f", "-p", "80", "-h", "/etc"]
PAGE = "hello from the container\n"
NOTHING: Said = {
    "sandboxes": [],
    "links": [],
    "addresses": [],
    "namespaces": [],
    "cache": [],
    "ruled": [],
}


def make_image(directory: Path) -> None:
    """Make the image of sandboxes, image.tar: busybox with a web server."""
    make_rootfs(directory / "rootfs")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(directory / "rootfs", arcname=".")
    identity = f"sha256:{hashlib.sha256(layer.getvalue()).hexdigest()}"
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine),
        "os": "linux",
        "config": {"Entrypoint": SERVER},
        "rootfs": {"type": "layers", "diff_ids": [identity]},
    }
    manifest = {"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}
    files = {
        "layer.tar": layer.getvalue(),
        "config.json": json.dumps(config).encode(),
        "manifest.json": json.dumps([manifest]).encode(),
    }
    with tarfile.open(directory / "image.tar", "w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def run_host(directory: Path, mode: str) -> Said:
    """Return what was seen on a host with containerd; see cri_calls.py."""
    need_tools("containerd", "containerd-shim-runc-v2", "ctr", "runc", "nft", "iptables-save")
    for package in ("grpc", "google.protobuf"):
        try:
            importlib.import_module(package)
        except ImportError:
            pytest.skip(f"needs the Python package {package}")
    make_image(directory)
    plugins = directory / "bin"
    if mode == "reference":
        plugins = Path(REST)
        if not (plugins / "portmap").exists():
            pytest.skip(f"no reference plugins in {REST} (Debian: containernetworking-plugins)")
    else:
        command = [ways.COMMAND, "plugins", "install", str(plugins)]
        subprocess.run(command, check=True, capture_output=True)
        plugins = Path("/run/results/bin")
    modules = f"PYTHONPATH={CALLS.parents[1]}"
    arguments = [mode, str(EXAMPLE), str(plugins), ways.COMMAND, IMAGE]
    on_throwaway_host(directory, "env", modules, sys.executable, str(CALLS), *arguments)
    told = directory / "said.json"
    assert told.exists(), "".join(path.read_text() for path in directory.glob("*log"))
    found: Said = json.loads(told.read_text())
    return found


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Said]:
    """What was seen on the host of a mode, which is started when it is asked for first."""
    known: dict[str, Said] = {}

    def seen(mode: str) -> Said:
        if mode not in known:
            known[mode] = run_host(tmp_path_factory.mktemp("cri"), mode)
        return known[mode]

    return seen


@pytest.fixture(scope="module", params=MODES)
def said(host: Callable[[str], Said], request: pytest.FixtureRequest) -> Said:
    """What was seen with our plugins: without the service, with one left by a call, with one."""
    return host(request.param)


# The reference's plugins in the same place give a sandbox the same, and leave the same.
as_the_reference = pytest.mark.parametrize(
    "said", [*MODES, "reference"], indirect=True, scope="module"
)


@as_the_reference
def test_sandbox_is_attached(said: Said) -> None:
    """A sandbox has addresses of both families by the example list, routes, and its host port."""
    one = said["one"]
    assert one["ips"] == ["10.244.0.2", "fd00:244::2"]
    assert one["inside"] == {
        "up": ["eth0", "lo"],
        "addresses": ["10.244.0.2/24", "fd00:244::2/64"],
        "lo": ["127.0.0.1", "::1"],
        "mtu": 1500,
        "routes": [
            *("10.244.0.0/24 eth0", "default 10.244.0.1 eth0"),
            *("default fd00:244::1 eth0", "fd00:244::/64 eth0"),
        ],
        "tentative": [],
    }
    assert one["up"]["addresses"] == ["10.244.0.2", "fd00:244::2"]
    assert one["up"]["ruled"] == one["up"]["sandboxes"] == [one["id"]]
    others = {key: len(one["up"][key]) for key in ("links", "namespaces", "cache")}
    assert others == {"links": 1, "namespaces": 1, "cache": 2}
    assert one["masters"] == ["cni0"]
    assert one["pages"] == [PAGE, PAGE]


@as_the_reference
def test_stop_detaches_sandbox(said: Said) -> None:
    """Stopping leaves nothing but the runtime's record, and both ends may be asked for twice."""
    one = said["one"]
    assert one["stopped"] == {**NOTHING, "sandboxes": [one["id"]]}
    assert one["refused"] == [True, True]
    assert one["ips after"] == []
    assert one["removed"] == NOTHING


def test_many_at_once(said: Said) -> None:
    """Sandboxes that start at the same time have addresses of their own, and leave nothing."""
    many = said["many_pods"]
    given = sorted(address for ips in many["ips"] for address in ips)
    assert len(set(given)) == 16
    assert [[ipaddress.ip_address(ip).version for ip in ips] for ips in many["ips"]] == [[4, 6]] * 8
    has = [[address.partition("/")[0] for address in one["addresses"]] for one in many["inside"]]
    assert sorted(has) == sorted(many["ips"])
    assert many["up"]["addresses"] == given
    assert len(many["up"]["links"]) == 8
    assert sorted(many["up"]["ruled"]) == sorted(many["up"]["sandboxes"])
    assert many["removed"] == NOTHING


def test_lost_sandbox(said: Said) -> None:
    """Where a sandbox and its namespace are gone, the next one gets its port, and keeps it."""
    pods = said["lost_pod"]
    lost, following = pods["ids"]
    assert (pods["lost"]["sandboxes"], pods["lost"]["ruled"]) == ([lost], [lost])
    assert (pods["lost"]["namespaces"], len(pods["lost"]["addresses"])) == ([], 2)
    assert pods["following"]["sandboxes"] == pods["following"]["ruled"] == [following]
    assert pods["following"]["addresses"] == pods["ips"]
    assert pods["page"] == PAGE
    assert pods["removed"] == NOTHING


FAILURES = {
    "broken": 'plugin type="bridge" failed (add): invalid VLAN ID 5000',
    "exhausted": 'plugin type="bridge" failed (add): failed to allocate for range 0: no IP '
    "addresses available in range set: 10.245.0.2-10.245.0.2",
    "taken": 'plugin type="portmap" failed (add): hostPort 8080/tcp is taken by container ',
}


@pytest.mark.parametrize("name", FAILURES)
def test_failure(said: Said, name: str) -> None:
    """Running a sandbox that cannot be attached says why, in our words, and changes nothing."""
    failed = said["failures"][name]
    assert FAILURES[name] in failed["error"]
    assert failed["after"] == failed["before"]
    assert failed["rules after"] == failed["rules before"]


def test_others_live_on(said: Said) -> None:
    """Those whose address or port another one wanted keep it until they end."""
    failures = said["failures"]
    assert (failures["small"]["addresses"], failures["small"]["mtu"]) == (["10.245.0.2/24"], 1400)
    assert failures["owner"]["id"] in failures["taken"]["error"]
    assert failures["owner"]["page"] == PAGE
    assert failures["removed"] == NOTHING


def test_service_is_used_as_told(said: Said) -> None:
    """Without the service none is there afterwards; one that was started by hand ends well."""
    assert (said["serves"], said["service"]) == {
        "off": (False, None),
        "auto": (True, None),
        "required": (True, 0),
    }[said["mode"]]
