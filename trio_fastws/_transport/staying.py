# cython: annotation_typing=False
"""When to wait for the kernel right here, in the dispatcher's own epoll.

A turn of trio's own loop, with a task parked and woken in it, costs more than all the
rest of a message that comes alone. So once a turn has handled what there was, and
nobody else has anything to do either (`quiet` is asked before each wait), the
dispatcher may stay where it is and wait, as long as that pays.

A stay ends by a timer in the epoll, set once. A wait with a limit as short would set
one each time, and to set one is 10 us of the kernel's in a virtual machine.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .syscalls import new_timer, set_timer

if TYPE_CHECKING:
    from collections.abc import Callable

# Long enough for sixteen messages that come singly over the loopback, and half of what
# a turn may take if there is always something to do.
STAY_SECONDS = 0.001
# It pays from so many waits on that have brought something.
FEWEST = 3
# While it does not pay it is tried in one turn of 2, 4, ..., 2 to the power of this.
MOST_FAILURES = 6


class Stay:
    """Whether a turn may wait for more."""

    __slots__ = (
        "_allowed",
        "_brought",
        "_failures",
        "_quiet",
        "_skipped",
        "_until",
        "timer",
    )

    def __init__(self, quiet: Callable[[], float]) -> None:
        """Allow it as it pays.

        Args:
            quiet: Returns for how many seconds nobody else has anything to do.
        """
        self._quiet = quiet
        # Ends waits by becoming readable. -1: there is none, and no staying.
        self.timer: int = new_timer()
        # In this turn; and until when, once there is a reason to stay.
        self._allowed = False
        self._until: float = 0.0
        # Waits of this stay that have brought something.
        self._brought: int = 0
        # Stays in a row that did not pay, and turns that still go without one.
        self._failures: int = 0
        self._skipped: int = 0

    def begin(self) -> None:
        """Begin a turn: nothing but the epoll woke the task, so nobody else waits."""
        if self._until > 0.0:
            self._judge(self._brought >= FEWEST)
        self._until = 0.0
        self._brought = 0
        self._allowed = self._skipped == 0
        if not self._allowed:
            self._skipped -= 1

    def may_wait(self, now: float) -> bool:
        """Return whether the next look may wait, however long: the timer ends it."""
        if not self._allowed or 0.0 < self._until <= now:
            return False
        begins = self._until == 0.0
        if self._quiet() < STAY_SECONDS:
            self._allowed = False
            if begins:
                self._judge(False)
            return False
        if begins:
            set_timer(self.timer, int(STAY_SECONDS * 1e6))
            self._until = now + STAY_SECONDS
        return True

    def waited(self, now: float) -> None:
        """Called after a wait, with the time: count it if it was worth it."""
        if now < self._until:
            self._brought += 1

    def _judge(self, pays: bool) -> None:
        self._failures = 0 if pays else min(self._failures + 1, MOST_FAILURES)
        self._skipped = 0 if pays else 1 << self._failures

    def close(self) -> None:
        """Give the timer back."""
        if self.timer >= 0:
            os.close(self.timer)
            self.timer = -1
