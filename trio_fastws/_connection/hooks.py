# cython: annotation_typing=False
"""Calls of an `EventHandler`, and what becomes of their exceptions.

An exception of the user's is the connection's own affair: logged once, close code
1011, and nothing of it reaches the dispatcher or another connection.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from trio_fastws._exceptions import tells_end
from trio_fastws._transport.logs import log

from .closing import CLOSING, OPEN, RESET, WITHOUT_CLOSE
from .ending import settle
from .sending import WHEN_EMPTY

if TYPE_CHECKING:
    from .sending import Sender

# The hooks of `EventHandler` itself, which do nothing: they need not be called.
DEFAULTS: dict[str, object] = {}


def call(ws: Sender, name: str, *args: object) -> None:
    """Call a hook that input has caused, if there is a handler; not once closing."""
    handler = ws._shared.handler
    if handler is None or ws._state >= CLOSING:
        return
    try:
        getattr(handler, name)(ws, *args)
    except Exception as error:  # noqa: BLE001 - isolation: logged, 1011
        on_error(ws, name, error)


def on_error(ws: Sender, where: str, error: BaseException) -> None:
    """Log an exception of a hook, a handler or a task, and close its connection (1011).

    One that only reports that the connection is over is no failure.
    """
    closing, state = ws._closing, ws._state
    gone = closing is not None and (
        closing.reset or (state != OPEN and not closing.by_user)
    )
    if tells_end(error, ws.id, gone):
        log(logging.DEBUG, ws, "%s ended: %s", where, error)
        if state == RESET and ws._shared.handler is not None:
            ws._abort(WITHOUT_CLOSE)
        return
    log(logging.ERROR, ws, "exception in %s", where, exc_info=error)
    ws._start_close(1011, "internal error", (1011, f"exception in {where}"))


def call_alone(ws: Sender, hook: str) -> None:
    """Call a hook that no input has caused, in the connection's context."""
    handler = ws._shared.handler
    if handler is None or (ws._state >= CLOSING and hook != "on_close"):
        return
    function = getattr(handler, hook)
    if getattr(function, "__func__", function) is DEFAULTS.get(hook):
        return
    dispatcher = ws._shared.dispatcher
    dispatcher.corked = ws
    contexts = dispatcher.contexts
    contexts.enter(ws, ws._context)
    try:
        function(ws)
    except Exception as error:  # noqa: BLE001 - isolation: logged, 1011
        on_error(ws, hook, error)
    finally:
        ws._context = contexts.leave(ws._context)
    ws._end_batch(dispatcher)
    if ws._state >= CLOSING:
        settle(ws)


def call_on_drain(ws: Sender) -> None:
    """Call ``on_drain`` if there is room again.

    A jam begins when the link does not take all, and the hook says that it is over: all
    was written. Or a message was refused (`trio.WouldBlock`), whether or not the link
    ever refused a byte: then it says that there is room, at the low water. Either way
    once; only what happens after it is news again.

    Called from the loop only, or hooks would run in the middle of a task's call.
    """
    link, outbox, waiters = ws._link, ws._outbox, ws._waiters
    if link is None or link.broken:
        return
    if outbox is not None and (
        ws._owed == WHEN_EMPTY
        or outbox.size() > ws._shared.low_water
        or not outbox.has_room()
    ):
        return
    if waiters is None or not waiters.crowded():
        # There is room, and nobody waits before the hook.
        ws._owed = 0
        call_alone(ws, "on_drain")
