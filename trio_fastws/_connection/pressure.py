# cython: annotation_typing=False
"""Back-pressure: what it means for a connection that its peer reads slowly.

Owns who is stopped when too much waits to be written, and who is told when there is
room again: a peer that is not read from any more, tasks in `send`, and ``on_drain``.
How much may wait is `_output`'s business.

Who is told. A jam begins when the link does not take all, and ``on_drain`` says that
it is over: all was written. Or a message was refused (`trio.WouldBlock`), whether or
not the link ever refused a byte: then it says that there is room, at the low water.
Either way once; only what happens after it is news again.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from trio_fastws._config.options import SMALLEST_UNSENT

from .inbox import BY_OUTBOX
from .input import Input
from .liveness import first_look
from .writing import WHEN_EMPTY

if TYPE_CHECKING:
    from trio_fastws._transport.contract import Turn

    from .outbox import Outbox


class Pressure(Input):
    """What is slowed down by a peer. `Connection` adds how it begins and ends."""

    __slots__ = ()

    def limit_unsent(self, size: int) -> None:
        """Limit what the kernel holds of this connection and has not sent yet.

        So that what a slow peer sees is newer, at the cost of more and smaller
        writes; `Sending.unsent_limit` does it for all connections. What is under
        way, and what waits to be read in the peer's own kernel, does not count. Not
        a checkpoint. Without effect where there is no TCP socket below.

        Args:
            size: Bytes, 1,024 or more (TCP_NOTSENT_LOWAT).

        Raises:
            ValueError: It is less.
            RuntimeError: This is another thread than that of the trio run.
        """
        self._service.turn.contexts.check_thread()
        if size < SMALLEST_UNSENT:
            raise ValueError(f"size is {size}; it must be {SMALLEST_UNSENT} or more")
        if self.link is not None:
            self.link.limit_unsent(min(size, 2**31 - 1))

    def on_writable(self) -> None:
        """See `Owner.on_writable`."""
        outbox = self._outbox
        if outbox is not None:
            self._flush(outbox)
            if self._owed != 0:
                self._tell_drained()
        else:
            self._update_interest()

    def _on_blocked(self) -> None:
        outbox = self._outbox
        assert outbox is not None
        service = self._service
        self._owe_drain()
        if service.write_stall < math.inf:
            service.turn.schedule(self, first_look(outbox, service.write_stall))
        if outbox.size() > service.high_water:
            self._on_crowded()
        self._update_interest()

    def _on_crowded(self) -> None:
        outbox = self._outbox
        if outbox is not None and outbox.blocked:
            self._owe_drain()  # again, if there was room in between
        # A peer that does not read what it asked for is not asked for more.
        if self._service.handler is not None:
            self._pause(BY_OUTBOX)

    def _on_written(self, was_blocked: bool) -> None:
        outbox = self._outbox
        if self._ending:
            self._update_interest()
            self._settle()
            return
        if outbox is None or outbox.size() <= self._service.low_water:
            if self._paused & BY_OUTBOX:
                self._resume(BY_OUTBOX)
            waiting = self._waiting
            if waiting is not None and self._has_room():
                waiting.room()
        if was_blocked and (outbox is None or not outbox.blocked):
            self._update_interest()

    def _owe_drain(self) -> None:
        if self._owed == 0:
            self._owed = WHEN_EMPTY

    def _is_drained(self, outbox: Outbox | None) -> bool:
        # Whether whoever is to be told would find room, and nobody first.
        if outbox is not None and (
            self._owed == WHEN_EMPTY
            or outbox.size() > self._service.low_water
            or not self._has_room()
        ):
            return False
        waiting = self._waiting
        return waiting is None or not (waiting.writing or waiting.crowded())

    def _tell_drained(self) -> None:
        # From the loop alone, or hooks would run in the middle of a task's call.
        link = self.link
        if link is None or link.broken or not self._is_drained(self._outbox):
            return
        self._owed = 0
        self._call_alone(self._service.turn, "on_drain")

    def _call_alone(self, turn: Turn, hook: str) -> None:
        # A hook that no input has brought.
        if self._service.handler is None:
            return
        turn.corked = self
        contexts = turn.contexts
        contexts.enter(self)
        try:
            self._call_hook(hook)
        finally:
            contexts.leave(self)
        self._leave(turn)
