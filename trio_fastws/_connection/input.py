# cython: annotation_typing=False
"""The receiving half of a connection: from bytes that came to who is told.

Owns when something is parsed and read, and stops both while reading is paused. A
handler's hooks are called here; messages for a task go to `_inbox`. Nothing here
waits; see `_websocket` for who does. Which events there are is the endpoint's
business.
"""

from __future__ import annotations

import logging
import math
from time import perf_counter
from typing import TYPE_CHECKING, Any

from trio_fastws._protocol.endpoint import WORKING, Close, Failure, Ping, Pong
from trio_fastws._transport.logs import log

from .holding import Holding
from .liveness import LOOKS

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio_fastws._protocol.endpoint import Endpoint
    from trio_fastws._transport.contract import Dispatcher

    from .liveness import Probe
    from .shared import Shared


class Input(Holding):
    """What receives. `Connection` adds how it begins and ends."""

    __slots__ = (
        "_ending",
        "_finished",
        "_heard",
        "_latency",
        "_probe",
        "_since",
    )

    def _init_input(self, shared: Shared, endpoint: Endpoint) -> None:
        self._init_inbox(shared, endpoint)
        # The closing handshake is done; what is committed is still written.
        self._ending = False
        # The last step of every end: nothing happens any more.
        self._finished = False
        # When the last byte came, and what asks for one: never for most of the time.
        self._heard = shared.dispatcher.now
        self._probe: Probe | None = None
        self._latency = math.nan
        # When the connection was opened, or pausing began; the deadline of closing.
        self._since = 0.0

    # --- what `Connection` does ---------------------------------------------

    def _on_user_error(self, where: str, error: BaseException) -> None:
        """Close the connection, unless that only told of its end."""

    # --- input --------------------------------------------------------------

    def _get_buffer(self) -> memoryview | None:
        """See `Owner._get_buffer`."""
        return self._endpoint.get_buffer()

    def _on_data(self, start: int, stop: int) -> None:
        """See `Owner._on_data`."""
        dispatcher = self._shared.dispatcher
        self._heard = dispatcher.now
        self._endpoint.feed(dispatcher.buffer, start, stop)
        self._work(dispatcher)

    def _on_filled(self, size: int) -> None:
        """See `Owner._on_filled`."""
        dispatcher = self._shared.dispatcher
        self._heard = dispatcher.now
        self._endpoint.filled(size)
        self._work(dispatcher)

    def _on_deferred(self) -> None:
        """See `Owner._on_deferred`: parse on, then read again."""
        if self._finished or self._paused:
            return
        dispatcher = self._shared.dispatcher
        self._heard = dispatcher.now
        self._work(dispatcher)
        self._read_again(dispatcher)

    def _read_again(self, dispatcher: Dispatcher) -> None:
        if not self._finished and not self._paused and not self._is_deferred:
            self._update_interest()
            dispatcher.schedule(self, self._heard + self._shared.ping_interval)

    def _work(self, dispatcher: Dispatcher) -> None:
        dispatcher.corked = self
        if self._shared.handler is None:
            self._drain(dispatcher)  # nothing of the user's is called
        else:
            contexts = dispatcher.contexts
            contexts.enter(self, self._context)
            try:
                self._drain(dispatcher)
            finally:
                self._context = contexts.leave(self._context)
        self._leave(dispatcher)

    def _leave(self, dispatcher: Dispatcher) -> None:
        # The end of a batch of hooks: what they sent goes out.
        dispatcher.corked = None
        if dispatcher.cork_size > 0:
            self._uncork(dispatcher)
        self._settle()
        self._account()

    def _drain(self, dispatcher: Dispatcher) -> None:
        endpoint = self._endpoint
        on_message = self._shared.on_message
        checked = endpoint.frames
        if endpoint.deflate is not None:
            endpoint.deflate.step = self._shared.budget.step
        if self._paused != 0:  # before the first byte came
            endpoint.keep()
            return
        while True:
            event = endpoint.next_event()
            if event is None:
                self._direct: bool = endpoint.wants_buffer
                return
            if type(event) is str or type(event) is bytes:
                if self._closing:
                    pass  # nobody is told of messages any more
                elif on_message is None:
                    self._deliver(event)
                else:
                    self._call_on_message(on_message, event)
            else:
                self._on_event(event)
            if self._paused != 0 or self._finished:
                endpoint.keep()
                return
            # Frames, not events: a message may be thousands of empty fragments.
            if (endpoint.frames - checked) & 0x3FFFFFFF >= 64:
                checked = endpoint.frames
                if perf_counter() >= dispatcher.until:
                    endpoint.keep()
                    dispatcher.defer(self)
                    return

    def _call_on_message(
        self, on_message: Callable[[Any, Any], None], message: str | bytes
    ) -> None:
        try:
            on_message(self, message)
        except Exception as error:  # noqa: BLE001 - isolation: logged, 1011
            self._on_user_error("on_message", error)

    def _on_event(self, event: Any) -> None:
        if type(event) is Ping:
            self._on_ping(event)
        elif type(event) is Pong:
            self._on_pong(event)
        elif type(event) is Close:
            self._on_end(event)
        elif type(event) is Failure:
            message = "failed a connection: %d %s"
            log(logging.DEBUG, self, message, event.code, event.reason)
            self._on_end(event)
        elif event is WORKING:
            self._account()  # a few bytes may inflate to thousands of times as many
        else:
            self._on_piece(event)

    def _on_ping(self, ping: Any) -> None:
        outbox = self._outbox
        if (
            outbox is not None
            and outbox.size() > self._shared.high_water
            and not self._endpoint.dividing
        ):
            # The peer does not read. Only its latest Ping is answered then, or
            # it could make us queue Pongs without end (RFC 6455 5.5.3 allows it).
            outbox.pong = ping.reply
        elif ping.reply:
            self._commit_control(ping.reply, True)
        self._call_hook("on_ping", ping.payload)

    def _on_pong(self, pong: Any) -> None:
        dispatcher = self._shared.dispatcher
        probe = self._probe
        if probe is not None:
            seconds = probe.round_trip(pong.payload, dispatcher.now)
            if seconds >= 0:
                self._latency = seconds
            if probe.is_last(pong.payload):
                self._probe = None
        if self._waiting is not None:
            dispatcher.woken = True
            self._waiting.on_pong(pong.payload, dispatcher.now)
        self._call_hook("on_pong", pong.payload)

    def _on_piece(self, piece: Any) -> None:
        # Part of a message that is received as a stream.
        if piece.final:
            self._endpoint.streaming = False
        waiting = self._waiting
        if waiting is not None and waiting.skipping:
            waiting.skipping = not piece.final
        elif not self._closing:
            self._deliver(piece)

    # --- reading on and off -------------------------------------------------

    def _pause(self, why: int) -> None:
        if self._closing:
            return
        dispatcher = self._shared.dispatcher
        if self._paused == 0:
            self._since = dispatcher.time()
            shared = self._shared
            seconds = shared.slow_consumer
            if self._hung:
                seconds = shared.close_seconds / LOOKS
            dispatcher.schedule(self, self._since + seconds)
        self._paused |= why
        self._update_interest()

    def _resume(self, why: int) -> None:
        self._paused &= ~why
        if self._paused != 0 or self._finished:
            return
        dispatcher = self._shared.dispatcher
        if self._endpoint.buffered:
            dispatcher.defer(self)  # parse first, then read
        else:
            self._heard = dispatcher.time()
            self._read_again(dispatcher)

    def _update_interest(self) -> None:
        link = self._link
        if link is not None:
            outbox = self._outbox
            link.want(self._paused == 0, outbox is not None and outbox.blocked)

    # --- hooks --------------------------------------------------------------

    def _call_hook(self, name: str, *args: object) -> None:
        handler = self._shared.handler
        if handler is None or (self._closing and name != "on_close"):
            return
        try:
            getattr(handler, name)(self, *args)
        except Exception as error:  # noqa: BLE001 - isolation: logged, 1011
            self._on_user_error(name, error)
