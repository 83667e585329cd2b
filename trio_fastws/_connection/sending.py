# cython: annotation_typing=False
"""The way of a message to the socket.

Owns what may be sent, and where it goes. Where a message stands, at any time: in the
outbox's pending part (not encoded yet), in its wire (committed), or in the
dispatcher's cork (committed, leaves at the end of the batch). Nothing here waits; see
`websocket` and `parking` for who does.

When is it written? In a hook: at the end of the batch, with everything else for that
connection, in one write. From a task: at once, unless it has just been written to in
this turn, or messages wait that the task may answer next (then more may follow, and the
outbox is marked: the loop writes it as soon as the task has nothing to add).

`Connection` adds what is received, and how it begins and ends. Three calls go from
here to there: `_balance`, `_start_close` and `_abort`.
"""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING, Any

import trio

from trio_fastws._exceptions import telling_end
from trio_fastws._protocol.codes import BINARY, RSV1, TEXT
from trio_fastws._protocol.fragments import divide
from trio_fastws._protocol.prepared import PreparedMessage, to_payload
from trio_fastws._transport.contract import CORK_SIZE, Dispatcher, Link, Owner
from trio_fastws._transport.current import thread_ident

from .closing import OPEN
from .outbox import Outbox
from .shared import BATCH_SIZE, CLOSE_SLOW, WAIT, Shared

if TYPE_CHECKING:
    from trio_fastws._protocol.buffers import Buffer
    from trio_fastws._protocol.endpoint import Endpoint

    from .closing import Closing
    from .inbox import Inbox
    from .probe import Probe
    from .waiters import Waiters

# When ``on_drain`` is owed: after a jam, and after a message was refused.
WHEN_EMPTY, WHEN_ROOM = 1, 2
# Of all connections of the process; after 2^32 of them they begin anew.
_numbers = count(1)


class Sender(Owner):
    """What a connection is made of, and what sends."""

    __slots__ = (
        "_charged",
        "_closing",
        "_dropped",
        "_endpoint",
        "_heard",
        "_inbox",
        "_latency",
        "_outbox",
        "_owed",
        "_paused",
        "_probe",
        "_remote_address",
        "_sent_turn",
        "_shared",
        "_since",
        "_state",
        "_waiters",
        "id",
    )

    def _init_sender(self, shared: Shared, endpoint: Endpoint, link: Link) -> None:
        self._init_owner(link)
        self.id: int = next(_numbers) & 0xFFFFFFFF
        self._shared = shared
        self._endpoint: Endpoint = endpoint
        self._state: int = OPEN
        # The parts of a connection, each made when it is first needed.
        self._outbox: Outbox | None = None
        self._inbox: Inbox | None = None
        self._waiters: Waiters | None = None
        self._closing: Closing | None = None
        self._sent_turn = -1  # of the last write that went out at once
        # Whether ``on_drain`` is to be called, and when.
        self._owed: int = 0
        self._dropped: int = 0
        self._charged: int = 0  # what the budget was last told
        self._paused: int = 0  # why reading is: bits of `inbox`
        # When the last byte came, and what asks for one: nothing for most of the time.
        self._heard: float = shared.dispatcher.now
        self._probe: Probe | None = None
        self._latency: float = math.nan
        self._remote_address: Any = None  # when asked for, or over
        # When the connection was opened, or pausing began.
        self._since: float = 0.0

    # --- what `Connection` does ---------------------------------------------

    def _balance(self, was_blocked: bool) -> None:
        """Called when more or less waits to be written than before."""

    def _start_close(
        self, code: int, reason: str, cause: tuple[int, str] | None = None
    ) -> None:
        """Queue a Close behind what was sent; no message is sent after it."""

    def _abort(self, reason: str) -> None:
        """Give the connection up without another word to the peer."""

    # --- messages -----------------------------------------------------------

    def send_nowait(
        self,
        data: str | Buffer | PreparedMessage,
        *,
        text: bool | None = None,
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
            data: The message, or a `PreparedMessage`.
            text: Send it as text (True) or as binary (False), whatever its type; see
                `WebSocket.send`.
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
            TypeError: ``data`` is of another type, or ``text`` no such value.
            UnicodeEncodeError: It holds surrogates, which UTF-8 cannot carry.
            UnicodeDecodeError: ``text`` is True, and it is not UTF-8.
        """
        dispatcher = self._shared.dispatcher
        if thread_ident() != dispatcher.contexts.thread:
            dispatcher.contexts.check_thread()
        if self._state != OPEN:
            speaker = dispatcher.contexts.running.owner
            if speaker is None or speaker is self:
                self._check_open()
            self._dropped += 1
            return
        if self._outbox is not None or self._waiters is not None:
            outbox, waiters = self._outbox, self._waiters
            if (waiters is not None and waiters.crowded()) or (
                outbox is not None
                and self._shared.policy == WAIT
                and not outbox.has_room(dispatcher.corked is not None)
            ):
                self._owed = WHEN_ROOM  # see `hooks.call_on_drain`
                raise trio.WouldBlock
        # As `to_item` says it, but without a tuple: nothing is called more often.
        if text is not None:
            opcode, payload = to_payload(data, text)
            self._enqueue(opcode, payload, None, compress)
        elif type(data) is bytes:
            self._enqueue(BINARY, data, None, compress)
        elif type(data) is str:
            self._enqueue_text(data, compress)
        elif isinstance(data, PreparedMessage):
            self._enqueue(data.opcode, data.payload, data, compress)
        else:
            opcode, payload = to_payload(data)
            self._enqueue(opcode, payload, None, compress)

    def _enqueue_text(self, text: str, compress: bool) -> None:
        # Compiled, this is one call of C only if the encoding is named.
        self._enqueue(TEXT, text.encode("utf-8"), None, compress)

    def _has_room(self) -> bool:
        return self._outbox is None or self._outbox.has_room()

    def _check_open(self) -> None:
        self._shared.dispatcher.contexts.check_thread()
        if self._state != OPEN:
            assert self._closing is not None
            raise telling_end(self._closing.make_error(), self.id)

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
            opcode |= RSV1  # if that was agreed upon
        large = None
        if opcode & RSV1 or size > shared.frame_size:
            large = divide(
                self._endpoint, opcode, payload, True, prepared, shared.frame_size
            )
            # By way of the outbox, which encodes it step by step, behind the cork.
            if large is not None and dispatcher.corked is self:
                self._uncork(dispatcher)
        outbox = self._outbox
        if outbox is not None:
            if shared.policy != WAIT and not self._make_room(outbox, size):
                return
        else:
            if large is None and dispatcher.corked is self:
                dispatcher.cork_size += self._endpoint.encode_message(
                    opcode, payload, prepared, dispatcher.cork, shared.frame_size
                )
                if dispatcher.cork_size >= CORK_SIZE:
                    self._uncork(dispatcher)
                return
            if large is None and self._may_write_now(dispatcher):
                parts: list[bytes] = []
                size = self._endpoint.encode_message(
                    opcode, payload, prepared, parts, shared.frame_size
                )
                self._write(parts, size)
                return
            outbox = self._new_outbox()
        outbox.add(opcode, payload, prepared, large)
        self._mark_outbox(outbox, False)

    def _may_write_now(self, dispatcher: Dispatcher) -> bool:
        # Not in a burst, and not in a hook, whose turn ends with a flush. Nor while
        # the task has something to answer: then that leaves together.
        if (
            dispatcher.corked is not None
            or dispatcher.number == self._sent_turn
            or self._shared.delay > 0
            or (self._inbox is not None and self._inbox.messages is not None)
        ):
            return False
        self._sent_turn = dispatcher.number
        return True

    def _make_room(self, outbox: Outbox, size: int) -> bool:
        # The policy for a peer that is too slow; False if the message is dropped.
        if outbox.is_encoding():
            return True
        if not outbox.blocked and outbox.is_full(size):
            # A burst, and the peer may well be fast: ask the link first.
            self._flush_now()
            self._outbox = outbox
        if self._shared.policy == CLOSE_SLOW:
            if not outbox.is_full(size):
                return True
            outbox.drop_pending()
            reason = "the peer reads too slowly"
            self._start_close(1008, reason, (1008, reason))
            return False
        dropped = outbox.make_room(size)
        self._dropped += 1 if dropped < 0 else dropped
        return dropped >= 0

    def _commit(self, data: bytes) -> None:
        # Past every policy, in order with what is committed.
        dispatcher = self._shared.dispatcher
        outbox = self._outbox
        if outbox is not None:
            outbox.commit([data], len(data))
            self._mark_outbox(outbox, True)
        elif dispatcher.corked is self:
            dispatcher.cork.append(data)
            dispatcher.cork_size += len(data)
        else:
            self._write([data], len(data))

    # --- writing ------------------------------------------------------------

    def _end_batch(self, dispatcher: Dispatcher) -> None:
        # What was written to itself while its input was handled goes out.
        dispatcher.corked = None
        if dispatcher.cork_size > 0:
            self._uncork(dispatcher)
        # Else nothing is held for the peer, and nothing was; `_write` has accounted.
        if self._charged != 0 or self._inbox is not None or not self._endpoint.drained:
            self._account()

    def _uncork(self, dispatcher: Dispatcher) -> None:
        parts = dispatcher.cork
        size = dispatcher.cork_size
        if size > 0:
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
            self._balance(False)
            self._account()

    def _new_outbox(self) -> Outbox:
        shared = self._shared
        outbox = Outbox(shared, self._endpoint, shared.dispatcher.time())
        self._outbox = outbox
        return outbox

    def _mark_outbox(self, outbox: Outbox, urgent: bool) -> None:
        # Plans its writing: by the link when it is blocked, else by the loop. What a
        # hook answers its own peer is not delayed, nor is what follows: a Close.
        shared = self._shared
        dispatcher = shared.dispatcher
        corked = dispatcher.corked
        if outbox.size() > shared.high_water:
            self._balance(outbox.blocked)
        outbox.expect_more(corked is None)
        if outbox.blocked:
            self._account()
            return
        if shared.delay > 0 and not (urgent or self._state != OPEN or corked is self):
            if outbox.delayed_until == 0:
                outbox.delayed_until = shared.delay_output(self)
            if outbox.size() < BATCH_SIZE:
                self._account()
                return
        outbox.delayed_until = 0.0
        dispatcher.mark(self)

    def _write_marked(self, outbox: Outbox) -> None:
        # Marked outboxes come here at the end of a turn.
        dispatcher = self._shared.dispatcher
        if outbox.delayed_until > 0:
            if dispatcher.now < outbox.delayed_until:
                return
            outbox.delayed_until = 0.0
        elif outbox.waits(dispatcher.now):
            dispatcher.mark(self)
            return
        self._flush(outbox)

    def _flush_now(self) -> None:
        # Write what is marked without waiting for the end of the turn.
        outbox = self._outbox
        if outbox is None or outbox.blocked or outbox.delayed_until > 0:
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
        self._balance(was_blocked)
        self._account()

    # --- the budget of all connections --------------------------------------

    def _account(self) -> None:
        # Charge what is held for the peer: what nobody has received, what came of an
        # unfinished message, what waits to be parsed or written. What a stream's pump
        # has taken is not: 128 KiB at the most.
        inbox, outbox = self._inbox, self._outbox
        held = 0 if inbox is None else inbox.size
        if self._link is not None:  # it is not over
            held += self._endpoint.memory_size()
            if outbox is not None:
                held += outbox.size()
        if held != self._charged:
            before, self._charged = self._charged, held
            self._shared.budget.charge(self, before, held)
