"""What does it cost to masquerade one pod more or less where there are 0, 1,000 or 10,000?"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.harness import Ratio, Report, debian_version, require
from benchmarks.node import ROOT

if TYPE_CHECKING:
    from benchmarks.harness import Plan

ROUNDS = {"cnifast": 300, "nft": 10, "iptables-restore": 10}
PODS = (0, 1_000, 10_000)


def run(plan: Plan) -> Report:
    """Ask the question: each competitor alone in a network namespace, with its own kind of rules.

    This is the packet filter's part of ADD and DEL, without anything around it.
    """
    report = Report()
    report.versions = {name: debian_version(name) for name in ("nftables", "iptables")}
    for usual in PODS:
        pods = min(usual, plan.size(usual, 10))
        for name, rounds in ROUNDS.items():
            seen = _measure(name, pods, plan.rounds(rounds))
            require(seen.left == pods, f"{name}: {seen.left} of {pods} pods are left")
            report.add(f"add, {usual:,} pods", name, *seen.add)
            report.add(f"delete, {usual:,} pods", name, *seen.delete)
    for step in ("add", "delete"):
        few, many = (report.median(f"{step}, {pods:,} pods", "cnifast") for pods in (0, 10_000))
        if few and many:
            label = f"masquerading a pod, {step}: beside 10,000 / beside none"
            report.ratios.append(Ratio(label, many / few, 1.3, "at most"))
        for name in ("nft", "iptables-restore"):
            case = f"{step}, 1,000 pods"
            report.compare(
                case, name, "cnifast", label=f"masquerading a pod, {case}: {name} / cnifast"
            )
    return report


@dataclass(frozen=True, slots=True)
class Seen:
    """What one competitor printed: nanoseconds, and how many pods it was left with."""

    add: list[int]
    delete: list[int]
    left: int


def _measure(name: str, pods: int, rounds: int) -> Seen:
    """Run one competitor in a network namespace of its own."""
    probe = (sys.executable, "-m", "benchmarks.masquerade_probe", name, str(pods), str(rounds))
    done = subprocess.run(
        ["unshare", "--net", *probe], cwd=ROOT.parent, capture_output=True, text=True, check=False
    )
    require(done.returncode == 0, f"{name}: {done.stderr}")
    return Seen(**json.loads(done.stdout))
