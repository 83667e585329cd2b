# cython: annotation_typing=False
"""What a task that sends or receives does before and after it waits.

The synchronous steps of `WebSocket.send`, `WebSocket.receive` and of messages in
pieces. In them are the one place where a task's message is queued and the one where a
message leaves the inbox: with no checkpoint behind, so that a task that is cancelled
has sent nothing and taken nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio
from trio.lowlevel import current_task

from trio_fastws._exceptions import telling_end
from trio_fastws._protocol.codes import is_clean

from .closing import CLOSING
from .inbox import BY_INBOX, Inbox
from .naming import without_raw

if TYPE_CHECKING:
    from trio_fastws._protocol.prepared import PreparedMessage

    from .connection import Connection


def send(
    ws: Connection,
    opcode: int,
    payload: bytes,
    prepared: PreparedMessage | None,
    compress: bool,
) -> None:
    """Queue a message: its task has waited for room."""
    ws._check_open()
    ws._enqueue(opcode, payload, prepared, compress)
    if ws._waiters is not None:
        pass_on(ws)


def pass_on(ws: Connection) -> None:
    """Let the next sender go on, as long as there is room."""
    waiters = ws._waiters
    if waiters is not None and ws._has_room():
        waiters.room()
    if ws._owed != 0:
        ws._shared.dispatcher.mark(ws)


def begin(ws: Connection) -> Inbox:
    """Begin to receive; set `Inbox.receiving` to False when it is over.

    Raises:
        trio.BusyResourceError: Another task does.
        RuntimeError: Messages go to a handler's hook, or this is another thread than
            that of the trio run.
    """
    shared = ws._shared
    shared.dispatcher.contexts.check_thread()
    inbox = ws._inbox
    if inbox is None:
        inbox = ws._inbox = Inbox()
    if inbox.receiving:
        raise trio.BusyResourceError("another task is receiving")
    if shared.handler is not None:
        raise RuntimeError("messages of this connection go to its handler's on_message")
    inbox.receiving = True
    if not shared.keep_request:
        ws._request = without_raw(ws._request)
    return inbox


def is_ready(ws: Connection, inbox: Inbox) -> bool:
    """Return whether there is an answer without waiting: a message, or the end."""
    if ws._state >= CLOSING:
        return True
    return inbox.messages is not None and not waits_for_a_task(ws)


def waits_for_a_task(ws: Connection) -> bool:
    """Return whether so many run that no message is given out (`Limits.tasks`)."""
    waiters = ws._waiters
    return (
        waiters is not None
        and len(waiters.scopes) >= ws._shared.tasks
        and ws._state < CLOSING
    )


def must_wait(ws: Connection, inbox: Inbox, iterating: bool) -> bool:
    """Return whether nothing may be taken; then the task is noted, to be woken.

    Args:
        ws: The connection.
        inbox: Its inbox.
        iterating: See `check_end`.
    """
    if inbox.messages is not None and not waits_for_a_task(ws):
        return False
    if ws._state >= CLOSING:
        check_end(ws, iterating)
    if inbox.receiver is not None:  # of the same stream
        raise trio.BusyResourceError("another task is receiving")
    # The task has nothing to add: what it sent can go out now.
    ws._flush_now()
    inbox.receiver = current_task()
    return True


def take(ws: Connection, inbox: Inbox) -> Any:
    """Return the oldest message or piece; read again if that had paused it."""
    item = inbox.take()
    ws._account()
    if ws._paused & BY_INBOX and inbox.size * 2 <= ws._shared.receive_buffer:
        ws._resume(BY_INBOX)
    return item


def check_end(ws: Connection, iterating: bool) -> None:
    """Raise what says how a connection ended; it is closing at least.

    Args:
        ws: The connection.
        iterating: Whether StopAsyncIteration stands for a clean end, and our own.
    """
    closing = ws._closing
    assert closing is not None
    clean = not closing.by_user and is_clean(closing.code)
    if iterating and (clean or closing.first or closing.by_user):
        # Whoever closed: that nothing more will come is no failure.
        raise StopAsyncIteration
    if clean:
        text = f"the peer closed the connection with code {closing.code}"
        # By no name: it would refer to its traceback, and that to this frame.
        raise telling_end(trio.EndOfChannel(text), ws.id)
    ws._check_open()  # which it is not


def receive_text_as_bytes(ws: Connection) -> None:
    """See `WebSocket.receive_text_as_bytes`."""
    ws._shared.dispatcher.contexts.check_thread()
    ws._endpoint.receive_text_as_bytes()
    if ws._inbox is not None:
        ws._inbox.encode_text()
        ws._account()


def receive_pieces(ws: Connection) -> None:
    """Ask for the next piece of a message: nothing waits in the inbox."""
    collected = ws._endpoint.buffered > 0
    ws._endpoint.streaming = True
    if collected:
        ws._shared.dispatcher.defer(ws)


def skip_message(ws: Connection, inbox: Inbox, begun: bool) -> None:
    """Throw away what a stream that was left did not take of its message.

    Args:
        ws: The connection.
        inbox: Its inbox.
        begun: Whether the stream has taken a piece.
    """
    messages = inbox.messages
    if not begun:
        if messages is None:
            if not inbox.skipping:
                # Nothing of it was given away: it is somebody else's, and whole.
                ws._endpoint.streaming = False
            return
        if type(messages[0]) is str or type(messages[0]) is bytes:
            return
    while inbox.messages is not None:
        if take(ws, inbox).final:
            return
    inbox.skipping = True
