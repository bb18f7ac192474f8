"""The benchmarks as a program: every question can be asked, and every competitor does its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = 77


def _benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )


def _questions() -> list[str]:
    listed = _benchmarks("--list")
    assert listed.returncode == 0, listed.stderr
    return [line.split()[0] for line in listed.stdout.splitlines()]


@pytest.mark.parametrize("question", _questions())
def test_every_competitor_does_the_work(question: str) -> None:
    """Asked once, a question finds the end state of each competitor to be what it has to be."""
    done = _benchmarks("--once", question)
    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
    if "skipped: " in done.stdout or "left out: " in done.stdout:
        pytest.skip(done.stdout.strip())


@pytest.mark.parametrize("option", ["--list", "--table"])
def test_readers_that_have_had_enough(option: str) -> None:
    """Who reads no further gets no more, and no traceback, with the status of `cnifast`."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "benchmarks", option]
    with open(writer, "wb") as gone:
        done = subprocess.run(
            command, cwd=ROOT, stdout=gone, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_every_question_is_one() -> None:
    """The first docstring line of each file is the question it answers."""
    for file in sorted((ROOT / "benchmarks").glob("bench_*.py")):
        first = file.read_text().split("\n", 1)[0]
        assert first.startswith('"""'), file
        assert first.endswith('?"""'), file


def test_the_table_comes_from_the_results_alone(tmp_path: Path) -> None:
    """Without results there is a table without rows."""
    done = _benchmarks("--table", "--results", str(tmp_path))
    head = "| question | measured | in a row | asked for |"
    assert done.stdout.strip().splitlines() == [head, "|---|---|---|---|"]
