# cython: annotation_typing=False
"""The synchronous half of a WebSocket: what happens to one connection in a turn.

Glue between an endpoint, which knows the protocol, and a link, which moves
bytes. Owns how a connection begins and ends, and its deadlines. What it sends is
in `_encoding`, `_writing` and `_output`, what it receives in `_inbox` and `_input`,
what a slow peer means for both in `_pressure`; each inherits from the one before. It
contains no rule of the RFC, and it never waits: the asynchronous half is `_websocket`,
which parks the tasks that this half wakes.

Ways to end. `_start_close` queues a Close; `_begin_ending` says that the closing
handshake is done, or that the connection has failed: what is committed is still
written; `_finish` lets go of the transport and wakes whoever waits. Hooks never
nest, so ``on_close`` is called a moment later, from `_on_mark`.
"""

from __future__ import annotations

import logging
import math
from random import random
from typing import TYPE_CHECKING, Any

from trio_fastws._exceptions import tells_end
from trio_fastws._protocol.codes import CLOSE
from trio_fastws._protocol.endpoint import Endpoint, check_close
from trio_fastws._transport.linger import END_SECONDS, Linger
from trio_fastws._transport.logs import log

from . import liveness
from .inbox import BY_BUDGET, BY_OUTBOX
from .liveness import LOOKS, LOST
from .naming import get_path
from .pressure import Pressure

if TYPE_CHECKING:
    from trio_fastws._transport.contract import Dispatcher, Link

    from .shared import Shared


class Connection(Pressure):
    """One connection, from the end of its opening handshake on."""

    __slots__ = (
        "_peer_ended",
        "_remote_address",
        "_request",
        "response",
        "session",
        "subprotocol",
    )

    def __init__(self, shared: Shared, endpoint: Endpoint, link: Link) -> None:
        self._init_input(shared, endpoint)
        # The peer ended its direction meanwhile (TCP's FIN): it may still read.
        self._peer_ended = False
        # Raw, or parsed when somebody looked at it; its path alone when dropped.
        self._request: Any = None
        self._remote_address: Any = None
        self.response: Any = None
        self.subprotocol: str | None = None
        self.session: Any = None
        if link.owner is not None:
            # What on_request has set belongs to the connection.
            self._context = link.owner._context
        link.adopt(self)

    def _open(self, start: int, stop: int) -> None:
        """Start: call ``on_open``, then handle what came behind the handshake.

        Args:
            start: Where in the turn's buffer that begins, at the headroom or
                later.
            stop: Where it ends; equal to ``start`` if nothing came.
        """
        shared = self._shared
        dispatcher = shared.dispatcher
        shared.join(self)
        self._since = dispatcher.now
        if shared.unsent_limit > 0:
            self.limit_unsent(shared.unsent_limit)
        if shared.ping_interval < math.inf:
            # Jittered: thousands that reconnected at once are not pinged at once.
            self._heard = dispatcher.now - shared.ping_interval * 0.5 * random()
            dispatcher.schedule(self, self._heard + shared.ping_interval)
        if shared.handler is not None:
            self._call_alone(dispatcher, "on_open")
            if not shared.keep_request:
                self._forget_request()
        if start < stop and not self._finished:
            self._on_data(start, stop)

    def _forget_request(self) -> None:
        # Still raw bytes: nobody has looked at it (see `WebSocket.request`).
        if type(self._request) is bytes:
            self._request = get_path(self._request)

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

    # --- the end ------------------------------------------------------------

    def close_nowait(self, code: int = 1000, reason: str = "") -> None:
        """Start to close without waiting for the peer. Not a checkpoint.

        The closing handshake goes on by itself, for at most `Timeouts.close`
        seconds. Arguments and errors as `aclose`, and RuntimeError in another
        thread than that of the trio run.
        """
        self._shared.dispatcher.contexts.check_thread()
        _check_types(code, reason)
        self._start_close(code, reason)
        self._closed_by_us = True
        self._inbox = None
        self._inbox_size = 0
        self._account()
        self._wake_receiver()

    def _start_close(self, code: int, reason: str) -> None:
        """Queue a Close behind what was sent; no message is sent after it.

        Raises:
            ValueError: The code or the reason may not be sent.
        """
        check_close(code, reason)
        if self._closing:
            return
        self._closing = True
        dispatcher = self._begin_closing()
        if self._hung or self._link is None:
            self._abort(LOST)
            return
        self._closes_first = True
        outbox = self._outbox
        if outbox is None:
            self._commit(self._endpoint.encode_close(code, reason))
        else:
            outbox.put((CLOSE, code, reason), 0)
            self._mark_outbox(outbox, dispatcher)
        self._wake_all()
        dispatcher.defer(self)  # read again, should reading be paused

    def _begin_closing(self) -> Dispatcher:
        # From now on `_since` is the deadline of it all.
        self._paused = 0
        dispatcher = self._shared.dispatcher
        self._since = dispatcher.time() + self._shared.close_seconds
        dispatcher.schedule(self, self._since)
        return dispatcher

    def _on_end(self, event: Any) -> None:
        # Close and Failure alike: nothing but the reply goes out after it.
        self._set_result(event.code, event.reason)
        if self._outbox is not None:
            self._outbox.drop_unwritten()
        if event.reply:
            self._commit(event.reply)
        self._begin_ending()

    def _set_result(self, code: int, reason: str) -> None:
        if self.close_code is None:
            self.close_code: int | None = code
            self.close_reason: str | None = reason

    def _begin_ending(self) -> None:
        # Nothing more is delivered or sent. What is committed goes out, then
        # the transport ends: the server ends it, the client waits for that.
        if not self._closing:
            self._closing = True
            self._begin_closing()
        self._ending = True
        self._wake_all()
        self._disconnected()

    def _settle(self) -> None:
        link = self._link
        if not self._ending or self._finished or link is None:
            return
        if self._outbox is not None:
            return
        if link.broken:
            self._finish(False)
        elif self._peer_ended or self._endpoint.ends_transport():
            self._finish(True)
        else:
            # RFC 6455 7.1.1: a client waits for the server to end the transport,
            # "a reasonable period of time": all is said, and only that is left.
            dispatcher = self._shared.dispatcher
            self._since = min(self._since, dispatcher.time() + END_SECONDS)
            dispatcher.schedule(self, self._since)
            link.send_close_notify()

    def _on_eof(self, error: OSError | None) -> None:
        """See `Owner._on_eof`."""
        link = self._link
        if (
            self._closing
            and error is None
            and link is not None
            and not link.broken
            and (self._outbox is not None or link.flushing())
        ):
            # A Close, and what is queued or committed before it, are on their way
            # still: a FIN does not say that nobody reads them.
            self._peer_ended = True
            if not self._ending:  # and no Close of its own will come
                self._set_result(1006, LOST)
                self._begin_ending()
            self._settle()
            return
        cause = "" if error is None else f" ({error.strerror or error})"
        self._abort(LOST + cause)

    def _on_hangup(self) -> None:
        """See `Owner._on_hangup`: what came before can still be received.

        It is read at once, whoever paused that, up to twice the receive buffer: the
        descriptor need not wait for somebody who may never receive. What is not
        there by then waits as long as somebody does (`_liveness`).
        """
        if self._hung or self._finished:
            return
        if self._closing or self._paused & BY_BUDGET:
            # There is no memory for what the peer has left behind.
            self._abort(LOST)
            return
        self._hung = True
        self._outbox = None
        self._account()
        self._wake_senders()
        self._disconnected()
        dispatcher = self._shared.dispatcher
        if self._paused != 0:
            dispatcher.schedule(
                self, dispatcher.time() + self._shared.close_seconds / LOOKS
            )
            if self._shared.handler is None:
                self._resume(self._paused)
            else:
                self._resume(BY_OUTBOX)

    def _on_half_closed(self) -> None:
        """See `Owner._on_half_closed`: a Ping tells whether the peer still reads.

        What is unread stays so, a Close among it maybe.
        """
        if not self._closing and not self._hung:
            dispatcher = self._shared.dispatcher
            liveness.ask(self, dispatcher.time())
            dispatcher.schedule(
                self, dispatcher.now + self._shared.ping_timeout / LOOKS
            )

    def _abort(self, reason: str) -> None:
        """Give the connection up without another word to the peer."""
        if not self._finished:
            self._set_result(1006, reason)
            self._finish(False)

    def _finish(self, lingering: bool) -> None:
        # The last step of every way to end. Hooks come later: `_on_mark`.
        self._finished = True
        self._closing = True
        shared = self._shared
        dispatcher = shared.dispatcher
        dispatcher.wheel.cancel(self)
        self._outbox = None
        link = self._link
        if link is not None:
            # Known from now on; as long as it is open the kernel keeps it for us.
            if self._remote_address is None:
                self._remote_address = link.peer_address()
            if lingering:
                left = max(self._since - dispatcher.time(), END_SECONDS)
                left = min(left, shared.close_seconds)
                Linger(link, left, self._endpoint.failed)
            else:
                link.close()
        # Somebody may keep it for long: what can be received still is in the inbox.
        self._endpoint.end()
        self._account()
        self._wake_all()
        self._disconnected()
        dispatcher.mark(self)

    def _wake_all(self) -> None:
        self._wake_receiver()
        self._wake_senders()

    def _wake_senders(self) -> None:
        if self._waiting is not None:
            self._shared.dispatcher.woken = True
            self._waiting.wake(self._finished)

    def _disconnected(self) -> None:
        if self._shared.cancel_on_disconnect and self._waiting is not None:
            self._waiting.cancel_handler()

    def _say_closed(self, dispatcher: Dispatcher) -> None:
        shared = self._shared
        if shared.leave(self):
            self._call_alone(dispatcher, "on_close")
        self._context = None
        if self._waiting is not None:
            self._waiting.end()

    def _on_user_error(self, where: str, error: BaseException) -> None:
        # What the user's own code let pass. That the connection is over is no
        # failure: nobody need expect it at every call.
        gone = self._hung or (self._closing and not self._closed_by_us)
        if tells_end(error, self.id, gone):
            log(logging.DEBUG, self, "%s ended: %s", where, error)
            if self._hung and self._shared.handler is not None:
                self._abort(LOST)
            return
        log(logging.ERROR, self, "exception in %s", where, exc_info=error)
        self._set_result(1011, f"exception in {where}")
        self._start_close(1011, "internal error")

    # --- output, continued --------------------------------------------------

    def _on_mark(self) -> None:
        """See `Owner._on_mark`: write, or say that it is over."""
        if self._finished:
            self._say_closed(self._shared.dispatcher)
            return
        link = self._link
        if link is not None and link.broken:
            self._on_hangup()
            return
        outbox = self._outbox
        if outbox is not None and not outbox.blocked:
            self._write_out(outbox)
        if self._owed != 0:
            self._tell_drained()

    def _on_too_slow(self) -> None:
        reason = "the peer reads too slowly"
        self._set_result(1008, reason)
        self._start_close(1008, reason)

    # --- deadlines ----------------------------------------------------------

    def _on_deadline(self, now: float) -> float:
        """See `Timer._on_deadline`: all of a connection's deadlines in one."""
        return liveness.on_deadline(self, now)


def _check_types(code: object, reason: object) -> None:
    # Before anything is closed, and not in words of the compiler.
    if not isinstance(code, int):
        raise TypeError(f"close code must be an int, not {code!r}")
    if not isinstance(reason, str):
        raise TypeError(f"close reason must be a str, not {reason!r}")
