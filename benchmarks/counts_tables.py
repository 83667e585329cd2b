"""From what was counted to figures for each message, and to tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callgrind import group, readable
from deflate_tables import amount
from page import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cells import Cell

# Of the system calls and functions that are told.
LEAST_CALLS = 0.005
LEAST_SHARE = 0.001
# Of names, as many as a terminal has room for; `--json` has all.
COLUMNS = 9
FUNCTIONS = 15
GROUPS = ("ours", "python", "libc", "zlib", "floor", "others")
NOTES = {
    "syscalls": "For each message, by strace.",
    "switches": "For each message: voluntary when the server has to wait, involuntary "
    "when its core is taken away; page faults: memory that it gets anew.",
    "turns": "For each message: turns of trio's loop, tasks made runnable, steps.",
    "instructions": "For each message, in user space, and the share of them in our "
    "extension modules, the interpreter with its modules, libc, and zlib.",
    "memory": "For each message: calls of malloc, calloc and realloc with Python's own "
    "allocator off, bytes asked for; calls of memcpy and memmove. Then for each byte "
    "of payload, or each handshake: bytes in those, from the kernel, and to it.",
}


@dataclass(frozen=True, slots=True)
class Row:
    """What one meter has counted of a server in a cell.

    Attributes:
        messages: How many, or opening handshakes.
        counts: What they cost together.
    """

    meter: str
    server: str
    cell: Cell
    messages: int
    counts: Counter[str]

    @property
    def each(self) -> dict[str, float]:
        """For each message; instructions by group."""
        counts = self.counts
        if self.meter == "instructions":
            counts = Counter[str]()
            for name, value in self.counts.items():
                counts[group(name)] += value
        found = {name: value / self.messages for name, value in counts.items()}
        return dict(sorted(found.items(), key=lambda item: -item[1]))

    @property
    def total(self) -> float:
        """All of them for each message, where that means something."""
        return sum(self.each.values())

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        found: dict[str, Any] = {
            "pass": self.meter,
            "server": self.server,
            "cell": self.cell.name,
            "messages": self.messages,
            "each": self.each,
        }
        if self.meter in {"instructions", "syscalls"}:
            found["total"] = self.total
        if self.meter == "instructions":
            found["shares"] = {k: v / self.total for k, v in self.each.items()}
            found["functions"] = {
                readable(name): value / self.messages
                for name, value in self.counts.most_common(FUNCTIONS)
            }
        if self.meter == "memory":
            found["each payload byte"] = self.each_byte()
        return found

    def each_byte(self) -> dict[str, float]:
        """Bytes moved for each byte of payload; for each of what has none."""
        moved = ("copied", "received", "sent")
        payload = self.cell.payload if self.cell.kind == "echo" else 1
        return {name: self.each[name] / payload for name in moved}

    @property
    def title(self) -> str:
        """Which row of the table."""
        return f"{self.cell.name}, {self.server}"


def _named(rows: Sequence[Row]) -> list[str]:
    """Names of what is most frequent in all rows together."""
    together: Counter[str] = Counter()
    for row in rows:
        for name, value in row.each.items():
            together[name] += value  # type: ignore[assignment]
    return [
        name
        for name, _ in together.most_common(COLUMNS)
        if any(row.each.get(name, 0) >= LEAST_CALLS for row in rows)
    ]


def _by_name(row: Row, names: Sequence[str]) -> list[str]:
    return [_tiny(row.each.get(name, 0)) for name in names]


def _tiny(value: float) -> str:
    return "" if abs(value) < LEAST_CALLS else f"{value:.2f}"


def _shares(row: Row, names: Sequence[str]) -> list[str]:
    total = row.total
    shares = [row.each.get(name, 0) / total for name in names]
    return [f"{total:,.0f}", *(f"{share:.0%}" if share else "" for share in shares)]


def _memory(row: Row) -> list[str]:
    each = row.each
    return [
        amount(each["allocations"]),
        f"{each['bytes allocated']:,.0f}",
        amount(each["copies"]),
        *(amount(value) for value in row.each_byte().values()),
    ]


def tables(meter: str, rows: Sequence[Row]) -> list[Table]:
    """The table of a pass; of its instructions, one of functions for each row."""
    ordered = sorted(rows, key=lambda row: [r.cell for r in rows].index(row.cell))
    if meter == "memory":
        columns = ["allocations", "bytes", "copies", "copied", "received", "sent"]
        body = [[row.title, *_memory(row)] for row in ordered]
    elif meter == "instructions":
        names = [name for name in GROUPS if any(name in row.each for row in rows)]
        columns = ["instructions", *names]
        body = [[row.title, *_shares(row, names)] for row in ordered]
    else:
        names = _named(rows)
        total = meter == "syscalls"
        columns = [*(["all"] if total else []), *names]
        body = [
            [row.title, *([f"{row.total:.2f}"] if total else []), *_by_name(row, names)]
            for row in ordered
        ]
    found = [Table(meter.capitalize(), NOTES[meter], ["cell, server", *columns], body)]
    if meter == "instructions":
        found += [_functions(row) for row in ordered]
    return found


def _functions(row: Row) -> Table:
    body = [
        [
            readable(name),
            f"{value / row.messages:,.0f}",
            f"{value / row.messages / row.total:.1%}",
        ]
        for name, value in row.counts.most_common(FUNCTIONS)
        if value / row.messages / row.total >= LEAST_SHARE
    ]
    return Table(
        f"Functions: {row.title}",
        "Instructions that each spends itself, for each message.",
        ["file:function", "instructions", "share"],
        body,
    )
