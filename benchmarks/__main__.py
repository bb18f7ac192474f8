"""`python -m benchmarks`: ask all questions, or those named, and keep the answers."""

from __future__ import annotations

import argparse
import ast
import importlib
import os
import sys
from pathlib import Path

from benchmarks import harness, node, table

HERE = Path(__file__).resolve().parent
EXIT_BROKEN_PIPE = 128 + 13  # as if SIGPIPE had ended it


def questions() -> dict[str, str]:
    """Return the questions: name and text, the first line of each file's docstring."""
    found = {}
    for file in sorted(HERE.glob("bench_*.py")):
        text = ast.get_docstring(ast.parse(file.read_text())) or ""
        found[file.stem.removeprefix("bench_")] = text.split("\n", 1)[0]
    return found


def ask(name: str, title: str, plan: harness.Plan, folder: Path) -> bool:
    """Ask one question, show and keep the answer; return whether every end state was right."""
    module = importlib.import_module(f"benchmarks.bench_{name}")
    try:
        report: harness.Report = module.run(plan)
    except harness.SkippedError as reason:
        print(f"\n{title}\n  skipped: {reason}")
        return True
    except (harness.WrongResultError, node.NodeError) as error:
        print(f"\n{title}\n  FAILED: {error}")
        return False
    if plan.once:
        done = sorted({who for by_name in report.series.values() for who in by_name})
        print(f"{name}: right for {', '.join(done) or 'nobody'}", *report.notes, sep="; ")
    else:
        harness.show(report, title)
        harness.write(report, name, title, plan, folder)
    return True


def say(text: str) -> int:
    """Print a text; return the exit status, which is another one when nobody reads any more."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Nothing is to be written at exit, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), 1)
        return EXIT_BROKEN_PIPE
    return 0


def main() -> int:
    """Run the command line; return the exit status."""
    known = questions()
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("question", nargs="*", help=f"of: {', '.join(known)} (all)")
    parser.add_argument("--once", action="store_true", help="each call once, only for correctness")
    parser.add_argument("--scale", type=float, default=1.0, help="multiply the number of rounds")
    parser.add_argument("--results", type=Path, default=harness.RESULTS, metavar="DIR")
    parser.add_argument("--list", action="store_true", help="only print the questions")
    parser.add_argument("--table", action="store_true", help="only derive the table")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put the table into FILE")
    parser.add_argument("--asked", action="store_true", help="only what something is asked of")
    options = parser.parse_args()
    unknown = set(options.question) - set(known)
    if unknown:
        parser.error(f"no such question: {', '.join(sorted(unknown))}")

    if options.list:
        return say("\n".join(f"{name:16} {title}" for name, title in known.items()))
    right = True
    if not options.table:
        reason = node.why_not()
        if reason:
            print(f"skipped: {reason}")
            return 77
        plan = harness.Plan(options.once, options.scale)
        for name in options.question or known:
            right &= ask(name, known[name], plan, options.results)
    if not options.once:
        text = table.derive(options.results, asked=options.asked)
        if options.into:
            table.insert(text, options.into)
        return say(f"\n{text}") or int(not right)
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())
