"""CVE-2021-20206: no type in a configuration leads out of the directories of plugins."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cnifast.libcni import CNIConfig, InProcessExec, ProcessExec, RuntimeConf, conf_from_bytes
from cnifast.protocol.errors import CNIError
from helpers.flannel import flanneld
from helpers.networks import Shell
from helpers.plugin import environment

if TYPE_CHECKING:
    from collections.abc import Callable

    from helpers.node import Node
    from helpers.plugin import Outcome, Runner

EXECUTED = Path("/run/executed")
DIRECTORY = "/run/plugins"  # in CNI_PATH
PROGRAM = f"""#!/bin/sh
touch {EXECUTED}
echo '{{"cniVersion": "1.0.0", "ips": [{{"address": "10.1.0.9/24"}}]}}'
"""
# What would be executed, by where it is: beside the directory, in it, below it.
PATHS = ("../outside/program", "/run/outside/program", "./program", "below/program", "../program/")
TYPES = pytest.mark.parametrize("type_", PATHS)


@pytest.fixture
def programs(node: Node) -> None:
    """Programs that say that they were executed."""
    assert node.link_names() == {"lo"}
    for directory in (DIRECTORY, f"{DIRECTORY}/below", "/run/outside", "/run"):
        Path(directory).mkdir(exist_ok=True)
        program = Path(directory, "program")
        program.write_text(PROGRAM)
        program.chmod(0o755)


def by_ipam(type_: str) -> dict[str, Any]:
    """Return a configuration that has its addresses from a plugin of this type."""
    return {"type": "bridge", "bridge": "cni0", "ipam": {"type": type_}}


def by_delegate(type_: str) -> dict[str, Any]:
    """Return a configuration that has all done by a plugin of this type."""
    return {"type": "flannel", "delegate": {"type": type_}}


CONFIGURATIONS = pytest.mark.parametrize("conf", [by_ipam, by_delegate])


def execute(
    node: Node, runner: Runner, command: str, keys: dict[str, Any], netns: str = "pod1"
) -> Outcome:
    """Call the plugin for a container, as a runtime does that has DIRECTORY in CNI_PATH."""
    if netns not in node.containers:
        node.new_container(netns)
        flanneld()
    sent = {"cniVersion": "1.1.0", "name": "net", "cni.dev/valid-attachments": [], **keys}
    variables = environment(
        command,
        container_id=netns,
        netns=node.containers[netns].path,
        ifname="eth0",
        path=f"{runner.plugin_path}:{DIRECTORY}",
    )
    return runner.call(sent["type"], variables, json.dumps(sent).encode())


@pytest.mark.usefixtures("programs")
@CONFIGURATIONS
@TYPES
def test_no_plugin_executes_a_path(
    node: Node, runner: Runner, conf: Callable[[str], dict[str, Any]], type_: str
) -> None:
    """A plugin that is to leave something to a path refuses every command, and executes nothing."""
    keys = conf(type_)
    for command in ("ADD", "CHECK", "DEL", "GC", "STATUS"):
        outcome = execute(node, runner, command, {**keys, "prevResult": {"cniVersion": "1.1.0"}})
        assert not EXECUTED.exists(), command
        assert not outcome.ok or (conf is by_delegate and command != "ADD"), (command, outcome)
    assert node.link_names() == {"lo"}


@pytest.mark.usefixtures("programs")
@CONFIGURATIONS
def test_a_name_is_executed(
    node: Node, runner: Runner, conf: Callable[[str], dict[str, Any]]
) -> None:
    """The same program is executed by its name: the paths would have been noticed."""
    outcome = execute(node, runner, "ADD", conf("program"))
    assert outcome.ok, outcome
    assert EXECUTED.exists()


@pytest.mark.usefixtures("programs")
@pytest.mark.parametrize("exec_", [ProcessExec, InProcessExec])
@TYPES
def test_no_network_is_of_a_path(node: Node, exec_: Any, type_: str) -> None:
    """Whoever attaches networks by the library executes nothing where the type is a path."""
    pod = node.new_container("pod1")
    cni = CNIConfig([DIRECTORY], exec=exec_())
    rt = RuntimeConf(pod.name, pod.path)
    for call in (cni.add_network, cni.check_network, cni.del_network):
        with pytest.raises(CNIError):
            call(_network(type_), rt)
        assert not EXECUTED.exists()
    cni.add_network(_network("program"), rt)
    assert EXECUTED.exists()


def _network(type_: str) -> Any:
    """Return a network of one plugin."""
    return conf_from_bytes(
        json.dumps({"cniVersion": "1.0.0", "name": "net", "type": type_}).encode()
    )


@pytest.mark.usefixtures("programs")
@TYPES
def test_no_command_executes_a_path(node: Node, type_: str) -> None:
    """`cnifast add` refuses a network whose plugin is a path."""
    node.new_container("blue")
    shell = Shell(DIRECTORY, "off")
    for name, plugin in (("bad", type_), ("good", "program")):
        conf = {"cniVersion": "1.0.0", "name": name, "plugins": [{"type": plugin}]}
        Path(f"/etc/cni/net.d/{name}.conflist").write_text(json.dumps(conf))
    shell.refused("add", "bad", "/run/netns/blue")
    assert not EXECUTED.exists()
    shell.ok("add", "good", "/run/netns/blue")
    assert EXECUTED.exists()
