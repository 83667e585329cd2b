"""Runs cells: options of the command line, the servers side by side, the tables."""

from __future__ import annotations

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
from building import HERE, RigError, build
from cells import (
    CELLS,
    MORE_SERVERS,
    SERVERS,
    VARIANTS,
    YARDSTICKS,
    Cell,
    check_server,
    parse_cell,
)
from measure import Rig, Sample
from results import Results
from tables import Row, compare, table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

PEERS = ("trio", "trio-websocket", "websockets", "aiohttp", "picows", "uvloop")


def add_options(parser: argparse.ArgumentParser) -> None:
    """What every program that measures cells can be told."""
    parser.add_argument(
        "--quick", action="store_true", help="few cells and servers, short rounds"
    )
    parser.add_argument(
        "--cells",
        help=f"of {', '.join(CELLS)}; or any CxPxD[-text][:deflate], or "
        "sleeper:CxPxD[-slow][+CxPxD[-slow]]",
    )
    parser.add_argument(
        "--servers",
        help=f"of {', '.join([*SERVERS, *MORE_SERVERS])}; ours may have +WORD behind "
        f"them, of {', '.join(VARIANTS)}",
    )
    parser.add_argument("--rounds", type=int, help="of each server (5; quick: 2)")
    parser.add_argument("--seconds", type=float, help="a window (2; quick: 0.4)")
    parser.add_argument(
        "--nice", type=int, default=0, help="priority; below 0 needs to be root"
    )


def settle(
    parser: argparse.ArgumentParser,
    found: argparse.Namespace,
    cells: Sequence[str],
    servers: Sequence[str],
) -> None:
    """Check what was asked for; what was not becomes the default."""
    try:
        names = found.cells.split(",") if found.cells else cells
        found.cells = [parse_cell(name) for name in names]
        found.servers = found.servers.split(",") if found.servers else list(servers)
        for name in found.servers:
            check_server(name)
    except ValueError as error:
        parser.error(str(error))
    if found.rounds is None:
        found.rounds = 2 if found.quick else 5
    if found.seconds is None:
        found.seconds = 0.4 if found.quick else 2.0
    if found.rounds < 1 or found.seconds <= 0:
        parser.error("--rounds and --seconds must be over 0")


def _version(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} missing"


def _describe(options: argparse.Namespace) -> dict[str, Any]:
    """Machine and versions; whether our hot modules are compiled."""
    asked = subprocess.run(
        [sys.executable, "-c", "import trio_fastws as t; print(t.COMPILED)"],
        cwd=HERE.parent,
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
        "rounds": options.rounds,
        "seconds": options.seconds,
    }


class _Runner:
    """Runs the servers of a cell side by side, one at a time under load."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._built = build()
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
        if cell.kind == "sleeper":
            command.append("--sleeper")
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
        sleeper = cell.kind == "sleeper"
        measure = self._rig.sleeper if sleeper else self._rig.rate
        with ExitStack() as stack:
            servers = {name: self._start(name, cell, stack) for name in names}
            for name, server in servers.items():
                try:
                    server.wait()
                except RigError as error:
                    failed[name] = f"did not start: {error}"
            for turn in range(self._rounds):
                # Begin with another one each time, so that none is always first.
                shift = turn % max(1, len(names))
                for name in names[shift:] + names[:shift]:
                    if name in failed:
                        continue
                    try:
                        found[name].append(measure(cell, servers[name]))
                    except (RigError, OSError) as error:
                        failed[name] = f"failed: {error}"
        return compare(found, failed, () if sleeper else YARDSTICKS)

    def _memory(self, cell: Cell) -> list[Row]:
        rows: list[Row] = []
        for name in self._able(cell):
            with ExitStack() as stack:
                try:
                    server = self._start(name, cell, stack)
                    server.wait()
                    found = self._rig.memory(cell, server)
                    rows.append(Row(name, memory=found))
                except (RigError, OSError) as error:
                    rows.append(
                        Row(name, note=f"failed: {error}", failed=True, broken=True)
                    )
        return rows


def measure(options: argparse.Namespace, path: Path | None) -> Results:
    """Run all cells that were asked for, and tell of each as it is done.

    Args:
        options: As `settle` left them.
        path: Where the figures go, after each cell.
    """
    results = Results(_describe(options))
    print(results.title())
    started = time.monotonic()
    runner = _Runner(options)
    for cell in options.cells:
        rows = runner.run(cell)
        print(f"\n{table(cell, rows)}", flush=True)
        results.cells.append((cell, rows))
        if path:
            results.save(path)
    print(f"\n{time.monotonic() - started:.0f} s")
    return results
