# cython: annotation_typing=False
"""The sending half of a connection: from a message to bytes on their way.

Owns what may be sent, and what goes if the peer is too slow. Where a message
stands, at any time: in the outbox's pending part (not encoded yet), in its wire
(committed), or in the turn's cork (committed, leaves at the end of the batch).
Nothing here waits; see `_websocket` for who does, and `_writing` for how it leaves.

When is it written? In a hook: at the end of the batch, with everything else
for that connection, in one write. From a task: at once, unless it has just
been written to in this turn, or messages wait that the task may answer next (then
more may follow, and the outbox is marked: the loop writes it as soon as the task
has nothing to add).
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import trio

from trio_fastws._exceptions import ConnectionBroken, telling_end
from trio_fastws._protocol.codes import BINARY, CONTINUATION, RSV1, TEXT
from trio_fastws._protocol.fragments import Fragments
from trio_fastws._protocol.prepared import PreparedMessage, to_payload
from trio_fastws._transport.contract import CORK_SIZE, Dispatcher

from .outbox import ITEM_OVERHEAD, Outbox
from .shared import CLOSE_SLOW, DROP_OLDEST, WAIT, Shared
from .writing import WHEN_ROOM, Writer

if TYPE_CHECKING:
    from trio_fastws._protocol.buffers import Buffer
    from trio_fastws._protocol.endpoint import Endpoint

# Of all connections of the process; after 2^32 of them they begin anew.
_numbers = count(1)


class Output(Writer):
    """What sends messages. `Inbox` adds what is received."""

    __slots__ = (
        "_closed_by_us",
        "_closes_first",
        "_dropped",
        "_hung",
        "close_code",
        "close_reason",
        "id",
    )

    def _init_output(self, shared: Shared, endpoint: Endpoint) -> None:
        self._init_writer(shared, endpoint)
        self.id: int = next(_numbers) & 0xFFFFFFFF
        self._closed_by_us = False
        # Our Close came before the peer's, whoever of us wanted it.
        self._closes_first = False
        # The peer reset the connection, but what it sent before is not read yet.
        self._hung = False
        self._dropped: int = 0
        self.close_code: int | None = None
        self.close_reason: str | None = None

    # --- what the other half does -------------------------------------------

    def _has_more(self) -> bool:
        """Return whether messages wait that are likely to be answered soon."""
        return False

    def _on_too_slow(self) -> None:
        """Close the connection: the policy says so."""

    # --- messages -----------------------------------------------------------

    def send_nowait(
        self,
        message: str | Buffer | PreparedMessage,
        *,
        compress: bool = True,
    ) -> None:
        """Send a message without waiting: text for ``str``, else binary.

        Not a checkpoint. ``bytes`` are kept by reference, anything else that is
        bytes-like is copied; see `WebSocket.send`. Returns when the message is
        queued or on its way, not when the peer has it.

        In a hook (and in a plain `on_request`) a message to another connection that
        is closing or gone is dropped and counted in its `Statistics.dropped`: a loop
        over a room must not fail, and with it close the connection that speaks,
        because of one that leaves. A hook is told of its own connection, and a task
        of any, for it can handle that.

        Args:
            message: The message, or a `PreparedMessage`.
            compress: True: compress it if that was agreed upon and it has
                `PerMessageDeflate.threshold` bytes; over 32 KiB in steps, after
                this has returned. False: send it as it is.

        Raises:
            trio.WouldBlock: There is no room (`Sending.high_water`; in a hook
                `Sending.hard_limit`), or a message is being sent piece by piece.
                `EventHandler.on_drain` is called, once, when there is room again.
            trio.ClosedResourceError: This side has closed the connection.
            ConnectionBroken: The connection is gone.
            RuntimeError: This is another thread than that of the trio run.
            TypeError: ``message`` is of another type.
            UnicodeEncodeError: It holds surrogates, which UTF-8 cannot carry.
        """
        dispatcher = self._shared.dispatcher
        dispatcher.contexts.check_thread()
        if self._closing or self._hung:
            speaker = dispatcher.contexts.running.owner
            if speaker is None or speaker is self:
                self._raise_closed()
            self._dropped += 1
            return
        if self._outbox is not None or self._waiting is not None:
            self._check_room()
        # As `to_item` says it, but without a tuple: nothing is called more often.
        if type(message) is bytes:
            self._enqueue(BINARY, message, None, compress)
        elif type(message) is str:
            self._enqueue_text(message, compress)
        elif isinstance(message, PreparedMessage):
            self._enqueue(message.opcode, message.payload, message, compress)
        else:
            opcode, payload = to_payload(message)
            self._enqueue(opcode, payload, None, compress)

    def _enqueue_text(self, text: str, compress: bool) -> None:
        # Compiled, this is one call of C only if the encoding is named.
        self._enqueue(TEXT, text.encode("utf-8"), None, compress)

    def _check_room(self) -> None:
        # Who is refused is told when there is room; see `_pressure`.
        waiting = self._waiting
        if waiting is not None and (waiting.writing or waiting.crowded()):
            self._owed = WHEN_ROOM
            raise trio.WouldBlock
        if self._shared.policy != WAIT:
            return
        if self._shared.dispatcher.corked is not None:
            outbox = self._outbox
            room = outbox is None or outbox.size() < self._shared.hard_limit
        else:
            room = self._has_room()
        if not room:
            self._owed = WHEN_ROOM
            raise trio.WouldBlock

    def _has_room(self) -> bool:
        outbox = self._outbox
        return outbox is None or (
            outbox.size() < self._shared.high_water
            and outbox.count() < self._shared.max_messages
        )

    def _check_open(self) -> None:
        self._shared.dispatcher.contexts.check_thread()
        if self._closing or self._hung:
            self._raise_closed()

    def _raise_closed(self) -> None:
        error: Exception
        if self._closed_by_us or (self.close_code is None and not self._hung):
            # Or the server did, when it shut down.
            error = trio.ClosedResourceError("this side has closed the connection")
        elif self.close_code is None:
            error = ConnectionBroken(1006, "the peer has reset the connection")
        else:
            error = ConnectionBroken(self.close_code, self.close_reason or "")
        raise telling_end(error, self.id)

    def _queue(
        self,
        opcode: int,
        payload: bytes,
        prepared: PreparedMessage | None,
        compress: bool,
    ) -> None:
        # The end of `send`, which has waited for room.
        self._shared.dispatcher.contexts.check_thread()
        if self._closing or self._hung:
            self._raise_closed()
        self._enqueue(opcode, payload, prepared, compress)
        if self._waiting is not None:
            self._pass_on()

    def _pass_on(self) -> None:
        # Whoever got room lets the next one go on, as long as there is room.
        waiting = self._waiting
        if waiting is not None and self._has_room():
            waiting.room()
        if self._owed != 0:
            self._shared.dispatcher.mark(self)

    def _enqueue(
        self,
        opcode: int,
        payload: bytes,
        prepared: PreparedMessage | None,
        compress: bool,
    ) -> None:
        # Commits or queues a message; there was room. Nothing here can wait.
        shared = self._shared
        dispatcher = shared.dispatcher
        size = len(payload)
        if (
            compress
            and size >= shared.compress_from
            and (prepared is None or prepared.compress)
        ):
            opcode |= RSV1
        if (opcode & RSV1 or size > shared.frame_size) and self._in_steps(
            opcode, size, prepared
        ):
            self._enqueue_large(opcode, payload, prepared, dispatcher)
            return
        outbox = self._outbox
        if outbox is None:
            if dispatcher.corked is self:
                dispatcher.cork_size += self._encode(
                    opcode, payload, prepared, dispatcher.cork
                )
                if dispatcher.cork_size >= CORK_SIZE:
                    self._uncork(dispatcher)
                return
            if self._may_write_now(dispatcher):
                parts: list[bytes] = []
                size = self._encode(opcode, payload, prepared, parts)
                self._write(parts, size)
                return
            outbox = self._new_outbox()
        elif shared.policy != WAIT and not self._make_room(outbox, size):
            return
        if outbox.takes():
            outbox.wire_size += self._encode(opcode, payload, prepared, outbox.wire)
        elif prepared is None:
            outbox.put((opcode, payload, True), size)
        else:
            outbox.put((opcode, prepared, True), size)
        self._mark_outbox(outbox, dispatcher)

    def _enqueue_large(
        self,
        opcode: int,
        payload: bytes,
        prepared: PreparedMessage | None,
        dispatcher: Dispatcher,
    ) -> None:
        # Always by way of the outbox, which encodes it step by step.
        if dispatcher.corked is self and dispatcher.cork_size > 0:
            self._uncork(dispatcher)
        outbox = self._outbox
        if outbox is None:
            outbox = self._new_outbox()
        elif self._shared.policy != WAIT and not self._make_room(outbox, len(payload)):
            return
        if outbox.takes():
            # Committed at once, as a smaller one would be.
            self._begin_steps(outbox, self._begin(opcode, payload, True, prepared))
        elif prepared is None:
            outbox.put((opcode, payload, True), len(payload))
        else:
            outbox.put((opcode, prepared, True), len(payload))
        self._mark_outbox(outbox, dispatcher)

    def _may_write_now(self, dispatcher: Dispatcher) -> bool:
        # Not in a burst, and not in a hook, whose turn ends with a flush. Nor while
        # the task has something to answer: then that leaves together.
        if (
            dispatcher.corked is not None
            or dispatcher.number == self._sent_turn
            or self._shared.delay > 0
            or self._has_more()
        ):
            return False
        self._sent_turn = dispatcher.number
        return True

    def _is_full(self, outbox: Outbox, size: int) -> bool:
        shared = self._shared
        return (
            outbox.size() + size + ITEM_OVERHEAD > shared.high_water
            or outbox.count() >= shared.max_messages
        )

    def _make_room(self, outbox: Outbox, size: int) -> bool:
        # The policy for a peer that is too slow; False if the message goes.
        shared = self._shared
        if (
            outbox.rest is not None
            and not outbox.blocked
            and outbox.size() < shared.hard_limit
        ):
            return True  # it is we who are slow: a large message is compressed
        if not outbox.blocked and self._is_full(outbox, size):
            # A burst, and the peer may well be fast: ask the link first.
            self._flush_now()
            self._outbox = outbox
        while self._is_full(outbox, size):
            if shared.policy == DROP_OLDEST:
                if not outbox.drop_oldest():
                    return True
                self._dropped += 1
            elif shared.policy == CLOSE_SLOW:
                outbox.drop_pending()
                self._on_too_slow()
                return False
            else:
                self._dropped += 1
                return False
        return True

    def _takes_fragment(self) -> bool:
        # Fragments go straight to the wire, in order: no policy may drop one.
        outbox = self._outbox
        return outbox is None or (outbox.takes() and self._has_room())

    def _commit_fragment(self, opcode: int, payload: bytes, fin: bool) -> None:
        dispatcher = self._shared.dispatcher
        outbox = self._outbox
        if outbox is not None and not outbox.takes():
            if opcode & 0xF != CONTINUATION:
                # An empty message behind others, which was never begun.
                outbox.put((opcode, payload, fin), len(payload))
                self._mark_outbox(outbox, dispatcher)
                return
            if type(outbox.rest) is Fragments:
                # The end of a message, which adds nothing to its last piece; that
                # is being encoded still. Further pieces wait in `write`.
                large = outbox.rest
                large.fin = fin
                return
        if self._in_steps(opcode, len(payload), None):
            if outbox is None:
                outbox = self._new_outbox()
            self._begin_steps(outbox, self._begin(opcode, payload, fin, None))
            self._mark_outbox(outbox, dispatcher)
            return
        parts: list[bytes] = []
        size = self._endpoint.encode(
            opcode, payload, fin, parts, self._shared.frame_size
        )
        size += self._release_postponed(parts)
        if outbox is None and self._may_write_now(dispatcher):
            self._write(parts, size)
            return
        if outbox is None:
            outbox = self._new_outbox()
        # A Pong that waited comes before what no control frame should divide.
        outbox.commit_pong()
        outbox.commit(parts, size)
        self._mark_outbox(outbox, dispatcher)
