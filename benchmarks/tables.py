"""From samples to figures, and from figures to a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from cells import YARDSTICKS
from measure import DISTURBANCE, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from cells import Cell

# Above this share of a core used by others even ratios of CPU time mislead.
UNUSABLE = 0.25


@dataclass(frozen=True, slots=True)
class Row:
    """A server's figures in a cell.

    Attributes:
        failed: It has none that may be believed; the note says why.
        broken: It did not do what was asked of it, once at least.
        ratios: To each yardstick, one for each round in which both count.
        memory: KiB for each connection, by the moment.
    """

    server: str
    samples: Sequence[Sample] = ()
    ratios: Mapping[str, Sequence[float]] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
    failed: bool = False
    broken: bool = False

    @property
    def believed(self) -> list[Sample]:
        """The rounds that count."""
        return [sample for sample in self.samples if not sample.refused]

    @property
    def rate(self) -> float:
        """Median of the rounds that count."""
        return median(sample.rate for sample in self.believed)

    def ratio(self, other: str) -> float | None:
        """The median ratio to a yardstick, if there is one."""
        return median(self.ratios[other]) if other in self.ratios else None

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> Row:
        """What `as_json` told."""
        samples = [Sample(**sample) for sample in told["rounds"]]
        ratios, memory = told["ratio_rounds"], told["memory_kib"]
        return cls(
            told["server"],
            samples,
            ratios,
            memory,
            told["note"],
            told["failed"],
            told["broken"],
        )

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "server": self.server,
            "rate": None if self.failed or not self.believed else self.rate,
            "ratios": {other: self.ratio(other) for other in self.ratios},
            "ratio_rounds": dict(self.ratios),
            "memory_kib": dict(self.memory),
            "note": self.note,
            "failed": self.failed,
            "broken": self.broken,
            "rounds": [sample.as_json() for sample in self.samples],
        }


def compare(
    found: Mapping[str, Sequence[Sample]],
    failed: Mapping[str, str],
    yardsticks: Iterable[str] = YARDSTICKS,
) -> list[Row]:
    """Make rows of all rounds of a cell.

    A ratio is the median over the rounds of the ratio within a round, so a drift
    of the machine from round to round does not enter it. A server of whose rounds
    half or more were refused has no figure.
    """
    rows: list[Row] = []
    for server, samples in found.items():
        refused = [sample.refused for sample in samples if sample.refused]
        broken = server in failed or any(sample.broken for sample in samples)
        if server in failed or 2 * len(refused) >= max(1, len(samples)):
            note = failed.get(server) or f"refused: {(refused or ['no round'])[0]}"
            rows.append(Row(server, samples, note=note, failed=True, broken=broken))
            continue
        ratios: dict[str, Sequence[float]] = {}
        for other in yardsticks:
            pairs = [
                mine.rate / its.rate
                for mine, its in zip(samples, found.get(other, ()), strict=False)
                if not mine.refused and not its.refused
            ]
            # The other must have a figure of its own.
            if 2 * len(pairs) > len(found.get(other, ())) and other not in failed:
                ratios[other] = pairs
        foreign = median(sample.foreign for sample in samples)
        note = f"others took {foreign:.0%} of a core" if foreign > DISTURBANCE else ""
        if refused:
            note += f"{'; ' if note else ''}{len(refused)} rounds refused: {refused[0]}"
        rows.append(Row(server, samples, ratios, note=note, broken=broken))
    return rows


def amount(value: float) -> str:
    """A number with three digits, in thousands or millions if it has more."""
    for limit, suffix, scale in ((1e6, " M", 1e6), (1e3, " k", 1e3)):
        if value >= limit:
            return f"{value / scale:.{2 if value < 10 * scale else 1}f}{suffix}"
    return f"{value:.0f}"


def middle(samples: Sequence[Sample], name: str) -> float:
    """The median of an attribute."""
    values: list[float] = [getattr(sample, name) for sample in samples]
    return median(values)


def late(samples: Sequence[Sample], figure: str) -> float:
    """The median over the rounds of how late a sleeper woke, in milliseconds."""
    return median(sample.late_ms[figure] for sample in samples)


def _answers(samples: Sequence[Sample]) -> list[str]:
    # Whether they came compressed, and how many bytes each had.
    share = middle(samples, "compressed")
    return [
        "yes" if share == 1 else "no" if share == 0 else f"{share:.0%}",
        f"{middle(samples, 'answer_bytes'):.0f}",
    ]


def _rate_cells(row: Row, yardsticks: Sequence[str], cell: Cell) -> list[str]:
    samples = row.believed
    rates = [sample.rate for sample in samples]
    low, high = min(rates) / row.rate - 1, max(rates) / row.rate - 1
    ratios = [
        f"{ratio:.2f}" if (ratio := row.ratio(other)) is not None else "-"
        for other in yardsticks
    ]
    return [
        row.server,
        amount(row.rate),
        f"{low:+.0%} {high:+.0%}" if len(rates) > 1 else "-",
        *ratios,
        *(_answers(samples) if cell.has_answers else []),
        f"{middle(samples, 'p50_us'):.0f}",
        f"{middle(samples, 'p99_us'):.0f}",
        *([f"{middle(samples, 'worst_mean'):.2f}"] if cell.kind == "echo" else []),
        f"{middle(samples, 'server'):.0%}",
        f"{middle(samples, 'generator'):.0%}",
    ]


Lines = tuple[list[str], list[list[str]]]


def _rates(cell: Cell, told: Sequence[Row]) -> Lines:
    yardsticks = [y for y in YARDSTICKS if any(y in row.ratios for row in told)]
    names = [YARDSTICKS[name] for name in yardsticks]
    names += ["deflated", "bytes"] if cell.has_answers else []
    names += ["p50 us", "p99 us"]
    names += ["worst/median"] if cell.kind == "echo" else []
    head = [f"{cell.unit} per CPU-s", "median", "spread", *names, "server", "gen"]
    return head, [_rate_cells(row, yardsticks, cell) for row in told]


def _memory(told: Sequence[Row]) -> Lines:
    moments = list(told[0].memory) if told else []
    return ["KiB per connection", *moments], [
        [row.server, *(f"{row.memory[moment]:.2f}" for moment in moments)]
        for row in told
    ]


def _sleeper(told: Sequence[Row]) -> Lines:
    figures = ("p50", "p99", "most")
    return ["ms late", *figures, "msg per s", "server"], [
        [
            row.server,
            *(f"{late(row.believed, figure):.2f}" for figure in figures),
            amount(median(s.messages / s.seconds for s in row.believed)),
            f"{middle(row.believed, 'server'):.0%}",
        ]
        for row in told
    ]


def aligned(head: list[str], body: list[list[str]]) -> list[str]:
    """Lines of text with columns; all but the first stand to the right."""
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    out: list[str] = []
    for line in [head, *body]:
        first, *others = (
            f"{text:<{width}}" if i == 0 else f"{text:>{width}}"
            for i, (text, width) in enumerate(zip(line, widths, strict=True))
        )
        out.append("  ".join([first, *others]))
    return out


def table(cell: Cell, rows: Sequence[Row]) -> str:
    """A cell's table; servers without a figure stand below with the reason."""
    out = [f"== {cell.name}"]
    told = [row for row in rows if not row.failed]
    if told:
        others = {"memory": _memory, "sleeper": _sleeper}
        kind = others.get(cell.kind)
        head, body = kind(told) if kind else _rates(cell, told)
        notes = ["", *(row.note for row in told)]
        lines = zip(aligned(head, body), notes, strict=True)
        out += [f"{line}  {note}".rstrip() for line, note in lines]
    foreign = [median(s.foreign for s in row.samples) for row in told if row.samples]
    if foreign and max(foreign) > UNUSABLE:
        out.append(
            f"DISTURBED: others took up to {max(foreign):.0%} of a core, which empties "
            "caches and changes batches; measure again when the machine is quiet"
        )
    out += [f"{row.server}: {row.note}" for row in rows if row.failed]
    return "\n".join(out)
