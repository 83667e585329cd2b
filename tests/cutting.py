"""Cancelling a call at each of its schedule points, or once everybody waits."""

from __future__ import annotations

import trio
from trio.testing import wait_all_tasks_blocked


class CancelAt(trio.abc.Instrument):
    """Cancels a scope just before the k-th step of any task."""

    def __init__(self, scope: trio.CancelScope, step: int) -> None:
        self.scope = scope
        self.left = step

    def before_task_step(self, task) -> None:
        self.left -= 1
        if self.left == 0:
            self.scope.cancel()


async def cut(step: int, async_fn, *args):
    """Call and cancel it at a step; returns (whether it was reached, result)."""
    with trio.CancelScope() as scope:
        instrument = CancelAt(scope, step)
        trio.lowlevel.add_instrument(instrument)
        try:
            result = await async_fn(*args)
        finally:
            trio.lowlevel.remove_instrument(instrument)
        return instrument.left <= 0, (result,)
    assert scope.cancelled_caught
    return True, None


async def cut_everywhere(async_fn, at_least: int):
    """Yield what came of a call, cancelled one step later each time."""
    step, cancelled = 0, 0
    while True:
        step += 1
        reached, result = await cut(step, async_fn)
        cancelled += result is None
        yield result
        if not reached:
            break
    assert cancelled >= at_least, "it was never cancelled"


async def cancel_when_blocked(async_fn) -> bool:
    """Call and cancel it once everybody waits; returns whether it was cancelled."""
    scope = trio.CancelScope()

    async def call() -> None:
        with scope:
            await async_fn()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await wait_all_tasks_blocked(0.001)
        scope.cancel()
    return scope.cancelled_caught
