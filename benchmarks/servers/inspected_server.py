"""`ours_server` with somebody to ask: it obeys lines on a Unix socket.

    inspected_server.py --control PATH [the options of ours_server]

Each line is a command, each answer a line of JSON. The program is the same but for
this task, which sleeps while nobody asks.
"""

# ruff: noqa: D102 - methods of an instrument, documented where they are inherited from

from __future__ import annotations

import gc
import json
import socket
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import memory
import trio

if TYPE_CHECKING:
    from collections.abc import Callable


class Turns(trio.abc.Instrument):
    """Counts what trio's loop does while it is added."""

    def __init__(self) -> None:
        self.counts = {"turns": 0, "scheduled": 0, "steps": 0}

    def before_io_wait(self, timeout: float) -> None:
        self.counts["turns"] += 1

    def task_scheduled(self, task: trio.lowlevel.Task) -> None:
        self.counts["scheduled"] += 1

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.counts["steps"] += 1


def count_turns(turns: Turns) -> dict[str, int]:
    """Begin to count, or go on; return what was counted so far."""
    found = dict(turns.counts)
    if not any(found.values()):
        trio.lowlevel.add_instrument(turns)
    return found


def _summary() -> dict[str, int]:
    gc.collect()
    return memory.summary()


async def obey(path: str, *, task_status: trio.TaskStatus[None]) -> None:
    """Serve one asker after the other."""
    turns = Turns()
    commands: dict[str, Callable[[], Any]] = {
        "census": memory.census,
        "collect": gc.collect,
        "summary": _summary,
        "trace": tracemalloc.start,
        "traced": memory.traced,
        "trim": memory.trim,
        "turns": lambda: count_turns(turns),
    }
    with trio.socket.socket(socket.AF_UNIX) as listener:
        await listener.bind(path)
        listener.listen()
        task_status.started()
        while True:
            peer, _ = await listener.accept()
            async with trio.SocketStream(peer) as stream:
                # A command comes from a program that waits for the answer: one a read.
                command = (await stream.receive_some(100)).decode().strip()
                found = json.dumps(commands[command]())
                await stream.send_all(found.encode() + b"\n")


async def main(path: str) -> None:
    """Run both."""
    import ours_server  # noqa: PLC0415 - it reads the command line

    async with trio.open_nursery() as nursery:
        # First: whoever reads that the server listens may ask.
        await nursery.start(obey, path)
        await ours_server.main()


if __name__ == "__main__":
    at = sys.argv.index("--control")
    control = sys.argv[at + 1]
    del sys.argv[at : at + 2]
    trio.run(main, control)
