"""Take the golden records: record.py DIRECTORY_OF_REFERENCE_PLUGINS [CASE...]."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import table_bandwidth
import table_bridge
import table_interfaces
import table_kinds
import table_others
import table_sbr
import table_tuning

import golden
from helpers.node import Node
from helpers.plugin import BinaryRunner
from helpers.record import life, refusal


def main(directory: str, *wanted: str) -> None:
    """Record every case, or the wanted ones, with the plugins in a directory."""
    runner = BinaryRunner("reference", directory)
    for table, scenario in (
        (table_bridge.LIVES, life),
        (table_others.LIVES, life),
        (table_bandwidth.LIVES, life),
        (table_tuning.LIVES, life),
        (table_sbr.LIVES, life),
        (table_interfaces.LIVES, life),
        (table_kinds.LIVES, life),
        (table_bridge.REFUSED, refusal),
        (table_others.REFUSED, refusal),
        (table_bandwidth.REFUSED, refusal),
        (table_tuning.REFUSED, refusal),
        (table_sbr.REFUSED, refusal),
        (table_interfaces.REFUSED, refusal),
        (table_kinds.REFUSED, refusal),
    ):
        for case in table:
            if wanted and case.name not in wanted:
                continue
            node = Node()
            node.open()
            try:
                golden.store(case.name, scenario(node, case, runner).lines)
            finally:
                node.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
