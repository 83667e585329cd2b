"""What users give a server: hooks instead of a task, and answers to requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeGuard

from trio_fastws._exceptions import get_where

from .hooks import DEFAULTS, log_error
from .session import SessionT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .websocket import WebSocket


class EventHandler(Generic[SessionT]):
    """Hooks that the dispatcher calls: the fastest and leanest way to serve.

    Subclass it, override what you need, and pass an instance to
    `serve_websocket`; it serves all connections. Hooks are plain functions:
    they must not block, and everything they send leaves in one write after the
    hook's batch. They never nest: what a hook sends or closes only takes effect
    after it has returned. They are protected from KeyboardInterrupt. An
    exception in a hook goes to `on_error` and closes that connection with code 1011.

    In a hook whatever is no coroutine may be called (`WebSocket.send_nowait`,
    `WebSocket.pong_nowait`, `WebSocket.close_nowait`, `WebSocket.abort`,
    `WebSocket.start_soon`, `WebSocket.pause_reading`), on this connection and on
    others. What is sent to another one that is closing or gone is dropped and counted.
    Context variables that a hook sets are seen by what is called for this connection
    later, and by nobody else.
    """

    def on_open(self, ws: WebSocket[SessionT]) -> None:
        """Called when the opening handshake is done; ``ws.request`` is there."""

    def on_message(self, ws: WebSocket[SessionT], message: str | bytes) -> None:
        """Called with each message: ``str`` for text, ``bytes`` for binary.

        After `WebSocket.receive_text_as_bytes`, in `on_open` say, ``bytes`` for all.
        Looked up once, when serving begins; the others whenever they are called.
        """

    def on_ping(self, ws: WebSocket[SessionT], payload: bytes) -> None:
        """Called with a Ping's payload. It has been answered (RFC 6455 5.5.2)."""

    def on_pong(self, ws: WebSocket[SessionT], payload: bytes) -> None:
        """Called with a Pong's payload, asked for or not (RFC 6455 5.5.3)."""

    def on_drain(self, ws: WebSocket[SessionT]) -> None:
        """Called when there is room to send again; once, not before it is needed.

        After a `trio.WouldBlock` of `WebSocket.send_nowait`, whatever the reason:
        when what waits has fallen to `Sending.low_water` (and below
        `Sending.max_messages`), and no task is before you. After a peer that took
        less than there was, if nothing was refused: when it has taken everything.
        """

    def on_close(self, ws: WebSocket[SessionT]) -> None:
        """Called when it is over: the last hook of a connection, once.

        ``ws.close_code`` and ``ws.close_reason`` say how. Not called for a
        connection whose `on_open` was never called.
        """

    def on_error(self, ws: WebSocket[SessionT], error: Exception) -> None:
        """Called when a hook, or a task of `WebSocket.start_soon`, has raised.

        This one logs where it happened, with the traceback; yours takes its place, and
        may call it: ``super().on_error(ws, error)``. What a hook has sent before it
        failed leaves before what is sent here. Afterwards the connection is closed with
        code 1011, unless it is closed here, with a code of your own. Not called for
        what only reports that the connection is over (`trio.ClosedResourceError`,
        `ConnectionBroken`, `trio.EndOfChannel`), which is no failure. A task that fails
        while it is cancelled, or `on_close` itself, brings it after `on_close`.

        An exception in here is logged together with ``error``, and closes all the same.

        Args:
            ws: The connection.
            error: What was raised; of a task that raised several at once their group.
        """
        log_error(ws, get_where(error), error)


def has_hooks(handler: object) -> TypeGuard[EventHandler[Any]]:
    """Return whether a handler has hooks; else it is called in a task."""
    return isinstance(handler, EventHandler)


if TYPE_CHECKING:
    # What serves connections.
    AsyncHandler = Callable[[WebSocket[SessionT]], Awaitable[object]]
    Handler = AsyncHandler[SessionT] | EventHandler[SessionT]

DEFAULTS.update(vars(EventHandler))
