"""One measurement of one server, and whether it may be believed."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import rig
from building import RigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cells import Cell

# The generator is the limit if it had no time left while the server had.
GENERATOR_FULL = 0.95
SERVER_FULL = 0.85
# From here on it does not matter: with 1 MiB the floor takes the same CPU time for a
# message if one is in flight, and it always waits, as if there are ten.
ONE_READ = 256 * 1024
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
        worst_mean: Of the connections' mean latencies the one that 1 % of them exceed,
            to the median; 0 where nothing is echoed.
        least_share: Of the connections' answers the fewest, to the median.
        late_ms: How late a sleeper woke: the median, the 99th percentile and the most.
        refused: Why the rate is not to be believed; empty if it is.
        broken: A connection or an answer was not as it must be.
    """

    rate: float = 0.0
    p50_us: float = 0.0
    p99_us: float = 0.0
    messages: int = 0
    seconds: float = 0.0
    server: float = 0.0
    generator: float = 0.0
    foreign: float = 0.0
    compressed: float = 0.0
    answer_bytes: float = 0.0
    worst_mean: float = 0.0
    least_share: float = 0.0
    refused: str = ""
    broken: bool = False
    late_ms: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def is_broken(outcome: rig.Outcome) -> bool:
    """Whether something came back wrong, or did not come back."""
    return bool(outcome.errors) or outcome.event != "done"


def verdict(outcome: rig.Outcome, payload: int = 128) -> str:
    """Why an outcome must not be reported, or an empty string.

    A closed loop with few messages in flight leaves both sides idle between
    messages: then neither is the limit, the trip is, and messages per second of
    server CPU time mean what they say. But a server that waits for a generator
    which is always busy gets its messages one by one where it could have had a
    batch, so its figure would be too low, and for the floor all ratios too high.
    There is no such batch if a message alone fills more than one read.
    """
    if is_broken(outcome):
        return f"{outcome.errors} errors; the first: {outcome.first_error}"
    if outcome.messages < FEWEST or not outcome.server_cpu:
        return f"only {outcome.messages} in {outcome.seconds:.1f} s"
    server = outcome.server_cpu / outcome.seconds
    generator = outcome.own_cpu / outcome.seconds
    batches = payload < ONE_READ
    if batches and generator > GENERATOR_FULL and server < SERVER_FULL:
        return (
            f"the load generator was the limit: it ran {generator:.0%} of the time, "
            f"the server {server:.0%} (it can do "
            f"{outcome.messages / outcome.server_cpu:,.0f} or more)"
        )
    return ""


def _sample(outcome: rig.Outcome, foreign: float) -> Sample:
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
        worst_mean=outcome.worst_mean,
        least_share=outcome.least_share,
        broken=is_broken(outcome),
    )


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
        refused = verdict(outcome, cell.payload)
        return replace(_sample(outcome, foreign), refused=refused)

    def sleeper(self, cell: Cell, server: rig.Server) -> Sample:
        """Load a server for one window, or not, while a task in it sleeps.

        Raises:
            RigError: A connection failed, or the sleeper.
        """
        if not cell.loads:
            return self._idle(server)
        witness = _Witness(server, self.places)
        first, *others = (load.options() for load in cell.loads)
        # Those that come on top are there before the window, and until it is over.
        beside = [self._endless(server, options) for options in others]
        times = ["--seconds", str(self.seconds), "--warmup", str(self.warmup)]
        generator = rig.Generator(
            self.loadgen, server, self.places, [*first, *times, "--mark"]
        )
        running = [generator, *beside]
        try:
            outcome = generator.read(self.seconds + self.warmup + 60)
            late = server.lateness()
            foreign = witness.foreign(sum(one.cpu_seconds() for one in running))
            for one in beside:
                if not one.running():
                    raise RigError(one.read(1).first_error)
            generator.wait(5)
        finally:
            for one in running:
                one.stop()
        sample = _sample(outcome, foreign)
        # A sleeper does not mind whether it is the generators that are the limit.
        refused = verdict(outcome) if sample.broken else ""
        return replace(sample, late_ms=late, refused=refused)

    def _endless(self, server: rig.Server, options: list[str]) -> rig.Generator:
        times = ["--seconds", "600", "--warmup", "0"]
        return rig.Generator(self.loadgen, server, self.places, [*options, *times])

    def _idle(self, server: rig.Server) -> Sample:
        witness = _Witness(server, self.places)
        before = sum(map(rig.cpu_seconds, server.pids()))
        server.mark(begins=True)
        time.sleep(self.seconds)
        server.mark(begins=False)
        late = server.lateness()
        used = sum(map(rig.cpu_seconds, server.pids())) - before
        return Sample(
            seconds=self.seconds,
            server=used / self.seconds,
            foreign=witness.foreign(0.0),
            late_ms=late,
        )

    def memory(self, cell: Cell, server: rig.Server) -> dict[str, float]:
        """KiB of server memory for each connection, at several moments.

        Raises:
            RigError: A connection failed.
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
                        raise RigError(outcome.first_error)
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
            raise RigError(outcome.first_error)
