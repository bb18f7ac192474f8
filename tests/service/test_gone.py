"""Callers that are gone, and calls that wait for somebody else."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from helpers.bench import Bench, Service, wait_for

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


def _pipe(path: Path) -> Path:
    """Make a pipe that a call is held by until it is written to."""
    os.mkfifo(path)
    return path


def _begin(bench: Bench, plugin: str, conf: object, **env: str) -> subprocess.Popen[bytes]:
    """Start an ADD, and give it its configuration."""
    process = bench.popen(plugin, bench.env(**env))
    assert process.stdin is not None
    process.stdin.write(bench.conf(conf))
    process.stdin.close()
    process.stdin = None
    return process


def _calls(service: Service) -> list[str]:
    """Return which commands were run, and whether somebody was there for the answer."""
    fields = [dict(word.split("=", 1) for word in line.split()) for line in service.log()]
    return [f"{each['command']} {each['sent']}" for each in fields if each.get("event") == "call"]


def test_add_that_nobody_hears_of_is_taken_back(bench: Bench, tmp_path: Path) -> None:
    """When the caller dies while ADD is at work, nothing is left, and DEL comes after all of it."""
    service, pipe = bench.serve(), _pipe(tmp_path / "pipe")
    process = _begin(bench, "held", {"pipe": str(pipe)})
    with ThreadPoolExecutor() as threads:
        with pipe.open("wb"):  # so it is at work, until the end of this
            process.kill()
            process.wait()
            deleted = threads.submit(bench.call, "held", bench.env("DEL"))
            assert bench.call("held", bench.env("DEL", CNI_IFNAME="eth1"))[0] == 0
        assert deleted.result()[0] == 0
    process.communicate()
    wait_for(lambda: len(_calls(service)) == 4)
    assert _calls(service) == ["DEL True", "ADD False", "DEL False", "DEL True"]


def test_who_waits_for_somebody_else_keeps_nobody_waiting(bench: Bench, tmp_path: Path) -> None:
    """Others are served while a call waits, be there as many such calls as threads and more."""
    service = bench.serve("--threads", "2")
    waiting = {}
    for name in "abcde":
        pipe = _pipe(tmp_path / name)
        conf = {"pipe": str(pipe), "patient": True}
        waiting[pipe] = _begin(bench, "held", conf, CNI_CONTAINERID=name)
    for _ in range(3):
        assert bench.call("noop")[0] == 0
    for pipe, process in waiting.items():
        with pipe.open("wb"):
            pass
        process.communicate()
        assert process.returncode == 0
    wait_for(lambda: len(os.listdir(f"/proc/{service.pid}/task")) <= 3)
    assert bench.call("noop")[0] == 0
