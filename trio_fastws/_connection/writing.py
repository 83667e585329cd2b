# cython: annotation_typing=False
"""When what was encoded is written: now, at the end of the turn, or later.

Owns the order of what is committed, and where it stands: in the outbox's wire, or
in the turn's cork (it leaves at the end of the batch). What is sent, and whether
it may be, is `_output`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .encoding import Encoder
from .held import HeldFrames
from .outbox import Outbox
from .waiters import Waiting

if TYPE_CHECKING:
    from trio_fastws._protocol.endpoint import Endpoint
    from trio_fastws._transport.contract import Dispatcher

    from .shared import Shared

# Trio runs every runnable task once in a batch, in any order, and a task that receives
# and sends does so in every other one: between two sends are one or two of our turns,
# or three (after it, with the next batch, and before it), never four.
PATIENCE = 3
# But not for longer than this: a task may work on each of its messages. It is what 100
# tasks need for 16 messages each, which then leave in one write a task.
PATIENCE_SECONDS = 0.01
# Under `Sending.delay` a connection that has so much is written at once: 11 full
# segments of TCP, about what it sends before the first acknowledgement (RFC 6928), so
# that a longer batch would save no packet.
BATCH_SIZE = 16 * 1024
# When ``on_drain`` is owed: after a jam, and after a message was refused.
WHEN_EMPTY, WHEN_ROOM = 1, 2


class Writer(Encoder):
    """What writes. `Output` adds messages."""

    __slots__ = (
        "_closing",
        "_owed",
        "_sent_turn",
    )

    def _init_writer(self, shared: Shared, endpoint: Endpoint) -> None:
        self._init_encoder(shared, endpoint)
        # No more messages are sent: a Close was queued, came, or must not.
        self._closing = False
        # The turn of the last write that went out at once.
        self._sent_turn = -1
        # Whether ``on_drain`` is to be called, and when; see `_pressure`.
        self._owed: int = 0

    def _get_waiting(self) -> Waiting:
        if self._waiting is None:
            self._waiting = Waiting()
        return self._waiting

    # --- what the other half does -------------------------------------------

    def _on_blocked(self) -> None:
        """React: the link took less than there is."""

    def _on_crowded(self) -> None:
        """React: more than `Sending.high_water` waits."""

    def _on_written(self, was_blocked: bool) -> None:
        """React: something was written; the outbox is None if nothing is left.

        Args:
            was_blocked: Whether the link did not take all the last time.
        """

    # --- control frames -----------------------------------------------------

    def _commit(self, data: bytes) -> None:
        # Past every policy, in order with what is committed.
        dispatcher = self._shared.dispatcher
        outbox = self._outbox
        if outbox is not None:
            outbox.commit([data], len(data))
            self._mark_outbox(outbox, dispatcher, True)
        elif dispatcher.corked is self:
            dispatcher.cork.append(data)
            dispatcher.cork_size += len(data)
        else:
            self._write([data], len(data))

    def _commit_control(self, data: bytes, is_pong: bool) -> None:
        # A Ping or a Pong of ours.
        if not self._endpoint.dividing:
            self._commit(data)
            return
        waiting = self._get_waiting()
        if waiting.held is None:
            waiting.held = HeldFrames(self._release_held)
            dispatcher, seconds = self._shared.dispatcher, self._shared.hold_seconds
            dispatcher.schedule(waiting.held, dispatcher.time() + seconds)
        waiting.held.add(data, is_pong)

    def _release_held(self) -> None:
        # The end of the message takes too long: between two of its fragments, then.
        # RFC 6455 5.5.1: MUST NOT send any more frames after a Close
        data = self._take_held()
        if data and self._link is not None and not self._endpoint.close_sent:
            self._commit(data)

    # --- writing ------------------------------------------------------------

    def _uncork(self, dispatcher: Dispatcher) -> None:
        parts = dispatcher.cork
        size = dispatcher.cork_size
        dispatcher.cork = []
        dispatcher.cork_size = 0
        self._write(parts, size)

    def _write(self, parts: list[bytes], size: int) -> None:
        link = self._link
        if link is None:
            return
        taken = link.write(parts, size)
        if taken < size:
            outbox = self._new_outbox()
            outbox.commit(parts, size)
            if taken > 0:
                outbox.advance(taken)
            outbox.block(link)
            self._on_blocked()
            self._account()

    def _new_outbox(self) -> Outbox:
        shared = self._shared
        now = shared.dispatcher.time()
        outbox = Outbox(self, now, shared.wire_limit, shared.sparing)
        self._outbox = outbox
        return outbox

    def _mark_outbox(
        self, outbox: Outbox, dispatcher: Dispatcher, urgent: bool = False
    ) -> None:
        # Have it written: by the link when it is blocked, else by the loop. What a
        # hook answers its own peer is not held back, nor is what follows: a Close.
        shared = self._shared
        if outbox.size() > shared.high_water:
            self._on_crowded()
        outbox.patience = PATIENCE if dispatcher.corked is None else 0
        if outbox.blocked:
            self._account()
            return
        if shared.delay > 0 and not (
            urgent or self._closing or dispatcher.corked is self
        ):
            if outbox.held_until == 0:
                outbox.held_until = shared.delay_output(self)
            if outbox.size() < BATCH_SIZE:
                self._account()
                return
        outbox.held_until = 0.0
        dispatcher.mark(self)

    def _write_out(self, outbox: Outbox) -> None:
        # Marked outboxes come here at the end of a turn.
        dispatcher = self._shared.dispatcher
        if outbox.held_until > 0:
            if dispatcher.now < outbox.held_until:
                return
            outbox.held_until = 0.0
            outbox.patience = 0  # it had its time
        if outbox.patience > 0 and dispatcher.now < outbox.since + PATIENCE_SECONDS:
            # A task is sending and may be about to send more: wait until it has
            # nothing to add, the wire is full, or that has taken its time.
            outbox.patience -= 1
            if outbox.takes():
                dispatcher.mark(self)
                return
        self._flush(outbox)

    def _flush_now(self) -> None:
        """Write what is marked without waiting for the end of the turn."""
        outbox = self._outbox
        if outbox is None or outbox.blocked or outbox.held_until > 0:
            return
        self._flush(outbox)
        if self._owed != 0:
            self._shared.dispatcher.mark(self)

    def _flush(self, outbox: Outbox) -> None:
        link = self._link
        if link is None:
            return
        was_blocked = outbox.blocked
        dispatcher = self._shared.dispatcher
        if outbox.flush(link, dispatcher.time()):
            self._outbox = None
        elif not outbox.blocked:
            dispatcher.mark(self)  # interrupted: it goes on in the next turn
        elif not was_blocked:
            self._on_blocked()
        self._on_written(was_blocked)
        self._account()
