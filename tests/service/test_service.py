"""Calls through the service: what goes in comes out, and nothing stays."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from helpers.bench import Bench, Service, error_code, wait_for

if TYPE_CHECKING:
    from pathlib import Path


def test_result_comes_back(bench: Bench, service: Service) -> None:
    """Output and exit status are the plugin's, and the call is logged."""
    assert bench.call("noop") == (0, b'{"cniVersion":"1.0.0"}\n', b"")
    line = service.wait_log("event=call")
    assert "command=ADD plugin=noop container=container ifname=eth0" in line
    assert "code=0" in line
    assert bench.call("noop", bench.env("DEL")) == (0, b"", b"")


def test_error_comes_back(bench: Bench, service: Service) -> None:
    """A plugin's error is the answer, and its code is logged."""
    status, out, err = bench.call("failing")
    assert (status, error_code(out), err) == (1, 7, b"")
    assert "code=7" in service.wait_log("event=call")


def test_defect_is_reported_to_the_caller(bench: Bench, service: Service) -> None:
    """A defect in a plugin is error 999, with the trace on the caller's standard error."""
    status, out, err = bench.call("failing", None, {"defect": True})
    assert (status, error_code(out)) == (1, 999)
    wait_for(lambda: "event=call" in "".join(service.log()))
    assert b"RuntimeError: a defect" in err


def test_trace_context_is_logged(bench: Bench, service: Service) -> None:
    """A call can be found again by the trace it belongs to."""
    bench.call("noop", bench.env(TRACEPARENT="00-ab-cd-01"))
    assert "traceparent=00-ab-cd-01" in service.wait_log("event=call")


@pytest.mark.parametrize("size", [1, 4096, 8100, 8192, 300_000, 1_000_000])
def test_answers_of_any_size(bench: Bench, service: Service, size: int) -> None:
    """Short and long answers arrive whole."""
    assert service.pid
    status, out, _ = bench.call("big", None, {"size": size})
    assert (status, json.loads(out)["dns"]) == (0, {"domain": "x" * size})


def test_answer_that_is_too_long_is_an_error(bench: Bench, service: Service) -> None:
    """What a frame does not take is error 999, not half an answer."""
    assert service.pid
    status, out, _ = bench.call("big", None, {"size": 1_200_000})
    assert (status, error_code(out)) == (1, 999)


def test_large_configuration_arrives(bench: Bench, service: Service) -> None:
    """A configuration near the limit is more than a socket buffer, and arrives whole."""
    assert service.pid
    conf = bench.conf({"padding": "x" * 1_000_000})
    status, out, _ = bench.call("noop", None, conf)
    assert (status, out) == (0, b'{"cniVersion":"1.0.0"}\n')


def test_place_of_a_call_from_home(bench: Bench, service: Service) -> None:
    """A call from the service's own namespace gets no descriptor for it, but the container's."""
    assert service.pid
    _, out, _ = bench.call("where")
    said = json.loads(out)["msg"]
    assert "host=own netns=fd mount=True delegates=False warm=Warm" in said


def test_namespace_that_is_not_there_is_the_plugins_business(
    bench: Bench, service: Service
) -> None:
    """DEL of a container whose namespace is gone reaches the plugin, without a descriptor."""
    assert service.pid
    _, out, _ = bench.call("where", bench.env(CNI_NETNS="/run/netns/gone"))
    assert "netns=none" in json.loads(out)["msg"]


def test_own_namespace_is_refused(bench: Bench, service: Service) -> None:
    """ADD into the caller's own namespace is error 8, unless it is asked for."""
    assert service.pid
    status, out, _ = bench.call("noop", bench.env(CNI_NETNS_OVERRIDE=""))
    assert (status, error_code(out)) == (1, 8)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make namespaces")
def test_caller_in_another_network_namespace(bench: Bench, service: Service) -> None:
    """The caller's namespace comes as a descriptor when it is not the service's."""
    assert service.pid
    out = subprocess.run(
        ["unshare", "--net", bench.binary("where")],
        env={**bench.env(), "PATH": os.environ["PATH"]},
        input=bench.conf(),
        stdout=subprocess.PIPE,
        check=False,
    ).stdout
    assert "host=fd netns=fd mount=True" in json.loads(out)["msg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to make namespaces")
def test_caller_in_another_mount_namespace(bench: Bench, service: Service, tmp_path: Path) -> None:
    """Paths count as the same when they lead to the same files, and as different otherwise."""
    assert service.pid
    there = tmp_path / "there"
    there.mkdir()
    conf = bench.conf({"ipam": {"type": "host-local", "dataDir": str(there)}})
    script = 'if [ -n "$2" ]; then mount -t tmpfs none "$2"; fi; exec "$1"'
    said = []
    for hide in ("", str(there)):
        out = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", bench.binary("where"), hide],
            env={**bench.env(), "PATH": os.environ["PATH"]},
            input=conf,
            stdout=subprocess.PIPE,
            check=False,
        ).stdout
        said.append(json.loads(out)["msg"])
    assert "mount=True" in said[0]
    assert "mount=False" in said[1]


def test_relative_namespace_that_is_not_there_goes_cold(bench: Bench, service: Service) -> None:
    """A path that only the caller can follow is not followed by the service."""
    assert service.pid
    _, out, _ = bench.call("noop", bench.env(CNI_NETNS="no/such"))
    assert json.loads(out)["argv"] == ["noop"]


def test_service_can_ask_for_the_cold_path(bench: Bench, service: Service) -> None:
    """Told to run the call itself, the binary does, with all that it was given."""
    _, out, _ = bench.call("cold")
    got = json.loads(out)
    assert got["argv"] == ["cold"]
    assert got["stdin"].encode() == bench.conf()
    assert "the test wants it" in service.wait_log("event=cold")


def test_service_may_ask_for_it_where_it_is_required(bench: Bench, service: Service) -> None:
    """`required` is about the service being there; what it decides is done."""
    assert service.pid
    _, out, _ = bench.call("cold", bench.env(CNIFAST_SERVICE="required"))
    assert json.loads(out)["argv"] == ["cold"]


def test_nothing_of_a_caller_stays(bench: Bench, service: Service) -> None:
    """After many calls of every outcome the service has the descriptors it began with."""
    before = service.fds()
    names = ["noop", "failing", "cold", "where", "big"] * 6
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: bench.call(name, None, {"size": 10_000}), names))
    wait_for(lambda: service.fds() == before)


def test_memory_is_flat(bench: Bench, service: Service) -> None:
    """Calls do not make the service grow, once it has the threads that it needs for them."""

    def resident() -> int:
        with open(f"/proc/{service.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * 4

    def growth() -> int:
        before = resident()
        for _ in range(300):
            bench.call("noop")
        return resident() - before

    assert min(growth() for _ in range(5)) < 64  # KiB
    assert resident() < 50 * 1024


def test_plugin_binary_is_small(bench: Bench, service: Service) -> None:
    """While it waits for the answer the binary has less than 1 MB resident."""
    with bench.popen("slow") as process:
        assert process.stdin is not None
        process.stdin.write(bench.conf({"seconds": 1}))
        process.stdin.close()
        process.stdin = None
        with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
            wait_for(lambda: service.fds() and "VmHWM" in file.read())
            file.seek(0)
            lines = dict(line.split(":", 1) for line in file.read().splitlines())
        assert int(lines["VmHWM"].split()[0]) < 1000
        process.communicate()
        assert process.returncode == 0


def test_many_at_once(bench: Bench, service: Service) -> None:
    """More calls than threads are all answered."""
    assert service.pid
    with ThreadPoolExecutor(16) as pool:
        got = list(pool.map(lambda _: bench.call("noop"), range(64)))
    assert got == [(0, b'{"cniVersion":"1.0.0"}\n', b"")] * 64
