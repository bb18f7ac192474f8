"""How much memory does the service take after 10,000 attachments, and a waiting shim?"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.attachments import seated
from benchmarks.harness import Ratio, Report, require
from benchmarks.inprocess import need
from benchmarks.targets.cold import Cold
from benchmarks.targets.service import SOCKET, Service
from benchmarks.workloads import Network, Pod, check_empty, cni_env, encode

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.harness import Plan

STEPS = 10
PODS, LOOPS, CLIENTS = 250, 4, 16
MIB = 2**20
SILENT = f"""
import os, socket, time
os.makedirs(os.path.dirname({SOCKET!r}), 0o700, exist_ok=True)
listener = socket.socket(socket.AF_UNIX)
listener.bind({SOCKET!r})
os.chmod({SOCKET!r}, 0o600)
listener.listen()
print("ready", flush=True)
kept = listener.accept()
time.sleep(60)
"""


def run(plan: Plan) -> Report:
    """Ask the question; memory is what the kernel counts as resident, shared pages included."""
    need("cnifast")
    report = Report(unit="bytes")
    _measure_service(plan, report)
    _measure_shim(report)
    return report


def _measure_service(plan: Plan, report: Report) -> None:
    network, case = Network(), "service, resident"
    pods, loops = plan.size(PODS, CLIENTS), plan.size(LOOPS, 1)
    with seated([Service], report, network, pods=pods) as (service,):
        process = service.process()
        report.add("service, resident at the start", "cnifast", resident(process))
        for _ in range(plan.size(STEPS, 1)):
            service.churn(network, clients=CLIENTS, pods=pods, loops=loops)
            check_empty(service.node, network)
            plan.settle()
            report.add(case, "cnifast", resident(process))
        descriptors = [*(process / "fd").iterdir()]
        report.facts["descriptors of the idle service"] = len(descriptors)
        report.facts["attachments"] = STEPS * PODS * LOOPS
    if not plan.once:
        values = report.series[case]["cnifast"]
        text = "service memory after 10,000 attachments / 50 MiB"
        report.ratios.append(Ratio(text, values[-1] / (50 * MIB), 1, "at most"))
        text = "service memory after 10,000 attachments / after 5,000"
        report.ratios.append(Ratio(text, values[-1] / values[STEPS // 2 - 1], 1.05, "at most"))


def _measure_shim(report: Report) -> None:
    """Hold a shim at its longest moment: the request is sent, no answer comes."""
    network = Network()
    with seated([Cold], report, network) as (competitor,):
        node = competitor.node
        server = node.popen([sys.executable, "-c", SILENT])
        require(server.stdout and server.stdout.readline() == b"ready\n", "no silent service")
        pod = Pod("/run/netns/pod0", "c0")
        env = {**cni_env("ADD", pod, competitor.directory), "CNIFAST_SERVICE": "required"}
        shim = node.popen([f"{competitor.directory}/bridge"], env=env, stderr=subprocess.DEVNULL)
        assert shim.stdin is not None
        shim.stdin.write(encode(network.conf()))
        shim.stdin.close()
        time.sleep(0.5)
        require(shim.poll() is None, "the shim did not wait")
        process = node.find(f"{competitor.directory}/bridge")
        report.add("shim, resident", "cnifast", resident(process))
        shim.kill()
        server.kill()
    text = "shim memory / 1 MiB"
    value = report.series["shim, resident"]["cnifast"][0]
    report.ratios.append(Ratio(text, value / MIB, 1, "at most"))


def resident(process: Path) -> int:
    """Return the resident set of a process (a folder in /proc) in bytes."""
    for line in (process / "smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(process)
