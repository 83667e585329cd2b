"""What `idle.py` measures: each moment of each run in a server of its own.

A walk over all objects allocates, and tracing makes every allocation larger, so
neither shares a process with what looks at resident memory.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from inspecting import Inspected, echo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What the first connections load is loaded before anything is counted.
WARMUP = 100
LARGE = 1024 * 1024
# Closing handshakes may still be under way when the generator has left.
SETTLE_SECONDS = 0.3
# What is less than this for each connection is not one of its objects.
LEAST = 0.5


@dataclass(frozen=True, slots=True)
class Part:
    """One type of objects, or one line of source, for each connection.

    Attributes:
        name: Of the type, or file and line.
        count: How many.
        size: Their bytes, with the head for the collector.
        allocated: The bytes, rounded up as the allocator does.
    """

    name: str
    count: float
    size: float
    allocated: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What was found of one server.

    Attributes:
        connections: How many were open for `objects` and `resident`.
        objects: Its objects by type, largest first.
        lines: Where they were allocated.
        resident: Resident bytes for each connection by moment.
        large_connections: How many sent a message of 1 MiB.
        large: Resident bytes by moment, in all, above those of the start.
        large_traced: The same, of what Python has allocated.
    """

    server: str
    connections: int
    objects: list[Part]
    lines: list[Part]
    resident: dict[str, float]
    large_connections: int
    large: dict[str, int]
    large_traced: dict[str, int]

    @property
    def accounted(self) -> float:
        """Bytes of a connection's objects and its share of the tables."""
        return sum(part.allocated for part in self.objects)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self) | {"accounted": self.accounted}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How many connections are opened for what."""

    open: int
    traced: int
    large: int


class Bench:
    """Measures one server after the other."""

    def __init__(self, built: dict[str, Path], sizes: Sizes) -> None:
        self._built = built
        self._sizes = sizes

    def measure(self, server: str) -> Figures:
        """All there is to know of a server."""
        return Figures(
            server,
            self._sizes.open,
            self._objects(server),
            self._lines(server),
            self._resident(server),
            self._sizes.large,
            self._large(server, "rss"),
            self._large(server, "traced"),
        )

    @contextmanager
    def _serving(self, name: str) -> Iterator[Inspected]:
        inspected = Inspected(name, self._built)
        try:
            with inspected.idle(WARMUP) as generator:
                echo(generator)
            yield inspected
        finally:
            inspected.stop()

    def _objects(self, name: str) -> list[Part]:
        count = self._sizes.open
        with self._serving(name) as inspected:
            # The first walk makes what walks need.
            inspected.ask("census")
            before = inspected.ask("census")
            with inspected.idle(count):
                after = inspected.ask("census")
        return _parts(before, after, count)

    def _lines(self, name: str) -> list[Part]:
        count = self._sizes.traced
        with self._serving(name) as inspected:
            inspected.ask("trace")
            before = inspected.ask("traced")
            with inspected.idle(count):
                after = inspected.ask("traced")
        return _parts(before, after, count)

    def _resident(self, name: str) -> dict[str, float]:
        count = self._sizes.open
        found: dict[str, float] = {}
        with self._serving(name) as inspected:
            start = inspected.server.rss_kib()

            def look(moment: str) -> None:
                time.sleep(SETTLE_SECONDS)
                used = inspected.server.rss_kib() - start
                found[moment] = used * 1024 / count

            with inspected.idle(count) as generator:
                look("open")
                echo(generator)
                look("echoed")
            look("closed")
            inspected.ask("collect")
            look("collected")
            inspected.ask("trim")
            look("trimmed")
            with inspected.idle(count):
                look("open again")
        return found

    def _large(self, name: str, what: str) -> dict[str, int]:
        found: dict[str, int] = {}
        with self._serving(name) as inspected:
            if what == "traced":
                inspected.ask("trace")
            # Once before: what a first large message leaves behind for all.
            with inspected.idle(1, LARGE) as generator:
                echo(generator)
            time.sleep(SETTLE_SECONDS)
            start = int(inspected.ask("summary")[what])

            def look(moment: str) -> None:
                time.sleep(SETTLE_SECONDS)
                found[moment] = int(inspected.ask("summary")[what]) - start

            with inspected.idle(self._sizes.large, LARGE) as generator:
                look("open")
                echo(generator)
                look("1 MiB each")
                inspected.ask("trim")
                look("trimmed")
            look("closed")
            inspected.ask("trim")
            look("closed, trimmed")
        return found


def _parts(before: Any, after: Any, count: int) -> list[Part]:
    nothing = [0, 0, 0]
    found = [
        Part(
            name,
            *(
                (new - old) / count
                for old, new in zip(before.get(name, nothing), values, strict=True)
            ),
        )
        for name, values in after.items()
    ]
    found.sort(key=lambda part: -part.allocated)
    return [part for part in found if part.allocated >= LEAST]


def check_server(name: str) -> None:
    """Check the name of a server.

    Raises:
        ValueError: It is none of ours.
    """
    if name not in SERVERS:
        raise ValueError(f"no server {name!r}: there are {', '.join(SERVERS)}")


SERVERS = ("ours-callback", "ours-async", "ours-nowait", "ours-forgetful")
DEFAULT = ("ours-callback", "ours-async", "ours-forgetful")
MOST = Sizes(open=10_000, traced=1000, large=200)
QUICK = Sizes(open=400, traced=100, large=4)
