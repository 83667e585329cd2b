"""Whether anybody else in this run of trio has something to do.

Asked before a turn waits where it is, and keeps everybody else from running. Trio
tells most of it, but not which tasks run in the same batch: these are not runnable
any more, nor waiting. So it is also seen whether trio had time to sleep before.
"""

from __future__ import annotations

import inspect
from typing import Any

import trio
from trio.lowlevel import current_statistics

# The task that waits for what comes from threads: trio's own.
TRIOS_OWN = 1


def is_guest() -> bool:
    """Return whether another loop runs trio's (guest mode): it is among the callers.

    That loop has things to do of which trio knows nothing.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not trio.run.__code__:
        frame = frame.f_back
    return frame is None


class Quiet(trio.abc.Instrument):
    """Sees for how long nobody else in a run has anything to do.

    Install it as long as it is asked.
    """

    def __init__(self) -> None:
        self._slept = False

    def before_io_wait(self, timeout: float) -> None:
        """See whether trio may sleep, because no task can run."""
        self._slept = timeout > 0

    def seconds(self) -> float:
        """Return for how long nobody has anything to do: 0 if somebody has, or may.

        May: whoever waits for a descriptor that trio watches, or for a thread, can be
        woken at any time.
        """
        if not self._slept:
            return 0.0
        known = current_statistics()
        # What is told of epoll, and nobody waits in an epoll elsewhere.
        others: Any = known.io_statistics
        if (
            known.tasks_runnable > 0
            or known.run_sync_soon_queue_size > 0
            or others.tasks_waiting_read > TRIOS_OWN
            or others.tasks_waiting_write > 0
            or trio.to_thread.current_default_thread_limiter().borrowed_tokens > 0
        ):
            return 0.0
        return known.seconds_to_next_deadline
