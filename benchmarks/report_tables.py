"""The tables of the performance page: cells down, servers across."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from measure import DISTURBANCE
from page import Table
from tables import amount, late, middle

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cells import Cell
    from results import Results
    from tables import Row

RATES = ("echo", "broadcast", "handshake")


def _grid(
    results: Results, kinds: Sequence[str], show: Callable[[Cell, Row], str]
) -> tuple[list[str], list[list[str]]]:
    """Columns and rows; a dash where there is no figure."""
    found = list(results.of_kind(*kinds))
    order = results.servers()
    servers = {row.server for _, rows in found for row in rows}
    columns = [name for name in order if name in servers]
    body: list[list[str]] = []
    for cell, rows in found:
        told = {row.server: show(cell, row) for row in rows if not row.failed}
        body.append([f"`{cell.name}`", *(told.get(name, "-") for name in columns)])
    return ["", *columns], body


def rates_table(results: Results) -> Table:
    """Ratio to the floor, and what it is a ratio of."""

    def show(_: Cell, row: Row) -> str:
        ratio = row.ratio("floor")
        if row.server == "floor" or ratio is None:
            return amount(row.rate)
        return f"**{ratio:.2f}** ({amount(row.rate)})"

    columns, rows = _grid(results, RATES, show)
    return Table(
        "Rates",
        "Ratio to the floor in the same round and, in brackets, messages, deliveries "
        "or handshakes for each second of server CPU time; medians of the rounds.",
        columns,
        rows,
    )


def latency_table(results: Results) -> Table:
    """Microseconds to an answer, and how unequal connections are."""

    def show(cell: Cell, row: Row) -> str:
        times = [f"{middle(row.believed, name):.0f}" for name in ("p50_us", "p99_us")]
        worst = f"; {middle(row.believed, 'worst_mean'):.1f}"
        return " / ".join(times) + (worst if cell.connections > 1 else "")

    columns, rows = _grid(results, ["echo"], show)
    return Table(
        "Latency",
        "p50 / p99 in microseconds, all connections together; then worst/median: of "
        "the connections' mean latencies the one that 1 % of them exceed, to their "
        "median.",
        columns,
        rows,
    )


def sleeper_table(results: Results) -> Table:
    """Milliseconds a sleeper is late."""

    def show(_: Cell, row: Row) -> str:
        figures = (late(row.believed, name) for name in ("p50", "p99", "most"))
        return " / ".join(f"{figure:.2f}" for figure in figures)

    columns, rows = _grid(results, ["sleeper"], show)
    return Table(
        "A task that sleeps for 1 ms beside the connections",
        "Milliseconds that it wakes too late: p50 / p99 / most.",
        columns,
        rows,
    )


def memory_table(results: Results) -> Table:
    """KiB for each connection, a row for each moment."""
    found = list(results.of_kind("memory"))
    columns = list(dict.fromkeys(row.server for _, rows in found for row in rows))
    body: list[list[str]] = []
    for cell, rows in found:
        told = {row.server: row.memory for row in rows if row.memory}
        moments = list(dict.fromkeys(m for memory in told.values() for m in memory))
        for moment in moments:
            values = [told.get(name, {}).get(moment) for name in columns]
            shown = ["-" if value is None else f"{value:.2f}" for value in values]
            body.append([f"`{cell.name}`, {moment}", *shown])
    return Table(
        "Memory",
        "KiB of resident memory for each connection, above what the server had before "
        "the first one.",
        ["", *columns],
        body,
    )


def about(results: Results) -> str:
    """The machine, how long it was measured, how quiet it was, and what failed."""
    rounds, seconds = results.about["rounds"], results.about["seconds"]
    samples = [s for _, rows in results.cells for row in rows for s in row.samples]
    lines = [f"{results.title()}. {rounds} rounds, windows of {seconds:g} s."]
    if samples:
        foreign = sorted(sample.foreign for sample in samples)
        disturbed = sum(share > DISTURBANCE for share in foreign) / len(foreign)
        lines.append(
            f"Others took {median(foreign):.0%} of a core in half of the windows, at "
            f"most {foreign[-1]:.0%}; more than {DISTURBANCE:.0%} in {disturbed:.0%} "
            "of them."
        )
    if rounds < 3 or seconds < 1:
        lines.append(
            "**So short a run shows that it runs, and no figures to rely on.**"
        )
    failures = [
        f"- `{cell.name}`, {row.server}: {row.note}"
        for cell, rows in results.cells
        for row in rows
        if row.failed
    ]
    told = " ".join(lines)
    return "\n".join(
        [told, "", "Without a figure:", "", *failures] if failures else [told]
    )
