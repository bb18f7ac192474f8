"""The tables of the documents, derived from the results and from nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from benchmarks.harness import IN_A_ROW

if TYPE_CHECKING:
    from pathlib import Path

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"


def derive(results: Path, *, asked: bool = False) -> str:
    """Return the table in Markdown: what was compared, the ratios, and what was asked for.

    ``asked``: only what something is asked of.
    """
    lines = ["| question | measured | in a row | asked for |", "|---|---|---|---|"]
    for file in sorted(results.glob("*.json")):
        ratios = {ratio["label"]: ratio for ratio in json.loads(file.read_text())["ratios"]}
        for label, ratio in ratios.items():
            if label.endswith(IN_A_ROW) or (asked and ratio["goal"] is None):
                continue
            row = ratios.get(label + IN_A_ROW)
            shown = _measured(ratio), _measured(row) if row else "", _goal(ratio)
            lines.append(f"| {label} | {' | '.join(shown)} |")
    return "\n".join(lines)


def insert(text: str, file: Path) -> None:
    """Replace what is between the two markers of a file.

    Raises:
        ValueError: the markers are not there.
    """
    before, found, rest = file.read_text().partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise ValueError(f"{file}: no {BEGIN} ... {END}")
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _measured(ratio: dict[str, Any]) -> str:
    value = float(ratio["value"])
    text = (
        f"{value:.1f} x"
        if 1 <= value < 100
        else f"{value:.2g} x"
        if value < 1
        else f"{value:.0f} x"
    )
    return text if ratio["met"] is not False else f"{text} (missed)"


def _goal(ratio: dict[str, Any]) -> str:
    if ratio["goal"] is None:
        return ""
    return f"{ratio['sense']} {float(ratio['goal']):g} x"
