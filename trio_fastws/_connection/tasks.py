"""Tasks that belong to a connection: they end with it, and their failures are its.

Owns the scopes of ``start_soon`` and of a handler that is cancelled when its peer
is gone, and what becomes of an exception: logged once, close code 1011, and
nothing of it reaches the server.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial
from typing import TYPE_CHECKING, TypeVarTuple, cast

import trio

from trio_fastws._exceptions import telling_end
from trio_fastws._transport.failing import contain

from .connection import Connection
from .naming import name_of

if TYPE_CHECKING:
    from collections.abc import Callable

PosArgT = TypeVarTuple("PosArgT")


class TaskOwner(Connection):
    """A connection with tasks; `WebSocket` adds the rest."""

    __slots__ = ()

    def start_soon(
        self,
        async_fn: Callable[[*PosArgT], Awaitable[object]],
        *args: *PosArgT,
        name: object = None,
    ) -> None:
        """Start a task that ends with the connection. Not a checkpoint.

        It is cancelled when the connection is over. If it raises, that is
        logged and the connection is closed with code 1011. It begins with a copy of
        the connection's context variables, whoever starts it: those of the async
        handler, or of what hooks and `on_request` have set.

        Raises:
            trio.ClosedResourceError: The connection is closing or closed.
            RuntimeError: This is another thread than that of the trio run.
        """
        dispatcher = self._shared.dispatcher
        dispatcher.contexts.check_thread()
        if self._closing:
            error = trio.ClosedResourceError("the connection is closed")
            raise telling_end(error, self.id)
        scope = trio.CancelScope()
        self._get_waiting().scopes.add(scope)
        spawn = partial(
            self._shared.spawn, self._run_task, scope, async_fn, args, name=name
        )
        if dispatcher.contexts.running.owner is self:
            spawn()
        else:
            dispatcher.contexts.copy(self._context).run(spawn)

    async def _run_task(
        self,
        scope: trio.CancelScope,
        async_fn: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
    ) -> None:
        try:
            with scope:
                await _begin(async_fn, *args)
        except* Exception as group:  # noqa: BLE001 - isolation: logged, 1011
            self._failed(f"task {name_of(async_fn)}", group)
        self._get_waiting().scopes.discard(scope)

    async def _run_handler(self, handler: Callable[..., Awaitable[object]]) -> None:
        """Run the server's handler; its exception is this connection's own affair.

        One coroutine and no more: there is one for every connection.
        """
        self._adopt_context()
        try:
            if self._shared.cancel_on_disconnect:
                with trio.CancelScope() as scope:
                    self._get_waiting().handler_scope = scope
                    await _begin(handler, self)
            else:
                await _begin(handler, self)
        except* Exception as group:  # noqa: BLE001 - isolation: logged, 1011
            self._failed("a handler", group)
        # The closing handshake needs no task: the dispatcher goes on with it.
        self.close_nowait()

    def _adopt_context(self) -> None:
        """Make the current task's context variables those of the connection."""
        self._context = trio.lowlevel.current_task().context

    def _failed(self, where: str, group: ExceptionGroup[Exception]) -> None:
        # `except*` lets what is no failure, Cancelled, go on its way.
        alone = len(group.exceptions) == 1
        try:
            self._on_user_error(where, group.exceptions[0] if alone else group)
        except Exception as worse:  # noqa: BLE001 - isolation, as in a turn
            contain(self._shared.dispatcher, self, worse)


def _begin(
    async_fn: Callable[..., Awaitable[object]], *args: object
) -> Awaitable[object]:
    awaitable = cast("object", async_fn(*args))
    if not isinstance(awaitable, Awaitable):
        # The mistake of a newcomer; the interpreter's words are dark.
        raise TypeError(
            f"expected an async function, but {async_fn!r} returned {awaitable!r}"
        )
    return cast("Awaitable[object]", awaitable)
