"""What a cold call leaves behind: one service, that holds nothing of the caller."""

from __future__ import annotations

import json
import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cnifast.cli.install import install
from helpers.bench import PATIENCE, Bench, left_service, wait_for
from helpers.opened import open_files

ROOT = Path(__file__).parents[2]


@pytest.fixture
def installed(bench: Bench) -> Bench:
    """Give plugin binaries as they are installed, with the real cold path."""
    install(str(bench.bin), ["loopback"])
    return bench


def call(bench: Bench, **more: str) -> tuple[int, bytes]:
    """Make a call that any plugin refuses: the way there and back is what counts."""
    status, out, _ = bench.call("loopback", bench.env(**more), {"cniVersion": "9.9.9"})
    return status, out


def test_cold_call_is_answered_and_leaves_a_service(installed: Bench) -> None:
    """The first call is answered by itself, the next one by the service it left."""
    status, out = call(installed)
    assert (status, json.loads(out)["code"]) == (1, 1)
    pid = wait_for(lambda: left_service(str(installed.socket)))
    assert call(installed, CNIFAST_SERVICE="required") == (status, out)
    assert wait_for(lambda: left_service(str(installed.socket))) == pid


def test_documents_say_how_it_is_ended(installed: Bench) -> None:
    """The line that documents have for it ends a service, and does nothing where there is none."""
    lines = {
        line.strip()
        for document in ("README.md", "docs/migrating.md")
        for line in (ROOT / document).read_text().splitlines()
        if "sock.lock" in line
    }
    assert len(lines) == 1
    script = lines.pop().replace("/run/cnifast/cnifast.sock", str(installed.socket))
    call(installed)
    wait_for(lambda: left_service(str(installed.socket)))
    free = ["flock", "-n", f"{installed.socket}.lock", "true"]
    for _ in range(2):
        subprocess.run(["sh", "-ec", script], check=True)
        wait_for(lambda: subprocess.run(free, check=False).returncode == 0)
    assert left_service(str(installed.socket)) is None


def test_switched_off_leaves_none(installed: Bench) -> None:
    """With the service switched off none is started."""
    call(installed, CNIFAST_SERVICE="off")
    assert not (installed.run_dir / "s.lock").exists()


def test_it_has_nothing_of_the_caller(installed: Bench, tmp_path: Path) -> None:
    """Own session, root directory, no descriptor, no variable and no stream of the caller's."""
    leak = os.open(tmp_path / "leak", os.O_CREAT | os.O_RDWR)
    os.set_inheritable(leak, True)
    try:
        with installed.popen("loopback", close_fds=False, cwd=tmp_path) as process:
            out, _ = process.communicate(installed.conf(), PATIENCE)
    finally:
        os.close(leak)
    assert out
    pid = wait_for(lambda: left_service(str(installed.socket)))
    proc = f"/proc/{pid}"
    assert os.getsid(pid) == pid
    assert os.readlink(f"{proc}/cwd") == "/"
    links = open_files(pid)
    assert [links[fd] for fd in "012"] == [os.devnull] * 3
    assert not any(str(tmp_path / "leak") in link for link in links.values())
    with open(f"{proc}/environ", "rb") as file:
        assert b"CNI" not in file.read()


def test_caller_sees_the_end_at_once(installed: Bench) -> None:
    """A runtime that waits for end of file and for the process has both before the service is."""
    with installed.popen("loopback") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(installed.conf())
        process.stdin.close()
        process.stdout.read()
        eof = time.monotonic()
        process.stderr.read()
        process.wait(PATIENCE)
        assert time.monotonic() - eof < 0.5
        process.stdin = None
    wait_for(lambda: left_service(str(installed.socket)))


def test_many_cold_calls_leave_one_service(installed: Bench) -> None:
    """Of several first calls at the same time one leaves a service, and all are answered."""
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: call(installed), range(8)))
    assert {status for status, _ in results} == {1}
    assert {json.loads(out)["code"] for _, out in results} == {1}
    pid = wait_for(lambda: left_service(str(installed.socket)))
    mine = [
        line
        for line in subprocess.run(
            ["ps", "-wweo", "pid=,args="], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        if str(installed.socket) in line
    ]
    assert [int(line.split()[0]) for line in mine] == [pid]


def test_service_that_was_killed_is_replaced(installed: Bench) -> None:
    """A service that was killed is replaced by the next cold call."""
    call(installed)
    pid = wait_for(lambda: left_service(str(installed.socket)))
    os.kill(pid, 9)
    wait_for(lambda: left_service(str(installed.socket)) is None)
    status, _ = call(installed)
    assert status == 1
    assert wait_for(lambda: left_service(str(installed.socket))) != pid


def test_unusable_directory_is_no_failure(installed: Bench) -> None:
    """Where no service can be left, calls are answered all the same."""
    installed.run_dir.rmdir()
    installed.run_dir.symlink_to("/nonexistent/directory")
    status, out = call(installed)
    assert (status, json.loads(out)["code"]) == (1, 1)
