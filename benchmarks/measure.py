"""One measurement of one server, and whether it may be believed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import rig

if TYPE_CHECKING:
    from pathlib import Path

    from cells import Cell

# The generator is the limit if it had no time left while the server had.
GENERATOR_FULL = 0.95
SERVER_FULL = 0.85
# A figure made of fewer than this is chance.
FEWEST = 10
# Of a core: more than this used by others is told in the table.
DISTURBANCE = 0.10
# Before connections are counted, what every first connection loads is loaded.
MEMORY_WARMUP = ["--connections", "20", "--seconds", "0.2", "--warmup", "0"]
# So many of 128 bytes are more than a window of 12 bits holds.
WINDOW_ECHOES = 33
# Servers may tidy up a little after the last byte.
SETTLE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One round of one server in a cell.

    Attributes:
        rate: Counted things per second of server CPU time.
        server: Share of the window the server was running.
        generator: Share of the window the load generator was running.
        foreign: Largest share of either core that others took.
        compressed: Share of the answers that came compressed.
        answer_bytes: Payload of an answer as it came, on average.
        refused: Why the rate is not to be believed; empty if it is.
    """

    rate: float
    p50_us: float
    p99_us: float
    messages: int
    seconds: float
    server: float
    generator: float
    foreign: float
    compressed: float
    answer_bytes: float
    refused: str

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def verdict(outcome: rig.Outcome) -> str:
    """Why an outcome must not be reported, or an empty string.

    A closed loop with few messages in flight leaves both sides idle between
    messages: then neither is the limit, the trip is, and messages per second of
    server CPU time mean what they say. But a server that waits for a generator
    which is always busy gets its messages one by one where it could have had a
    batch, so its figure would be too low, and for the floor all ratios too high.
    """
    if outcome.errors or outcome.event != "done":
        return f"{outcome.errors} errors; the first: {outcome.first_error}"
    if outcome.messages < FEWEST or not outcome.server_cpu:
        return f"only {outcome.messages} in {outcome.seconds:.1f} s"
    server = outcome.server_cpu / outcome.seconds
    generator = outcome.own_cpu / outcome.seconds
    if generator > GENERATOR_FULL and server < SERVER_FULL:
        return (
            f"the load generator was the limit: it ran {generator:.0%} of the time, "
            f"the server {server:.0%} (it can do "
            f"{outcome.messages / outcome.server_cpu:,.0f} or more)"
        )
    return ""


class _Witness:
    """Watches how much of the two cores goes to others."""

    def __init__(self, server: rig.Server, places: rig.Places) -> None:
        self._server = server
        self._places = places
        self._start = time.monotonic()
        self._before = self._now(0.0)

    def _now(self, generator: float) -> tuple[float, float]:
        own = sum(map(rig.cpu_seconds, self._server.pids()))
        return (
            rig.core_seconds(self._places.server) - own,
            rig.core_seconds(self._places.generator) - generator,
        )

    def foreign(self, generator: float) -> float:
        """The larger share, given the generator's CPU time since the start."""
        wall = time.monotonic() - self._start
        pairs = zip(self._now(generator), self._before, strict=True)
        return max(0.0, *((after - before) / wall for after, before in pairs))


@dataclass(frozen=True, slots=True)
class Rig:
    """What a measurement needs besides the server."""

    loadgen: Path
    places: rig.Places
    seconds: float
    warmup: float

    def rate(self, cell: Cell, server: rig.Server) -> Sample:
        """Load a server for one window."""
        times = ["--seconds", str(self.seconds), "--warmup", str(self.warmup)]
        witness = _Witness(server, self.places)
        generator = rig.Generator(
            self.loadgen, server, self.places, [*cell.options(), *times]
        )
        try:
            # Opening, draining and closing come on top of the window.
            outcome = generator.read(self.seconds + self.warmup + 60)
            foreign = witness.foreign(generator.cpu_seconds())
            generator.wait(5)
        finally:
            generator.stop()
        seconds = outcome.seconds or 1.0
        return Sample(
            rate=outcome.messages / (outcome.server_cpu or 1.0),
            p50_us=outcome.p50_us,
            p99_us=outcome.p99_us,
            messages=outcome.messages,
            seconds=outcome.seconds,
            server=outcome.server_cpu / seconds,
            generator=outcome.own_cpu / seconds,
            foreign=foreign,
            compressed=outcome.compressed,
            answer_bytes=outcome.answer_bytes,
            refused=verdict(outcome),
        )

    def memory(self, cell: Cell, server: rig.Server) -> dict[str, float]:
        """KiB of server memory for each connection, at several moments.

        Raises:
            rig.RigError: A connection failed.
        """
        self._run(server, [*MEMORY_WARMUP, "--deflate", cell.deflate])
        start = server.rss_kib()
        found: dict[str, float] = {}
        for again in ("", " again"):
            generator = rig.Generator(self.loadgen, server, self.places, cell.options())
            try:
                # The first report comes when all are open.
                moments = {"open": 0, "echoed": 1}
                if cell.deflate == "takeover":
                    moments["window full"] = WINDOW_ECHOES
                outcome = generator.read(120)
                for moment, echoes in moments.items():
                    for _ in range(echoes):
                        generator.tell("echo")
                        outcome = generator.read(120)
                    if outcome.errors:
                        raise rig.RigError(outcome.first_error)
                    time.sleep(SETTLE_SECONDS / 2)
                    used = server.rss_kib() - start
                    found[f"{moment}{again}"] = used / cell.connections
                generator.tell("quit")
                generator.wait(30)
            finally:
                generator.stop()
            time.sleep(SETTLE_SECONDS)
            found[f"closed{again}"] = (server.rss_kib() - start) / cell.connections
        return found

    def _run(self, server: rig.Server, options: list[str]) -> None:
        generator = rig.Generator(self.loadgen, server, self.places, options)
        try:
            outcome = generator.read(60)
            generator.wait(5)
        finally:
            generator.stop()
        if outcome.errors:
            raise rig.RigError(outcome.first_error)
