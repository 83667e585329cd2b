"""What `deflate.py` measures, and how it takes the time.

The works of a group take turns within a round, and ratios are those within a round: a
minute in which the machine is slow hits all of them.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import TYPE_CHECKING, Any

from deflate_work import (
    FULL_FLUSH,
    SYNC_FLUSH,
    TAIL,
    Raw,
    Setting,
    Way,
    count_of,
    new_context,
    prepare,
    resident_kib,
    used_compressor,
    used_context,
)
from feeds import TICK_SIZE, messages

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SIZES = (TICK_SIZE, 1024, 16 * 1024, 256 * 1024)
WAYS: tuple[Way, ...] = ("none", "window", "persistent")
LEVELS = {"zlib": (1, 3, 6, 9), "zlib-ng": (1, 3, 6, 9), "isal": (0, 1, 2, 3)}
# The smallest, ours, zlib's own; what lies between for zlib alone.
CORNERS = ((9, 1), (12, 5), (15, 8))
BITS, MEMORY_LEVELS = (9, 12, 15), (1, 5, 8)


@dataclass(frozen=True, slots=True)
class Figure:
    """One setting's medians.

    Attributes:
        share: Bytes on the wire for a byte of message.
        deflate_ratio: CPU time for that of the group's yardstick, which is `zlib`.
        inflate_ratio: The same for inflating.
    """

    setting: Setting
    share: float
    deflate_us: float
    deflate_ratio: float
    inflate_us: float
    inflate_ratio: float

    def is_way(self, library: str, way: str) -> bool:
        """Whether it is one of a line in the plot."""
        return (self.setting.codec, self.setting.way) == (library, way)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Cost:
    """What an object costs: CPU microseconds and their ratio to `zlib`, or KiB."""

    what: str
    codec: str
    value: float
    ratio: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Bench:
    """Takes measurements.

    Attributes:
        libraries: Those that are there; `zlib` first.
        rounds: Of which the median counts.
        objects: How many of them are made to weigh one.
    """

    libraries: Sequence[str]
    rounds: int
    objects: int

    def times(self, tasks: Mapping[Any, Callable[[], None]]) -> dict[Any, list[float]]:
        """CPU microseconds of each task in each round."""
        found: dict[Any, list[float]] = {key: [] for key in tasks}
        for turn in range(self.rounds + 1):
            for key, task in tasks.items():
                start = time.thread_time_ns()
                task()
                # The first round only warms up.
                if turn:
                    found[key].append((time.thread_time_ns() - start) / 1000)
        return found

    def compare(self, group: Sequence[Setting]) -> list[Figure]:
        """Measure settings side by side; the first one is the yardstick."""
        works = {setting: prepare(setting) for setting in group}
        deflating = self.times({s: work.deflate for s, work in works.items()})
        inflating = self.times({s: work.inflate for s, work in works.items()})
        return [
            Figure(
                setting,
                work.share,
                median(deflating[setting]) / work.count,
                _ratio(deflating[setting], deflating[group[0]]),
                median(inflating[setting]) / work.count,
                _ratio(inflating[setting], inflating[group[0]]),
            )
            for setting, work in works.items()
        ]

    def sizes(self, sizes: Sequence[int]) -> list[Figure]:
        """Every library, way and size; ours, and the library alone."""
        found: list[Figure] = []
        for size in sizes:
            for way in WAYS:
                for raw in (False, True):
                    found += self.compare(
                        [Setting(x, way, size, raw=raw) for x in self.libraries]
                    )
        return found

    def levels(self, size: int) -> list[Figure]:
        """Every level, with a compressor for each connection and with a shared one."""
        found: list[Figure] = []
        ways: tuple[Way, ...] = ("persistent", "none")
        for way in ways:
            found += self.compare(
                [
                    Setting(library, way, size, level)
                    for library in self.libraries
                    for level in LEVELS[library]
                ]
            )
        return found

    def windows(self) -> list[Figure]:
        """Windows and memory levels, with a compressor for each connection."""
        ours = Setting("zlib")
        zlib = [(bits, memory) for bits in BITS for memory in MEMORY_LEVELS]
        group = [ours]
        for library in self.libraries:
            for bits, memory in zlib if library == "zlib" else CORNERS:
                setting = replace(ours, codec=library, bits=bits, memory_level=memory)
                group += [setting] if setting != ours else []
        return self.compare(group)

    def objects_made(self) -> list[Cost]:
        """What it costs to make what a message needs, and to keep it instead."""
        found: list[Cost] = []
        kinds = {
            library: _short_lives(Raw(Setting(library))) for library in self.libraries
        }
        count = count_of(TICK_SIZE)
        for what in kinds["zlib"]:
            times = self.times({x: kinds[x][what] for x in self.libraries})
            found += [
                Cost(
                    what,
                    library,
                    median(times[library]) / count,
                    _ratio(times[library], times["zlib"]),
                )
                for library in self.libraries
            ]
        return found

    def weights(self) -> list[Cost]:
        """KiB of memory for each connection."""
        found: list[Cost] = []
        for library in self.libraries:
            for what, (share, make) in _kept(library).items():
                number = max(20, int(self.objects * share))
                found.append(Cost(what, library, resident_kib(make, number)))
        zlib = {cost.what: cost.value for cost in found if cost.codec == "zlib"}
        return [replace(x, ratio=x.value / (zlib[x.what] or 1.0)) for x in found]


def _ratio(mine: Sequence[float], its: Sequence[float]) -> float:
    return median(a / b for a, b in zip(mine, its, strict=True))


def _short_lives(raw: Raw) -> dict[str, Callable[[], None]]:
    # Each handles every message once.
    texts = messages(TICK_SIZE, count_of(TICK_SIZE))
    window = b"".join(messages(1024, 4))
    kept = raw.new_compressor(b"")
    packed = [kept.compress(text) + kept.flush(FULL_FLUSH) for text in texts]
    packed = [data.removesuffix(TAIL) + TAIL for data in packed]

    def compress_new(dictionary: bytes) -> None:
        for text in texts:
            compressor = raw.new_compressor(dictionary)
            compressor.compress(text) + compressor.flush(SYNC_FLUSH)

    def compress_kept(flush: int) -> None:
        for text in texts:
            kept.compress(text) + kept.flush(flush)

    def inflate_new(dictionary: bytes) -> None:
        for data in packed:
            raw.new_reader(dictionary).decompress(data)

    def inflate_kept() -> None:
        reader = raw.new_reader()
        for data in packed:
            reader.decompress(data)

    return {
        "compress, new": lambda: compress_new(b""),
        "compress, new, with 4 KiB of context": lambda: compress_new(window),
        "compress, one for all, Z_FULL_FLUSH": lambda: compress_kept(FULL_FLUSH),
        "compress, one for each connection": lambda: compress_kept(SYNC_FLUSH),
        "inflate, new": lambda: inflate_new(b""),
        "inflate, new, with 4 KiB of context": lambda: inflate_new(window),
        "inflate, one for each connection": inflate_kept,
    }


def _kept(library: str) -> dict[str, tuple[float, Callable[[], object]]]:
    # How many of them compared with others, so that memory suffices.
    found: dict[str, tuple[float, Callable[[], object]]] = {}
    for bits, memory in CORNERS:
        setting = Setting(library, bits=bits, memory_level=memory)
        what = f"compressor, {bits} bits, memory level {memory}"
        found[what] = 0.2, used_compressor(setting)
    ours, window = Setting(library), Setting(library, "window")
    found |= {
        "agreed, nothing sent": (10, new_context(ours)),
        "received": (1, used_context(ours, receives=True)),
        "sent and received, persistent": (
            0.4,
            used_context(ours, sends=True, receives=True),
        ),
        "sent and received, window": (
            1,
            used_context(window, sends=True, receives=True),
        ),
    }
    return found
