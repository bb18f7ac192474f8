"""`cnifast add`, `del`, `check`, `gc`, `status`, `run` and `version` on a private node."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from helpers import nsutil, ways
from helpers.networks import BRIDGE, CACHE, MYNET, NETDIR, NETNS, Shell, taken, write
from helpers.script import script

if TYPE_CHECKING:
    from pathlib import Path

    from helpers.node import Node


@pytest.fixture(params=["off", "required"])
def shell(request: pytest.FixtureRequest, shell: Shell) -> Shell:
    """The command in a process of its own, and with a service that it can be handed to."""
    shell.env["CNIFAST_SERVICE"] = request.param
    if request.param != "off":
        request.getfixturevalue("service")
    return shell


def test_commands(node: Node, shell: Shell, blue: Any) -> None:
    """Attach, check, ask and detach."""
    result = json.loads(shell.ok("add", "mynet", NETNS))
    assert result["ips"] == [{"interface": 2, "address": "10.22.0.2/16", "gateway": "10.22.0.1"}]
    assert "eth0" in node.link_names(blue)
    # The container ID of cnitool for this path.
    [entry] = CACHE.iterdir()
    assert entry.name == "mynet-cnitool-df26705e2e4ffd095eb1-eth0"
    assert shell.ok("check", "mynet", NETNS) == ""
    assert shell.ok("status", "mynet") == ""
    node.ip("-n blue link set eth0 down")
    node.ip("-n blue addr flush dev eth0")
    assert 'plugin type="bridge" failed (check): ' in shell.refused("check", "mynet", NETNS)
    assert shell.ok("del", "mynet", NETNS) == ""
    assert shell.ok("del", "mynet", NETNS) == ""
    assert "eth0" not in node.link_names(blue)
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_interface_and_container(node: Node, shell: Shell, blue: Any) -> None:
    """Interface and container ID may be given; the option counts before the variable."""
    shell.ok("add", "mynet", NETNS, CNI_IFNAME="net1")
    shell.ok("add", "-i", "net2", "mynet", NETNS, CNI_IFNAME="net1")
    shell.ok("add", "mynet", NETNS, "--container-id=c9", "--ifname", "net3")
    assert {"net1", "net2", "net3"} <= node.link_names(blue)
    names = sorted(path.name.removeprefix("mynet-") for path in CACHE.iterdir())
    assert names[0] == "c9-net3"
    shell.ok("del", "mynet", NETNS, "-i", "net1")
    shell.ok("del", "mynet", NETNS, CNI_IFNAME="net2")
    shell.ok("del", "mynet", NETNS, "-i", "net3", "--container-id", "c9")
    assert list(CACHE.iterdir()) == []


@pytest.mark.parametrize("path", ["./blue", f"/{NETNS}", "/run/./netns//blue"])
def test_path_of_the_namespace_is_made_absolute(
    node: Node, shell: Shell, blue: Any, path: str
) -> None:
    """All ways to write a path mean the same attachment, also a relative one."""
    os.chdir("/run/netns")
    try:
        shell.ok("add", "mynet", path)
    finally:
        os.chdir("/")
    assert "eth0" in node.link_names(blue)
    assert [path.name for path in CACHE.iterdir()] == ["mynet-cnitool-df26705e2e4ffd095eb1-eth0"]
    shell.ok("del", "mynet", NETNS)
    assert "eth0" not in node.link_names(blue)


@pytest.mark.parametrize(
    "words",
    [
        ("-i", "net1", "COMMAND", "mynet", NETNS),
        ("--container-id=c9", "-i=net1", "COMMAND", "mynet", NETNS),
        ("--timeout", "60", "COMMAND", "-inet1", "mynet", NETNS),
    ],
)
def test_options_as_cnitool_takes_them(
    node: Node, shell: Shell, blue: Any, words: tuple[str, ...]
) -> None:
    """Options may come before the command, and that of one letter with its value in one word."""
    shell.ok(*("add" if word == "COMMAND" else word for word in words))
    assert "net1" in node.link_names(blue)
    shell.ok(*("del" if word == "COMMAND" else word for word in words))
    assert "net1" not in node.link_names(blue)


def test_arguments(node: Node, shell: Shell, blue: Any) -> None:
    """CNI_ARGS reach the plugins, and CAP_ARGS those that declare the capability."""
    mac = {"mac": "02:00:00:00:00:42"}
    shell.ok("add", "mynet", NETNS, CNI_ARGS="IP=10.22.0.99", CAP_ARGS=json.dumps(mac))
    [eth0] = [link for link in node.links(blue) if link["ifname"] == "eth0"]
    assert eth0["address"] == mac["mac"]
    assert taken() == ["10.22.0.99"]
    entry = json.loads(next(CACHE.iterdir()).read_text())
    assert (entry["cniArgs"], entry["capabilityArgs"]) == ([["IP", "10.22.0.99"]], mac)
    shell.ok("del", "mynet", NETNS)


def test_arguments_of_add_are_remembered(shell: Shell, tmp_path: Path) -> None:
    """DEL and CHECK without arguments tell plugins what ADD told them; with some, those."""
    plugin = {"type": "noted", "capabilities": {"mac": True}}
    write("10-mynet.conflist", {**MYNET, "plugins": [plugin]})
    script(tmp_path, f"(echo $CNI_ARGS; cat) > {tmp_path}/$CNI_COMMAND; echo '{{}}'", "noted")
    shell.env["CNI_PATH"] = str(tmp_path)
    shell.ok("add", "mynet", NETNS, CNI_ARGS="IP=10.22.0.99", CAP_ARGS='{"mac": "02::01"}')
    shell.ok("check", "mynet", NETNS)
    shell.ok("del", "mynet", NETNS)
    for command in ("CHECK", "DEL"):
        args, _, stdin = (tmp_path / command).read_text().partition("\n")
        assert args == "IP=10.22.0.99"
        assert json.loads(stdin)["runtimeConfig"] == {"mac": "02::01"}
    shell.ok("add", "mynet", NETNS, CNI_ARGS="IP=10.22.0.99")
    shell.ok("del", "mynet", NETNS, CNI_ARGS="IP=10.22.0.98")
    assert (tmp_path / "DEL").read_text().startswith("IP=10.22.0.98\n")


def test_old_forms(node: Node, shell: Shell, blue: Any) -> None:
    """A network may be a plain configuration of an old version, in a .conf or .json file."""
    plain = {**BRIDGE, "name": "plain", "cniVersion": "0.1.0"}
    write("20-plain.json", plain)
    write("30-conf.conf", {**plain, "name": "conf"})
    for name in ("plain", "conf"):
        result = json.loads(shell.ok("add", name, NETNS))
        assert result["ip4"]["ip"] == "10.22.0.2/16"
        assert "eth0" in node.link_names(blue)
        shell.ok("del", name, NETNS)


def test_all_networks(node: Node, shell: Shell, blue: Any) -> None:
    """--all takes every file in lexical order: eth0, eth1, ..., and lo for loopback."""
    write("05-lo.conf", {"cniVersion": "1.0.0", "name": "lo", "type": "loopback"})
    other = {**BRIDGE, "ipam": {"type": "host-local", "subnet": "10.33.0.0/16"}, "bridge": "cni1"}
    write("20-other.json", {**other, "name": "other", "cniVersion": "0.3.1"})
    shell.ok("add", "--all", "--container-id", "c1", NETNS)
    shown = node.ip("-n blue -o -4 addr")
    assert "eth0    inet 10.22.0.2/16" in shown
    assert "eth1    inet 10.33.0.2/16" in shown
    assert "lo    inet 127.0.0.1/8" in shown
    names = sorted(path.name for path in CACHE.iterdir())
    assert names == ["lo-c1-lo", "mynet-c1-eth0", "other-c1-eth1"]
    shell.ok("del", "--all", "--container-id", "c1", NETNS)
    assert node.link_names(blue) & {"eth0", "eth1"} == set()
    assert list(CACHE.iterdir()) == []


def test_all_networks_or_none(node: Node, shell: Shell, blue: Any) -> None:
    """When a later network fails the ones before it are detached."""
    write("20-bad.conf", {"cniVersion": "1.0.0", "name": "bad", "type": "macvlan", "master": "no"})
    assert 'plugin type="macvlan" name="bad" failed (add)' in shell.refused("add", "--all", NETNS)
    assert "eth0" not in node.link_names(blue)
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


OTHER: dict[str, Any] = {
    **BRIDGE,
    "ipam": {"type": "host-local", "subnet": "10.33.0.0/16"},
    "bridge": "cni1",
    "name": "other",
    "cniVersion": "1.0.0",
}
LOOPBACK = {"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}


def test_all_networks_when_the_first_one_is_gone(node: Node, shell: Shell, blue: Any) -> None:
    """Attachments keep their interfaces, and what the configuration was, when files are removed."""
    write("05-lo.conf", LOOPBACK)
    write("20-other.conf", OTHER)
    shell.ok("add", "--all", NETNS)
    (NETDIR / "05-lo.conf").unlink()
    (NETDIR / "10-mynet.conflist").unlink()
    shell.ok("check", "--all", NETNS)
    node.ip("-n blue addr flush dev eth0")
    assert 'plugin type="bridge" failed (check): ' in shell.refused("check", "--all", NETNS)
    shell.ok("del", "--all", NETNS)
    assert "<LOOPBACK>" in node.ip("-n blue link show lo")
    assert node.link_names(blue) & {"eth0", "eth1"} == set()
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_all_networks_when_there_is_a_new_one(node: Node, shell: Shell, blue: Any) -> None:
    """A network without an attachment takes no other one's interface; CHECK finds it missing."""
    shell.ok("add", "--all", NETNS)
    write("05-other.conf", OTHER)
    assert 'name="other" failed (check)' in shell.refused("check", "--all", NETNS)
    shell.ok("del", "--all", NETNS)
    assert "eth0" not in node.link_names(blue)
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_all_networks_when_a_result_is_lost(node: Node, shell: Shell, blue: Any) -> None:
    """A network that nothing is remembered of has the interface that the others leave."""
    write("05-first.conf", {**OTHER, "name": "first", "bridge": "cni2"})
    write("20-other.conf", OTHER)
    shell.ok("add", "--all", NETNS)
    (NETDIR / "05-first.conf").unlink()
    next(CACHE.glob("mynet-*")).unlink()
    shell.ok("del", "--all", NETNS)
    assert node.link_names(blue) & {"eth0", "eth1", "eth2"} == set()
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_all_networks_of_one_name(node: Node, shell: Shell, blue: Any) -> None:
    """Of two networks of one name, each attachment is detached by the one it was made by."""
    write("20-other.conf", {**OTHER, "name": "mynet"})
    shell.ok("add", "--all", NETNS)
    write("10-mynet.conflist", {**MYNET, "plugins": [*MYNET["plugins"], {"type": "tuning"}]})
    shell.ok("del", "--all", NETNS)
    assert node.link_names(blue) & {"eth0", "eth1"} == set()
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_all_networks_by_other_names(node: Node, shell: Shell, blue: Any) -> None:
    """`del --all` detaches what was attached under a name that was asked for, too."""
    shell.ok("add", "mynet", NETNS, "-i", "net7")
    shell.ok("check", "--all", NETNS)
    write("05-broken.conf", "{")
    shell.ok("del", "--all", NETNS)
    assert "net7" not in node.link_names(blue)
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_repeated_add(node: Node, shell: Shell) -> None:
    """An `add` that fails because all is attached takes nothing away."""
    write("05-lo.conf", LOOPBACK)
    write("20-other.conf", OTHER)
    shell.ok("add", "--all", NETNS)
    names = {path.name for path in CACHE.iterdir()}
    shell.refused("add", "--all", NETNS)
    assert ",UP" in node.ip("-n blue link show lo")
    assert {path.name for path in CACHE.iterdir()} == names
    shell.ok("check", "--all", NETNS)
    shell.ok("del", "--all", NETNS)


def test_add_of_a_network_that_is_new(node: Node, shell: Shell, blue: Any) -> None:
    """When one of several fails, those that were not attached before are detached again."""
    write("05-lo.conf", LOOPBACK)
    shell.ok("add", "lo", NETNS, "-i", "lo")
    write("20-bad.conf", {"cniVersion": "1.0.0", "name": "bad", "type": "macvlan", "master": "no"})
    shell.refused("add", "--all", NETNS)
    assert ",UP" in node.ip("-n blue link show lo")
    assert "eth0" not in node.link_names(blue)
    assert taken() == []
    assert [path.name[:3] for path in CACHE.iterdir()] == ["lo-"]


def test_del_without_the_configuration(node: Node, shell: Shell, blue: Any) -> None:
    """A network whose file is gone, or broken, is detached by what ADD was given."""
    for broken in (None, "{"):
        shell.ok("add", "mynet", NETNS)
        (NETDIR / "10-mynet.conflist").unlink()
        if broken:
            write("10-mynet.conflist", broken)
        shell.ok("del", "mynet", NETNS)
        assert "eth0" not in node.link_names(blue)
        assert taken() == []
        assert "cnifast del: " in shell.refused("del", "mynet", NETNS)
        write("10-mynet.conflist", MYNET)


def test_del_without_the_namespace(node: Node, shell: Shell, blue: Any) -> None:
    """A namespace that is gone is no reason not to detach."""
    shell.ok("add", "mynet", NETNS)
    node.remove_container(blue)
    shell.ok("del", "mynet", NETNS)
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_gc(node: Node, shell: Shell, blue: Any) -> None:
    """What is not valid is released: all of it, or all but what is named."""
    green = node.new_container("green")
    for pod in (blue, green):
        shell.ok("add", "mynet", pod.path, "--container-id", pod.name)
    shell.ok("gc", "mynet", "--valid", "green/eth0", "--valid=other/eth0")
    assert "eth0" not in node.link_names(blue)
    assert "eth0" in node.link_names(green)
    assert [path.name for path in CACHE.iterdir()] == ["mynet-green-eth0"]
    done = shell.run("gc", "mynet")
    assert (done.returncode, done.stdout) == (2, "")
    assert "cnifast gc: what stays? one --valid ID/IFNAME for each attachment" in done.stderr
    assert "eth0" in node.link_names(green)
    shell.ok("gc", "mynet", NETNS, "--none-valid")
    assert "eth0" not in node.link_names(green)
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_status_that_is_bad(shell: Shell) -> None:
    """A network that could not be attached to now says so, with the plugin's code."""
    small = {**BRIDGE, "ipam": {"type": "host-local", "subnet": "10.22.0.0/30"}}
    write("10-mynet.conflist", {**MYNET, "plugins": [small]})
    shell.ok("add", "mynet", NETNS)
    assert shell.refused("status", "mynet").endswith("(code 50)")
    shell.ok("del", "mynet", NETNS)


def test_version(shell: Shell, tmp_path: Path) -> None:
    """Plugins say which versions they speak; what is no plugin is an error."""
    assert "0.1.0 0.2.0 0.3.0 0.3.1 0.4.0 1.0.0 1.1.0" in shell.ok("version")
    assert shell.ok("version", "bridge", "loopback").splitlines()[1].startswith("loopback: 0.1.0 ")
    script(tmp_path, "echo rubbish", "rubbish")
    done = shell.run("version", "rubbish", "none", CNI_PATH=str(tmp_path))
    assert done.returncode == 1
    assert "rubbish: decoding version info: invalid character" in done.stderr
    assert 'failed to find plugin "none"' in done.stderr
    assert shell.ok("version", "bridge", CNI_PATH="/none").startswith("bridge: 0.1.0 0.2.0 ")


REFUSED: list[tuple[tuple[str, ...], dict[str, str], str]] = [
    (("add", "nope", NETNS), {}, 'no net configuration with name "nope" in /etc/cni/net.d'),
    (("add", "mynet", NETNS), {"NETCONFPATH": "/none"},
     "no net configurations found in /none: there is no such directory"),
    (("add", "mynet", NETNS), {"NETCONFPATH": "/run/netns"},
     "no net configurations found in /run/netns"),
    (("add", "mynet", NETNS), {"CAP_ARGS": '{"mac":'}, "CAP_ARGS: unexpected end of JSON input"),
    (("add", "mynet", NETNS), {"CAP_ARGS": "[]"}, "CAP_ARGS: not a JSON object"),
    (("add", "mynet", NETNS), {"CAP_ARGS": '{"mac":"x","ips":[]}'},
     "no plugin of mynet declares the capability ips; declared: mac"),
    (("add", "mynet", NETNS), {"CNI_ARGS": "IP"}, 'CNI_ARGS: invalid pair "IP"'),
    (("add", "mynet", NETNS), {"CNI_ARGS": "IP=1=2"}, 'CNI_ARGS: invalid pair "IP=1=2"'),
    (("add", "mynet", NETNS), {"CNI_ARGS": "IP=;A=b"}, 'CNI_ARGS: invalid pair "IP="'),
    (("add", "mynet", NETNS, "-i", "a/b"), {}, "interface name contains / or :"),
    (("add", "mynet", NETNS, "--container-id", "../x"), {}, "invalid characters in containerID"),
    (("add", "mynet", "/run/netns/none"), {}, "/run/netns/none: no such file or directory"),
    (("add", "third", NETNS), {"CNI_PATH": "/x:/y"},
     'failed to find plugin "third-party" in path [/x /y]'),
    (("add", "mixed", NETNS), {}, 'failed to find plugin "third-party" in path ['),
]  # fmt: skip


@pytest.mark.parametrize(("words", "env", "text"), REFUSED)
def test_bad_input(
    node: Node, shell: Shell, words: tuple[str, ...], env: dict[str, str], text: str
) -> None:
    """What cannot work is one line that says why, and nothing is changed; DEL is still possible."""
    third = {"type": "third-party"}
    write("20-third.conflist", {**MYNET, "name": "third", "plugins": [third]})
    write("30-mixed.conflist", {**MYNET, "name": "mixed", "plugins": [BRIDGE, third]})
    assert text in shell.refused(*words, **env)
    assert (node.strays(), taken()) == ([], [])
    assert "cni0" not in node.link_names() or words[2] == "/run/netns/none"
    assert not CACHE.exists() or list(CACHE.iterdir()) == []
    shell.ok("del", "mynet", NETNS)


BROKEN = [
    ("echo rubbish", "printed no result: invalid character 'r'", 6),
    ("true", "printed no result: unexpected end of JSON input", 6),
    ("echo oops >&2; kill -9 $$", 'netplugin failed: "oops\\n": signal 9', 999),
    ("echo oops >&2; exec sleep 30", 'was killed after 0.5 s without an answer; stderr: "oops\\n"',
     11),
    ("echo '{\"code\": 77, \"msg\": \"no\", \"details\": \"way\"}'; exit 1", ": no; way", 77),
]  # fmt: skip


@pytest.mark.parametrize(("text", "said", "code"), BROKEN)
def test_broken_plugins(
    node: Node, shell: Shell, tmp_path: Path, text: str, said: str, code: int
) -> None:
    """Whatever a plugin does instead of its work is told, undone, and can be deleted."""
    script(tmp_path, f'[ "$CNI_COMMAND" = DEL ] && exit 0\n{text}', "broken")
    write("10-mynet.conflist", {**MYNET, "plugins": [BRIDGE, {"type": "broken"}]})
    shell.env["CNI_PATH"] += f":{tmp_path}"
    line = shell.refused("add", "mynet", NETNS, "--timeout", "0.5")
    assert 'plugin type="broken" failed (add): ' in line
    assert said in line
    assert line.endswith(f"(code {code})")
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])
    shell.ok("del", "mynet", NETNS)


def test_plugin_that_is_killed(node: Node, shell: Shell, blue: Any, tmp_path: Path) -> None:
    """A plugin that takes longer than it may gets DEL, unlike one that says: try again later."""
    note = f"echo $CNI_COMMAND >> {tmp_path}/noted\n[ $CNI_COMMAND = ADD ] || exit 0\n"
    write("10-mynet.conflist", {**MYNET, "plugins": [BRIDGE, {"type": "late"}]})
    shell.env["CNI_PATH"] += f":{tmp_path}"
    for text, noted in (
        ("exec sleep 3600", "ADD\nDEL\n"),
        ('echo oops >&2\necho \'{"code": 11, "msg": "later"}\'; exit 1', "ADD\n"),
    ):
        script(tmp_path, note + text, "late")
        assert "(code 11)" in shell.run("add", "mynet", NETNS, "--timeout", "0.5").stderr
        assert (tmp_path / "noted").read_text() == noted
        (tmp_path / "noted").unlink()
        assert "eth0" not in node.link_names(blue)
        assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_plugin_that_is_killed_where_all_is_attached(
    node: Node, shell: Shell, blue: Any, tmp_path: Path
) -> None:
    """What was attached before stays so."""
    script(tmp_path, f"[ -e {tmp_path}/slow ] && exec sleep 3600\necho '{{}}'", "late")
    write("05-late.conf", {"cniVersion": "1.0.0", "name": "late", "type": "late"})
    shell.env["CNI_PATH"] += f":{tmp_path}"
    shell.ok("add", "--all", NETNS)
    names = {path.name for path in CACHE.iterdir()}
    (tmp_path / "slow").touch()
    assert "was killed" in shell.refused("add", "--all", NETNS, "--timeout", "0.5")
    assert {path.name for path in CACHE.iterdir()} == names
    assert "eth1" in node.link_names(blue)


def printed(shell: Shell, redirection: str, *words: str) -> tuple[int, str]:
    """Run the command with standard output elsewhere; return exit status and standard error."""
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirection}', "-", ways.COMMAND, *words],
        env=shell.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_result_that_cannot_be_printed(node: Node, shell: Shell, blue: Any) -> None:
    """It is told, and is a failure; what is attached stays, and can be detached."""
    status, said = printed(shell, ">/dev/full", "add", "mynet", NETNS)
    assert (status, said.count("\n")) == (1, 1)
    assert said.startswith("cnifast add: cannot print: ")
    assert "eth0" in node.link_names(blue)
    shell.ok("del", "mynet", NETNS)


def test_standard_streams_that_are_closed(node: Node, shell: Shell, blue: Any) -> None:
    """Nobody hears anything then; the command is done."""
    assert printed(shell, ">&-", "add", "mynet", NETNS) == (0, "")
    assert "eth0" in node.link_names(blue)
    assert printed(shell, "<&- 2>&-", "del", "mynet", NETNS) == (0, "")
    assert printed(shell, "<&- 2>&-", "add", "none", NETNS) == (1, "")


def test_unwritable_cache(node: Node, shell: Shell, blue: Any) -> None:
    """Without a place for the result nothing is attached; DEL is possible."""
    shell.ok("add", "mynet", NETNS)
    nsutil.mount("tmpfs", str(CACHE), "tmpfs", 1)
    try:
        line = shell.refused("add", "mynet", NETNS, "-i", "eth1")
        assert 'failed to set network "mynet" cached result' in line
        assert "Read-only file system" in line
        assert "eth1" not in node.link_names(blue)
        shell.ok("del", "mynet", NETNS)
        assert "eth0" not in node.link_names(blue)
    finally:
        nsutil.umount(str(CACHE))


@pytest.mark.parametrize(
    "words",
    [
        ("add",),
        ("add", "mynet"),
        ("add", "mynet", NETNS, "more"),
        ("add", "--all"),
        ("add", "--all", "mynet", NETNS),
        ("add", "mynet", NETNS, "--nonsense"),
        ("add", "mynet", NETNS, "-i"),
        ("add", "mynet", NETNS, "--timeout", "never"),
        ("gc",),
        ("gc", "--all", "mynet"),
        ("gc", "mynet"),
        ("gc", "mynet", "--valid", "x"),
        ("gc", "mynet", "--valid", "x/eth0", "--none-valid"),
        ("status", "mynet", "--none-valid"),
        ("add", "--all", NETNS, "--ifname", "eth1"),
        ("add", "--all", ""),
        ("del", "mynet", NETNS, "--valid", "x/eth0"),
        ("gc", "mynet", "--container-id", "x", "--none-valid"),
        ("status",),
    ],
)
def test_usage(shell: Shell, words: tuple[str, ...]) -> None:
    """A command line without a meaning is answered by what has one."""
    done = shell.run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: cnifast add|del|check NETWORK NETNS" in done.stderr
    assert "usage: cnifast" in shell.ok(words[0], "--help")
