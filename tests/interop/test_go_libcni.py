"""A runtime on Go's libcni and one on ours, on one node, with one cache of results."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.libcni import CNIConfig, InProcessExec, RuntimeConf, load_network_conf
from cnifast.protocol.result import Result
from helpers.node import TOOLS_PATH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cnifast.libcni import NetworkConfigList
    from helpers.node import Container, Node

BUILD = Path(__file__).with_name("build.sh")
NOT_INSTALLED = 77
NETDIR = "/etc/cni/net.d"
NETWORK = {
    "cniVersion": "1.0.0",
    "name": "shared",
    "plugins": [
        {
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": True,
            "capabilities": {"mac": True},
            "ipam": {"type": "host-local", "subnet": "10.22.0.0/16"},
        },
        {"type": "loopback"},
    ],
}
ARGS = [("IgnoreUnknown", "1"), ("IP", "10.22.0.77")]
CAPABILITIES = {"mac": "02:00:00:00:00:77", "other": {"b": "<x>", "a": [1, None]}}


@pytest.fixture(scope="session")
def golibcni(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The program on Go's libcni, built with what Debian has."""
    program = str(tmp_path_factory.mktemp("go") / "golibcni")
    done = subprocess.run([str(BUILD), program], capture_output=True, text=True, check=False)
    if done.returncode == NOT_INSTALLED:
        pytest.skip("needs Debian's golang-go and golang-github-appc-cni-dev")
    assert done.returncode == 0, done.stderr
    return program


class Both:
    """The two runtimes, and a container."""

    def __init__(self, program: str, plugins: str, pod: Container, exec_: InProcessExec) -> None:
        self.program = program
        self.plugins = plugins
        self.pod = pod
        self.cni = CNIConfig(plugins, exec_)
        self.net: NetworkConfigList = load_network_conf(NETDIR, "shared")
        self.rt = RuntimeConf(pod.name, pod.path, "eth0", ARGS, CAPABILITIES)

    def go(self, command: str) -> Any:
        """Have the one on Go's libcni do a command; return the JSON that it prints, if any."""
        done = subprocess.run(
            [self.program, command, NETDIR, "shared", self.pod.name, self.pod.path],
            env={
                "PATH": TOOLS_PATH,
                "CNIFAST_SERVICE": "off",
                "CNI_PATH": self.plugins,
                "CNI_ARGS": self.rt.args_text,
                "CAP_ARGS": json.dumps(CAPABILITIES),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def entry(self) -> Path:
        """Return where the result is kept."""
        return Path(f"/var/lib/cni/results/shared-{self.pod.name}-eth0")


@pytest.fixture
def both(node: Node, plugin_directory: str, golibcni: str) -> Iterator[Both]:
    """Both runtimes on a node with one network."""
    Path(f"{NETDIR}/10-shared.conflist").write_text(json.dumps(NETWORK, indent=2))
    with InProcessExec() as exec_:
        yield Both(golibcni, plugin_directory, node.new_container(), exec_)


def test_ours_is_read_by_go(node: Node, both: Both) -> None:
    """Go's libcni finds result, configuration and arguments of our ADD; it checks and deletes."""
    result = both.cni.add_network_list(both.net, both.rt)
    assert Result.from_json(both.go("result"), "1.0.0") == result
    found = both.go("config")
    assert found["config"].encode() == both.net.bytes
    assert found["args"] == [list(pair) for pair in ARGS]
    assert found["capabilityArgs"] == CAPABILITIES
    both.go("check")
    both.go("del")
    assert "eth0" not in node.link_names(both.pod)
    assert not both.entry().exists()


def test_gos_is_read_by_us(node: Node, both: Both) -> None:
    """We find result, configuration and arguments of an ADD by Go's libcni; we check and delete."""
    printed = both.go("add")
    result = both.cni.get_network_list_cached_result(both.net, both.rt)
    assert result == Result.from_json(printed, "1.0.0")
    found = both.cni.get_network_list_cached_config(both.net, both.rt)
    assert found is not None
    assert found[0] == both.net.bytes
    assert list(found[1].args) == ARGS
    assert found[1].capability_args == CAPABILITIES
    both.cni.check_network_list(both.net, both.rt)
    both.cni.del_network_list(both.net, both.rt)
    assert "eth0" not in node.link_names(both.pod)
    assert not both.entry().exists()


def test_the_same_file(both: Both) -> None:
    """Both write the same file for the same attachment, but for what changes from ADD to ADD."""

    def written() -> dict[str, Any]:
        entry = json.loads(both.entry().read_text())
        for link in entry["result"]["interfaces"]:
            link["mac"] = ""
        # Where Debian's version is not the current one.
        entry.pop("netns", None)
        if not entry["result"].get("dns"):
            entry["result"].pop("dns", None)
        return entry

    both.go("add")
    theirs, order = written(), list(json.loads(both.entry().read_text()))
    both.go("del")
    both.cni.add_network_list(both.net, both.rt)
    assert written() == theirs
    assert [key for key in json.loads(both.entry().read_text()) if key != "netns"] == order
    both.cni.del_network_list(both.net, both.rt)


def test_gc_of_what_go_attached(node: Node, both: Both) -> None:
    """Our GC detaches what Go's libcni attached, when it is not valid any more."""
    both.go("add")
    both.cni.gc_network_list(both.net, [(both.pod.name, "eth0")])
    assert "eth0" in node.link_names(both.pod)
    both.cni.gc_network_list(both.net)
    assert "eth0" not in node.link_names(both.pod)
    assert not both.entry().exists()
