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
    from trio_fastws._transport.contract import Dispatcher

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
        self._shared.dispatcher.contexts.check_thread()
        if size < SMALLEST_UNSENT:
            raise ValueError(f"size is {size}; it must be {SMALLEST_UNSENT} or more")
        if self._link is not None:
            self._link.limit_unsent(size)

    def _on_writable(self) -> None:
        """See `Owner._on_writable`."""
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
        shared = self._shared
        self._owe_drain()
        if shared.write_stall < math.inf:
            shared.dispatcher.schedule(self, first_look(outbox, shared.write_stall))
        if outbox.size() > shared.high_water:
            self._on_crowded()
        self._update_interest()

    def _on_crowded(self) -> None:
        outbox = self._outbox
        if outbox is not None and outbox.blocked:
            self._owe_drain()  # again, if there was room in between
        # A peer that does not read what it asked for is not asked for more.
        if self._shared.handler is not None:
            self._pause(BY_OUTBOX)

    def _on_written(self, was_blocked: bool) -> None:
        outbox = self._outbox
        if self._ending:
            self._update_interest()
            self._settle()
            return
        if outbox is None or outbox.size() <= self._shared.low_water:
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
            or outbox.size() > self._shared.low_water
            or not self._has_room()
        ):
            return False
        waiting = self._waiting
        return waiting is None or not (waiting.writing or waiting.crowded())

    def _tell_drained(self) -> None:
        # From the loop alone, or hooks would run in the middle of a task's call.
        link = self._link
        if link is None or link.broken or not self._is_drained(self._outbox):
            return
        self._owed = 0
        self._call_alone(self._shared.dispatcher, "on_drain")

    def _call_alone(self, dispatcher: Dispatcher, hook: str) -> None:
        # A hook that no input has brought.
        if self._shared.handler is None:
            return
        dispatcher.corked = self
        contexts = dispatcher.contexts
        contexts.enter(self, self._context)
        try:
            self._call_hook(hook)
        finally:
            self._context = contexts.leave(self._context)
        self._leave(dispatcher)
