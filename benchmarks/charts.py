"""Pictures of a run: ratios to the floor, and memory for each connection."""

from __future__ import annotations

from importlib.util import find_spec
from math import floor, log10
from typing import TYPE_CHECKING, Any

from building import RigError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from results import Results

COLOURS = {
    "trio_websocket": "#888a85",
    "websockets_trio": "#75507b",
    "websockets_uvloop": "#ad7fa8",
    "aiohttp_uvloop": "#c4a000",
    "picows_uvloop": "#cc6600",
    "ours-callback": "#3465a4",
    "ours-async": "#4e9a06",
    "ours-nowait": "#8ae234",
}
OTHERS = "#2e3436"


# A name below the bars, and the value of each server.
Group = tuple[str, dict[str, float]]


def _bars(axes: Any, groups: Sequence[Group]) -> None:
    servers = list(dict.fromkeys(name for _, found in groups for name in found))
    # In the order of the colours, so that two pictures have the same.
    servers.sort(key=[*COLOURS, *servers].index)
    width = 0.84 / len(servers)
    for number, server in enumerate(servers):
        shift = (number - (len(servers) - 1) / 2) * width
        values = {
            place + shift: found[server]
            for place, (_, found) in enumerate(groups)
            if server in found
        }
        colour = COLOURS.get(server, OTHERS)
        axes.bar(values.keys(), values.values(), width, color=colour, label=server)
    axes.set_yscale("log")
    # Bars of a logarithmic scale start somewhere: here at the decade below the least.
    least = min(value for _, found in groups for value in found.values())
    axes.set_ylim(bottom=10 ** floor(log10(least)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("")
    names = [name.replace(":", "\n") for name, _ in groups]
    axes.set_xticks(range(len(groups)), names, fontsize=8)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)


def check() -> None:
    """Find out whether there is what draws.

    Raises:
        RigError: matplotlib is missing.
    """
    if find_spec("matplotlib") is None:
        raise RigError("a plot needs matplotlib: pip install matplotlib")


def _pyplot() -> Any:
    check()
    import matplotlib as mpl  # noqa: PLC0415 - only for who asks for a plot

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    # The same figures give the same file.
    mpl.rcParams.update({"svg.hashsalt": "performance", "svg.fonttype": "none"})
    return plt


def _ratios(results: Results) -> list[Group]:
    found = [
        (cell.name, {row.server: row.ratio("floor") for row in rows})
        for cell, rows in results.of_kind("echo", "broadcast", "handshake")
    ]
    told = [
        (name, {k: v for k, v in values.items() if v and k != "floor"})
        for name, values in found
    ]
    return [group for group in told if group[1]]


def _memories(results: Results) -> list[Group]:
    found = [
        (
            f"{cell.name}:{moment}",
            # What is below a byte for each is chance, and nothing on this scale.
            {row.server: max(row.memory[moment], 0.01) for row in rows if row.memory},
        )
        for cell, rows in results.of_kind("memory")
        for moment in ("open", "echoed")
    ]
    return [group for group in found if group[1]]


def plot(results: Results, path: Path) -> list[Path]:
    """Draw ratios to the floor, and KiB for each connection.

    What was not measured is not drawn. Returns the files: the path, and one with
    ``-memory`` in its name.

    Raises:
        RigError: matplotlib is missing.
    """
    plt = _pyplot()
    written: list[Path] = []
    pictures = [
        (path, _ratios(results), "for each CPU second, as a ratio to the floor"),
        (
            path.with_stem(f"{path.stem}-memory"),
            _memories(results),
            "KiB of server memory for each connection",
        ),
    ]
    for target, groups, title in pictures:
        if not groups:
            continue
        width = max(9, 1 + len(groups))
        drawing, axes = plt.subplots(figsize=(width, 4.5), layout="constrained")
        _bars(axes, groups)
        axes.set_title(title)
        if target == path:
            axes.axhline(1, color=OTHERS, linewidth=1)
        handles, labels = axes.get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8)
        drawing.suptitle(results.title(), fontsize=7)
        drawing.savefig(target, metadata={"Date": None})
        plt.close(drawing)
        written.append(target)
    return written
