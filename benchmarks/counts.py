"""Count what a message costs: system calls, switches, turns, instructions, memory.

    python benchmarks/counts.py
    python benchmarks/counts.py --quick
    python benchmarks/counts.py --passes syscalls,turns --cells 100x128x1,handshake
    python benchmarks/counts.py --servers ours-async --json FILE --markdown FILE

Needs strace and valgrind. See README.md beside this file for what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import building
import rig
from cells import Cell, check_server, parse_cell
from counts_meters import METERS, Meter
from counts_tables import Row, tables
from inspecting import about

if TYPE_CHECKING:
    from collections.abc import Sequence

CELLS = (
    "1x32x1",
    "100x128x1",
    "1000x128x1",
    "100x128x16",
    "100x16384x1",
    "10x1048576x1",
    "1000x128x1:deflate",
    "handshake",
)
QUICK_CELLS = ("10x128x1",)
SERVERS = ("floor", "ours-callback", "ours-async", "ours-nowait")
QUICK_SERVERS = ("ours-callback", "ours-async")
# Messages of the smaller of two runs under valgrind: so many bytes, and at least so
# many in all and for each that is in flight.
BYTES = 32 * 1024 * 1024
FEWEST = 500
FEWEST_EACH = 3
QUICK_FEWEST = 600
# The server closes its side of a connection when the generator has left.
SETTLE_SECONDS = 0.3


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    meters = [meter.name for meter in METERS]
    parser = argparse.ArgumentParser(description="Count what a message costs.")
    parser.add_argument(
        "--quick", action="store_true", help="one cell, few messages: for CI"
    )
    parser.add_argument("--passes", help=f"of {', '.join(meters)}")
    parser.add_argument(
        "--cells", help=f"of {', '.join(CELLS)}; or any CxPxD[-text][:deflate]"
    )
    parser.add_argument("--servers", help=f"of {', '.join(SERVERS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="tables")
    found = parser.parse_args(argv)
    cells = QUICK_CELLS if found.quick else CELLS
    servers = QUICK_SERVERS if found.quick else SERVERS
    passes = found.passes.split(",") if found.passes else meters
    found.servers = found.servers.split(",") if found.servers else list(servers)
    try:
        found.cells = [
            _check_cell(name)
            for name in (found.cells.split(",") if found.cells else cells)
        ]
        for name in found.servers:
            _check_server(name)
        found.meters = [_find_meter(name) for name in passes]
    except ValueError as error:
        parser.error(str(error))
    return found


def _find_meter(name: str) -> type[Meter]:
    meters = {meter.name: meter for meter in METERS}
    if name not in meters:
        raise ValueError(f"no pass {name!r}: there are {', '.join(meters)}")
    return meters[name]


def _check_cell(name: str) -> Cell:
    cell = parse_cell(name)
    if cell.kind not in {"echo", "handshake"}:
        raise ValueError(f"no cell {name!r} here: only echoes and handshakes")
    return cell


def _check_server(name: str) -> None:
    check_server(name)
    if name != "floor" and not name.startswith("ours-"):
        raise ValueError(f"no server {name!r} here: only floor and ours")


class Bench:
    """Loads servers with a number of messages, again and again."""

    def __init__(self, built: dict[str, Path], fewest: int) -> None:
        self._built = built
        self._places = rig.Places.choose()
        self._fewest = fewest

    def run(self, meter: type[Meter], server: str, cells: Sequence[Cell]) -> list[Row]:
        """Count in all cells that one server can run in."""
        rows: list[Row] = []
        for deflate in sorted({cell.deflate for cell in cells}):
            with closing(meter(server, self._built, deflate)) as running:
                rows += [
                    self._count(running, server, cell)
                    for cell in cells
                    if cell.deflate == deflate
                ]
        return rows

    def _count(self, meter: Meter, server: str, cell: Cell) -> Row:
        """Count in a run, and in one that is three times as long.

        What the difference of messages has cost is free of what opening and closing
        the connections cost.
        """
        few = self._messages(cell) * meter.scale
        self._load(meter, cell, few)
        first, before = meter.count(lambda: self._load(meter, cell, few))
        second, after = meter.count(lambda: self._load(meter, cell, 3 * few))
        after.subtract(before)
        return Row(meter.name, server, cell, second - first, after)

    def _messages(self, cell: Cell) -> int:
        most = max(BYTES // cell.payload, 3 * cell.connections)
        flying = cell.connections * cell.depth * FEWEST_EACH
        return min(max(self._fewest, flying), most)

    def _load(self, meter: Meter, cell: Cell, count: int) -> int:
        """Have so many messages echoed, or some more; return how many.

        What is on its way at the end is not counted, here and in a longer run alike.
        """
        options = [*cell.options(), "--count", str(count), "--seconds", "300"]
        generator = rig.Generator(
            self._built["loadgen"],
            meter.server,
            self._places,
            [*options, "--warmup", "0"],
        )
        try:
            outcome = generator.read(400)
            generator.wait(10)
        finally:
            generator.stop()
        time.sleep(SETTLE_SECONDS)
        if outcome.errors or outcome.event != "done":
            raise building.RigError(f"{cell.name}: {outcome.first_error}")
        return outcome.messages


def main(argv: Sequence[str] | None = None) -> int:
    """Count and tell; 0."""
    options = _arguments(argv)
    for meter in options.meters:
        meter.check()
    machine = about()
    print(machine)
    bench = Bench(building.build(), QUICK_FEWEST if options.quick else FEWEST)
    rows: list[Row] = []
    told: list[str] = [f"{machine}.\n"]
    for meter in options.meters:
        found = [
            row
            for server in options.servers
            if meter.takes(server)
            for row in bench.run(meter, server, options.cells)
        ]
        rows += found
        first, *functions = tables(meter.name, found)
        for table in (first, *functions):
            table.show()
        # Functions, a table for each row, are too many for a page.
        told.append(first.as_markdown())
    if options.json:
        report = {"about": machine, "rows": [row.as_json() for row in rows]}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text("\n".join(told), encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except building.RigError as error:
        sys.exit(f"counts: {error}")
