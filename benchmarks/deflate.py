"""Measure what compression costs: zlib, zlib-ng and ISA-L, with a context and without.

    python benchmarks/deflate.py
    python benchmarks/deflate.py --quick
    python benchmarks/deflate.py --json FILE --markdown FILE --plot docs/deflate.svg

Messages go through trio_fastws' own contexts, so it must be installed; the plot needs
matplotlib. See README.md beside this file for what the figures mean.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deflate_runs import SIZES, Bench
from deflate_tables import (
    levels_table,
    objects_table,
    plot,
    sizes_table,
    weights_table,
    windows_table,
)
from deflate_work import MODULES, load

import trio_fastws

if TYPE_CHECKING:
    from collections.abc import Sequence

    from page import Table


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure what compression costs.")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer sizes and rounds: not to be believed",
    )
    parser.add_argument("--rounds", type=int, help="median of so many (7; quick: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="all tables")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="an SVG")
    found = parser.parse_args(argv)
    if found.rounds is None:
        found.rounds = 1 if found.quick else 7
    if found.rounds < 1:
        parser.error(f"--rounds is {found.rounds}; it must be over 0")
    return found


def _libraries() -> dict[str, str]:
    """Those that are installed, with their versions."""
    found: dict[str, str] = {}
    for name in MODULES:
        try:
            module = load(name)
        except ImportError:
            print(f"{name} is not installed: pip install trio-fastws[deflate]")
            continue
        version = getattr(module, "ZLIBNG_VERSION", None)
        if name == "zlib":
            version = module.ZLIB_RUNTIME_VERSION
        found[name] = version or metadata.version(name)
    return found


def _about(libraries: dict[str, str]) -> str:
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    versions = ", ".join(f"{name} {version}" for name, version in libraries.items())
    ours = "compiled" if trio_fastws.COMPILED else "pure Python, not compiled"
    return (
        f"{cpu[0] if cpu else platform.machine()}, Python {platform.python_version()}, "
        f"{versions}, trio_fastws {ours}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and tell; 0."""
    options = _arguments(argv)
    libraries = _libraries()
    about = _about(libraries)
    print(about)
    # On one core: what moves to another finds empty caches there.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    bench = Bench(list(libraries), options.rounds, 50 if options.quick else 1000)
    told: dict[str, Any] = {"about": about}
    tables: list[Table] = []

    def tell(name: str, figures: Sequence[Any], *found: Table) -> None:
        told[name] = [figure.as_json() for figure in figures]
        tables.extend(found)
        for table in found:
            table.show()

    sizes = SIZES[:2] if options.quick else SIZES
    by_size = bench.sizes(sizes)
    tell("sizes", by_size, *(sizes_table(by_size, size) for size in sizes))
    for size in (1024,) if options.quick else (1024, 16 * 1024):
        levels = bench.levels(size)
        tell(f"levels {size}", levels, levels_table(levels, size))
    windows = bench.windows()
    tell("windows", windows, windows_table(windows))
    made = bench.objects_made()
    tell("objects", made, objects_table(made))
    weights = bench.weights()
    tell("memory", weights, weights_table(weights))

    if options.json:
        options.json.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        text = "\n".join([f"{about}.\n", *(table.as_markdown() for table in tables)])
        options.markdown.write_text(text, encoding="utf-8")
    if options.plot:
        ours = [figure for figure in by_size if not figure.setting.raw]
        plot(ours, about, options.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
