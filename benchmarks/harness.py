"""What every question shares: rounds, statistics, the report and its JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")
RESULTS = Path(__file__).resolve().parent / "results"
IN_A_ROW = ", in a row"  # ends a case, and the label of a ratio, of the second pace
SETTLE = 0.03  # seconds: longer than the kernel's deferred part of a link's deletion


class WrongResultError(Exception):
    """A competitor did not do the work: the end state is not what it has to be."""


class SkippedError(Exception):
    """A question cannot be asked here; the text says why."""


@dataclass(slots=True)
class Plan:
    """How much to measure. ``once`` means each call once, for correctness alone."""

    once: bool = False
    scale: float = 1.0

    def rounds(self, usual: int) -> int:
        """Return how often to repeat what usually is repeated ``usual`` times."""
        return 1 if self.once else max(3, round(usual * self.scale))

    def blocks(self, usual: int, size: int) -> int:
        """Return in how many blocks of ``size`` to repeat what usually is repeated so often."""
        return 1 if self.once else max(2, self.rounds(usual) // size)

    def size(self, usual: int, once: int) -> int:
        """Return how large to make what usually is ``usual`` large, and ``once`` with --once."""
        return once if self.once else usual

    def settle(self) -> None:
        """Let the kernel finish what a call left behind, so that no competitor pays for another."""
        time.sleep(SETTLE)


@dataclass(slots=True)
class Ratio:
    """A ratio of two numbers and what is asked of it."""

    label: str
    value: float
    goal: float | None = None
    sense: Literal["at least", "at most"] = "at least"

    @property
    def met(self) -> bool | None:
        """Tell whether the goal is met; None without one."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.sense == "at least" else self.value <= self.goal


@dataclass(slots=True)
class Report:
    """The answer to one question: ``series[case][competitor]`` are raw numbers in ``unit``."""

    unit: str = "ns"
    series: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    ratios: list[Ratio] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, case: str, competitor: str, *values: float) -> None:
        """Append raw numbers of a competitor to a case."""
        self.series.setdefault(case, {}).setdefault(competitor, []).extend(values)

    def median(self, case: str, competitor: str) -> float | None:
        """Return a median, or None where the competitor did not take part."""
        values = self.series.get(case, {}).get(competitor)
        return statistics.median(values) if values else None

    def compare(
        self,
        case: str,
        slow: str,
        fast: str,
        goal: float | None = None,
        *,
        label: str = "",
        sense: Literal["at least", "at most"] = "at least",
    ) -> None:
        """Note the ratio of two medians of one case, if both took part."""
        above, below = self.median(case, slow), self.median(case, fast)
        if above and below:
            text = label or f"{case}: {slow} / {fast}"
            self.ratios.append(Ratio(text, above / below, goal, sense))


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return count, median, p10, p90, p99 and the extremes."""
    ordered = sorted(values)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {
        "count": len(ordered),
        "median": statistics.median(ordered),
        "p10": at(0.1),
        "p90": at(0.9),
        "p99": at(0.99),
        "min": ordered[0],
        "max": ordered[-1],
    }


def alternate(competitors: Sequence[T], rounds: int) -> Iterator[tuple[int, T]]:
    """Yield (round, competitor), each competitor once per round, the first one changing."""
    for number in range(rounds):
        shift = number % len(competitors)
        for competitor in (*competitors[shift:], *competitors[:shift]):
            yield number, competitor


def machine() -> dict[str, Any]:
    """Describe the machine as far as it bears on the numbers."""
    cpu = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    memory = Path("/proc/meminfo").read_text().split("\n", 1)[0].split()[1]
    return {
        "cpu": cpu[0] if cpu else platform.machine(),
        "cpus": os.cpu_count(),
        "memory_mib": int(memory) // 1024,
        "kernel": platform.release(),
        "preemption": platform.version(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "load": os.getloadavg()[0],
    }


def debian_version(package: str) -> str:
    """Return the version of a Debian package, or "?"."""
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "?"


def write(report: Report, question: str, title: str, plan: Plan, folder: Path) -> Path:
    """Write a report with all its raw numbers as JSON; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{question}.json"
    body = {
        "question": title,
        "taken": time.strftime("%Y-%m-%d", time.gmtime()),
        "scale": plan.scale,
        "machine": machine(),
        "versions": report.versions,
        "unit": report.unit,
        "ratios": [{**asdict(ratio), "met": ratio.met} for ratio in report.ratios],
        "summary": {
            case: {name: summary(values) for name, values in by_name.items()}
            for case, by_name in report.series.items()
        },
        "facts": report.facts,
        "notes": report.notes,
        "raw": report.series,
    }
    file.write_text(_compact(body))
    return file


def _compact(body: dict[str, Any]) -> str:
    """Return JSON with one line per list of raw numbers."""
    raw = body.pop("raw")
    head = json.dumps(body, indent=1)
    lines = [
        f"  {json.dumps(case)}: {{\n"
        + ",\n".join(f"   {json.dumps(name)}: {json.dumps(values)}" for name, values in by.items())
        + "\n  }"
        for case, by in raw.items()
    ]
    return head[:-2] + ',\n "raw": {\n' + ",\n".join(lines) + "\n }\n}\n"


def show(report: Report, title: str) -> None:
    """Print a report for a human reader."""
    print(f"\n{title}")
    scale, unit = {"ns": (1e6, "ms"), "bytes": (2**20, "MiB")}.get(report.unit, (1, report.unit))
    for case, by_name in report.series.items():
        for name, values in by_name.items():
            line = summary(values)
            numbers = "  ".join(
                f"{key} {line[key] / scale:.3f}" for key in ("median", "p10", "p90", "p99")
            )
            print(f"  {case:34} {name:12} {numbers} {unit} (n={len(values)})")
    for ratio in report.ratios:
        goal = f"  ({ratio.sense} {ratio.goal:g})" if ratio.goal else ""
        met = {None: "", True: "  met", False: "  MISSED"}[ratio.met]
        print(f"  = {ratio.label}: {ratio.value:.2f} x{goal}{met}")
    for note in report.notes:
        print(f"  note: {note}")
    sys.stdout.flush()


def require(truth: object, text: str) -> None:
    """Refuse a wrong end state.

    Raises:
        WrongResultError: ``truth`` is false.
    """
    if not truth:
        raise WrongResultError(text)
