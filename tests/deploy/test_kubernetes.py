"""The DaemonSet: valid for Kubernetes, and what its containers do on a node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import kubernetes_validate
import pytest
import yaml

from cnifast import __version__
from cnifast.service.settings import CONFIG, SOCKET, Settings
from helpers import ways
from helpers.bench import PATIENCE, left_service, wait_for
from helpers.node import TOOLS_PATH, need_tools
from helpers.plugin import Attachment, BinaryRunner

from .conftest import DEPLOY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Node

MANIFEST = DEPLOY / "kubernetes" / "daemonset.yaml"
OBJECTS = list(yaml.safe_load_all(MANIFEST.read_text()))
CONFIGURATION, DAEMONSET = OBJECTS
POD = DAEMONSET["spec"]["template"]["spec"]
IMAGE = f"cnifast:{__version__}"
CONF = {
    "cniVersion": "1.0.0",
    "name": "pods",
    "type": "bridge",
    "isDefaultGateway": True,
    "ipMasq": True,
    "ipam": {"type": "host-local", "subnet": "10.5.0.0/24"},
}


@pytest.mark.parametrize("version", ["1.25", "1.29", "1.33"])
@pytest.mark.parametrize("one", OBJECTS, ids=lambda one: one["kind"])
def test_objects_are_valid(one: dict[str, Any], version: str) -> None:
    """Every object is what that version of Kubernetes takes, with no key unknown to it."""
    kubernetes_validate.validate(one, version, strict=True)


def test_validation_sees_mistakes() -> None:
    """The schemas that the objects are held against know a wrong type and an unknown key."""
    broken = json.loads(json.dumps(DAEMONSET))
    broken["spec"]["template"]["spec"]["containers"][0]["command"] = "cnifast serve"
    misspelt = json.loads(json.dumps(DAEMONSET))
    misspelt["spec"]["template"]["spec"]["hostPid"] = True
    for one in (broken, misspelt):
        with pytest.raises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(one, "1.29", strict=True)


def test_names_fit_together() -> None:
    """Selector and labels, volumes and mounts, image and version, paths and defaults agree."""
    assert DAEMONSET["spec"]["selector"]["matchLabels"].items() <= (
        DAEMONSET["spec"]["template"]["metadata"]["labels"].items()
    )
    volumes = {volume["name"]: volume for volume in POD["volumes"]}
    containers = POD["initContainers"] + POD["containers"]
    mounted = {mount["name"] for one in containers for mount in one["volumeMounts"]}
    assert mounted == set(volumes)
    assert {one["image"] for one in containers} == {IMAGE}
    assert IMAGE in (DEPLOY / "kubernetes" / "Containerfile").read_text()
    assert volumes["config"]["configMap"]["name"] == CONFIGURATION["metadata"]["name"]
    assert volumes["etc-cnifast"]["hostPath"]["path"] == os.path.dirname(CONFIG)
    assert volumes["run-cnifast"]["hostPath"]["path"] == os.path.dirname(SOCKET)
    for mount in POD["containers"][0]["volumeMounts"]:
        assert volumes[mount["name"]]["hostPath"]["path"] == mount["mountPath"]


def test_configuration_is_understood(tmp_path: Path) -> None:
    """What the nodes are configured with is what binaries and service read."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIGURATION["data"]["config.toml"])
    assert Settings.read({}, str(path)).mode == "required"
    assert set(tomllib.loads(path.read_text())) == {"service"}


class Kubelet:
    """Runs the pod's containers on a node as a kubelet's runtime would, by crun."""

    def __init__(self, etc: Path, archive: Path) -> None:
        """``etc`` stands for the node's /etc/cnifast, ``archive`` is the one in the image."""
        config = etc.parent / "config"
        config.mkdir()
        for name, text in CONFIGURATION["data"].items():
            (config / name).write_text(text)
        etc.mkdir()
        self._bundle = etc.parent
        self._sources = {
            volume["name"]: volume["hostPath"]["path"] if "hostPath" in volume else str(config)
            for volume in POD["volumes"]
        }
        self._sources["etc-cnifast"] = str(etc)
        for volume in POD["volumes"]:
            path = Path(self._sources[volume["name"]])
            if volume.get("hostPath", {}).get("type") == "FileOrCreate":
                path.touch()
            elif "hostPath" in volume:
                path.mkdir(parents=True, exist_ok=True)
        # What the image has: a system with Python, the package, and the archive.
        prefix = str(Path(ways.COMMAND).parents[1])
        python = os.path.realpath(sys.base_prefix)
        paths = ["/usr", "/bin", "/lib", "/lib64", prefix]
        if not python.startswith("/usr"):
            paths.append(python)
        self._image = {path: path for path in paths}
        self._image[str(archive)] = "/image/plugins.tgz"
        self._path = f"{prefix}/bin:{TOOLS_PATH}"

    def start(self, container: dict[str, Any], **streams: Any) -> subprocess.Popen[bytes]:
        """Start a container."""
        name = container["name"]
        bundle = self._bundle / name
        (bundle / "rootfs").mkdir(parents=True)
        (bundle / "config.json").write_text(json.dumps(self._specification(container)))
        command = ["crun", "--root=/run/crun", "--cgroup-manager=disabled", "run"]
        return subprocess.Popen([*command, f"--bundle={bundle}", name], **streams)

    def _specification(self, container: dict[str, Any]) -> dict[str, Any]:
        """Return what an OCI runtime is told about a container."""
        context = container["securityContext"]
        capabilities = [f"CAP_{name}" for name in context["capabilities"].get("add", ())]
        assert context["capabilities"]["drop"] == ["ALL"]
        assert POD["hostNetwork"]
        assert POD["hostPID"]
        command = [word.replace("/usr/share/cnifast", "/image") for word in container["command"]]
        mounts = [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"},
        ]
        mounts += [_bind(source, target, "ro") for source, target in self._image.items()]
        mounts += [
            _bind(
                self._sources[mount["name"]],
                mount["mountPath"],
                "ro" if mount.get("readOnly") else "rw",
                "rslave" if mount.get("mountPropagation") == "HostToContainer" else "rprivate",
            )
            for mount in container["volumeMounts"]
        ]
        return {
            "ociVersion": "1.0.2",
            "process": {
                "user": {"uid": 0, "gid": 0},
                "args": command,
                "cwd": "/",
                "env": [f"PATH={self._path}"],
                "noNewPrivileges": not context["allowPrivilegeEscalation"],
                "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), capabilities),
            },
            "root": {"path": "rootfs", "readonly": context["readOnlyRootFilesystem"]},
            "mounts": mounts,
            "linux": {
                # Those of the node, as hostNetwork and hostPID have it, are not named.
                "namespaces": [{"type": kind} for kind in ("mount", "ipc", "uts")],
                "maskedPaths": ["/proc/kcore", "/proc/keys", "/proc/timer_list"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"],
            },
        }


def _bind(source: str, target: str, *options: str) -> dict[str, Any]:
    """Return the mount of a path of the node."""
    return {
        "destination": target,
        "type": "bind",
        "source": os.path.realpath(source),
        "options": ["rbind", *options],
    }


@pytest.fixture
def kubelet(bare: Node, archive: Path, tmp_path: Path) -> Kubelet:  # noqa: ARG001 - on the node
    """A kubelet on a node without any plugin."""
    need_tools("crun")
    return Kubelet(tmp_path / "etc", archive)


@pytest.fixture
def daemon(
    kubelet: Kubelet,
    node: Node,  # noqa: ARG001 - the node it is on
    tmp_path: Path,
) -> Iterator[Daemon]:
    """The DaemonSet's pod on a node; it must end properly."""
    for container in POD["initContainers"]:
        with kubelet.start(container) as process:
            assert process.wait(PATIENCE) == 0
    settings = Settings.read({}, str(tmp_path / "etc" / "config.toml"))
    assert settings.mode == "required"
    (service,) = POD["containers"]
    log = tmp_path / "log"
    with log.open("wb") as stderr, kubelet.start(service, stderr=stderr) as process:
        wait_for(lambda: left_service(SOCKET))
        probe = subprocess.run(service["readinessProbe"]["exec"]["command"], check=False)
        assert probe.returncode == 0
        yield Daemon(BinaryRunner("node", "/opt/cni/bin", {"CNIFAST_SERVICE": settings.mode}), log)
        process.terminate()
        assert process.wait(PATIENCE) == 0


class Daemon(NamedTuple):
    """The service of a DaemonSet: who calls it, and its log."""

    runner: BinaryRunner
    log: Path


def test_daemonset_on_a_node(daemon: Daemon, node: Node) -> None:
    """Its containers install plugins, configure the node, and answer every call by the service."""
    pods = [Attachment(daemon.runner, CONF, node.new_container()) for _ in range(3)]
    for pod in pods:
        assert pod.add().ok
        assert pod.check().ok
    addresses = [pod.result["ips"][0]["address"] for pod in pods]
    assert addresses == [f"10.5.0.{i}/24" for i in (2, 3, 4)]
    for pod in pods:
        assert pod.delete().ok
    said = daemon.log.read_text()
    assert said.count("event=call") == 9, said
    assert "event=cold" not in said
    assert node.strays() == []


def test_tuning_by_the_daemonset(daemon: Daemon, node: Node) -> None:
    """The service obeys the node's allowlist, and keeps there what is to be put back."""
    container = node.new_container()
    before = node.links(container)
    bridge = Attachment(daemon.runner, CONF, container)
    assert bridge.add().ok
    conf = {**CONF, "type": "tuning", "prevResult": bridge.result, "mtu": 1400}
    tuning = Attachment(daemon.runner, conf, container)
    Path("/etc/cni/tuning/allowlist.conf").write_text("^net\\.ipv4\\.ip_forward$\n")
    refused = tuning.call("ADD", sysctl={"net.ipv4.ip_default_ttl": "9"})
    assert "is not allowed" in refused.message
    assert tuning.call("ADD", sysctl={"net.ipv4.ip_forward": "1"}).ok
    assert len(os.listdir("/run/cni/tuning")) == 1
    assert {link["ifname"]: link["mtu"] for link in node.links(container)}["eth0"] == 1400
    assert tuning.delete().ok
    assert {link["ifname"]: link["mtu"] for link in node.links(container)}["eth0"] == 1500
    assert os.listdir("/run/cni/tuning") == []
    assert bridge.delete().ok
    assert node.links(container) == before
    said = daemon.log.read_text()
    assert said.count("event=call") == 5, said
    assert "event=cold" not in said
