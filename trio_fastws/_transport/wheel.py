# cython: annotation_typing=False
"""One timer wheel for all deadlines of a dispatcher.

Owns which timer is due when. Knows no clock: it is given the time, so that
``trio.current_time()`` (and with it a MockClock) drives every deadline.

A timer sits in at most one slot, and re-arming it for later costs nothing: the owner
only remembers its new deadline and answers with it when the slot comes up. That is why
a busy connection never touches the wheel, and why ten thousand idle ones cost nothing
per second.
"""

from __future__ import annotations

import heapq
import math
from time import perf_counter

# 1/64 s: coarse enough that deadlines of many connections share a slot, and fine enough
# for keepalives and timeouts of seconds.
TICKS_PER_SECOND = 64.0
# The clock is read once for so many timers.
CHECK_EVERY = 64


class Timer:
    """What is called at a deadline. Subclass it.

    The timers of a slot are a ring, and its links are attributes of the timers: two
    pointers for each connection, where an entry of a set would take more.
    """

    __slots__ = ("_due", "_following", "_preceding")

    def __init__(self) -> None:
        self._init_timer()

    def _init_timer(self) -> None:
        # Subclasses call it, not `super().__init__`: from class to class, with C
        # between them, that took a sixteenth of an opening handshake.
        self._due = 0
        self._following: Timer | None = None
        self._preceding: Timer | None = None

    def _on_deadline(self, now: float) -> float:
        """Act on a deadline; return the next one, ``math.inf`` for none.

        Called with the wheel's time. May be called before the deadline that the owner
        has in mind by now: then it only answers with that.
        """
        return math.inf

    def _on_failure(self, error: Exception) -> None:
        """Called when `_on_deadline` has raised. Raises it again unless overridden."""
        raise error


class Wheel:
    """Timers ordered by the tick in which they are due."""

    __slots__ = ("_exact", "_exact_at", "_slots", "_ticks")

    def __init__(self) -> None:
        self._slots: dict[int, Timer] = {}
        self._ticks: list[int] = []
        # The one timer that is in no slot, and when it is due.
        self._exact: Timer | None = None
        self._exact_at: float = math.inf

    def schedule(self, timer: Timer, deadline: float) -> None:
        """Schedule ``timer`` for ``deadline``; one that is due earlier stays so.

        Never moves a timer to a later slot: see the module's docstring.
        """
        if deadline == math.inf:
            return
        # Rounded up, so that a timer never fires before its deadline.
        tick = math.ceil(deadline * TICKS_PER_SECOND)
        if timer._following is not None:
            if timer._due <= tick:
                return
            self._unlink(timer)
        head = self._slots.get(tick)
        if head is None:
            head = Timer()
            head._following = head._preceding = head
            self._slots[tick] = head
            heapq.heappush(self._ticks, tick)
        last = head._preceding
        assert last is not None
        timer._due = tick
        timer._preceding = last
        timer._following = head
        last._following = timer
        head._preceding = timer

    def schedule_exactly(self, timer: Timer, deadline: float) -> None:
        """Schedule ``timer`` for ``deadline`` itself, not for the next tick.

        It replaces the one before: there is one for each wheel.
        """
        self._exact = timer
        self._exact_at = deadline

    def cancel(self, timer: Timer) -> None:
        """Take ``timer`` out of its slot; harmless if it is not scheduled."""
        if timer._following is not None:
            self._unlink(timer)

    def _unlink(self, timer: Timer) -> None:
        before, after = timer._preceding, timer._following
        assert before is not None
        assert after is not None
        before._following = after
        after._preceding = before
        timer._following = timer._preceding = None

    def next_deadline(self) -> float:
        """Return when `run` has something to do, ``math.inf`` for never."""
        ticks = self._ticks
        while ticks:
            head = self._slots[ticks[0]]
            if head._following is not head:
                return min(ticks[0] / TICKS_PER_SECOND, self._exact_at)
            self._drop_first()
        return self._exact_at

    def _drop_first(self) -> None:
        head = self._slots.pop(heapq.heappop(self._ticks))
        # The head refers to itself: break the cycle, or only the GC would free it.
        head._following = head._preceding = None

    def run(self, now: float, until: float) -> bool:
        """Call every timer that is due at ``now``.

        Args:
            now: The time on the owner's clock, in seconds.
            until: `time.perf_counter` value at which to stop early.

        Returns:
            Whether it stopped early, with timers left that are due.
        """
        exact = self._exact
        if exact is not None and self._exact_at <= now:
            self._exact = None
            self._exact_at = math.inf
            deadline = exact._on_deadline(now)
            if deadline < math.inf:
                self.schedule_exactly(exact, deadline)
        count = 0
        while self._ticks and self._ticks[0] / TICKS_PER_SECOND <= now:
            head = self._slots[self._ticks[0]]
            timer = head._following
            assert timer is not None
            # Looked up again for each timer: the one before may have scheduled another
            # for the past, and then a different slot is the first.
            if timer is head:
                self._drop_first()
                continue
            if count == CHECK_EVERY:
                if perf_counter() >= until:
                    return True
                count = 0
            count += 1
            self._unlink(timer)
            try:
                deadline = timer._on_deadline(now)
            except Exception as error:  # noqa: BLE001 - isolation: it knows how it ends
                timer._on_failure(error)
                continue
            self.schedule(timer, self._after(deadline, now))
        return False

    def _after(self, deadline: float, now: float) -> float:
        # A deadline that is past already goes to the next tick, never into the slot
        # that is being emptied: a timer that is always late must not spin.
        return max(deadline, now + 1 / TICKS_PER_SECOND)
