"""Measure WebSocket servers against a floor in C and against each other.

    python benchmarks/run.py --quick
    python benchmarks/run.py --cells 100x128x1,memory --servers floor,ours-callback

See README.md beside this file for what the figures mean.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import charts
from building import RigError
from cells import CELLS, QUICK_CELLS, QUICK_SERVERS, SERVERS
from runner import add_options, measure, settle

if TYPE_CHECKING:
    from collections.abc import Sequence


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure WebSocket servers.")
    add_options(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="every sample")
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="an SVG of the ratios; that of the memory has -memory in its name",
    )
    found = parser.parse_args(argv)
    cells, servers = (QUICK_CELLS, QUICK_SERVERS) if found.quick else (CELLS, SERVERS)
    settle(parser, found, cells, servers)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; what `Results.status` says of it."""
    options = _arguments(argv)
    if options.plot:
        charts.check()
    results = measure(options, options.json)
    if options.plot:
        charts.plot(results, options.plot)
    return results.status(quick=options.quick)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RigError as error:
        sys.exit(f"benchmarks: {error}")
