"""Measure everything the performance page tells, and write it there.

    python benchmarks/report.py                     # most of an hour
    python benchmarks/report.py --quick --page /tmp/page.md
    python benchmarks/report.py --from build/performance.json     # only writes

The page keeps its prose: only what stands between its markers is replaced, and the
pictures beside it. A section of the page that is named after another program in this
directory, ``deflate.py`` for example, gets what that writes with ``--markdown FILE``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import charts
from building import HERE, RigError
from cells import CELLS, SERVERS
from page import Table, replace_section, sections, split_page
from report_tables import about, latency_table, memory_table, rates_table, sleeper_table
from results import Results
from runner import add_options, measure, settle
from targets import targets_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# The page tells of a task that takes all there is, too, and of the other way to keep a
# context.
REPORT_SERVERS = (*SERVERS, "ours-nowait", "ours-callback+window")
# One of each kind, so that every table has rows and every program has run.
QUICK_CELLS = (
    "100x128x1",
    "100x128x16",
    "handshake",
    "broadcast:100",
    "sleeper:idle",
    "sleeper:100x128x16",
    "memory:200",
)
QUICK_SERVERS = ("floor", "trio_websocket", "ours-callback", "ours-async")
TABLES: Mapping[str, Callable[[Results], Table]] = {
    "targets": targets_table,
    "rates": rates_table,
    "latency": latency_table,
    "sleeper": sleeper_table,
    "memory": memory_table,
}


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure, and write the page.")
    add_options(parser)
    parser.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="FILE",
        help="do not measure: take the figures of an earlier run",
    )
    parser.add_argument(
        "--json",
        type=Path,
        metavar="FILE",
        default=HERE.parent / "build" / "performance.json",
        help="where the figures are kept (build/performance.json)",
    )
    parser.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        default=HERE.parent / "docs" / "performance.md",
        help="a page with markers (docs/performance.md)",
    )
    found = parser.parse_args(argv)
    cells, servers = (
        (QUICK_CELLS, QUICK_SERVERS) if found.quick else (CELLS, REPORT_SERVERS)
    )
    settle(parser, found, cells, servers)
    return found


def check_page(path: Path) -> None:
    """Find out now, and not after an hour, that a page cannot be written.

    Raises:
        ValueError: A marker stands alone, or nothing goes between two of them.
        OSError: There is no such page.
    """
    for name in sections(path):
        if name not in {*TABLES, "about"} and not (HERE / name).is_file():
            raise ValueError(f"{path}: nothing is named {name}, as a marker says")
        split_page(path, name)


def write_page(results: Results, path: Path) -> None:
    """Put the tables of a run into a page, and the pictures beside it."""
    texts = {name: make(results).as_markdown() for name, make in TABLES.items()}
    texts["about"] = about(results)
    for name in sections(path):
        if name in texts:
            replace_section(path, name, texts[name])
    charts.plot(results, path.with_suffix(".svg"))


def run_others(path: Path, quick: bool) -> None:
    """Fill the sections that are named after a program, by running it.

    Raises:
        RigError: There is none of that name, or it failed.
    """
    for name in sections(path):
        if not name.endswith(".py"):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            told = Path(scratch) / "section.md"
            command = [sys.executable, str(HERE / name), "--markdown", str(told)]
            done = subprocess.run(command + ["--quick"] * quick, check=False)
            if done.returncode or not told.exists():
                raise RigError(f"{name} failed; its section is as it was")
            replace_section(path, name, told.read_text(encoding="utf-8"))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write; what `Results.status` says of the figures."""
    options = _arguments(argv)
    check_page(options.page)
    found = Results.load(options.source) if options.source else None
    charts.check()
    if found is not None:
        write_page(found, options.page)
        return 0
    options.json.parent.mkdir(parents=True, exist_ok=True)
    results = measure(options, options.json)
    write_page(results, options.page)
    run_others(options.page, options.quick)
    return results.status(quick=options.quick)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RigError, ValueError, OSError) as error:
        sys.exit(f"benchmarks: {error}")
