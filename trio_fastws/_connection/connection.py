# cython: annotation_typing=False
"""One connection: what happens to it in a turn.

Glue between an endpoint, which knows the protocol, and a link, which moves bytes.
Owns how a connection begins and ends, when it is read from, and who is told of what
comes: hooks here, tasks by the inbox. It contains no rule of the RFC, and it never
waits: `websocket` does, and parks the tasks that are woken here.

How it ends is in `closing` and `ending`, who is given up in `liveness`.
"""

from __future__ import annotations

import logging
import math
from random import random
from time import perf_counter
from typing import TYPE_CHECKING, Any

from trio_fastws._protocol.endpoint import WORKING, Close, Endpoint, Failure, Ping, Pong
from trio_fastws._transport.logs import log

from . import liveness
from .closing import CLOSED, CLOSING, ENDING, OPEN, RESET, WITHOUT_CLOSE
from .ending import (
    abandon,
    abort,
    check_arguments,
    end,
    on_eof,
    reset,
    settle,
    start_close,
)
from .hooks import call, call_alone, call_on_drain, on_error
from .inbox import BY_BUDGET, BY_INBOX, BY_OUTBOX, Inbox
from .liveness import POLLS
from .naming import get_path, without_raw
from .postponed import answer_ping
from .sending import WHEN_EMPTY, Sender

if TYPE_CHECKING:
    from trio_fastws._transport.contract import Dispatcher, Link

    from .shared import Shared


class Connection(Sender):
    """One connection, from the end of its opening handshake on."""

    __slots__ = ("_request", "_response", "_subprotocol", "session")

    def __init__(self, shared: Shared, endpoint: Endpoint, link: Link) -> None:
        before = link.owner
        self._init_sender(shared, endpoint, link)
        # Raw, or parsed when somebody looked at it; its path alone when dropped.
        self._request: Any = None
        self._response: Any = None
        self._subprotocol: str | None = None
        self.session: Any = None
        if before is not None:
            # What on_request has set belongs to the connection.
            self._context = before._context

    def _open(self, start: int, stop: int) -> None:
        """Start: call ``on_open``, then handle what came behind the handshake.

        Args:
            start: Where in the dispatcher's buffer that begins, at the headroom or
                later.
            stop: Where it ends; equal to ``start`` if nothing came.
        """
        shared = self._shared
        dispatcher = shared.dispatcher
        # `Connections._leave` takes it back.
        open_ones = shared.connections._items
        self._place = len(open_ones)
        open_ones.append(self)
        self._since = dispatcher.now
        if shared.unsent_limit > 0 and self._link is not None:
            self._link.limit_unsent(shared.unsent_limit)
        if shared.ping_interval < math.inf:
            # Jittered: thousands that reconnected at once are not pinged at once.
            self._heard = dispatcher.now - shared.ping_interval * 0.5 * random()
            dispatcher.schedule(self, self._heard + shared.ping_interval)
        if shared.handler is not None:
            call_alone(self, "on_open")
            if not shared.keep_request:
                self._request = without_raw(self._request)
        if start < stop and self._state != CLOSED:
            self._on_data(start, stop)

    def _describe(self) -> dict[str, object]:
        """See `Owner._describe`."""
        link = self._link
        address = self._remote_address
        if address is None and link is not None:
            address = link.peer_address()
        return {
            "connection_id": self.id,
            "remote_address": address,
            "path": get_path(self._request),
            "handler": self._shared.handler_name,
        }

    # --- input --------------------------------------------------------------

    def _get_buffer(self) -> memoryview | None:
        """See `Owner._get_buffer`."""
        return self._endpoint.get_buffer()

    def _on_data(self, start: int, stop: int) -> None:
        """See `Owner._on_data`."""
        self._work(start, stop)

    def _on_filled(self, size: int) -> None:
        """See `Owner._on_filled`."""
        self._endpoint.filled(size)
        self._work(0, 0)

    def _on_deferred(self) -> None:
        """See `Owner._on_deferred`: parse on, then read again."""
        if self._state == CLOSED or self._paused != 0:
            return
        self._work(0, 0)
        self._read_again(self._shared.dispatcher)

    def _begin_batch(self, dispatcher: Dispatcher) -> None:
        self._heard = dispatcher.now
        dispatcher.corked = self
        deflate = self._endpoint.deflate
        if deflate is not None:
            deflate.step = self._shared.budget.step

    def _work(self, start: int, stop: int) -> None:
        # Handles what came, if anything, and what was left before: one batch.
        shared, endpoint = self._shared, self._endpoint
        dispatcher, on_message = shared.dispatcher, shared.on_message
        contexts = dispatcher.contexts
        self._begin_batch(dispatcher)
        if on_message is not None:  # else nothing of the user's is called
            contexts.enter(self, self._context)
        try:
            if start < stop:
                endpoint.feed(dispatcher.buffer, start, stop)
            checked = endpoint.frames
            while self._paused == 0 and (event := endpoint.next_event()) is not None:
                if (
                    on_message is not None
                    and (type(event) is str or type(event) is bytes)
                    and self._state < CLOSING
                ):
                    try:
                        on_message(self, event)
                    except Exception as error:  # noqa: BLE001 - isolation: logged, 1011
                        on_error(self, "on_message", error)
                else:
                    self._on_event(event)
                if endpoint.drained or self._state == CLOSED:
                    break
                # Frames, not events: a message may be thousands of empty fragments.
                if (endpoint.frames - checked) & 0x3FFFFFFF >= 64:
                    if perf_counter() >= dispatcher.until:
                        dispatcher.defer(self)
                        break
                    checked = endpoint.frames
            if not endpoint.drained:
                endpoint.keep()
        finally:
            if on_message is not None:
                self._context = contexts.leave(self._context)
        self._direct: bool = endpoint.wants_buffer
        self._end_batch(dispatcher)
        if self._state >= CLOSING:
            settle(self)

    def _on_event(self, event: Any) -> None:
        if type(event) is str or type(event) is bytes:
            if self._state < CLOSING:  # else nobody is told of messages any more
                self._deliver(event)
        elif type(event) is Ping:
            answer_ping(self, event.reply)
            call(self, "on_ping", event.payload)
        elif type(event) is Pong:
            liveness.on_pong(self, event.payload)
            call(self, "on_pong", event.payload)
        elif type(event) is Close:
            end(self, event)
        elif type(event) is Failure:
            message = "failed a connection: %d %s"
            log(logging.DEBUG, self, message, event.code, event.reason)
            end(self, event)
        elif event is WORKING:
            self._account()  # a few bytes may inflate to thousands of times as many
        else:  # a piece of a message that is received as a stream
            if event.final:
                self._endpoint.streaming = False
            if self._state < CLOSING:
                self._deliver(event)

    def _deliver(self, item: Any) -> None:
        inbox = self._inbox
        if inbox is None:
            inbox = self._inbox = Inbox()
        if inbox.skipping:
            inbox.skipping = not item.final
            return
        inbox.put(item)
        if inbox.wake():
            self._shared.dispatcher.woken = True
        limit = self._shared.receive_buffer
        if self._state == RESET:
            limit *= 2  # see `_on_hangup`
        if inbox.size >= limit:
            self._pause(BY_INBOX)

    # --- reading on and off -------------------------------------------------

    def _pause(self, why: int) -> None:
        """Stop reading, for one more of the reasons in `inbox`."""
        if self._state >= CLOSING:
            return
        if self._paused == 0:
            shared = self._shared
            self._since = shared.dispatcher.time()
            seconds = shared.slow_consumer
            if self._state == RESET:
                seconds = shared.close_seconds / POLLS
            shared.dispatcher.schedule(self, self._since + seconds)
        self._paused |= why
        self._update_interest()

    def _resume(self, why: int) -> None:
        """Read again, unless there is another reason not to."""
        self._paused &= ~why
        if self._paused != 0 or self._state == CLOSED:
            return
        dispatcher = self._shared.dispatcher
        if self._endpoint.buffered:
            dispatcher.defer(self)  # parse first, then read
        else:
            self._heard = dispatcher.time()
            self._read_again(dispatcher)

    def _read_again(self, dispatcher: Dispatcher) -> None:
        if self._state != CLOSED and self._paused == 0 and not self._is_deferred:
            self._update_interest()
            dispatcher.schedule(self, self._heard + self._shared.ping_interval)

    def _update_interest(self) -> None:
        link = self._link
        if link is not None:
            outbox = self._outbox
            waits = outbox is not None and outbox.blocked
            waiters = self._waiters
            if waiters is not None and waiters.flushes:
                if waiters.check_flushes(outbox, link):
                    self._shared.dispatcher.woken = True
                # A pump has no room to offer, but says so when it has passed all on.
                waits = waits or (len(waiters.flushes) > 0 and link.flushing())
            link.want(self._paused == 0, waits)

    # --- backpressure -------------------------------------------------------

    def _on_writable(self) -> None:
        """See `Owner._on_writable`."""
        outbox = self._outbox
        if outbox is not None:
            self._flush(outbox)
            if self._owed != 0:
                call_on_drain(self)
        else:
            self._balance(True)

    def _balance(self, was_blocked: bool) -> None:
        """See `Sender._balance`: who is slowed down, and who may go on.

        Backpressure: a peer that does not read what it asked for is not asked for
        more. Above `Sending.high_water` it is not read from.
        """
        shared, outbox = self._shared, self._outbox
        size = 0
        blocked = False
        if outbox is not None:
            size = outbox.size()
            blocked = outbox.blocked
        if outbox is not None and blocked:
            if not was_blocked:
                liveness.watch_stall(self, outbox)
            if self._owed == 0 and (not was_blocked or size > shared.high_water):
                self._owed = WHEN_EMPTY
        if self._state >= ENDING:
            self._update_interest()
            settle(self)
            return
        if size > shared.high_water:
            if shared.handler is not None:
                self._pause(BY_OUTBOX)
        elif size <= shared.low_water:
            if self._paused & BY_OUTBOX:
                self._resume(BY_OUTBOX)
            if self._waiters is not None and self._has_room():
                self._waiters.room()
        if blocked != was_blocked or (
            self._waiters is not None and self._waiters.flushes
        ):
            self._update_interest()

    def _on_mark(self) -> None:
        """See `Owner._on_mark`: write, or call ``on_close``."""
        if self._state == CLOSED:
            closing = self._closing
            assert closing is not None
            assert closing.code is not None
            if self._shared.connections._leave(self, closing.code):
                call_alone(self, "on_close")
            self._context = None
            if self._waiters is not None and self._waiters.scopes:
                self._waiters.cancel_tasks(f"the connection is over: {closing}")
            return
        link = self._link
        if link is not None and link.broken:
            self._on_hangup()
            return
        outbox = self._outbox
        if outbox is not None and not outbox.blocked:
            self._write_marked(outbox)
        if self._owed != 0:
            call_on_drain(self)

    # --- the end ------------------------------------------------------------

    def close_nowait(self, code: int = 1000, reason: str = "") -> None:
        """Start to close without waiting for the peer. Not a checkpoint.

        The closing handshake goes on by itself, for at most `Timeouts.close`
        seconds. Arguments and errors as `aclose`, and RuntimeError in another
        thread than that of the trio run.
        """
        self._shared.dispatcher.contexts.check_thread()
        check_arguments(code, reason)
        self._start_close(code, reason)
        abandon(self)

    def _start_close(
        self, code: int, reason: str, cause: tuple[int, str] | None = None
    ) -> None:
        """See `ending.start_close`."""
        start_close(self, code, reason, cause)

    def _abort(self, reason: str) -> None:
        """Give the connection up without another word to the peer."""
        abort(self, reason)

    def _fail(self, code: int, reason: str) -> None:
        """Fail the connection, for a reason of this side's (RFC 6455 7.1.7)."""
        end(self, self._endpoint.fail(code, reason))
        if self._shared.dispatcher.corked is not self:
            settle(self)

    def _on_eof(self, error: OSError | None) -> None:
        """See `Owner._on_eof`."""
        on_eof(self, error)

    def _on_hangup(self) -> None:
        """See `Owner._on_hangup`: what came before can still be received.

        It is read at once, whoever paused that, up to twice the receive buffer: the
        descriptor need not wait for somebody who may never receive. What is not
        there by then waits as long as somebody does (`liveness`).
        """
        if self._state in (RESET, CLOSED):
            return
        if self._state != OPEN or self._paused & BY_BUDGET:
            # There is no memory for what the peer has left behind.
            self._abort(WITHOUT_CLOSE)
            return
        reset(self)
        if self._paused != 0:
            shared = self._shared
            dispatcher = shared.dispatcher
            seconds = shared.close_seconds / POLLS
            dispatcher.schedule(self, dispatcher.time() + seconds)
            self._resume(self._paused if shared.handler is None else BY_OUTBOX)

    def _on_half_closed(self) -> None:
        """See `Owner._on_half_closed`: a Ping shows whether the peer still reads.

        What is unread stays so, a Close among it maybe.
        """
        if self._state == OPEN:
            liveness.ask_soon(self)

    def _on_deadline(self, now: float) -> float:
        """See `Timer._on_deadline`: all of a connection's deadlines in one."""
        return liveness.on_deadline(self, now)
