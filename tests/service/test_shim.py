"""The plugin binary by itself: what it answers alone, refuses, and hands to the cold path."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from cnifast.protocol import skel, versions
from helpers.bench import Bench, error_code

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["bridge", "bandwidth", "vrf", "firewall", "host-local"])
def test_version_is_answered_as_in_python(bench: Bench, name: str) -> None:
    """VERSION is answered without a service, in the words of the protocol package."""
    status, out, err = bench.call(name, bench.env("VERSION"), b"not read")
    assert (status, out, err) == (0, skel.version_info(name) + b"\n", b"")


def test_about_is_said_as_in_python(bench: Bench) -> None:
    """Without CNI_COMMAND the plugin says on standard error what it is, and succeeds."""
    for env in ({}, {"CNI_COMMAND": ""}):
        assert bench.call("vrf", env) == (0, b"", skel.about("vrf"))


def test_about_does_not_wait_for_stdin(bench: Bench) -> None:
    """What needs no configuration does not read it."""
    with bench.popen("bridge", {}) as process:
        assert process.wait(5) == 0
    with bench.popen("bridge", bench.env("VERSION")) as process:
        assert process.wait(5) == 0


def test_cold_path_gets_the_call_unchanged(bench: Bench) -> None:
    """The interpreter is isolated, and gets environment and standard input as they were."""
    stdin = bytes(range(256)) * 300
    env = bench.env("DEL", CNI_ARGS="K=V;X=\u00e9", HOME="/nowhere", EMPTY="")
    status, out, err = bench.call("bridge", env, stdin)
    got = json.loads(out)
    assert (status, err) == (0, b"")
    assert got["argv"] == ["bridge", str(bench.socket)]
    assert (got["isolated"], got["no_site"], got["utf8"]) == (1, 1, 1)
    assert got["stdin"].encode("latin-1") == stdin
    got["env"].pop("LC_CTYPE", None)  # of the interpreter's own making
    assert got["env"] == {**env, "CNIFAST_COLD": "bridge"}


def test_cold_path_inherits_no_descriptor_of_the_shim(bench: Bench) -> None:
    """The interpreter has its three standard streams and what it opens itself."""
    _, out, _ = bench.call("bridge")
    # the fourth is the directory that is being listed
    assert json.loads(out)["fds"] == [0, 1, 2, 3]


def test_off_means_cold_and_leaves_no_service(bench: Bench) -> None:
    """With the service switched off none is asked, and none is left behind."""
    bench.serve()
    _, out, _ = bench.call("noop", bench.env(CNIFAST_SERVICE="off"))
    assert json.loads(out)["argv"] == ["noop"]


def test_required_means_service_or_error(bench: Bench) -> None:
    """Where the service is required its absence is error 11, and nothing is run."""
    status, out, _ = bench.call("noop", bench.env(CNIFAST_SERVICE="required"))
    assert (status, error_code(out)) == (1, 11)
    # a phrase that runtimes take for success where CNI_NETNS is empty
    assert b"no such file" not in out


def test_other_modes_are_refused(bench: Bench) -> None:
    """A switch that is set wrongly is not ignored."""
    status, out, _ = bench.call("noop", bench.env(CNIFAST_SERVICE='"on"\n'))
    assert (status, error_code(out)) == (1, 4)


@pytest.mark.parametrize("path", ["relative/s", "/" + "x" * 107])
def test_impossible_sockets_are_refused(bench: Bench, path: str) -> None:
    """A socket path that the kernel could not use is an error, whatever the mode."""
    status, out, _ = bench.call("noop", bench.env(CNIFAST_SOCKET=path))
    assert (status, error_code(out)) == (1, 4)


def test_stdin_of_one_mebibyte_is_taken(bench: Bench) -> None:
    """The limit itself is within the limit."""
    status, out, _ = bench.call("noop", None, b" " * (1 << 20))
    assert (status, len(json.loads(out)["stdin"])) == (0, 1 << 20)


def test_more_stdin_is_refused(bench: Bench) -> None:
    """A byte more than 1 MiB is error 6."""
    with bench.popen("noop") as process:
        out, _ = process.communicate(b" " * ((1 << 20) + 1))
    assert (process.returncode, error_code(out)) == (1, 6)


def test_unreadable_stdin_is_an_error(bench: Bench, tmp_path: Path) -> None:
    """Standard input that cannot be read is error 5."""
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        with bench.popen("noop", stdin=directory) as process:
            out, _ = process.communicate()
    finally:
        os.close(directory)
    assert (process.returncode, error_code(out)) == (1, 5)


def test_closed_standard_streams_do_no_harm(bench: Bench) -> None:
    """A runtime may close what it does not need; no other file is taken for it."""
    bench.serve()
    script = 'exec "$0" <&- 2>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", script, bench.binary("noop")],
        env=bench.env(),
        stdout=subprocess.PIPE,
        check=False,
    )
    assert (done.returncode, error_code(done.stdout)) == (1, 6)


def test_binary_that_was_copied_says_so(bench: Bench) -> None:
    """A binary without its paths fails with the way to install it."""
    bench.unpatched("bridge")
    status, out, _ = bench.call("bridge")
    assert (status, error_code(out)) == (1, 999)
    assert b"cnifast plugins install" in out


def test_missing_interpreter_is_an_error(bench: Bench) -> None:
    """An interpreter that is gone is named, without words that runtimes take for success."""
    bench.binary("bridge", python="/nonexistent/python")
    status, out, _ = bench.call("bridge")
    assert (status, error_code(out)) == (1, 999)
    assert b"/nonexistent/python: ENOENT" in out


@pytest.mark.parametrize("words", [[], ["daemon"]])
def test_missing_script_is_an_error(bench: Bench, tmp_path: Path, words: list[str]) -> None:
    """Of a package that is gone, whose interpreter is still there, the script is named."""
    path = bench.binary("dhcp", script=str(tmp_path / "cold.py"))
    done = subprocess.run(
        [path, *words], env=bench.env(), input=bench.conf(), capture_output=True, check=False
    )
    assert (done.returncode, error_code(done.stdout), done.stderr) == (1, 999, b"")
    assert f"cannot start {tmp_path}/cold.py: ENOENT".encode() in done.stdout


def test_circles_end(bench: Bench) -> None:
    """A plugin whose cold path leads to the same plugin is stopped at the second one."""
    path = bench.binary("bridge", python=str(bench.bin / "bridge"))
    assert path.exists()
    status, out, _ = bench.call("bridge")
    assert (status, error_code(out)) == (1, 7)


def test_longer_circles_end(bench: Bench) -> None:
    """So is one that comes back over another plugin."""
    bench.binary("a", python=str(bench.bin / "b"))
    bench.binary("b", python=str(bench.bin / "a"))
    status, out, _ = bench.call("a")
    assert (status, error_code(out)) == (1, 7)
    assert b"a:b" in out


def test_another_plugin_may_run_within(bench: Bench) -> None:
    """A plugin that runs below a cold one of another name is no circle."""
    _, out, _ = bench.call("host-local", bench.env(CNIFAST_COLD="bridge"))
    assert json.loads(out)["env"]["CNIFAST_COLD"] == "bridge:host-local"


def test_long_environment_goes_cold(bench: Bench) -> None:
    """More CNI variables than a frame takes are no reason to fail."""
    service = bench.serve()
    _, out, _ = bench.call("noop", bench.env(CNI_ARGS="x" * 66000))
    got = json.loads(out)
    assert got["argv"] == ["noop"]
    assert got["stdin"].encode() == bench.conf()
    assert not any("event=call" in line for line in service.log())


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_directory_that_others_write_is_not_trusted(bench: Bench, mode: int) -> None:
    """A socket that somebody else could have put there is not used, nor replaced."""
    bench.serve()
    bench.run_dir.chmod(mode)
    _, out, _ = bench.call("noop")
    assert json.loads(out)["argv"] == ["noop"]
    status, out, _ = bench.call("noop", bench.env(CNIFAST_SERVICE="required"))
    assert (status, error_code(out)) == (1, 11)


def test_directory_that_is_a_link_is_not_trusted(bench: Bench, tmp_path: Path) -> None:
    """The directory itself must be one, not a link to one."""
    bench.serve()
    link = tmp_path / "link"
    link.symlink_to(bench.run_dir)
    _, out, _ = bench.call("noop", bench.env(CNIFAST_SOCKET=str(link / "s")))
    assert json.loads(out)["argv"] == ["noop"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_service_of_another_user_is_not_used(bench: Bench) -> None:
    """Neither root nor a user hands a call to a third user's process."""
    bench.run_dir.chmod(0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(bench.socket))
        # the credentials of a listener are those at the time of listen()
        os.seteuid(65534)
        try:
            listener.listen()
        finally:
            os.seteuid(0)
        _, out, _ = bench.call("noop")
        assert json.loads(out)["argv"] == ["noop"]
        listener.setblocking(False)
        listener.accept()[0].close()


def test_versions_table_is_the_protocols(bench: Bench) -> None:
    """The binary knows every version that the package does."""
    _, out, _ = bench.call("bridge", bench.env("VERSION"))
    assert json.loads(out)["supportedVersions"] == list(versions.SUPPORTED)
