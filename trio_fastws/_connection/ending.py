# cython: annotation_typing=False
"""What happens at the end of a connection: the steps behind the table of `closing`.

`start_close` queues a Close; `end` says that the closing handshake is done, or that
the connection has failed: what is committed is still written; `settle` ends the
transport when it was; `finish` lets go of the link and wakes whoever waits. Hooks never
nest, so ``on_close`` is called a moment later, from `Connection._on_mark`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trio_fastws._protocol.codes import CLOSE
from trio_fastws._protocol.endpoint import Close, check_close
from trio_fastws._transport.linger import END_SECONDS, Linger

from .closing import (
    CLOSE as STARTED,
    CLOSED,
    CLOSING,
    ENDING,
    EOF,
    HALF_CLOSED,
    HANGUP,
    LOST,
    OVER,
    RESET,
    WITHOUT_CLOSE,
    WRITTEN,
    Closing,
    follow,
)

if TYPE_CHECKING:
    from .sending import Sender


def get_closing(ws: Sender) -> Closing:
    """Return what is known of the end, from now on."""
    closing = ws._closing
    if closing is None:
        closing = ws._closing = Closing()
    return closing


def move(ws: Sender, event: str) -> None:
    """Go on to the next state.

    From the first step of the closing handshake on there is one deadline for all of
    it, and reading is never paused: what comes is discarded.
    """
    before = ws._state
    after = ws._state = follow(before, event)
    if before < CLOSING <= after < CLOSED:
        ws._paused = 0
        shared = ws._shared
        deadline = shared.dispatcher.time() + shared.close_seconds
        get_closing(ws).deadline = deadline
        shared.dispatcher.schedule(ws, deadline)


def check_arguments(code: object, reason: object) -> None:
    """Check the types of what a Close carries, before anything is closed.

    Compiled code would refuse them too, but with an error that names C types.

    Raises:
        TypeError: The code is no int, or the reason no str.
    """
    if not isinstance(code, int):
        raise TypeError(f"close code must be an int, not {code!r}")
    check_reason(reason)


def check_reason(reason: object) -> None:
    """Check the type of a reason, as `check_arguments` does.

    Raises:
        TypeError: It is no str.
    """
    if not isinstance(reason, str):
        raise TypeError(f"close reason must be a str, not {reason!r}")


def start_close(
    ws: Sender, code: int, reason: str, cause: tuple[int, str] | None
) -> None:
    """Queue a Close behind what was sent; no message is sent after it.

    Args:
        ws: The connection.
        code: Of the Close.
        reason: What goes with it.
        cause: What this side is told of the end, whatever the peer answers.

    Raises:
        ValueError: The code or the reason may not be sent.
    """
    check_close(code, reason)
    if cause is not None:
        get_closing(ws).conclude(*cause)
    if ws._state >= CLOSING:
        return
    if ws._state == RESET or ws._link is None:
        ws._abort(WITHOUT_CLOSE)
        return
    move(ws, STARTED)
    get_closing(ws).first = True
    _note_sent(ws, code, reason)
    outbox = ws._outbox
    if outbox is None:
        ws._commit(ws._endpoint.encode_close(code, reason))
    else:
        outbox.put((CLOSE, (code, reason)), 0)
        ws._mark_outbox(outbox, False)
    wake(ws, False)
    ws._shared.dispatcher.defer(ws)  # read again, should reading be paused


def end(ws: Sender, event: Any) -> None:
    """Act on a Close or a Failure: nothing but its reply goes out after it.

    Nothing is delivered any more. What is committed is written, then the transport
    ends.
    """
    closing = get_closing(ws)
    closing.conclude(event.code, event.reason)
    if type(event) is Close:
        closing.received = event.code, event.reason
    if ws._outbox is not None:
        ws._outbox.drop_unwritten()
    if event.reply:  # instead of a Close that was queued, and not encoded yet
        _note_sent(ws, event.code, event.reason)
        ws._commit(event.reply)
    move(ws, OVER)
    wake(ws, False)


def _note_sent(ws: Sender, code: int, reason: str) -> None:
    link = ws._link
    if link is not None and not link.broken:  # else nobody gets it
        # Not a `CloseCode`, if that was given: what the peer sends is none either.
        get_closing(ws).sent = int(code), reason


def settle(ws: Sender) -> None:
    """End the transport when all is written: a server does, a client waits for it."""
    state, closing, link = ws._state, ws._closing, ws._link
    if (
        state not in (ENDING, HALF_CLOSED)
        or ws._outbox is not None
        or link is None
        or closing is None
    ):
        return
    if link.broken:
        finish(ws, LOST)
    elif ws._waiters is not None and ws._waiters.flushes:
        return  # for what the link has yet to pass on; see `Connection._on_writable`
    elif state == HALF_CLOSED or ws._endpoint.ends_transport():
        finish(ws, WRITTEN)
    else:
        # RFC 6455 7.1.1: a client waits for the server to end the transport,
        # "a reasonable period of time": all is said, and only that is left.
        dispatcher = ws._shared.dispatcher
        closing.deadline = min(closing.deadline, dispatcher.time() + END_SECONDS)
        dispatcher.schedule(ws, closing.deadline)
        link.send_close_notify()


def on_eof(ws: Sender, error: OSError | None) -> None:
    """Act on the end of what comes; see `Owner._on_eof`."""
    link = ws._link
    if (
        ws._state >= CLOSING
        and error is None
        and link is not None
        and not link.broken
        and (ws._outbox is not None or link.flushing())
    ):
        # A Close, and what is queued or committed before it, are on their way
        # still: a FIN does not say that nobody reads them.
        waited = ws._state == CLOSING
        move(ws, EOF)
        if waited:  # no Close of its own will come
            get_closing(ws).conclude(1006, WITHOUT_CLOSE)
            wake(ws, False)
        settle(ws)
        return
    cause = "" if error is None else f" ({error.strerror or error})"
    ws._abort(WITHOUT_CLOSE + cause)


def abort(ws: Sender, reason: str) -> None:
    """Give the connection up without another word to the peer."""
    if ws._state != CLOSED:
        get_closing(ws).conclude(1006, reason)
        finish(ws, LOST)


def abandon(ws: Sender) -> None:
    """Note that the application has ended its side: it receives nothing any more."""
    if ws._closing is not None:
        ws._closing.by_user = True
    inbox = ws._inbox
    if inbox is not None:
        inbox.clear()
        if inbox.wake():
            ws._shared.dispatcher.woken = True
    ws._account()


def reset(ws: Sender) -> None:
    """Note that the peer has reset the connection: it takes nothing any more."""
    move(ws, HANGUP)
    get_closing(ws).reset = True
    ws._outbox = None
    ws._account()
    wake_senders(ws, False)


def finish(ws: Sender, event: str) -> None:
    """Let go of the link: the last step of every way to end."""
    move(ws, event)
    shared = ws._shared
    dispatcher = shared.dispatcher
    dispatcher.wheel.cancel(ws)
    ws._outbox = None
    link, closing = ws._link, ws._closing
    if link is not None:
        # Known from now on; as long as it is open the kernel keeps it for us.
        if ws._remote_address is None:
            ws._remote_address = link.peer_address()
        if event == WRITTEN and closing is not None:
            left = max(closing.deadline - dispatcher.time(), END_SECONDS)
            Linger(link, min(left, shared.close_seconds), ws._endpoint.failed)
        else:
            link.close()
    # Somebody may keep it for long: what can be received still is in the inbox.
    ws._endpoint.end()
    ws._account()
    wake(ws, True)
    dispatcher.mark(ws)


def wake(ws: Sender, closed: bool) -> None:
    """Wake every task that cannot get what it waits for any more.

    Args:
        ws: The connection.
        closed: Whether it is over, for which others wait.
    """
    if ws._inbox is not None and ws._inbox.wake():
        ws._shared.dispatcher.woken = True
    wake_senders(ws, closed)


def wake_senders(ws: Sender, closed: bool) -> None:
    """As `wake`, but for a task that receives: there is something for it still."""
    waiters = ws._waiters
    if waiters is not None:
        ws._shared.dispatcher.woken = True
        waiters.wake(closed)
        waiters.fail_flushes(ws._outbox, ws._state in (RESET, CLOSED))
        # Not for a Close of ours alone: the peer is there still.
        if ws._shared.cancel_on_disconnect and ws._state != CLOSING:
            why = f"the peer is gone (Sending.on_disconnect): {ws._closing}"
            waiters.cancel_handler(why)
