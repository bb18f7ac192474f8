"""The README's table, derived from the results and from nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def derive(results: Path) -> str:
    """Return the table in Markdown: what was compared, the ratio, and what was asked for."""
    lines = ["| question | measured | asked for |", "|---|---|---|"]
    for file in sorted(results.glob("*.json")):
        lines += [
            f"| {ratio['label']} | {_measured(ratio)} | {_goal(ratio)} |"
            for ratio in json.loads(file.read_text())["ratios"]
        ]
    return "\n".join(lines)


def insert(text: str, readme: Path) -> None:
    """Replace what is between the two markers of a file.

    Raises:
        ValueError: the markers are not there.
    """
    before, found, rest = readme.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{readme}: no {BEGIN} ... {END}")
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _measured(ratio: dict[str, float | str | bool | None]) -> str:
    value = float(ratio["value"] or 0)
    text = f"{value:.1f} x" if value < 100 else f"{value:.0f} x"
    return text if ratio["met"] is not False else f"{text} (missed)"


def _goal(ratio: dict[str, float | str | bool | None]) -> str:
    if ratio["goal"] is None:
        return ""
    return f"{ratio['sense']} {float(ratio['goal']):g} x"
