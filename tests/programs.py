"""Programs that tests start: servers known by the line that says they listen."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = (sys.executable, "-m", "trio_fastws")

# What no test comes near, unless something hangs.
TIMEOUT = 25


class Program:
    """A server in a process.

    Attributes:
        url: Where it listens, as it says itself.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.url = self.line().removeprefix("listening on ")

    @property
    def page(self) -> str:
        """Where its page is, beside a WebSocket at ``/ws``."""
        return f"http{self.url.removeprefix('ws').removesuffix('ws')}"

    def line(self) -> str:
        """Wait for the next line of its stdout."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def stop(self, signal: int) -> tuple[int, str]:
        """Send a signal and wait; return exit status and stderr."""
        self.process.send_signal(signal)
        _, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, errors


@contextmanager
def running(*command: str | Path) -> Iterator[Program]:
    """Start a server; kill it at the end of the block if it still runs."""
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Program(process)
        finally:
            process.kill()


@contextmanager
def serving(*args: str | Path) -> Iterator[Program]:
    """Start ``trio-fastws serve``, on a free port unless on a Unix socket."""
    port = () if "--unix" in args else ("--port", "0")
    with running(*PROGRAM, "serve", *args, *port) as program:
        yield program


def dial(*args: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    """Run ``trio-fastws dial`` to its end, with a pipe as stdin."""
    done = subprocess.run(
        [*PROGRAM, "dial", *map(str, args)],
        cwd=ROOT,
        input=stdin,
        capture_output=True,
        timeout=TIMEOUT,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def wait_for(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a process; return exit status, stdout and stderr."""
    out, errors = process.communicate(timeout=TIMEOUT)
    return process.returncode, out, errors


def load(path: Path) -> ModuleType:
    """Run a file as a module that nobody else has."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
