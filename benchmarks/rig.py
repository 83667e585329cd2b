"""Processes: start servers, run the load generators.

Knows nothing of cells, ratios or tables. Every process it starts it also ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from building import HERE, RigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# An import of a library with its dependencies, on a core that others use too.
START_SECONDS = 30.0
TICK = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Places:
    """Which core runs what, and how eagerly."""

    server: int
    generator: int
    nice: int = 0

    @classmethod
    def choose(cls, nice: int = 0) -> Places:
        """Take the first two cores this process may use."""
        cores = sorted(os.sched_getaffinity(0))
        return cls(cores[0], cores[1] if len(cores) > 1 else cores[0], nice)


@contextlib.contextmanager
def _on_core(core: int) -> Iterator[None]:
    """Let processes started within inherit a core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _spawn(
    command: Sequence[str | Path], core: int, nice: int, **options: Any
) -> subprocess.Popen[str]:
    with _on_core(core):
        process = subprocess.Popen(command, text=True, **options)
    if nice:
        os.setpriority(os.PRIO_PROCESS, process.pid, nice)
    return process


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
        # A load generator that was ended early may have left it stopped.
        process.send_signal(signal.SIGCONT)
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads.

    Linux gives every process a clock of its own; the number is that of
    MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED). It counts what /proc/PID/stat
    counts, in nanoseconds in place of ticks of 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


def core_seconds(core: int) -> float:
    """Time a core has been busy since the machine started, whoever used it."""
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, irq, softirq, steal = fields[:8]
            spent = (user, nice, system, irq, softirq, steal)
            return sum(map(int, spent)) * TICK
    raise RigError(f"no core {core} in /proc/stat")


class Server:
    """A server under test in a process of its own, on its core."""

    def __init__(self, command: Sequence[str | Path], places: Places) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop
        root = str(HERE.parent)
        path = os.environ.get("PYTHONPATH")
        self._process = _spawn(
            command,
            places.server,
            places.nice,
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            stderr=self._errors,
            env=os.environ | {"PYTHONPATH": f"{root}:{path}" if path else root},
        )
        self.port = 0

    def wait(self) -> None:
        """Wait until it listens.

        Raises:
            RigError: It ended, or said nothing for a long time; with its words.
        """
        pipe = self._process.stdout
        assert pipe is not None
        ready, _, _ = select.select([pipe], [], [], START_SECONDS)
        words = pipe.readline().split() if ready else []
        if len(words) != 2 or words[0] != "listening":
            _end(self._process)
            raise RigError(self._last_words() or f"did not listen: {words}")
        self.port = int(words[1])

    def stop(self) -> None:
        """End it; for one that has ended already nothing happens."""
        _end(self._process)
        self._errors.close()

    def mark(self, *, begins: bool) -> None:
        """Tell a sleeper in it that a window begins or ends."""
        self._process.send_signal(signal.SIGUSR1 if begins else signal.SIGUSR2)

    def lateness(self) -> dict[str, float]:
        """Wait for what the sleeper tells after a window.

        Raises:
            RigError: It tells nothing, or never slept.
        """
        pipe = self._process.stdout
        assert pipe is not None
        ready, _, _ = select.select([pipe], [], [], START_SECONDS)
        if not ready:
            raise RigError("the sleeper says nothing")
        try:
            told = json.loads(pipe.readline())
            naps, late = told["naps"], told["late_ms"]
        except (ValueError, KeyError, TypeError) as error:
            raise RigError("the sleeper does not say how late it was") from error
        if not naps:
            raise RigError("the sleeper's window was too short for a nap")
        return dict(late)

    def pids(self) -> list[int]:
        """Itself and every process under it."""
        found = [self._process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, task.read_text(encoding="ascii").split())
        return found

    def rss_kib(self) -> int:
        """Resident memory of it and its children."""
        total = 0
        for pid in self.pids():
            status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
            for line in status.splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
        return total

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the load generator reported."""

    event: str
    seconds: float
    messages: int
    errors: int
    first_error: str
    p50_us: float
    p99_us: float
    server_cpu: float
    own_cpu: float
    compressed: float
    answer_bytes: float
    worst_mean: float
    least_share: float

    @classmethod
    def parse(cls, line: str) -> Outcome:
        """Read one line of its output.

        Raises:
            RigError: It is not a report.
        """
        try:
            fields = json.loads(line)
            return cls(**{name: fields[name] for name in cls.__slots__})
        except (ValueError, KeyError, TypeError) as error:
            raise RigError(f"not a report: {line!r}") from error


class Generator:
    """The load generator, running."""

    def __init__(
        self, program: Path, server: Server, places: Places, options: Sequence[str]
    ) -> None:
        command: list[str | Path] = [program, "--port", str(server.port), *options]
        for pid in server.pids():
            command += ["--pid", str(pid)]
        self._process = _spawn(
            command,
            places.generator,
            places.nice,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def read(self, timeout: float) -> Outcome:
        """Wait for its next report.

        Raises:
            RigError: It took longer than ``timeout`` seconds or said nothing.
        """
        pipe = self._process.stdout
        assert pipe is not None
        ready, _, _ = select.select([pipe], [], [], timeout)
        if not ready:
            raise RigError(f"the load generator said nothing for {timeout:.0f} s")
        return Outcome.parse(pipe.readline())

    def tell(self, command: str) -> None:
        """Give an idle generator a command."""
        pipe = self._process.stdin
        assert pipe is not None
        pipe.write(f"{command}\n")
        pipe.flush()

    def wait(self, timeout: float) -> None:
        """Let it close its connections."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout)

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def cpu_seconds(self) -> float:
        """CPU time it has used."""
        return cpu_seconds(self._process.pid)

    def stop(self) -> None:
        """End it."""
        _end(self._process)


def server_command(
    name: str, built: dict[str, Path], mode: str, deflate: str
) -> list[str | Path]:
    """The command line of a server by its name in the tables."""
    if name == "floor":
        return [built["floor"], mode, *([deflate] if deflate != "none" else [])]
    base, *variants = name.split("+")
    base, _, handler = base.partition("-")
    script = HERE / "servers" / f"{base}_server.py"
    command: list[str | Path] = [sys.executable, script, "--mode", mode]
    command += ["--deflate", deflate]
    if handler:
        command += ["--handler", handler]
    for variant in variants:
        command += ["--variant", variant]
    return command
