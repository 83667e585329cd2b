"""Nurseries and scopes: which task lives as long as which.

The loop and the pumps of connections must outlive the code that uses them, or nobody
could write the last frame. They live in a shielded nursery that ends only when its
owner says so.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from inspect import signature
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import trio

from .failing import contain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable

    from .contract import Dispatcher
    from .loop import Loop


# How long to act on many before others run, in seconds: a turn of the loop comes in
# between, and what it wakes, so that others wait for two or three times as long.
SLICE_SECONDS = 0.001


# From trio 0.31 on a `Cancelled` can say why.
_TAKES_REASON = "reason" in signature(trio.CancelScope.cancel).parameters


def cancel(scope: trio.CancelScope, why: str) -> None:
    """Cancel a scope in which code of the user's runs.

    Args:
        scope: Which one.
        why: For a person who finds the `Cancelled` in a log; see `CancelScope.cancel`.
    """
    if _TAKES_REASON:
        scope.cancel(reason=why)
    else:
        scope.cancel()


async def shielded_nursery(
    task_status: trio.TaskStatus[tuple[trio.Nursery, trio.CancelScope]],
) -> None:
    """Hold a shielded nursery open until its scope is cancelled.

    For ``nursery.start``, which returns the nursery and that scope.
    """
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            task_status.started((nursery, scope))
            # If we are cancelled already, nobody gets this nursery and nobody would
            # end it: no shield before that is known.
            await trio.lowlevel.checkpoint_if_cancelled()
            scope.shield = True
            await trio.sleep_forever()


@asynccontextmanager
async def single_connection(
    dispatcher: Dispatcher, loop: Loop
) -> AsyncGenerator[Callable[..., None], None]:
    """Run a dispatcher's loop for the length of a block; gives what starts tasks.

    An exception of the block comes out as it is, in no group: nothing else in the
    nursery can fail.
    """
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            links, scope = await nursery.start(shielded_nursery)
            links.start_soon(loop.run, links)
            try:
                yield links.start_soon
            except BaseException as caught:  # noqa: BLE001 - raised again below
                error = caught
            try:
                await wait_lingering(dispatcher)
            finally:
                scope.cancel()
    except BaseException:
        # Cancelled again while leaving: the block's own exception says more.
        if error is None or isinstance(error, trio.Cancelled):
            raise
    finally:
        dispatcher.close()
    if error is not None:
        raise error


async def in_turns(
    dispatcher: Dispatcher, owners: Iterable[Any], act: Callable[[Any], None]
) -> None:
    """Act on many owners, a millisecond at a time; other tasks run in between.

    A checkpoint if it takes longer. An exception costs the owner for which it was
    raised.
    """
    until = perf_counter() + SLICE_SECONDS
    for owner in owners:
        try:
            act(owner)
        except Exception as error:  # noqa: BLE001 - isolation
            contain(dispatcher, owner, error)
        if perf_counter() >= until:
            await trio.lowlevel.checkpoint()
            until = perf_counter() + SLICE_SECONDS


async def wait_lingering(dispatcher: Dispatcher) -> None:
    """Wait until no link of a dispatcher lingers any more; see `Linger`."""
    if dispatcher.lingering > 0:
        done = trio.Event()
        dispatcher.on_lingered = done.set
        await done.wait()


@asynccontextmanager
async def owning(stream: trio.abc.Stream | None) -> AsyncGenerator[None, None]:
    """Close a stream when the block ends, however early; None: there is none."""
    try:
        yield
    finally:
        if stream is not None:
            # It does not wait. Shielded, or `Cancelled` would take the place of the
            # block's own exception.
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)


def is_no_failure(error: BaseException) -> bool:
    """Return whether an exception only ends things: cancelled, Ctrl-C, `sys.exit`.

    A group is none either if nothing else is in it.
    """
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        return all(is_no_failure(inner) for inner in group.exceptions)
    return isinstance(error, trio.Cancelled | KeyboardInterrupt | SystemExit)
