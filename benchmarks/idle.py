"""Measure where each byte of an idle connection goes, and whether it comes back.

    python benchmarks/idle.py
    python benchmarks/idle.py --quick
    python benchmarks/idle.py --servers ours-callback --json FILE --markdown FILE

See README.md beside this file for what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import building
from deflate_tables import amount
from idle_runs import DEFAULT, MOST, QUICK, SERVERS, Bench, Figures, Part, check_server
from inspecting import about
from page import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

# Of the lines of source; the rest adds up to little.
LINES = 25


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure idle connections.")
    parser.add_argument(
        "--quick", action="store_true", help="few connections: not to be believed"
    )
    parser.add_argument("--servers", help=f"of {', '.join(SERVERS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="all tables")
    found = parser.parse_args(argv)
    found.servers = found.servers.split(",") if found.servers else list(DEFAULT)
    try:
        for name in found.servers:
            check_server(name)
    except ValueError as error:
        parser.error(str(error))
    return found


def objects_table(figures: Figures) -> Table:
    """What one connection has, by type, and what that leaves unexplained."""
    rows = [
        [part.name, f"{part.count:.2f}", amount(part.size), amount(part.allocated)]
        for part in figures.objects
    ]
    resident = figures.resident["open"]
    rest = resident - figures.accounted
    rows += [
        ["accounted", "", "", amount(figures.accounted)],
        ["resident", "", "", amount(resident)],
        ["not accounted", "", "", f"{rest:.0f}"],
    ]
    return Table(
        f"{figures.server}: objects of an idle connection",
        f"Bytes for each of {figures.connections:,}; allocated: rounded up as the "
        "allocator does.",
        ["type", "objects", "bytes", "allocated"],
        rows,
    )


def lines_table(figures: Figures) -> Table:
    """Where they were allocated."""

    def row(part: Part) -> list[str]:
        return [part.name, f"{part.count:.2f}", amount(part.size)]

    return Table(
        f"{figures.server}: lines that allocate for an idle connection",
        "Bytes, and blocks, that are alive; the line of Python nearest to it.",
        ["line", "blocks", "bytes"],
        [row(part) for part in figures.lines[:LINES]],
    )


def moments_table(all_figures: Sequence[Figures]) -> Table:
    """Resident memory of idle connections by moment."""
    moments = list(all_figures[0].resident)
    return Table(
        "Resident bytes for each connection",
        "Since before they opened. Collected: after a full collection, which also "
        "empties the interpreter's free lists. Trimmed: glibc gave back what it could.",
        ["server", *moments],
        [[f.server, *(f"{f.resident[m]:.0f}" for m in moments)] for f in all_figures],
    )


def large_table(all_figures: Sequence[Figures]) -> Table:
    """Memory after a large message on each connection, by moment."""
    moments = list(all_figures[0].large)
    rows = [
        [f"{f.server}, {what}", *(f"{found[m] / 1024:.0f}" for m in moments)]
        for f in all_figures
        for what, found in (("resident", f.large), ("traced", f.large_traced))
    ]
    return Table(
        f"KiB in all after a message of 1 MiB on each of "
        f"{all_figures[0].large_connections} connections",
        "Traced: what Python has allocated, by tracemalloc, in another run.",
        ["", *moments],
        rows,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and tell; 0."""
    options = _arguments(argv)
    machine = about()
    print(machine)
    bench = Bench(building.build(), QUICK if options.quick else MOST)
    found: list[Figures] = []
    tables: list[Table] = []
    for name in options.servers:
        figures = bench.measure(name)
        found.append(figures)
        tables += [objects_table(figures), lines_table(figures)]
    tables += [moments_table(found), large_table(found)]
    for table in tables:
        table.show()
    if options.json:
        told = {"about": machine, "servers": [figures.as_json() for figures in found]}
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        text = "\n".join([f"{machine}.\n", *(table.as_markdown() for table in tables)])
        options.markdown.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except building.RigError as error:
        sys.exit(f"idle: {error}")
