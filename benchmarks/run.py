"""Measure WebSocket servers against a floor in C and against each other.

    python benchmarks/run.py --quick
    python benchmarks/run.py --cells 100x128x1,memory --servers floor,ours-callback

See README.md beside this file for what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rig
from cells import (
    CELLS,
    MORE_SERVERS,
    QUICK_CELLS,
    QUICK_SERVERS,
    SERVERS,
    VARIANTS,
    Cell,
    check_server,
    parse_cell,
)
from measure import Rig, Sample
from tables import Row, compare, table

if TYPE_CHECKING:
    from collections.abc import Sequence

PEERS = ("trio", "trio-websocket", "websockets", "aiohttp", "picows", "uvloop")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure WebSocket servers.")
    parser.add_argument(
        "--quick", action="store_true", help="few cells and servers, short rounds"
    )
    parser.add_argument(
        "--cells", help=f"of {', '.join(CELLS)}; or any CxPxD[-text][:deflate]"
    )
    parser.add_argument(
        "--servers",
        help=f"of {', '.join([*SERVERS, *MORE_SERVERS])}; ours may have +WORD behind "
        f"them, of {', '.join(VARIANTS)}",
    )
    parser.add_argument("--rounds", type=int, help="of each server (5; quick: 2)")
    parser.add_argument("--seconds", type=float, help="a window (2; quick: 0.4)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every sample")
    parser.add_argument(
        "--nice", type=int, default=0, help="priority; below 0 needs to be root"
    )
    found = parser.parse_args(argv)
    quick = found.quick
    cells = found.cells.split(",") if found.cells else QUICK_CELLS if quick else CELLS
    try:
        found.cells = [parse_cell(name) for name in cells]
        default = QUICK_SERVERS if quick else SERVERS
        found.servers = found.servers.split(",") if found.servers else list(default)
        for name in found.servers:
            check_server(name)
    except ValueError as error:
        parser.error(str(error))
    found.rounds = found.rounds or (2 if quick else 5)
    found.seconds = found.seconds or (0.4 if quick else 2.0)
    if found.rounds < 1 or found.seconds <= 0:
        parser.error("--rounds and --seconds must be over 0")
    return found


def _version(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} missing"


def _describe() -> dict[str, Any]:
    """Machine and versions; whether our hot modules are compiled."""
    asked = subprocess.run(
        [sys.executable, "-c", "import trio_fastws as t; print(t.COMPILED)"],
        cwd=rig.HERE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    return {
        "cpu": cpu[0] if cpu else platform.processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "peers": [_version(name) for name in PEERS],
        "trio_fastws": {"True": "compiled", "False": "pure Python, not compiled"}.get(
            asked.stdout.strip(), "does not import"
        ),
    }


class Runner:
    """Runs the servers of a cell side by side, one at a time under load."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._built = rig.build()
        self._places = rig.Places.choose(options.nice)
        self._servers: list[str] = options.servers
        self._rounds: int = options.rounds
        warmup = min(0.3, options.seconds / 3)
        self._rig = Rig(self._built["loadgen"], self._places, options.seconds, warmup)

    def run(self, cell: Cell) -> list[Row]:
        """Measure a cell."""
        return self._memory(cell) if cell.kind == "memory" else self._rates(cell)

    def _able(self, cell: Cell) -> list[str]:
        return [name for name in self._servers if cell.takes(name)]

    def _start(self, name: str, cell: Cell, stack: ExitStack) -> rig.Server:
        command = rig.server_command(name, self._built, cell.mode, cell.deflate)
        server = rig.Server(command, self._places)
        stack.callback(server.stop)
        return server

    def _rates(self, cell: Cell) -> list[Row]:
        """Interleave the servers: each round loads every one once.

        They all stay up during the cell; one without connections only sleeps.
        """
        failed: dict[str, str] = {}
        names = self._able(cell)
        found: dict[str, list[Sample]] = {name: [] for name in names}
        with ExitStack() as stack:
            servers = {name: self._start(name, cell, stack) for name in names}
            for name, server in servers.items():
                try:
                    server.wait()
                except rig.RigError as error:
                    failed[name] = f"did not start: {error}"
            for turn in range(self._rounds):
                # Begin with another one each time, so that none is always first.
                shift = turn % max(1, len(names))
                for name in names[shift:] + names[:shift]:
                    if name in failed:
                        continue
                    try:
                        found[name].append(self._rig.rate(cell, servers[name]))
                    except (rig.RigError, OSError) as error:
                        failed[name] = f"failed: {error}"
        return compare(found, failed)

    def _memory(self, cell: Cell) -> list[Row]:
        rows: list[Row] = []
        for name in self._able(cell):
            with ExitStack() as stack:
                try:
                    server = self._start(name, cell, stack)
                    server.wait()
                    found = self._rig.memory(cell, server)
                    rows.append(Row(name, memory=found))
                except (rig.RigError, OSError) as error:
                    rows.append(Row(name, note=f"failed: {error}"))
        return rows


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; 1 if some server has no figure in some cell."""
    options = _arguments(argv)
    about = _describe()
    print(f"{about['cpu']}, {about['cores']} cores, Python {about['python']}")
    print(f"{', '.join(about['peers'])}; trio_fastws: {about['trio_fastws']}")
    started = time.monotonic()
    runner = Runner(options)
    missing = False
    cells: list[dict[str, Any]] = []
    for cell in options.cells:
        rows = runner.run(cell)
        print(f"\n{table(cell, rows)}", flush=True)
        missing |= any(not row.believed and not row.memory for row in rows)
        cells.append({"cell": cell.name, "rows": [row.as_json() for row in rows]})
        if options.json:
            text = json.dumps({"about": about, "cells": cells}, indent=1)
            options.json.write_text(text + "\n", encoding="utf-8")
    print(f"\n{time.monotonic() - started:.0f} s")
    return int(missing)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except rig.RigError as error:
        sys.exit(f"benchmarks: {error}")
