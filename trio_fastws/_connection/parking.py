"""Where tasks wait for a connection.

Each of these waits without an effect that would have to be undone: cancelled, nothing
was queued and nothing was taken. Whoever waits is woken when the transport dies.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trio.lowlevel import cancel_shielded_checkpoint, checkpoint

from .closing import CLOSED, OPEN, RESET
from .shared import WAIT
from .waiters import FlushWait, Waiters

if TYPE_CHECKING:
    from .connection import Connection

# Of trio, for a Close to go out when closing is cancelled. The loop may have yet to
# write it, and a pump through TLS has a lock and a stream below, each of which yields:
# four turns, and once more for TLS within TLS. Nobody else is waited for.
LAST_TURNS = 10


def get_waiters(ws: Connection) -> Waiters:
    """Return the tasks that wait on a connection: somebody is about to."""
    if ws._waiters is None:
        ws._waiters = Waiters()
    return ws._waiters


async def wait_for_room(ws: Connection) -> None:
    """Wait until one message may be queued: first come, first served."""
    ws._shared.dispatcher.contexts.check_thread()
    if _may_queue(ws):
        return
    # That may make room at once, and then nobody would wake us.
    ws._flush_now()
    if _may_queue(ws):
        return
    waiters = get_waiters(ws)
    await waiters.senders.park()
    waiters.granted -= 1


def _may_queue(ws: Connection) -> bool:
    if ws._state != OPEN:
        return True  # to be told so
    if ws._waiters is not None and ws._waiters.crowded():
        return False
    return ws._shared.policy != WAIT or ws._has_room()


def takes_piece(ws: Connection) -> bool:
    """Return whether the next piece of a message may be committed.

    Pieces go straight to the wire, in order: no policy may drop one.
    """
    outbox = ws._outbox
    return outbox is None or (outbox.takes() and outbox.has_room())


async def wait_to_write(ws: Connection) -> None:
    """Wait until `takes_piece`; whoever sends piece by piece is not in the queue."""
    ws._shared.dispatcher.contexts.check_thread()
    while not takes_piece(ws) and ws._state == OPEN:
        ws._flush_now()
        if not takes_piece(ws) and ws._state == OPEN:
            await get_waiters(ws).writer.park()


async def wait_flushed(ws: Connection) -> None:
    """Wait until what was sent before is with the system; see `WebSocket.flush`."""
    ws._shared.dispatcher.contexts.check_thread()
    if ws._state in (RESET, CLOSED):
        ws._check_open()  # which it is not
    outbox, waiters = ws._outbox, get_waiters(ws)
    wait = FlushWait(outbox)
    # First of all: to write may be what ends the connection, and that looks here.
    waiters.flushes.append(wait)
    try:
        if outbox is not None:
            outbox.delayed_until = 0.0
            ws._flush_now()
        _balance(ws)
        if not wait.done:
            await wait.event.wait()
    finally:
        if wait in waiters.flushes:  # cancelled
            waiters.flushes.remove(wait)
            _balance(ws)  # the end may have waited for it
    if not wait.done:
        ws._check_open()  # which it is not


def _balance(ws: Connection) -> None:
    ws._balance(ws._outbox is not None and ws._outbox.blocked)


async def wait_closed(ws: Connection) -> None:
    """Wait until a connection is over. A checkpoint."""
    await checkpoint()
    while ws._state != CLOSED:
        await get_waiters(ws).closers.park()


async def wait_for_close_frame(ws: Connection) -> None:
    """Let a Close go out, although the task is cancelled; nobody else is waited for."""
    for _ in range(LAST_TURNS):
        outbox, link = ws._outbox, ws._link
        if link is None or (outbox is None and not link.flushing()):
            return
        await cancel_shielded_checkpoint()
