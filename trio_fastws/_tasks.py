"""Tasks that belong to a connection: they end with it, and their failures are its.

Owns the scopes of ``start_soon`` and of a handler that is cancelled when its peer
is gone, and what becomes of an exception: logged once, close code 1011, and
nothing of it reaches the server.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVarTuple, cast

import trio

from ._connection import Connection
from ._service import logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

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
        logged and the connection is closed with code 1011.

        Raises:
            trio.ClosedResourceError: The connection is closing or closed.
        """
        if self._closing:
            raise trio.ClosedResourceError("the connection is closed")
        scope = trio.CancelScope()
        self._get_waiting().scopes.add(scope)
        self._service.spawn(self._run_task, scope, async_fn, args, name=name)

    async def _run_task(
        self,
        scope: trio.CancelScope,
        async_fn: Callable[..., Awaitable[object]],
        args: tuple[object, ...],
    ) -> None:
        await self.guard(scope, async_fn, *args)
        self._get_waiting().scopes.discard(scope)

    async def guard(
        self,
        scope: AbstractContextManager[object],
        async_fn: Callable[..., Awaitable[object]],
        *args: object,
    ) -> None:
        """Run a function whose exception is this connection's own affair."""
        try:
            with scope:
                awaitable = cast("object", async_fn(*args))
                if not isinstance(awaitable, Awaitable):
                    # The mistake of a newcomer; the interpreter's words are dark.
                    raise TypeError(  # noqa: TRY301 - logged like the others
                        f"expected an async function, but {async_fn!r} "
                        f"returned {awaitable!r}"
                    )
                await awaitable
        except* Exception as group:  # noqa: BLE001 - isolation: logged, 1011
            # A group may hold Cancelled as well; that goes on its way.
            alone = len(group.exceptions) == 1
            self._task_failed(group.exceptions[0] if alone else group)

    def _task_failed(self, error: Exception) -> None:
        if self._closing and not self._closed_by_us and _is_news_of_end(error):
            logger.debug("handler ended: %s", error)
            return
        logger.error("exception in a handler", exc_info=error)
        self._set_result(1011, "exception in a handler")
        self.start_close(1011, "internal error")

    def set_handler_scope(self, scope: trio.CancelScope) -> None:
        """Have the handler's scope cancelled when the peer is gone."""
        self._get_waiting().handler_scope = scope


def _is_news_of_end(error: Exception) -> bool:
    # A handler need not catch these: they only tell it that its peer is gone, or
    # that the server is shutting down.
    if isinstance(error, ExceptionGroup):
        # What its own nursery makes of them.
        group = cast("ExceptionGroup[Exception]", error)
        return all(map(_is_news_of_end, group.exceptions))
    return isinstance(
        error,
        trio.BrokenResourceError | trio.EndOfChannel | trio.ClosedResourceError,
    )
