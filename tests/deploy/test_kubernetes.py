"""The DaemonSet: valid for Kubernetes, and what its containers do on a node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from cnifast import __version__
from cnifast.service.settings import CONFIG, SOCKET, Settings
from helpers import flannel, ways
from helpers.bench import PATIENCE, left_service, wait_for
from helpers.node import TOOLS_PATH, need_tools
from helpers.plugin import Attachment, BinaryRunner, must

from .conftest import DEPLOY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from helpers.node import Container, Node

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
        paths = ["/usr", "/bin", "/lib", "/lib64", "/etc/alternatives", prefix]
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


class Deployed:
    """A node whose DaemonSet runs: how to call its plugins, and what its service said."""

    def __init__(self, node: Node, process: subprocess.Popen[bytes], log: Path) -> None:
        self.node = node
        self.process = process
        self.runner = BinaryRunner("node", "/opt/cni/bin", {"CNIFAST_SERVICE": "required"})
        self._log = log

    def attachment(self, conf: dict[str, Any], pod: Container) -> Attachment:
        """Return an attachment of a container by the node's plugins."""
        return Attachment(self.runner, conf, pod)

    def calls(self) -> int:
        """Return how many calls the service answered; it has taken all there were."""
        said = self._log.read_text()
        assert "event=cold" not in said
        return said.count("event=call")


@pytest.fixture
def deployed(kubelet: Kubelet, node: Node, tmp_path: Path) -> Iterator[Deployed]:
    """A node on which all containers of the DaemonSet have run, and the service still does."""
    for container in POD["initContainers"]:
        with kubelet.start(container) as process:
            assert process.wait(PATIENCE) == 0
    (service,) = POD["containers"]
    log = tmp_path / "log"
    with log.open("wb") as stderr, kubelet.start(service, stderr=stderr) as process:
        wait_for(lambda: left_service(SOCKET))
        probe = subprocess.run(service["readinessProbe"]["exec"]["command"], check=False)
        assert probe.returncode == 0
        yield Deployed(node, process, log)
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_daemonset_on_a_node(deployed: Deployed, node: Node, tmp_path: Path) -> None:
    """Its containers install plugins, configure the node, and answer every call by the service."""
    assert Settings.read({}, str(tmp_path / "etc" / "config.toml")).mode == "required"
    pods = [deployed.attachment(CONF, node.new_container()) for _ in range(3)]
    for pod in pods:
        assert pod.add().ok
        assert pod.check().ok
    addresses = [pod.result["ips"][0]["address"] for pod in pods]
    assert addresses == [f"10.5.0.{i}/24" for i in (2, 3, 4)]
    for pod in pods:
        assert pod.delete().ok
    assert deployed.calls() == 9
    assert node.strays() == []


@pytest.mark.parametrize(
    "backend", [{"backend": "iptables"}, {"conditionsV4": ["tcp", "sport", "5"]}], ids=str
)
def test_daemonset_has_programs(deployed: Deployed, node: Node, backend: dict[str, Any]) -> None:
    """What only iptables or nft can do, those of the image do."""
    need_tools("iptables-restore", "nft")
    text = (DEPLOY / "kubernetes" / "Containerfile").read_text()
    assert "--no-install-recommends iptables nftables " in text
    pod = node.new_container()
    bridge = deployed.attachment({**CONF, "ipMasqBackend": "iptables"}, pod)
    must(bridge.add())
    ports = {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]}
    keys = {"type": "portmap", "runtimeConfig": ports, "prevResult": bridge.result, **backend}
    mapped = deployed.attachment({**CONF, **keys}, pod)
    must(mapped.call("STATUS", cniVersion="1.1.0"))
    must(mapped.add())
    must(mapped.delete())
    must(bridge.delete())
    assert deployed.calls() == 5


def test_daemonset_serves_tuning(deployed: Deployed, node: Node) -> None:
    """By the node's allowlist, and with its records, so that DEL gives the MTU back."""
    pod = node.new_container()
    node.ip(f"link add h0 type veth peer name eth0 netns {pod.name}")
    previous = {"cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "sandbox": "x"}]}
    conf = {"cniVersion": "1.0.0", "name": "pods", "type": "tuning", "prevResult": previous}
    forwarding = {"net.ipv4.conf.eth0.forwarding": "1"}
    one = deployed.attachment({**conf, "mtu": 1400, "sysctl": forwarding}, pod)
    must(one.add())
    assert (node.links(pod)[1]["mtu"], os.listdir("/run/cni/tuning")) == (1400, ["pod1_eth0.json"])
    must(one.delete())
    assert (node.links(pod)[1]["mtu"], os.listdir("/run/cni/tuning")) == (1500, [])
    Path("/etc/cni/tuning").mkdir()
    Path("/etc/cni/tuning/allowlist.conf").write_text("^net.core")
    refused = one.add()
    assert (refused.code, "is not allowed" in refused.message) == (999, True), refused
    assert deployed.calls() == 3


def test_daemonset_serves_flannel(deployed: Deployed, node: Node) -> None:
    """By what flanneld wrote on the node, also what it writes while the service runs."""
    flannel.flanneld()
    pod = node.new_container()
    one = deployed.attachment(flannel.conf(), pod)
    must(one.add())
    assert one.result["ips"][0]["address"].startswith("10.1.17.")
    must(one.check())
    assert flannel.saved() == {pod.name}
    must(one.delete())
    assert flannel.saved() == set()
    assert deployed.calls() == 3


def test_daemonset_serves_host_device(deployed: Deployed, node: Node) -> None:
    """A device is lent, on record, and given back, again and again."""
    node.ip("link add d0 type veth peer name d1")
    pod = node.new_container()
    conf = {"cniVersion": "1.0.0", "name": "pods", "type": "host-device", "device": "d0"}
    for _ in range(2):
        one = deployed.attachment(conf, pod)
        must(one.add())
        assert os.listdir("/run/cni/host-device") == [f"{pod.name}:eth0"]
        must(one.delete())
        assert "d0" in node.link_names()
    assert deployed.calls() == 4


def test_daemonset_serves_tap(deployed: Deployed, node: Node) -> None:
    """A tap is made by the node's device."""
    pod = node.new_container()
    one = deployed.attachment({"cniVersion": "1.0.0", "name": "pods", "type": "tap"}, pod)
    must(one.add())
    assert node.links(pod)[1]["linkinfo"]["info_kind"] == "tun"
    must(one.delete())
    assert deployed.calls() == 2
