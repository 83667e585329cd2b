"""From samples to figures, and from figures to a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

from cells import YARDSTICKS
from measure import DISTURBANCE, Sample

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cells import Cell

# Above this share of a core used by others even ratios of CPU time mislead.
UNUSABLE = 0.25


@dataclass(frozen=True, slots=True)
class Row:
    """A server's figures in a cell; ``note`` alone if there are none."""

    server: str
    samples: Sequence[Sample] = ()
    ratios: Mapping[str, float] = field(default_factory=dict)
    memory: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def believed(self) -> list[Sample]:
        """The rounds that count."""
        return [sample for sample in self.samples if not sample.refused]

    @property
    def rate(self) -> float:
        """Median of the rounds that count."""
        return median(sample.rate for sample in self.believed)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "server": self.server,
            "rate": self.rate if self.believed else None,
            "ratios": dict(self.ratios),
            "memory_kib": dict(self.memory),
            "note": self.note,
            "rounds": [sample.as_json() for sample in self.samples],
        }


def compare(
    found: Mapping[str, Sequence[Sample]], failed: Mapping[str, str]
) -> list[Row]:
    """Make rows of all rounds of a cell.

    A ratio is the median over the rounds of the ratio within a round, so a drift
    of the machine from round to round does not enter it. A server of whose rounds
    half or more were refused has no figure.
    """
    rows: list[Row] = []
    for server, samples in found.items():
        refused = [sample.refused for sample in samples if sample.refused]
        if server in failed or 2 * len(refused) >= max(1, len(samples)):
            note = failed.get(server) or f"refused: {(refused or ['no round'])[0]}"
            rows.append(Row(server, samples, note=note))
            continue
        ratios: dict[str, float] = {}
        for other in YARDSTICKS:
            pairs = [
                mine.rate / its.rate
                for mine, its in zip(samples, found.get(other, ()), strict=False)
                if not mine.refused and not its.refused
            ]
            # The other must have a figure of its own.
            if 2 * len(pairs) > len(found.get(other, ())) and other not in failed:
                ratios[other] = median(pairs)
        foreign = median(sample.foreign for sample in samples)
        note = f"others took {foreign:.0%} of a core" if foreign > DISTURBANCE else ""
        if refused:
            note += f"{'; ' if note else ''}{len(refused)} rounds refused: {refused[0]}"
        rows.append(Row(server, samples, ratios, note=note))
    return rows


def _amount(value: float) -> str:
    for limit, suffix, scale in ((1e6, " M", 1e6), (1e3, " k", 1e3)):
        if value >= limit:
            return f"{value / scale:.{2 if value < 10 * scale else 1}f}{suffix}"
    return f"{value:.0f}"


def _answers(samples: Sequence[Sample]) -> list[str]:
    # Whether they came compressed, and how many bytes each had.
    share = median(sample.compressed for sample in samples)
    size = median(sample.answer_bytes for sample in samples)
    return [
        "yes" if share == 1 else "no" if share == 0 else f"{share:.0%}",
        f"{size:.0f}",
    ]


def _rate_cells(row: Row, yardsticks: Sequence[str], deflate: bool) -> list[str]:
    samples = row.believed
    rates = [sample.rate for sample in samples]
    low, high = min(rates) / row.rate - 1, max(rates) / row.rate - 1
    ratios = [
        f"{row.ratios[other]:.2f}" if other in row.ratios else "-"
        for other in yardsticks
    ]
    return [
        row.server,
        _amount(row.rate),
        f"{low:+.0%} {high:+.0%}" if len(rates) > 1 else "-",
        *ratios,
        *(_answers(samples) if deflate else []),
        f"{median(sample.p50_us for sample in samples):.0f}",
        f"{median(sample.p99_us for sample in samples):.0f}",
        f"{median(sample.server for sample in samples):.0%}",
        f"{median(sample.generator for sample in samples):.0%}",
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
    told = [row for row in rows if row.memory or row.believed]
    told = [row for row in told if row.memory or row.ratios or not row.note]
    if cell.kind == "memory":
        moments = list(told[0].memory) if told else []
        head = ["KiB per connection", *moments]
        body = [
            [row.server, *(f"{row.memory[moment]:.2f}" for moment in moments)]
            for row in told
        ]
    else:
        deflate = cell.deflate != "none" and cell.kind != "handshake"
        yardsticks = [y for y in YARDSTICKS if any(y in row.ratios for row in told)]
        names = [YARDSTICKS[name] for name in yardsticks]
        names += ["deflated", "bytes"] if deflate else []
        names += ["p50 us", "p99 us", "server", "gen"]
        head = [f"{cell.unit} per CPU-s", "median", "spread", *names]
        body = [_rate_cells(row, yardsticks, deflate) for row in told]
    if told:
        notes = ["", *(row.note for row in told)]
        lines = zip(aligned(head, body), notes, strict=True)
        out += [f"{line}  {note}".rstrip() for line, note in lines]
    foreign = [median(s.foreign for s in row.samples) for row in told if row.samples]
    if foreign and max(foreign) > UNUSABLE:
        out.append(
            f"DISTURBED: others took up to {max(foreign):.0%} of a core, which empties "
            "caches and changes batches; measure again when the machine is quiet"
        )
    out += [f"{row.server}: {row.note}" for row in rows if row not in told]
    return "\n".join(out)
