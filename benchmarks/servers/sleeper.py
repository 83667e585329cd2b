"""How late a task wakes in a server's loop, and work that is in its way.

From SIGUSR1 to SIGUSR2 a task sleeps for a millisecond again and again; then a line
of JSON says how many naps it had, and how late in milliseconds it woke from them. Two
signals, since two of one kind are one if the server is not run in between.
"""

from __future__ import annotations

import json
import signal
import time

import trio

NAP = 0.001
SLOW = 0.001
# The path of connections whose messages are slow to handle.
SLOW_PATH = "/slow"


def work() -> None:
    """Use the CPU for a while, as a handler does that thinks."""
    end = time.thread_time() + SLOW
    while time.thread_time() < end:
        pass


async def _sleep_again(late: list[float]) -> None:
    while True:
        due = trio.current_time() + NAP
        try:
            await trio.sleep_until(due)
        finally:
            # Cancelled at the end of the window it may be late as well.
            if (behind := trio.current_time() - due) >= 0:
                late.append(behind * 1e3)


def _tell(late: list[float]) -> None:
    naps = len(late)
    late = sorted(late) or [0.0]
    figures = {
        "p50": late[len(late) // 2],
        "p99": late[len(late) * 99 // 100],
        "most": late[-1],
    }
    print(json.dumps({"naps": naps, "late_ms": figures}), flush=True)


async def watch_lateness() -> None:
    """Sleep and tell, from signal to signal; never returns."""
    with trio.open_signal_receiver(signal.SIGUSR1, signal.SIGUSR2) as signals:
        while True:
            await anext(signals)
            late: list[float] = []
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_sleep_again, late)
                await anext(signals)
                nursery.cancel_scope.cancel()
            _tell(late)
