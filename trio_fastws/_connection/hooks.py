# cython: annotation_typing=False
"""Calls of an `EventHandler`, and what becomes of their exceptions.

An exception of the user's is the connection's own affair: `on_error` of the handler,
which logs it, then close code 1011. Nothing of it reaches the dispatcher or another
connection.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from trio_fastws._exceptions import note_where, tells_end
from trio_fastws._transport.logs import log

from .closing import CLOSING, OPEN, RESET, WITHOUT_CLOSE
from .ending import settle
from .sending import WHEN_EMPTY

if TYPE_CHECKING:
    from collections.abc import Callable

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
    except Exception as error:  # noqa: BLE001 - isolation: on_error, 1011
        on_error(ws, name, error)


def on_error(ws: Sender, where: str, error: Exception) -> None:
    """Report an exception of a hook, a handler or a task, and close its connection.

    An `EventHandler` is told, in the same batch: what it sends leaves behind what the
    failing hook has sent. One that only reports that the connection is over is no
    failure.
    """
    if _is_end(ws, where, error):
        if ws._state == RESET and ws._shared.handler is not None:
            ws._abort(WITHOUT_CLOSE)
        return
    handler, was_open = ws._shared.handler, ws._state < CLOSING
    if handler is None:
        log_error(ws, where, error)
    else:
        note_where(error, where)
        try:
            handler.on_error(ws, error)
        except Exception as worse:  # noqa: BLE001 - isolation: logged, and closed as well
            # Nobody knows how much of the first it has reported.
            log_error(ws, where, error)
            if not _is_end(ws, "on_error", worse):
                log_error(ws, "on_error", worse)
        if was_open and ws._state >= CLOSING:  # with a code of its own
            return
    ws._start_close(1011, "internal error", (1011, f"exception in {where}"))


def _is_end(ws: Sender, where: str, error: Exception) -> bool:
    closing = ws._closing
    gone = closing is not None and (
        closing.reset or (ws._state != OPEN and not closing.by_user)
    )
    if not tells_end(error, ws.id, gone):
        return False
    log(logging.DEBUG, ws, "%s ended: %s", where, error)
    return True


def log_error(ws: Sender, where: str, error: BaseException) -> None:
    """Log an exception of the user's, with its traceback."""
    log(logging.ERROR, ws, "exception in %s", where, exc_info=error)


def on_task_error(ws: Sender, where: str, error: Exception) -> None:
    """As `on_error`, of a task that has ended: a hook that nothing else has begun."""
    if ws._shared.handler is None:
        on_error(ws, where, error)
    else:
        ws._shared.dispatcher.begin()
        _run_batch(ws, on_error, (ws, where, error))


def call_alone(ws: Sender, hook: str) -> None:
    """Call a hook that no input has caused, in the connection's context."""
    handler = ws._shared.handler
    if handler is None or (ws._state >= CLOSING and hook != "on_close"):
        return
    function = getattr(handler, hook)
    if getattr(function, "__func__", function) is DEFAULTS.get(hook):
        return
    _run_batch(ws, _call_hook, (ws, hook, function))


def _call_hook(ws: Sender, hook: str, function: Callable[[Any], object]) -> None:
    try:
        function(ws)
    except Exception as error:  # noqa: BLE001 - isolation: on_error, 1011
        on_error(ws, hook, error)


def _run_batch(
    ws: Sender, function: Callable[..., object], args: tuple[object, ...]
) -> None:
    # In the connection's context; what is sent to it leaves in one write.
    dispatcher = ws._shared.dispatcher
    dispatcher.corked = ws
    contexts = dispatcher.contexts
    contexts.enter(ws, ws._context)
    try:
        function(*args)
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
