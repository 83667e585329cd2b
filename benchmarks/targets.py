"""What is to be reached, and whether a run has reached it."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from page import Table
from tables import amount, late

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from results import Results
    from tables import Row


@dataclass(frozen=True, slots=True)
class Target:
    """One figure of one server in a cell, and its bound.

    Attributes:
        figure: What is compared; a key of `FIGURES`.
        bound: The least that will do; for what should be small, the most.
    """

    cell: str
    server: str
    figure: str
    bound: float


@dataclass(frozen=True, slots=True)
class Figure:
    """How a figure is made of a row.

    Attributes:
        words: For the table.
        values: One for each round, or one of all; none if it was not measured.
        small: Whether less is better.
        show: How a value is written.
    """

    words: str
    values: Callable[[Row], Sequence[float]]
    small: bool
    show: Callable[[float], str]


def _two(value: float) -> str:
    return f"{value:.2f}"


def _of_memory(*moments: str) -> Callable[[Row], Sequence[float]]:
    # Of two moments, the second as a ratio to the first.
    def values(row: Row) -> Sequence[float]:
        found = [row.memory[moment] for moment in moments if moment in row.memory]
        if len(found) < len(moments) or not all(found):
            return ()
        return [found[0]] if len(found) == 1 else [found[1] / found[0]]

    return values


FIGURES = {
    "ratio": Figure("ratio to floor", lambda r: r.ratios.get("floor", ()), False, _two),
    "rate": Figure("per CPU-s", lambda r: [s.rate for s in r.believed], False, amount),
    "p99/p50": Figure(
        "p99 / p50", lambda r: [s.p99_us / s.p50_us for s in r.believed], True, _two
    ),
    "worst/median": Figure(
        "worst / median connection",
        lambda r: [s.worst_mean for s in r.believed],
        True,
        _two,
    ),
    "late": Figure(
        "ms late, p99", lambda r: [late([s], "p99") for s in r.believed], True, _two
    ),
    "open": Figure("KiB, open", _of_memory("open"), True, _two),
    "echoed": Figure("KiB, after an echo", _of_memory("echoed"), True, _two),
    "again": Figure(
        "KiB open for the second time / the first",
        _of_memory("open", "open again"),
        True,
        _two,
    ),
}


def _both(cell: str, figure: str, callback: float, task: float) -> Iterator[Target]:
    yield Target(cell, "ours-callback", figure, callback)
    yield Target(cell, "ours-async", figure, task)


TARGETS = (
    *_both("1x32x1", "ratio", 0.80, 0.70),
    *_both("100x128x1", "ratio", 0.95, 0.55),
    *_both("1000x128x1", "ratio", 0.90, 0.42),
    *_both("1000x1024x1", "ratio", 0.85, 0.45),
    *_both("100x128x16", "ratio", 0.65, 0.10),
    *_both("100x16384x1", "ratio", 0.85, 0.60),
    *_both("10x1048576x1", "ratio", 0.90, 0.85),
    *_both("100x128x1-text", "ratio", 0.85, 0.50),
    *_both("1000x128x1:deflate", "ratio", 0.65, 0.45),
    *_both("100x128x16", "p99/p50", 3.0, 3.0),
    *_both("1000x128x1", "worst/median", 3.0, 3.0),
    *_both("100x128x16", "worst/median", 3.0, 3.0),
    # 35 k was asked for where the floor reached 62 k; the ratio is what carries over.
    Target("handshake", "ours-callback", "rate", 35_000),
    Target("handshake", "ours-callback", "ratio", 0.56),
    Target("broadcast", "ours-callback", "ratio", 1.0),
    *_both("sleeper:1000x128x1", "late", 5.0, 5.0),
    *_both("sleeper:100x128x16", "late", 5.0, 5.0),
    *_both("sleeper:100x128x1+1x128x512", "late", 5.0, 5.0),
    *_both("sleeper:100x128x1+1x128x1-slow", "late", 5.0, 5.0),
    *_both("memory", "open", 0.6, 4.0),
    *_both("memory", "echoed", 0.6, 4.0),
    *_both("memory", "again", 1.1, 1.1),
    Target("memory:deflate-takeover", "ours-callback", "echoed", 10.0),
    Target("memory:deflate-takeover", "ours-callback+window", "echoed", 10.0),
)


def _outcome(target: Target, row: Row | None) -> list[str]:
    """The figure, how far its rounds lie apart, and whether it will do."""
    if row is None:
        return ["-", "-", "not measured"]
    if row.failed:
        return ["-", "-", row.note.partition(":")[0]]
    figure = FIGURES[target.figure]
    values = figure.values(row)
    if not values:
        return ["-", "-", "nothing to compare with"]
    value = median(values)
    met = value <= target.bound if figure.small else value >= target.bound
    spread = f"{figure.show(min(values))} to {figure.show(max(values))}"
    return [
        figure.show(value),
        spread if len(values) > 1 else "-",
        "yes" if met else "no",
    ]


def targets_table(results: Results) -> Table:
    """Every target, with what a run has to say to it."""
    rows: list[list[str]] = []
    for target in TARGETS:
        figure = FIGURES[target.figure]
        sign = "<=" if figure.small else ">="
        rows.append(
            [
                f"`{target.cell}`, {target.server}: {figure.words}",
                f"{sign} {figure.show(target.bound)}",
                *_outcome(target, results.row(target.cell, target.server)),
            ]
        )
    return Table(
        "Targets",
        "The median of the rounds, and the lowest and the highest of them. 35 k "
        "handshakes were asked for where the floor reached 62 k, which is the 0.56 of "
        "the row below.",
        ["row", "target", "figure", "spread", "met?"],
        rows,
    )
