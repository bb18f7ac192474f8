"""The procedure behind the questions about calls inside a process.

Each competitor measures itself in a process of its own, in short blocks that alternate: Python
libraries by pytest-benchmark (functions ``test_CASE`` of a module in targets/), the bare C
program by its own clock. A block of no rounds does its work once and leaves the result, to be
looked at.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from benchmarks.harness import SETTLE, SkippedError, require
from benchmarks.node import PATH

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_benchmark.fixture import BenchmarkFixture

    from benchmarks.node import Node

T = TypeVar("T")
POD = "/run/netns/pod0"
ROUNDS = "CNIFAST_BENCH_ROUNDS"
WARM_UP = 3
BLOCK = 10
TARGETS = Path(__file__).resolve().parent / "targets"
JSON = "/run/benchmark.json"
OPTIONS = (
    *("-q", "-p", "no:cacheprovider", "-o", "addopts=", "-o", "filterwarnings="),
    *("--benchmark-disable-gc", f"--benchmark-json={JSON}"),
)


def need(*modules: str) -> None:
    """Insist on Python modules.

    Raises:
        SkippedError: one is not installed.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise SkippedError(f"{module} is not installed")


def block(node: Node, target: str, case: str, count: int) -> list[float]:
    """Run ``test_CASE`` of targets/TARGET.py in the node; return nanoseconds of each round."""
    env = {
        "PATH": PATH,
        "PYTHONPATH": str(TARGETS.parent.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        ROUNDS: str(count),
    }
    file = f"{TARGETS / target}.py::test_{case}"
    done = node.call([sys.executable, "-m", "pytest", *OPTIONS, file], env)
    require(done.exit_code == 0, f"{target}: {done.out.decode(errors='replace')}")
    (result,) = json.loads(node.path(JSON).read_text())["benchmarks"]
    return [seconds * 1e9 for seconds in result["stats"]["data"]]


def rounds() -> int:
    """Return, inside a competitor, how many rounds to do; 0 means once, and leave the result."""
    return int(os.environ[ROUNDS])


def measure(
    benchmark: BenchmarkFixture, work: Callable[[], None], undo: Callable[[], None]
) -> None:
    """Measure ``work``; ``undo`` is outside of it and leaves the kernel with nothing to do."""
    if rounds():
        repeat(benchmark, work, rounds=rounds(), warmup_rounds=WARM_UP, teardown=undo)
    else:
        repeat(benchmark, work, rounds=1)


def repeat(benchmark: BenchmarkFixture, work: Callable[[], T], **options: Any) -> T:
    """Call ``benchmark.pedantic``, which has no types."""
    last: T = benchmark.pedantic(work, **options)  # type: ignore[no-untyped-call]
    return last


def settle() -> None:
    """Wait for the kernel to finish what a deletion left behind."""
    time.sleep(SETTLE)


def must(truth: object, text: str) -> None:
    """Fail a competitor that did not do its work."""
    if not truth:
        raise AssertionError(text)
