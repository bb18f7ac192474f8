"""Commands of networks that the service runs for the program: which, and how they are ended."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cnifast.protocol import wire
from helpers import ways
from helpers.bench import wait_for
from helpers.networks import BRIDGE, CACHE, MYNET, NETDIR, NETNS, STORE, Shell, taken, write
from helpers.script import script

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from helpers.node import Node
    from helpers.ways import Service

SECONDS = 30  # more than anything takes
OTHER = {**BRIDGE, "cniVersion": "1.0.0", "name": "other", "bridge": "cni9"}
PPOLL = {"x86_64": "271", "aarch64": "73"}[os.uname().machine]


@pytest.fixture
def shell(service: Service, shell: Shell) -> Shell:  # noqa: ARG001 - it is on the node
    """The command, with a service."""
    shell.env["CNIFAST_SERVICE"] = "auto"
    return shell


def answered(service: Service, words: str = "") -> list[str]:
    """Return what the service says of commands that it ran; those of plugins are no commands."""
    return [
        line
        for line in service.log
        if "event=call" in line and "plugin=" not in line and words in line
    ]


def refused(service: Service, text: str) -> bool:
    """Tell whether the service says that a command is for a process, for this reason."""
    wait_for(lambda: any("event=cold" in line and text in line for line in service.log))
    return answered(service) == []


def test_commands_are_handed_over(node: Node, service: Service, shell: Shell) -> None:
    """No process but the program's own takes part; the service says what it was asked."""
    shell.ok("add", "mynet", NETNS)
    shell.ok("check", "mynet", NETNS)
    shell.ok("status", "mynet")
    shell.ok("gc", "mynet", "--none-valid")
    assert "eth0" not in node.link_names(node.containers["blue"])
    shell.ok("del", "mynet", NETNS)
    assert "no net configuration" in shell.refused("add", "none", NETNS)
    wait_for(lambda: len(answered(service)) == 6)  # each is said after it was answered
    said = {line.partition("command=")[2].partition(" us=")[0] for line in answered(service)}
    assert said == {
        f'"add mynet {NETNS}"',
        f'"check mynet {NETNS}"',
        '"status mynet"',
        '"gc mynet --none-valid"',
        f'"del mynet {NETNS}"',
        f'"add none {NETNS}"',
    }
    assert len(answered(service, " exit=0")) == 5
    assert "no net configuration" in answered(service, " exit=1 ")[0]
    assert not [line for line in service.log if "event=cold" in line]


def test_cni_path_without_plugins(service: Service, shell: Shell) -> None:
    """Plugins of ours need no program."""
    shell.ok("add", "mynet", NETNS, CNI_PATH="/run/nothing")
    shell.ok("del", "mynet", NETNS, CNI_PATH="/run/nothing")
    wait_for(lambda: len(answered(service)) == 2)


def test_help_and_usage(service: Service, shell: Shell) -> None:
    """They are as those of a process, on the same streams and with the same exit status."""
    alone = Shell(shell.env["CNI_PATH"], "off")
    for words in (("add", "--help"), ("add",), ("del", "--none-valid"), ("gc", "mynet")):
        one, other = shell.run(*words), alone.run(*words)
        assert (one.returncode, one.stdout, one.stderr) == (
            other.returncode,
            other.stdout,
            other.stderr,
        )
    wait_for(lambda: len(answered(service)) == 4)


def test_names_that_are_no_text(service: Service, shell: Shell) -> None:
    """Bytes that are no UTF-8 come through, and back."""
    network = os.fsdecode(b"n\xff\xc3\xa9")
    done = subprocess.run(
        [ways.COMMAND, "add", network, NETNS], env=shell.env, capture_output=True, check=False
    )
    alone = subprocess.run(
        [ways.COMMAND, "add", network, NETNS],
        env={**shell.env, "CNIFAST_SERVICE": "off"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (alone.returncode, alone.stderr)
    assert done.stderr.startswith(b"cnifast add: ")
    wait_for(lambda: len(answered(service)) == 1)


# -- what the service leaves to a process ----------------------------------------------------------


def test_program_in_the_chain(node: Node, service: Service, shell: Shell, tmp_path: Path) -> None:
    """A plugin to execute makes it a command for a process, before anything is done."""
    script(tmp_path, f"cat > {tmp_path}/$CNI_COMMAND\necho '{{}}'", "third")
    write("10-mynet.conflist", {**MYNET, "plugins": [BRIDGE, {"type": "third"}]})
    shell.env["CNI_PATH"] += f":{tmp_path}"
    shell.ok("add", "mynet", NETNS)
    assert refused(service, "third has to be executed where the caller is")
    shell.ok("del", "mynet", NETNS)
    assert {path.name for path in tmp_path.iterdir()} >= {"ADD", "DEL"}
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


def test_program_for_addresses_of_a_later_plugin(
    node: Node, service: Service, shell: Shell, tmp_path: Path
) -> None:
    """What is noticed late is undone: a process starts anew."""
    result = '{"cniVersion":"1.0.0","ips":[{"address":"10.9.9.9/24"}]}'
    script(tmp_path, f"[ $CNI_COMMAND = ADD ] && echo '{result}' || true", "our-ipam")
    later = {**BRIDGE, "ipam": {"type": "our-ipam"}}
    write("10-mynet.conflist", {**MYNET, "plugins": [{"type": "loopback"}, later]})
    shell.env["CNI_PATH"] += f":{tmp_path}"
    assert "10.9.9.9/24" in shell.ok("add", "mynet", NETNS)
    assert refused(service, "our-ipam has to be executed where the caller is")
    assert [link["ifname"] for link in node.links(node.containers["blue"])]
    shell.ok("del", "mynet", NETNS)
    assert_nothing_left(node)


@pytest.mark.parametrize(
    ("words", "env", "why"),
    [
        (("--timeout", "9", "mynet", NETNS), {}, "end a program"),
        (("mynet", "netns/blue"), {}, "paths of the caller's own"),
        (("mynet", NETNS), {"NETCONFPATH": "../etc/cni/net.d"}, "paths of the caller's own"),
        (("mynet", NETNS), {"CNI_PATH": "none"}, "paths of the caller's own"),
    ],
)
def test_paths_of_the_callers_own(
    node: Node,
    service: Service,
    shell: Shell,
    words: tuple[str, ...],
    env: dict[str, str],
    why: str,
) -> None:
    """A relative path is the caller's; a program may have to be killed by whoever executes it."""
    done = subprocess.run(
        [ways.COMMAND, "add", *words],
        env={**shell.env, **env},
        cwd="/run",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert refused(service, why)
    assert "eth0" in node.link_names(node.containers["blue"])
    shell.ok("del", "mynet", NETNS)


def test_root_of_the_callers_own(service: Service, shell: Shell) -> None:
    """A program with another root directory reads its own configurations."""
    root = Path("/run/root")
    for path in ("etc/cni/net.d", "proc", "run/netns", "run/cnifast"):
        (root / path).mkdir(parents=True)
    shutil.copy(ways.COMMAND, root)
    shutil.copy("/bin/busybox", root / "cnifast-python")
    for path in ("/proc", "/run/cnifast"):
        subprocess.run(["mount", "--bind", path, f"{root}{path}"], check=True)
    done = subprocess.run(
        ["chroot", str(root), "/cnifast", "add", "mynet", NETNS],
        env=shell.env,
        capture_output=True,
        text=True,
        check=False,
    )
    # There is no Python: what stands for it does not know the command.
    assert done.returncode != 0
    assert refused(service, "/etc/cni/net.d is of the caller's")


def elsewhere(shell: Shell, setup: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command with mounts of its own, which a script makes."""
    text = f"set -e; {setup}; exec {ways.COMMAND} {' '.join(words)}"
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", text],
        env=shell.env,
        capture_output=True,
        text=True,
        check=False,
    )


def test_same_files_in_other_mounts(node: Node, service: Service, shell: Shell) -> None:
    """A program with mounts of its own that lead to the same files is served."""
    done = elsewhere(shell, "true", "add", "mynet", NETNS)
    assert (done.returncode, done.stderr) == (0, "")
    assert "eth0" in node.link_names(node.containers["blue"])
    assert elsewhere(shell, "true", "del", "mynet", NETNS).returncode == 0
    wait_for(lambda: len(answered(service)) == 2)


@pytest.mark.parametrize("path", [str(NETDIR), "/var/lib/cni", "/run/netns"])
def test_other_files_in_other_mounts(node: Node, service: Service, shell: Shell, path: str) -> None:
    """A program that sees other files is left to work with those."""
    setup = f"cp -a {path} /run/copy; mount --bind /run/copy {path}"
    if path == "/run/netns":
        setup = f"mount -t tmpfs none {path}; touch {NETNS}; mount --bind /proc/self/ns/net {NETNS}"
    elsewhere(shell, setup, "add", "mynet", NETNS)
    assert refused(service, "of the caller's mount namespace")
    copied = path == "/var/lib/cni"
    assert (list(CACHE.glob("*")) == []) == (copied or path == "/run/netns")
    assert "eth0" in node.link_names(node.containers["blue"]) or path == "/run/netns"


def test_files_mounted_over(node: Node, service: Service, shell: Shell) -> None:
    """A file that the caller sees another one for, or beside it, counts as that other one."""
    other = json.dumps({**MYNET, "plugins": [{**BRIDGE, "bridge": "mine0"}]})
    Path("/run/mine").write_text(other)
    path = f"{NETDIR}/10-mynet.conflist"
    done = elsewhere(shell, f"mount --bind /run/mine {path}", "add", "mynet", NETNS)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mine0" in node.link_names()
    assert "cni0" not in node.link_names()
    assert refused(service, f"{path} is of the caller's mount namespace")
    elsewhere(shell, f"mount --bind /run/mine {path}", "del", "mynet", NETNS)
    assert_nothing_left(node)


def test_results_mounted_over(service: Service, shell: Shell) -> None:
    """The result is kept where the caller keeps results."""
    Path("/run/results").mkdir()
    CACHE.mkdir(parents=True, exist_ok=True)
    setup = f"mount --bind /run/results {CACHE}"
    assert elsewhere(shell, setup, "add", "mynet", NETNS).returncode == 0
    assert refused(service, f"{CACHE} is of the caller's mount namespace")
    assert len(list(Path("/run/results").iterdir())) == 1
    assert list(CACHE.iterdir()) == []


def within(shell: Shell, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command within the container's network namespace."""
    return subprocess.run(
        ["nsenter", f"--net={NETNS}", ways.COMMAND, *words],
        env={**shell.env, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_paths_of_the_callers_process(node: Node, service: Service, shell: Shell) -> None:
    """A path that leads each process to something of its own leads to the caller's."""
    Path("/run/link").symlink_to("/proc/self/ns")
    for path in ("/proc/self/ns/net", "/proc/thread-self/ns/net", "/run/link/net"):
        done = within(shell, "add", "mynet", path)
        assert (done.returncode, "(code 8)" in done.stderr) == (1, True), done.stderr
    with open(NETNS) as opened:
        path = f"/dev/fd/{opened.fileno()}"
        done = subprocess.run(
            [ways.COMMAND, "add", "mynet", path],
            env=shell.env,
            pass_fds=[opened.fileno()],
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "eth0" in node.link_names(node.containers["blue"])
    assert refused(service, "is of the caller's process")


def test_environment_of_the_caller(service: Service, shell: Shell) -> None:
    """What the caller's environment allows, and nobody else's, is allowed."""
    assert "(code 8)" in within(shell, "add", "mynet", NETNS).stderr
    done = within(shell, "add", "mynet", NETNS, CNI_NETNS_OVERRIDE="1")
    assert (done.returncode, done.stderr) == (0, "")
    done = within(shell, "del", "mynet", NETNS, CNI_NETNS_OVERRIDE="1")
    assert (done.returncode, done.stderr) == (0, "")
    wait_for(lambda: len(answered(service)) == 3)


def test_program_in_a_later_network(
    node: Node, service: Service, shell: Shell, tmp_path: Path
) -> None:
    """That a later network takes a program is known before the first one is attached."""
    script(tmp_path, "echo '{}'", "third")
    write("20-third.conf", {"cniVersion": "1.0.0", "name": "third", "type": "third"})
    shell.env["CNI_PATH"] += f":{tmp_path}"
    shell.ok("add", "--all", NETNS)
    assert taken() == ["10.22.0.2"]
    assert refused(service, "third has to be executed where the caller is")
    shell.ok("del", "--all", NETNS)
    assert_nothing_left(node)


@pytest.mark.parametrize("count", [200, 1500])
def test_long_answer(service: Service, shell: Shell, count: int) -> None:
    """A result of any size that is allowed is printed whole."""
    routes = [{"dst": f"10.{100 + i // 256}.{i % 256}.0/24"} for i in range(count)]
    ipam = {**BRIDGE["ipam"], "routes": routes}
    write("10-mynet.conflist", {**MYNET, "plugins": [{**BRIDGE, "ipam": ipam}]})
    result = json.loads(shell.ok("add", "mynet", NETNS))
    assert len(result["routes"]) == count
    shell.ok("del", "mynet", NETNS)
    wait_for(lambda: len(answered(service)) == 2)


def test_pipe_among_configurations(service: Service, shell: Shell) -> None:
    """What is no file is not waited for."""
    os.mkfifo(NETDIR / "05-pipe.conflist")
    assert "a pipe is no file" in shell.refused("status", "mynet")
    wait_for(lambda: len(answered(service)) == 1)


def test_settings_without_meaning(shell: Shell) -> None:
    """They are no reason not to say how a command is written, and are told otherwise."""
    assert shell.ok("add", "--help", CNIFAST_SERVICE="maybe").startswith("usage: ")
    assert shell.run("add", CNIFAST_SERVICE="maybe").returncode == 2
    said = shell.refused("add", "mynet", NETNS, CNIFAST_SERVICE="maybe" * 2000)
    assert said.endswith("maybe (code 4)")


# -- ending it -------------------------------------------------------------------------------------


@contextlib.contextmanager
def held(network: str) -> Iterator[Callable[[], None]]:
    """Hold the lock on a network's addresses; give what lets it go."""
    directory = STORE.with_name(network)
    directory.mkdir(parents=True, exist_ok=True)
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    try:
        yield lambda: fcntl.flock(fd, fcntl.LOCK_UN)
    finally:
        os.close(fd)


def start(
    shell: Shell, *words: str, setting: str = "--default-signal", stdout: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """Start a command with the signals as a shell leaves them, or another setting."""
    return subprocess.Popen(
        ["env", setting, ways.COMMAND, *words],
        env=shell.env,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def begun(shell: Shell, *words: str, setting: str = "--default-signal") -> subprocess.Popen[str]:
    """Begin a command, and wait until it waits for the service, and that for a lock."""
    process = start(shell, *words, setting=setting)
    inode = f":{(STORE / 'lock').stat().st_ino} "
    wait_for(
        lambda: any(
            " -> FLOCK" in line and inode in line
            for line in Path("/proc/locks").read_text().splitlines()
        )
    )
    wait_for(lambda: waits(process, told=False))
    return process


def waits(process: subprocess.Popen[str], *, told: bool) -> bool:
    """Tell whether the program waits for the service, as long as it takes, or after a signal."""
    if process.poll() is not None:
        return True  # it waited no longer
    call = Path(f"/proc/{process.pid}/syscall").read_text().split()
    return call[0] == PPOLL and (call[3] != "0x0") == told


def assert_nothing_left(node: Node) -> None:
    """Make sure that no attachment, no address and no result is there.

    Raises:
        AssertionError: one is.
    """
    assert "eth0" not in node.link_names(node.containers["blue"])
    assert (node.strays(), taken(), list(CACHE.iterdir())) == ([], [], [])


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_signal(node: Node, service: Service, shell: Shell, number: signal.Signals) -> None:
    """The network that is at work is finished, then all is undone; one line says why."""
    write("20-other.conf", OTHER)
    with held("mynet") as let_go:
        process = begun(shell, "add", "--all", NETNS)
        process.send_signal(number)
        wait_for(lambda: waits(process, told=True))
        let_go()
        out, err = process.communicate(timeout=SECONDS)
    # Where the machine was slow, the program has not waited for the end of it.
    assert err.split(",")[0].strip() == f"cnifast add: interrupted by {number.name}"
    assert (process.returncode, out) == (128 + number, "")
    wait_for(lambda: bool(answered(service, f"exit={128 + number}")))
    assert "cni9" not in node.link_names()
    assert_nothing_left(node)


def test_signal_while_it_takes_long(node: Node, service: Service, shell: Shell) -> None:
    """The program does not wait for what waits for something else; that is undone all the same."""
    with held("mynet") as let_go:
        process = begun(shell, "add", "mynet", NETNS)
        process.terminate()
        out, err = process.communicate(timeout=SECONDS)
        assert err == (
            "cnifast add: interrupted by SIGTERM, and the service undoes what it had begun\n"
        )
        assert (process.returncode, out) == (128 + signal.SIGTERM, "")
        let_go()
    wait_for(lambda: bool(answered(service, "exit=")))
    assert_nothing_left(node)


@pytest.mark.parametrize("words", [("del", "mynet", NETNS), ("gc", "mynet", "--none-valid")])
def test_signal_while_detaching(
    node: Node, service: Service, shell: Shell, words: tuple[str, ...]
) -> None:
    """What takes away is not undone, and goes on: the program says that."""
    shell.ok("add", "mynet", NETNS)
    with held("mynet") as let_go:
        process = begun(shell, *words)
        process.terminate()
        _, err = process.communicate(timeout=SECONDS)
        assert err == (
            f"cnifast {words[0]}: interrupted by SIGTERM, but the service goes on with it\n"
        )
        assert process.returncode == 128 + signal.SIGTERM
        let_go()
    wait_for(lambda: bool(answered(service, f'"{words[0]} ')))
    assert_nothing_left(node)


def test_signal_before_the_service_looks(node: Node, service: Service, shell: Shell) -> None:
    """A signal may come while the command waits to be taken."""
    os.kill(service.pid, signal.SIGSTOP)
    process = start(shell, "add", "mynet", NETNS)
    wait_for(lambda: waits(process, told=False))
    process.terminate()
    wait_for(lambda: waits(process, told=True))
    os.kill(service.pid, signal.SIGCONT)
    _, err = process.communicate(timeout=SECONDS)
    assert err.split(",")[0].strip() == "cnifast add: interrupted by SIGTERM"
    assert process.returncode == 128 + signal.SIGTERM
    # Where the program was gone by then, its process could not be looked at.
    wait_for(lambda: bool(answered(service)) or any("event=cold" in line for line in service.log))
    assert "eth0" not in node.link_names(node.containers["blue"])
    assert (node.strays(), taken()) == ([], [])


def test_signal_before_a_process_takes_over(shell: Shell, tmp_path: Path) -> None:
    """A signal that came before the service left the command to a process ends it."""
    path = tmp_path / "run" / "s"
    path.parent.mkdir(mode=0o700)
    shell.env["CNIFAST_SOCKET"] = str(path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        process = start(shell, "status", "mynet")
        with listener.accept()[0] as conn:
            wait_for(lambda: waits(process, told=False))
            process.terminate()
            wait_for(lambda: waits(process, told=True))
            conn.sendall(wire.encode_run_cold("so"))
            _, err = process.communicate(timeout=SECONDS)
    assert err.split(",")[0].strip() == "cnifast status: interrupted by SIGTERM"
    assert process.returncode == 128 + signal.SIGTERM


def test_reader_who_does_not_read(node: Node, service: Service, shell: Shell) -> None:
    """A signal ends the command also where its result cannot be printed; what is done is done."""
    read, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(write_end, bytes(4096))
    os.set_blocking(write_end, True)
    process = start(shell, "add", "mynet", NETNS, stdout=write_end)
    wait_for(lambda: bool(answered(service, "exit=0")))
    process.terminate()
    process.communicate(timeout=SECONDS)
    assert process.returncode == -signal.SIGTERM
    os.close(read)
    os.close(write_end)
    assert "eth0" in node.link_names(node.containers["blue"])
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [ways.COMMAND, "add", "--help"],
            env=shell.env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "cnifast add: cannot print: ENOSPC\n")


def test_killed(node: Node, service: Service, shell: Shell) -> None:
    """Nobody is there any more: what was begun is undone."""
    with held("mynet") as let_go:
        process = begun(shell, "add", "mynet", NETNS)
        process.kill()
        process.communicate(timeout=SECONDS)
        let_go()
    wait_for(lambda: bool(answered(service, "exit=1 ")))
    assert "given up (code 11)" in answered(service)[0]
    assert_nothing_left(node)


@pytest.mark.parametrize("setting", ["--ignore-signal=HUP", "--block-signal=HUP"])
def test_ignored_signal(node: Node, shell: Shell, setting: str) -> None:
    """What the caller has the command ignore, as nohup does, or block, ends nothing."""
    with held("mynet") as let_go:
        process = begun(shell, "add", "mynet", NETNS, setting=setting)
        process.send_signal(signal.SIGHUP)
        let_go()
        _, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, "")
    assert "eth0" in node.link_names(node.containers["blue"])


def test_del_is_finished(node: Node, service: Service, shell: Shell) -> None:
    """Detaching goes on though nobody waits for it."""
    shell.ok("add", "mynet", NETNS)
    with held("mynet") as let_go:
        process = begun(shell, "del", "mynet", NETNS)
        process.kill()
        process.communicate(timeout=SECONDS)
        let_go()
    wait_for(lambda: bool(answered(service, '"del mynet')))
    assert_nothing_left(node)


def test_service_that_dies(node: Node, service: Service, shell: Shell) -> None:
    """The program says so, and DEL takes away what was begun."""
    with held("mynet"):
        process = begun(shell, "add", "mynet", NETNS)
        service.kill()
        out, err = process.communicate(timeout=SECONDS)
    assert err.startswith("cnifast add: the connection to the cnifast service broke before it ")
    assert err.endswith("; the call may have been carried out in part (code 11)\n")
    assert (process.returncode, out) == (1, "")
    shell.ok("del", "mynet", NETNS)
    assert_nothing_left(node)


def test_program_without_its_python(tmp_path: Path) -> None:
    """A copy of the program alone says what it lacks."""
    copy = Path(shutil.copy(ways.COMMAND, tmp_path))
    done = subprocess.run([str(copy), "version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"cnifast version: cannot start {tmp_path}/cnifast-python: ENOENT (code 999)\n"
    )
