# cython: annotation_typing=False
"""The memory that all connections of a server hold together: `Limits.total`.

Owns how much that is, and what happens when it is too much. What one of them holds
`Sender._account` reports, at the end of each batch and when something was received or
written. As long as there is enough, that is an addition. What the budget then does to a
connection is in `holding`.

Beyond three quarters of the total there is *pressure*. Then all are read from in small
bites, and a connection that holds more than its share not at all: it waits. The share
is what each would have if all had the same, and shrinks to next to nothing at seven
eighths, so that those who hold nothing between two messages are served at any time.
Some of those that wait are *favoured*, in the order in which they came, or nobody could
ever complete the message that it waits with: as many as fit into the last eighth with a
message each, and each for a second. When all is used up it is one, without an end.

Whoever does not get below its share within a time is closed with 1013. Not if it waits
for its turn while most of those that have theirs make use of it: then the server is
busy, and not under attack. Nor as long as all it holds is on its way to a peer that
reads, or nobody waits for it.

When much was freed, what the allocator keeps goes back to the system, a second later.
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from trio_fastws._protocol.deflate.context import INFLATED_STEP
from trio_fastws._transport.logs import log
from trio_fastws._transport.memory import give_back
from trio_fastws._transport.peak import WORTH_GIVING_BACK, Peak
from trio_fastws._transport.wheel import Timer

from .holding import (
    FLOOR,
    Holder,
    give_up,
    is_draining,
    is_one_message,
    pause,
    resume,
)

if TYPE_CHECKING:
    from trio_fastws._transport.contract import Dispatcher

# How many are favoured at most, and for how long when others wait.
MOST_FAVOURED = 64
FAVOUR_SECONDS = 1.0
# Of a message without a limit, when it is counted how many of them may be favoured.
USUAL_MESSAGE = 2**20
# Seconds between two checks of those that wait.
TICK_SECONDS = 1 / 16
# How many of them a check closes, resumes or favours: each takes some 10 us.
AT_ONCE = 64
# How many connections it looks at to find those that hold much and send nothing.
SCANNED = 1024
# Whether most of those that were favoured made use of it: how many of them count.
JUDGED = 256


class Case:
    """A connection that holds more than its share.

    Attributes:
        since: When its time began.
        favoured: Until when it is read from nevertheless; 0 if it waits.
        tried: Whether it was favoured before.
    """

    __slots__ = ("favoured", "since", "tried")

    def __init__(self, since: float) -> None:
        self.since: float = since
        self.favoured: float = 0.0
        self.tried: bool = False


class Budget(Timer):
    """What the connections of one server hold together.

    Attributes:
        total: `Limits.total`.
        held: Bytes that are held now.
        closed: Connections that were closed for it.
    """

    __slots__ = (
        "_bad",
        "_cases",
        "_connections",
        "_cursor",
        "_dispatcher",
        "_favoured",
        "_good",
        "_holders",
        "_most",
        "_peak",
        "_pressed",
        "_queue",
        "_seconds",
        "_soft",
        "_tight",
        "_warned",
        "closed",
        "held",
        "step",
        "total",
    )

    def __init__(
        self,
        total: int,
        largest: int | None,
        seconds: float,
        dispatcher: Dispatcher,
        connections: list[Any],
    ) -> None:
        """Begin with nothing.

        Args:
            total: Most bytes.
            largest: `Limits.message_size`.
            seconds: How long a connection may hold more than its share.
            dispatcher: Whose clock and wheel to use.
            connections: All that are open; each is a `Holder`.
        """
        self._init_timer()
        self.total: int = total
        self.held: int = 0
        self.closed: int = 0
        # How much of a message may be inflated at a time.
        self.step: int = INFLATED_STEP
        # Where pressure begins, and where nobody has a share any more.
        self._soft: int = total - total // 4
        self._tight: int = total - total // 8
        self._holders: int = 0
        self._seconds: float = seconds
        self._dispatcher: Dispatcher = dispatcher
        self._connections: list[Any] = connections
        self._cursor: int = 0
        fit = total // 8 // max(1, USUAL_MESSAGE if largest is None else largest)
        self._most: int = max(1, min(MOST_FAVOURED, fit))
        self._pressed: bool = False
        self._warned: bool = False
        # By the beginning of their time; those of them that wait, in order; the others.
        self._cases: OrderedDict[Holder, Case] = OrderedDict()
        self._queue: OrderedDict[Holder, Case] = OrderedDict()
        self._favoured: dict[Holder, Case] = {}
        # How many have made use of being favoured lately, and how many have not.
        self._good: int = 0
        self._bad: int = 0
        self._peak: Peak = Peak(dispatcher)

    def count_paused(self) -> int:
        """Return how many connections are not read from now."""
        return len(self._queue)

    def charge(self, holder: Any, before: int, held: int) -> None:
        """Charge ``held`` bytes to a `Holder` that held ``before`` until now."""
        self.held += held - before
        if before == 0:
            self._holders += 1
        elif held == 0:
            self._holders -= 1
        peak = self._peak
        peak.held = self.held
        if held > before:
            if self.held > peak.recent:
                peak.recent = self.held
                peak.most = max(peak.most, self.held)
        elif peak.most - self.held >= WORTH_GIVING_BACK:
            peak.plan()
        if self._pressed or self.held > self._soft:
            self._judge(holder, held > before)

    def get_share(self) -> int:
        """Return what a connection may hold now without being paused."""
        if self.held <= self._soft:
            return self.total
        left = max(0, self._tight - self.held) / (self._tight - self._soft)
        return max(FLOOR, int(self.total / max(1, self._holders) * left))

    # --- under pressure -----------------------------------------------------

    def _judge(self, holder: Holder, grew: bool) -> None:
        if not self._pressed:
            self._set_pressed(True)
        if holder._charged > self.total and is_one_message(holder, self.total):
            reason = f"message takes more than {self.total} bytes (Limits.total)"
            give_up(holder, 1009, reason)
        elif holder._charged <= self.get_share():
            if holder in self._cases:
                self._close_case(holder, True)
                self._favour_next()
        elif grew and holder not in self._cases:
            self._open_case(holder)

    def _open_case(self, holder: Holder) -> None:
        case = Case(self._dispatcher.time())
        if self._may_favour():
            case.favoured = case.since + FAVOUR_SECONDS
            self._favoured[holder] = case
        elif pause(holder):
            self._queue[holder] = case
        else:
            return
        self._cases[holder] = case

    def _close_case(self, holder: Holder, good: bool) -> None:
        del self._cases[holder]
        if self._queue.pop(holder, None) is not None:
            resume(holder)
        else:
            del self._favoured[holder]
            self._count(good)

    def _count(self, good: bool) -> None:
        if good:
            self._good += 1
        else:
            self._bad += 1
        if self._good + self._bad > JUDGED:
            self._good //= 2
            self._bad //= 2

    def _may_favour(self) -> bool:
        # One always, or there would be no way out.
        most = self._most if self.held < self.total else 1
        return len(self._favoured) < most

    def _favour_next(self) -> None:
        for _ in range(AT_ONCE):
            if not self._queue or not self._may_favour():
                return
            holder, case = self._queue.popitem(last=False)
            if resume(holder):
                case.favoured = self._dispatcher.time() + FAVOUR_SECONDS
                self._favoured[holder] = case
            else:  # it is closing, or over
                del self._cases[holder]

    def _end_favours(self, now: float) -> None:
        for holder, case in tuple(self._favoured.items()):
            if not self._queue or self.held >= self.total:
                return  # the next one would only add to it
            if case.favoured > now:
                continue
            del self._favoured[holder]
            self._count(False)
            case.favoured = 0.0
            case.tried = True
            self._queue[holder] = case
            if not pause(holder):
                # Its case may be closed already: one that was reset is aborted.
                self._queue.pop(holder, None)
                self._cases.pop(holder, None)

    def _scan(self) -> None:
        # For those that hold much and say nothing more, bounded.
        share = self.get_share()
        start = self._cursor if self._cursor < len(self._connections) else 0
        self._cursor = start + SCANNED
        for holder in self._connections[start : start + SCANNED]:
            if holder._charged > share and holder not in self._cases:
                self._open_case(holder)

    def _end_cases(self, now: float) -> None:
        # The time of the first ones is over; bounded.
        for _ in range(AT_ONCE):
            if not self._cases or self.held <= self._soft:
                return
            holder = next(iter(self._cases))
            case = self._cases[holder]
            if now < case.since + self._seconds:
                return
            if self._may_go_on(case) or is_draining(holder, now - self._seconds):
                case.since = now
                self._cases.move_to_end(holder)
            else:
                self._close(holder)

    def _may_go_on(self, case: Case) -> bool:
        if case.favoured > 0:
            return not self._queue and self.held <= self.total
        return not case.tried and self._good > self._bad

    def _close(self, holder: Holder) -> None:
        if not self._warned:
            self._warned = True
            log(
                logging.WARNING,
                None,
                "%d bytes are held for peers, of %d (Limits.total): "
                "closing those that hold most",
                self.held,
                self.total,
            )
        self.closed += 1
        self._close_case(holder, False)
        reason = (
            "out of memory for all connections (Limits.total): this one held "
            f"{holder._charged} bytes for {self._seconds:g} s"
        )
        give_up(holder, 1013, reason)

    def _relax(self) -> None:
        # There is enough again: those that wait go on, some at a time.
        for _ in range(AT_ONCE):
            if not self._cases or self.held > self._soft:
                break
            self._close_case(next(iter(self._cases)), True)
        if not self._cases:
            self._good = self._bad = 0
            self._warned = False
            self._set_pressed(False)

    # --- deadlines ----------------------------------------------------------

    def _on_deadline(self, now: float) -> float:
        """See `Timer._on_deadline`: check those that wait."""
        if self.held > self._soft:
            self._scan()
            self._end_cases(now)
            self._end_favours(now)
            self._favour_next()
        else:
            self._relax()
        return now + TICK_SECONDS if self._pressed else math.inf

    def _set_pressed(self, pressed: bool) -> None:
        # What is read is held before it is judged: less at a time, then.
        self._pressed = pressed
        self.step = FLOOR if pressed else INFLATED_STEP
        self._dispatcher.narrow_reads(pressed)
        if pressed:
            self._dispatcher.schedule(self, self._dispatcher.time())

    def close(self) -> None:
        """Give memory back, at the end of the server."""
        if self._peak.most >= WORTH_GIVING_BACK:
            give_back()
