"""Tasks that belong to a connection: they end with it, and their failures are its.

Owns the scopes of ``start_soon`` and of a handler that is cancelled when its peer
is gone. What becomes of an exception is in `hooks`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import trio

from trio_fastws._exceptions import telling_end
from trio_fastws._transport.failing import contain

from . import steps
from .closing import CLOSING, OPEN
from .hooks import on_task_error
from .inbox import BY_TASKS
from .naming import name_of
from .parking import get_waiters

if TYPE_CHECKING:
    from collections.abc import Callable

    from .connection import Connection


def start(
    ws: Connection,
    async_fn: Callable[..., Awaitable[object]],
    args: tuple[Any, ...],
    name: object,
) -> None:
    """Start a task that ends with a connection, in a copy of its context.

    As in trio, the function is called at once, and the task begins a moment later.

    Raises:
        trio.ClosedResourceError: The connection is closing or closed.
        RuntimeError: This is another thread than that of the trio run.
        TypeError: That is no async function, or does not take these arguments.
    """
    ws._shared.dispatcher.contexts.check_thread()
    if ws._state >= CLOSING:
        # By no name: it would refer to its traceback, and that to this frame.
        raise telling_end(trio.ClosedResourceError("the connection is closed"), ws.id)
    scope = trio.CancelScope()
    spawn = partial(_spawn, ws, scope, async_fn, args, name)
    contexts = ws._shared.dispatcher.contexts
    if contexts.running.owner is ws:
        spawn()
    else:
        contexts.copy(ws._context).run(spawn)
    get_waiters(ws).scopes.add(scope)
    # What a peer that is gone has left is read at once, into the inbox: `steps` looks
    # before it gives a message out.
    if steps.waits_for_a_task(ws) and (
        ws._state == OPEN or ws._shared.handler is not None
    ):
        ws._pause(BY_TASKS)


def _spawn(
    ws: Connection,
    scope: trio.CancelScope,
    async_fn: Callable[..., Awaitable[object]],
    args: tuple[Any, ...],
    name: object,
) -> None:
    awaitable = _begin(async_fn, *args)
    where = name_of(async_fn)
    ws._shared.spawn(_run, ws, scope, awaitable, where, name=name or where)


async def _run(
    ws: Connection,
    scope: trio.CancelScope,
    awaitable: Awaitable[object],
    where: str,
) -> None:
    try:
        with scope:
            await awaitable
    except* Exception as group:  # noqa: BLE001 - isolation: logged, 1011
        _failed(ws, f"task {where}", group)
    finally:
        _ended(ws, scope)


def _ended(ws: Connection, scope: trio.CancelScope) -> None:
    # Goes on with messages, if these have waited for a task to end.
    waited = steps.waits_for_a_task(ws)
    get_waiters(ws).scopes.discard(scope)
    if waited and not steps.waits_for_a_task(ws):
        if ws._paused & BY_TASKS:
            ws._resume(BY_TASKS)
        if ws._inbox is not None:
            ws._inbox.wake()


async def run_handler(
    ws: Connection, handler: Callable[..., Awaitable[object]]
) -> None:
    """Run the server's handler; its exception is this connection's own affair.

    One coroutine and no more: there is one for every connection.
    """
    ws._context = trio.lowlevel.current_task().context
    try:
        if ws._shared.cancel_on_disconnect:
            with trio.CancelScope() as scope:
                get_waiters(ws).handler_scope = scope
                await _begin(handler, ws)
        else:
            await _begin(handler, ws)
    except* Exception as group:  # noqa: BLE001 - isolation: logged, 1011
        _failed(ws, "a handler", group)
    # The closing handshake needs no task: the dispatcher goes on with it.
    ws.close_nowait()


@trio.lowlevel.enable_ki_protection
def _failed(ws: Connection, where: str, group: ExceptionGroup[Exception]) -> None:
    # `except*` lets what is no failure, Cancelled, go on its way. Protected from
    # KeyboardInterrupt, for a hook may be called.
    alone = len(group.exceptions) == 1
    try:
        on_task_error(ws, where, group.exceptions[0] if alone else group)
    except Exception as worse:  # noqa: BLE001 - isolation, as in a turn
        contain(ws._shared.dispatcher, ws, worse)


def _begin(
    async_fn: Callable[..., Awaitable[object]], *args: object
) -> Awaitable[object]:
    given: object = async_fn
    if isinstance(given, Coroutine):
        # The usual slip: `start_soon(work(ws))`.
        given.close()  # no "was never awaited": this error says more
        name = name_of(given)
        raise TypeError(f"that is the coroutine {name}(...); pass the function: {name}")
    awaitable = cast("object", async_fn(*args))
    if not isinstance(awaitable, Awaitable):
        # A common mistake, which Python's own error does not name.
        raise TypeError(
            f"expected an async function, but {async_fn!r} returned {awaitable!r}"
        )
    return cast("Awaitable[object]", awaitable)
