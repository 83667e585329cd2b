"""What can be counted of a server while it handles messages, each by its own means.

A meter owns one running server, started the way the meter needs it. None of these
slows the load generator, but most slow the server, and a slow server finds more
messages ready in each turn: counts of one meter are those of a server under full load.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import struct
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import building
import rig
from callgrind import read_profile
from inspecting import Inspected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Valgrind takes ten times as long to import what the server needs.
SLOW_START_SECONDS = 180.0
FLAGS = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
# As in `counted.c`.
COUNTED = ("allocations", "bytes allocated", "copies", "copied", "received", "sent")


class Meter:
    """Counts one kind of thing; a subclass for each."""

    name: ClassVar[str]
    # Programs it needs, and the package of Debian that has them.
    needs: ClassVar[dict[str, str]] = {}
    # How many times as many messages as under valgrind: more, where it is quick.
    scale: ClassVar[int] = 4

    def __init__(self, name: str, built: dict[str, Path], deflate: str) -> None:
        """Start the server of that name.

        Raises:
            building.RigError: It does not start.
        """
        self.scratch = tempfile.TemporaryDirectory()
        command = rig.server_command(name, built, "echo", deflate)
        # The same hashes in each run, and so the same steps in each dict.
        wrapper = ["env", "PYTHONHASHSEED=0", *self.wrapper(built)]
        self.server = rig.Server([*wrapper, *command], rig.Places.choose())
        self.server.wait()

    @classmethod
    def check(cls) -> None:
        """Check that what it needs is there.

        Raises:
            building.RigError: It is not; the message names the package.
        """
        for program, package in cls.needs.items():
            if shutil.which(program) is None:
                raise building.RigError(
                    f"{cls.name} are counted with {program}: install {package}"
                )

    @classmethod
    def takes(cls, server: str) -> bool:
        """Whether it can count anything of a server."""
        return bool(server)

    @property
    def pid(self) -> int:
        """Of the server; all of them are one process."""
        return self.server.pids()[0]

    def wrapper(self, built: dict[str, Path]) -> Sequence[str]:
        """The words in front of the server's command."""
        return ()

    def count(self, work: Callable[[], int]) -> tuple[int, Counter[str]]:
        """Count while ``work`` runs; return what it does, too."""
        before = self.now()
        result = work()
        after = self.now()
        after.subtract(before)
        return result, after

    def now(self) -> Counter[str]:
        """The counts so far."""
        raise NotImplementedError

    def close(self) -> None:
        """End the server."""
        self.server.stop()
        self.scratch.cleanup()


class Syscalls(Meter):
    """System calls by name."""

    name = "syscalls"
    needs: ClassVar[dict[str, str]] = {"strace": "strace"}

    def count(self, work: Callable[[], int]) -> tuple[int, Counter[str]]:
        """See `Meter.count`."""
        report = Path(self.scratch.name, "syscalls")
        command: list[str | Path] = [
            "strace",
            "-f",
            "-c",
            "-U",
            "calls,name",
            "-o",
            report,
        ]
        with subprocess.Popen(
            [*command, "-p", str(self.pid)], stderr=subprocess.PIPE, text=True
        ) as tracer:
            assert tracer.stderr is not None
            words = tracer.stderr.readline()
            if "attached" not in words:
                tracer.terminate()
                raise building.RigError(f"strace: {words.strip()}")
            try:
                result = work()
            finally:
                tracer.send_signal(signal.SIGINT)
                tracer.wait()
        found: Counter[str] = Counter()
        for line in report.read_text(encoding="utf-8").splitlines():
            calls, _, name = line.strip().partition(" ")
            if calls.isdigit() and name.strip() != "total":
                found[name.strip()] = int(calls)
        return result, found


class Switches(Meter):
    """Context switches and page faults: what the kernel does unasked."""

    name = "switches"

    def now(self) -> Counter[str]:
        """See `Meter.now`."""
        process = Path(f"/proc/{self.pid}")
        # proc(5): behind the name, which may hold anything, minflt is the 8th field.
        fields = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2]
        found = Counter({"page faults": int(fields.split()[7])})
        for task in (process / "task").iterdir():
            status = (task / "status").read_text(encoding="utf-8")
            for line in status.splitlines():
                name, _, value = line.partition("_ctxt_switches:")
                if value:
                    kind = "involuntary" if name == "nonvoluntary" else name
                    found[kind] += int(value)
        return found


class Turns(Meter):
    """Turns of trio's loop, tasks that were made runnable, steps that they took."""

    name = "turns"

    def __init__(self, name: str, built: dict[str, Path], deflate: str) -> None:
        """See `Meter`; the server is one that can be asked."""
        self.scratch = tempfile.TemporaryDirectory()
        self._inspected = Inspected(name, built, deflate)
        self.server = self._inspected.server
        try:
            self._inspected.ask("turns")
        except BaseException:
            self.close()
            raise

    @classmethod
    def takes(cls, server: str) -> bool:
        """See `Meter.takes`: only ours run trio."""
        return server.startswith("ours-")

    def now(self) -> Counter[str]:
        """See `Meter.now`."""
        return Counter(self._inspected.ask("turns"))

    def close(self) -> None:
        """See `Meter.close`."""
        self._inspected.stop()
        self.scratch.cleanup()


class Instructions(Meter):
    """Instructions in user space, by object file and by function."""

    name = "instructions"
    needs: ClassVar[dict[str, str]] = {
        "valgrind": "valgrind",
        "callgrind_control": "valgrind",
    }
    scale = 1

    def __init__(self, name: str, built: dict[str, Path], deflate: str) -> None:
        """See `Meter`."""
        rig.START_SECONDS = SLOW_START_SECONDS
        super().__init__(name, built, deflate)
        self._dumps = 0

    def wrapper(self, built: dict[str, Path]) -> Sequence[str]:
        """See `Meter.wrapper`."""
        out = Path(self.scratch.name, "profile")
        return ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}"]

    def count(self, work: Callable[[], int]) -> tuple[int, Counter[str]]:
        """See `Meter.count`; the names are ``OBJECT:FUNCTION``."""
        self._dump().unlink()
        result = work()
        return result, read_profile(self._dump())

    def _dump(self) -> Path:
        # Which also sets all counters to 0.
        done = subprocess.run(
            ["callgrind_control", "-d", str(self.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        self._dumps += 1
        found = Path(self.scratch.name, f"profile.{self._dumps}")
        if done.returncode or not found.exists():
            raise building.RigError(f"callgrind_control: {done.stdout}{done.stderr}")
        return found


class Memory(Meter):
    """Allocations, copies in user space, and bytes to and from the kernel."""

    name = "memory"

    def __init__(self, name: str, built: dict[str, Path], deflate: str) -> None:
        """See `Meter`."""
        super().__init__(name, built, deflate)
        if not any(self.now().values()):
            self.close()
            raise building.RigError(
                f"{name} does not call libc, or LD_PRELOAD does nothing"
            )

    def wrapper(self, built: dict[str, Path]) -> Sequence[str]:
        """See `Meter.wrapper`."""
        counts = Path(self.scratch.name, "counts")
        counts.write_bytes(bytes(8 * len(COUNTED)))
        library = _library(built["floor"].parent)
        # Else Python's allocator hides all that is small.
        words = ["PYTHONMALLOC=malloc", f"COUNTED={counts}", f"LD_PRELOAD={library}"]
        return ["env", *words]

    def now(self) -> Counter[str]:
        """See `Meter.now`."""
        data = Path(self.scratch.name, "counts").read_bytes()
        values = struct.unpack(f"={len(COUNTED)}Q", data)
        return Counter(dict(zip(COUNTED, values, strict=True)))


def _library(cache: Path) -> Path:
    """Compile what counts, unless it is there."""
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    assert compiler is not None, "building.build has found one"
    source = building.HERE / "counted.c"
    text = source.read_bytes() + " ".join([compiler, *FLAGS]).encode()
    found = cache / f"counted-{hashlib.sha256(text).hexdigest()[:16]}.so"
    if not found.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            target = Path(scratch, "counted.so")
            # Its own copies must not become calls of itself.
            command: list[str | Path] = [compiler, *FLAGS, "-fno-builtin"]
            command += ["-o", target, source, "-ldl"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise building.RigError(f"{' '.join(map(str, command))}\n{done.stderr}")
            target.replace(found)
    return found


METERS: tuple[type[Meter], ...] = (Syscalls, Switches, Turns, Instructions, Memory)
