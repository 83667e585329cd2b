"""Tables and a plot of what `deflate.py` measured."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from page import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deflate_runs import Cost, Figure

COLOURS = {"zlib": "#3465a4", "zlib-ng": "#cc6600", "isal": "#4e9a06"}
STYLES = {"none": ":", "window": "--", "persistent": "-"}


def amount(value: float) -> str:
    """A number with three digits."""
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def size_name(size: int) -> str:
    """Bytes, or KiB if there are some."""
    return f"{size} B" if size < 1024 else f"{size // 1024} KiB"


def _cpu(us: float, ratio: float) -> str:
    return f"{amount(us)} ({ratio:.2f})"


def sizes_table(figures: Sequence[Figure], size: int) -> Table:
    """All libraries and ways for messages of a size."""
    rows: list[list[str]] = []
    alone = {f.setting: f for f in figures if f.setting.raw}
    for ours in figures:
        setting = ours.setting
        if setting.raw or setting.size != size:
            continue
        raw = alone[replace(setting, raw=True)]
        rows.append(
            [
                f"{setting.way}, {setting.codec}",
                _cpu(ours.deflate_us, ours.deflate_ratio),
                _cpu(raw.deflate_us, raw.deflate_ratio),
                _cpu(ours.inflate_us, ours.inflate_ratio),
                _cpu(raw.inflate_us, raw.inflate_ratio),
                f"{ours.share:.0%}",
            ]
        )
    return Table(
        f"Messages of {size_name(size)}",
        "CPU microseconds for each message, and their ratio to zlib's: as trio_fastws "
        "does it, and the library alone. Level 1, 12 bits, memory level 5.",
        ["context", "deflate", "alone", "inflate", "alone", "size"],
        rows,
    )


def levels_table(figures: Sequence[Figure], size: int) -> Table:
    """Levels, with a compressor for each connection and with none."""
    kept = {f.setting: f for f in figures if f.setting.way == "persistent"}
    rows = [
        [
            f"{setting.codec}, level {setting.level}",
            *(_cpu(f.deflate_us, f.deflate_ratio) for f in (fresh, figure)),
            *(f"{f.share:.1%}" for f in (fresh, figure)),
        ]
        for setting, figure in kept.items()
        for fresh in figures
        if fresh.setting == replace(setting, way="none")
    ]
    return Table(
        f"Levels, messages of {size_name(size)}",
        "CPU microseconds to deflate, and their ratio to zlib's at level 1. 12 bits, "
        "memory level 5.",
        ["", "none", "persistent", "size, none", "size, persistent"],
        rows,
    )


def windows_table(figures: Sequence[Figure]) -> Table:
    """Windows and memory levels."""
    ordered = sorted(
        figures,
        key=lambda f: (
            list(COLOURS).index(f.setting.codec),
            f.setting.bits,
            f.setting.memory_level,
        ),
    )
    rows = [
        [
            f"{f.setting.codec}, {f.setting.bits} bits, "
            f"memory level {f.setting.memory_level}",
            _cpu(f.deflate_us, f.deflate_ratio),
            _cpu(f.inflate_us, f.inflate_ratio),
            f"{f.share:.1%}",
        ]
        for f in ordered
    ]
    return Table(
        "Windows and memory levels, messages of 1 KiB",
        "CPU microseconds, and their ratio to zlib's with 12 bits and memory level 5. "
        'Level 1, context="persistent".',
        ["", "deflate", "inflate", "size"],
        rows,
    )


def _by_library(
    costs: Sequence[Cost], ratios: bool
) -> tuple[list[str], list[list[str]]]:
    libraries = list(dict.fromkeys(cost.codec for cost in costs))
    rows: dict[str, list[str]] = {}
    for cost in costs:
        text = _cpu(cost.value, cost.ratio) if ratios and cost.ratio else ""
        rows.setdefault(cost.what, []).append(text or amount(cost.value))
    return ["", *libraries], [[what, *cells] for what, cells in rows.items()]


def objects_table(costs: Sequence[Cost]) -> Table:
    """What new objects cost, and kept ones."""
    return Table(
        "Objects, messages of 90 B",
        "CPU microseconds of the library alone for each message, with what it takes to "
        "make the object, and their ratio to zlib's. Level 1, 12 bits, memory level 5.",
        *_by_library(costs, ratios=True),
    )


def weights_table(costs: Sequence[Cost]) -> Table:
    """KiB of memory."""
    return Table(
        "Memory",
        "KiB of resident memory for each, measured with hundreds of them after more "
        "messages than the window holds. Below the compressors: all that a connection "
        "of trio_fastws keeps for it, with 12 bits both ways and memory level 5.",
        *_by_library(costs, ratios=False),
    )


def plot(figures: Sequence[Figure], about: str, path: Path) -> None:
    """Draw CPU time and size of messages against their length.

    Raises:
        ImportError: matplotlib is missing.
    """
    import matplotlib as mpl  # noqa: PLC0415 - only for who asks for a plot

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    # The same figures give the same file.
    mpl.rcParams.update({"svg.hashsalt": "deflate", "svg.fonttype": "none"})
    pictures: Any = plt.subplots(1, 3, figsize=(11, 4), layout="constrained")
    drawing, (deflating, inflating, bytes_left) = pictures
    lines = {
        deflating: ("microseconds to deflate", "deflate_us"),
        inflating: ("microseconds to inflate", "inflate_us"),
        bytes_left: ("bytes on the wire for each of the message", "share"),
    }
    for axes, (title, value) in lines.items():
        for library, colour in COLOURS.items():
            for way, style in STYLES.items():
                chosen = [f for f in figures if f.is_way(library, way)]
                axes.plot(
                    [f.setting.size for f in chosen],
                    [getattr(f, value) for f in chosen],
                    style,
                    color=colour,
                    marker=".",
                    label=f"{library}, {way}",
                )
        sizes = sorted({f.setting.size for f in figures if f.is_way("zlib", "none")})
        axes.set_xscale("log")
        axes.set_xticks(sizes, [size_name(size) for size in sizes])
        axes.minorticks_off()
        axes.set_title(title)
        axes.grid(alpha=0.3)
    for axes in (deflating, inflating):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    bytes_left.set_ylim(bottom=0)
    handles, labels = deflating.get_legend_handles_labels()
    drawing.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8)
    drawing.suptitle(about, fontsize=9)
    drawing.savefig(path, metadata={"Date": None})
    plt.close(drawing)
