"""A server of ours that can be asked what is going on in it, and idle connections."""

from __future__ import annotations

import json
import platform
import socket
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import building
import rig

import trio_fastws

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A walk over some hundred thousand objects, on a core that others use too.
ANSWER_SECONDS = 120.0


def about() -> str:
    """Machine and versions, in one line."""
    cpu = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    ours = "compiled" if trio_fastws.COMPILED else "pure Python, not compiled"
    return (
        f"{cpu[0] if cpu else platform.machine()}, Python {platform.python_version()}, "
        f"trio_fastws {ours}"
    )


class Inspected:
    """One of our servers, `inspected_server` in place of `ours_server`."""

    def __init__(
        self,
        name: str,
        built: dict[str, Path],
        deflate: str = "none",
        wrapper: Sequence[str] = (),
    ) -> None:
        """Start it.

        Args:
            name: As in the tables of ``run.py``: ``ours-callback``.
            built: What `building.build` gave.
            deflate: What it agrees on.
            wrapper: A command that runs it.

        Raises:
            building.RigError: It did not start.
        """
        self._loadgen = built["loadgen"]
        self._places = rig.Places.choose()
        self._scratch = tempfile.TemporaryDirectory()
        self._control = str(Path(self._scratch.name, "control"))
        command = rig.server_command(name, built, "echo", deflate)
        command[1] = building.HERE / "servers" / "inspected_server.py"
        command += ["--control", self._control]
        self.server = rig.Server([*wrapper, *command], self._places)
        self.server.wait()

    def stop(self) -> None:
        """End it."""
        self.server.stop()
        self._scratch.cleanup()

    def ask(self, command: str) -> Any:
        """Give it a command; return its answer."""
        with socket.socket(socket.AF_UNIX) as asker:
            asker.settimeout(ANSWER_SECONDS)
            asker.connect(self._control)
            asker.sendall(command.encode() + b"\n")
            with asker.makefile("rb") as answer:
                found = answer.readline()
        if not found:
            raise building.RigError(f"the server did not answer {command!r}")
        return json.loads(found)

    @contextmanager
    def idle(self, connections: int, payload: int = 128) -> Iterator[rig.Generator]:
        """Hold connections open for the length of a block, then close them."""
        options = ["--mode", "idle", "--connections", str(connections)]
        options += ["--payload", str(payload)]
        generator = rig.Generator(self._loadgen, self.server, self._places, options)
        try:
            _check(generator)
            yield generator
            generator.tell("quit")
            generator.wait(30)
        finally:
            generator.stop()


def echo(generator: rig.Generator) -> None:
    """Have each idle connection send one message, and wait for the answers."""
    generator.tell("echo")
    _check(generator)


def _check(generator: rig.Generator) -> None:
    outcome = generator.read(ANSWER_SECONDS)
    if outcome.errors:
        raise building.RigError(outcome.first_error)
