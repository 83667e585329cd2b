# cython: annotation_typing=False
"""The synchronous half of a WebSocket: what happens to one connection in a turn.

Glue between an endpoint, which knows the protocol, and a link, which moves
bytes. Owns who is told of what, what is read, and how it ends; sending is in
`_output`. It contains no rule of the RFC, and it never waits: the asynchronous
half is `_websocket`, which parks the tasks that this half wakes.

Ways to end. `start_close` queues a Close; `_begin_ending` says that the closing
handshake is done, or that the connection has failed: what is committed is still
written; `_finish` lets go of the transport and wakes whoever waits. Hooks never
nest, so ``on_close`` is called a moment later, from `on_mark`.
"""

from __future__ import annotations

import math
from collections import deque
from random import random
from time import perf_counter
from typing import TYPE_CHECKING, Any

from trio.lowlevel import Task, reschedule

from trio_fastws._protocol.endpoint import (
    Close,
    Endpoint,
    Failure,
    Ping,
    Pong,
    check_close,
)
from trio_fastws._transport.links import Linger, Link, Turn
from trio_fastws._transport.outbox import ITEM_OVERHEAD

from ._output import CLOSE, Output
from ._service import Service, logger

if TYPE_CHECKING:
    from ._handler import EventHandler

# Why reading is paused: bits of `Connection._paused`.
BY_USER, BY_INBOX, BY_OUTBOX = 1, 2, 4

LOST = "the connection was lost without a Close frame"


class Connection(Output):
    """One connection, from the end of its opening handshake on."""

    __slots__ = (
        "_ending",
        "_finished",
        "_heard",
        "_inbox",
        "_inbox_size",
        "_latency",
        "_paused",
        "_pinged",
        "_receiver",
        "_receiving",
        "_remote_address",
        "_request",
        "_since",
        "response",
        "session",
        "subprotocol",
    )

    def __init__(self, service: Service, endpoint: Endpoint, link: Link) -> None:
        super().__init__(service, endpoint)
        # Messages that nobody has received yet, and their size with overhead.
        self._inbox: deque[Any] | None = None
        self._inbox_size = 0
        # Whether a task is in `receive`, and which one is parked there.
        self._receiving = False
        self._receiver: Task | None = None
        self._paused = 0
        # The closing handshake is done; what is committed is still written.
        self._ending = False
        self._finished = False
        self._heard = service.turn.now
        self._pinged = 0.0
        self._latency = math.nan
        # When closing or pausing began: never both at once.
        self._since = 0.0
        self._request: Any = None
        self._remote_address: Any = None
        self.response: Any = None
        self.subprotocol: str | None = None
        self.session: Any = None
        link.adopt(self)

    def open(self, start: int, stop: int) -> None:
        """Start: call ``on_open``, then handle what came behind the handshake.

        Args:
            start: Where in the turn's buffer that begins, at the headroom or
                later.
            stop: Where it ends; equal to ``start`` if nothing came.
        """
        service = self._service
        turn = service.turn
        service.connections.add(self)
        if service.ping_interval < math.inf:
            # Jittered: thousands that reconnected at once are not pinged at once.
            first = service.ping_interval * (0.5 + 0.5 * random())
            turn.schedule(self, turn.now + first)
        if service.handler is not None:
            turn.corked = self
            self._call_hook("on_open")
            self._leave(turn)
            if not service.keep_request:
                self._forget_request()
        if start < stop and not self._finished:
            self.on_data(start, stop)

    def _forget_request(self) -> None:
        # Still raw bytes: nobody has looked at it (see `WebSocket.request`).
        if type(self._request) is bytes:
            self._request = None

    # --- input --------------------------------------------------------------

    def get_buffer(self) -> memoryview | None:
        """See `Owner.get_buffer`."""
        return self.endpoint.get_buffer()

    def on_data(self, start: int, stop: int) -> None:
        """See `Owner.on_data`."""
        turn = self._service.turn
        self._heard = turn.now
        self.endpoint.feed(turn.buffer, start, stop)
        self._work(turn)

    def on_filled(self, size: int) -> None:
        """See `Owner.on_filled`."""
        turn = self._service.turn
        self._heard = turn.now
        self.endpoint.filled(size)
        self._work(turn)

    def on_continue(self) -> None:
        """See `Owner.on_continue`: parse on, then read again."""
        if self._finished or self._paused:
            return
        turn = self._service.turn
        self._heard = turn.now
        self._work(turn)
        self._read_again(turn)

    def _read_again(self, turn: Turn) -> None:
        if not self._finished and not self._paused and not self.unfinished:
            self._update_interest()
            turn.schedule(self, turn.now + self._service.ping_interval)

    def _work(self, turn: Turn) -> None:
        turn.corked = self
        self._drain(turn)
        self._leave(turn)

    def _leave(self, turn: Turn) -> None:
        # The end of a batch of hooks: what they sent goes out.
        turn.corked = None
        if turn.cork_size > 0:
            self._uncork(turn)
        if self._ending:
            self._finish_if_flushed()

    def _drain(self, turn: Turn) -> None:
        endpoint = self.endpoint
        handler = self._service.handler
        count = 0
        if self._paused != 0:  # before the first byte came
            endpoint.keep()
            return
        while True:
            event = endpoint.next_event()
            if event is None:
                self.direct = endpoint.wants_buffer
                return
            if type(event) is str or type(event) is bytes:
                if self._closing:
                    pass  # nobody is told of messages any more
                elif handler is None:
                    self._deliver(event, len(event))
                else:
                    self._call_on_message(handler, event)
            else:
                self._on_event(event)
            if self._paused != 0 or self._finished:
                endpoint.keep()
                return
            count += 1
            if count & 63 == 0 and perf_counter() >= turn.until:
                endpoint.keep()
                turn.put_off(self)
                return

    def _call_on_message(self, handler: EventHandler, message: str | bytes) -> None:
        try:
            handler.on_message(self, message)  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - isolation: logged, 1011
            self._hook_failed("on_message", error)

    def _deliver(self, message: object, size: int) -> None:
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append(message)
        self._inbox_size += size + ITEM_OVERHEAD
        self._wake_receiver()
        if self._inbox_size >= self._service.receive_buffer:
            self._pause(BY_INBOX)

    def _wake_receiver(self) -> None:
        task = self._receiver
        if task is not None:
            self._receiver = None
            self._service.turn.woken = True
            reschedule(task)

    def _take(self) -> Any:
        # The oldest item of the inbox; there must be one.
        inbox = self._inbox
        assert inbox is not None
        item = inbox.popleft()
        if not inbox:
            self._inbox = None
            self._inbox_size = 0
        else:
            data = item
            if type(item) is not str and type(item) is not bytes:
                data = item.data
            self._inbox_size -= len(data) + ITEM_OVERHEAD
        if (
            self._paused & BY_INBOX
            and self._inbox_size * 2 <= self._service.receive_buffer
        ):
            self._resume(BY_INBOX)
        return item

    def _on_event(self, event: Any) -> None:
        if type(event) is Ping:
            self._on_ping(event)
        elif type(event) is Pong:
            self._on_pong(event)
        elif type(event) is Close:
            self._on_end(event)
        elif type(event) is Failure:
            logger.debug("failed a connection: %d %s", event.code, event.reason)
            self._on_end(event)
        else:
            self._on_piece(event)

    def _on_ping(self, ping: Any) -> None:
        outbox = self._outbox
        if outbox is not None and outbox.size() > self._service.high_water:
            # The peer does not read. Only its latest Ping is answered then, or
            # it could make us queue Pongs without end (RFC 6455 5.5.3 allows it).
            outbox.pong = ping.reply
        elif ping.reply:
            self._commit(ping.reply)
        self._call_hook("on_ping", ping.payload)

    def _on_pong(self, pong: Any) -> None:
        turn = self._service.turn
        if not pong.payload and self._pinged > 0:
            self._latency = turn.now - self._pinged
        if self._waiting is not None:
            turn.woken = True
            self._waiting.on_pong(pong.payload, turn.now)
        self._call_hook("on_pong", pong.payload)

    def _on_piece(self, piece: Any) -> None:
        # Part of a message that is received as a stream.
        if piece.final:
            self.endpoint.streaming = False
        waiting = self._waiting
        if waiting is not None and waiting.skipping:
            waiting.skipping = not piece.final
        elif not self._closing:
            self._deliver(piece, len(piece.data))

    def _stream_on(self) -> None:
        # A stream is to be received and nothing waits: the next piece, please.
        self.endpoint.streaming = True
        if self.endpoint.buffered:
            self._service.turn.put_off(self)

    def _skip_message(self, begun: bool) -> None:
        # A stream was left: what it did not take of its message goes.
        while begun and self._inbox is not None:
            if self._take().final:
                return
        if not begun and self._inbox is None:
            # Nothing of it came. What comes next is somebody else's message.
            self.endpoint.streaming = self.endpoint.buffered > 0
            begun = self.endpoint.streaming
        if begun:
            self._get_waiting().skipping = True

    # --- the end ------------------------------------------------------------

    def start_close(self, code: int, reason: str) -> None:
        """Queue a Close behind what was sent; no message is sent after it.

        Raises:
            ValueError: The code or the reason may not be sent.
        """
        check_close(code, reason)
        if self._closing:
            return
        self._closing = True
        self._paused = 0
        turn = self._service.turn
        self._since = turn.time()
        turn.schedule(self, self._since + self._service.close_seconds)
        if self._hung or self.link is None:
            self.abort(LOST)
            return
        outbox = self._outbox
        if outbox is None:
            self._commit(self.endpoint.encode_close(code, reason))
        else:
            outbox.put((CLOSE, code, reason), 0)
            self._mark_outbox(outbox, turn)
        self._wake_all()
        turn.put_off(self)  # read again, should reading be paused

    def _on_end(self, event: Any) -> None:
        # Close and Failure alike: nothing but the reply goes out after it.
        self._set_result(event.code, event.reason)
        if self._outbox is not None:
            self._outbox.drop_pending()
        if event.reply:
            self._commit(event.reply)
        self._begin_ending()

    def _set_result(self, code: int, reason: str) -> None:
        if self.close_code is None:
            self.close_code = code
            self.close_reason = reason

    def _begin_ending(self) -> None:
        # Nothing more is delivered or sent. What is committed goes out, then
        # the transport ends: the server ends it, the client waits for that.
        self._closing = True
        self._ending = True
        self._paused = 0
        turn = self._service.turn
        self._since = turn.time()
        turn.schedule(self, self._since + self._service.close_seconds)
        self._wake_all()
        self._disconnected()

    def _finish_if_flushed(self) -> None:
        link = self.link
        if self._finished or link is None or self._outbox is not None:
            return
        if link.broken:
            self._finish(False)
        elif self.endpoint.ends_transport():
            self._finish(True)

    def on_eof(self, error: OSError | None) -> None:
        """See `Owner.on_eof`."""
        cause = "" if error is None else f" ({error.strerror or error})"
        self.abort(LOST + cause)

    def on_hangup(self) -> None:
        """See `Owner.on_hangup`: what came before can still be received."""
        if self._hung or self._finished:
            return
        if self._closing:
            self.abort(LOST)
            return
        self._hung = True
        self._outbox = None
        self._wake_senders()
        self._disconnected()
        if self._paused & BY_OUTBOX:
            self._resume(BY_OUTBOX)

    def abort(self, reason: str) -> None:
        """Give the connection up without another word to the peer."""
        if not self._finished:
            self._set_result(1006, reason)
            self._finish(False)

    def _finish(self, lingering: bool) -> None:
        # The last step of every way to end. Hooks come later: `on_mark`.
        self._finished = True
        self._closing = True
        service = self._service
        turn = service.turn
        turn.wheel.cancel(self)
        self._outbox = None
        link = self.link
        if link is not None:
            if lingering:
                Linger(link, service.close_seconds)
            else:
                link.close()
        self._wake_all()
        self._disconnected()
        turn.mark(self)

    def _wake_all(self) -> None:
        self._wake_receiver()
        self._wake_senders()

    def _wake_senders(self) -> None:
        if self._waiting is not None:
            self._service.turn.woken = True
            self._waiting.wake(self._finished)

    def _disconnected(self) -> None:
        if self._service.cancel_on_disconnect and self._waiting is not None:
            self._waiting.cancel_handler()

    def _say_closed(self, turn: Turn) -> None:
        service = self._service
        if service.leave(self):
            turn.corked = self
            self._call_hook("on_close")
            turn.corked = None
        if self._waiting is not None:
            self._waiting.end()

    # --- hooks --------------------------------------------------------------

    def _call_hook(self, name: str, *args: object) -> None:
        handler = self._service.handler
        if handler is None or (self._closing and name != "on_close"):
            return
        try:
            getattr(handler, name)(self, *args)
        except Exception as error:  # noqa: BLE001 - isolation: logged, 1011
            self._hook_failed(name, error)

    def _hook_failed(self, hook: str, error: BaseException) -> None:
        logger.error("exception in %s", hook, exc_info=error)
        self._set_result(1011, f"exception in {hook}")
        self.start_close(1011, "internal error")

    # --- output, continued --------------------------------------------------

    def on_mark(self) -> None:
        """See `Owner.on_mark`: write, or say that it is over."""
        if self._finished:
            self._say_closed(self._service.turn)
            return
        link = self.link
        if link is not None and link.broken:
            self.on_hangup()
            return
        self._delayed = False
        outbox = self._outbox
        if outbox is not None and not outbox.blocked:
            self._write_out(outbox)

    def on_writable(self) -> None:
        """See `Owner.on_writable`."""
        outbox = self._outbox
        if outbox is not None:
            self._flush(outbox)
        else:
            self._update_interest()

    def _on_blocked(self) -> None:
        outbox = self._outbox
        assert outbox is not None
        service = self._service
        if service.write_stall < math.inf:
            service.turn.schedule(self, outbox.since + service.write_stall)
        if outbox.size() > service.high_water:
            self._on_crowded()
        self._update_interest()

    def _on_crowded(self) -> None:
        # A peer that does not read what it asked for is not asked for more.
        if self._service.handler is not None:
            self._pause(BY_OUTBOX)

    def _on_written(self, was_blocked: bool) -> None:
        service = self._service
        outbox = self._outbox
        if was_blocked and outbox is None:
            self._update_interest()
        if self._ending:
            self._finish_if_flushed()
            return
        if outbox is None or outbox.size() <= service.low_water:
            if self._paused & BY_OUTBOX:
                self._resume(BY_OUTBOX)
            if self._waiting is not None:
                self._waiting.room()
        link = self.link
        if outbox is None and was_blocked and link is not None and not link.broken:
            turn = service.turn
            turn.corked = self
            self._call_hook("on_drain")
            self._leave(turn)

    def _on_too_slow(self) -> None:
        reason = "the peer reads too slowly"
        self._set_result(1008, reason)
        self.start_close(1008, reason)

    # --- reading on and off -------------------------------------------------

    def _pause(self, why: int) -> None:
        if self._closing:
            return
        turn = self._service.turn
        if self._paused == 0:
            self._since = turn.time()
            turn.schedule(self, self._since + self._service.slow_consumer)
        self._paused |= why
        self._update_interest()

    def _resume(self, why: int) -> None:
        self._paused &= ~why
        if self._paused == 0 and not self._finished:
            self._service.turn.put_off(self)

    def _update_interest(self) -> None:
        link = self.link
        if link is not None:
            outbox = self._outbox
            link.want(self._paused == 0, outbox is not None and outbox.blocked)

    # --- deadlines ----------------------------------------------------------

    def on_deadline(self, now: float) -> float:
        """See `Timer.on_deadline`: all of a connection's deadlines in one."""
        service = self._service
        if self._finished:
            return math.inf
        if self._closing:
            deadline = self._since + service.close_seconds
            if now < deadline:
                return deadline
            self.abort(f"no closing handshake within {service.close_seconds:g} s")
            return math.inf
        stall = math.inf
        outbox = self._outbox
        if outbox is not None and outbox.blocked:
            stall = outbox.since + service.write_stall
            if now >= stall:
                self.abort(f"the peer took no byte for {service.write_stall:g} s")
                return math.inf
        if self._paused != 0:
            return min(stall, self._check_consumer(now))
        return min(stall, self._keepalive(now))

    def _check_consumer(self, now: float) -> float:
        # Paused: the peer may be alive and well behind bytes nobody has read,
        # so its silence says nothing; our own side is what is slow.
        seconds = self._service.slow_consumer
        if self._paused == BY_OUTBOX or seconds == math.inf:
            return math.inf
        if now >= self._since + seconds:
            reason = f"messages were not received for {seconds:g} s"
            self._set_result(1008, reason)
            self.start_close(1008, reason)
            return now + self._service.close_seconds
        return self._since + seconds

    def _keepalive(self, now: float) -> float:
        service = self._service
        heard = self._heard
        if self._pinged > heard:
            if now < self._pinged + service.ping_timeout:
                return self._pinged + service.ping_timeout
            self.abort(f"no byte from the peer for {now - heard:.3g} s")
            return math.inf
        due = heard + service.ping_interval
        # The first ping comes at its jittered time; see `open`.
        early = self._pinged == 0 and now >= heard + service.ping_interval * 0.5
        if now < due and not early:
            return due
        self._pinged = now
        self._commit(self.endpoint.encode_ping(b""))
        return now + service.ping_timeout
