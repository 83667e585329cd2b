"""The task that waits for the kernel and runs turns.

Owns when a turn happens. Plain Python on purpose: nothing asynchronous is compiled, and
this runs once a turn, not once a message.

Parking. The loop parks only when nothing is marked or deferred, and while it is parked
`Dispatcher.unpark` is set, so that whoever marks something wakes a task. Where there is
an epoll, the task that waits for it goes on waiting, and another runs the turn: to
cancel a wait and begin it again costs five times as much (35 us, and 7 to wake a task),
and an eventfd in the epoll a write, a read and a turn more.
"""

from __future__ import annotations

import select
from functools import partial
from typing import TYPE_CHECKING

import trio
from trio.lowlevel import (
    Abort,
    Task,
    checkpoint,
    current_task,
    enable_ki_protection,
    reschedule,
    wait_readable,
    wait_task_rescheduled,
)

from .contract import Dispatcher
from .epoll import EpollDispatcher
from .slow_build import warn_of_slow_build
from .wakeup import READY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HAVE_EPOLL = hasattr(select, "epoll")


class Loop:
    """Runs turns, again and again."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        work: Callable[[], bool],
        wait: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Make one; `run` runs it.

        Args:
            dispatcher: What is parked.
            work: Runs a turn, and returns whether something is left.
            wait: Waits for the kernel. None: the loop only waits to be woken.
        """
        self._dispatcher = dispatcher
        self._work = work
        self._wait = wait
        # Ends at the deadline until which the loop is parked.
        self._park_scope = trio.CancelScope()
        # Which task sleeps until it is woken.
        self._sleeper: Task | None = None
        # Whether `run` has returned or failed.
        self.ended = False

    @enable_ki_protection
    async def run(
        self, nursery: trio.Nursery, on_end: Callable[[], None] | None = None
    ) -> None:
        """Run turns until cancelled. Safe to cancel: a turn is never cut short.

        Protected from KeyboardInterrupt, and with it every hook called from
        here: an interrupt between two lines of the bookkeeping would lose
        connections.

        Args:
            nursery: Where a second task runs if there is a kernel to wait for; it goes
                on until the nursery is cancelled.
            on_end: Called when it has returned or failed.
        """
        if self._wait is not None:
            nursery.start_soon(self._help)
        try:
            while True:
                with trio.CancelScope() as self._park_scope:
                    if self._wait is None:
                        await self._run_alone()
                    else:
                        await self._run_beside(self._wait)
        finally:
            self.ended = True
            self._dispatcher.unpark = None
            if on_end is not None:
                on_end()

    async def _run_alone(self) -> None:
        while True:
            await self._catch_up()
            await self._sleep()

    async def _run_beside(self, wait: Callable[[], Awaitable[object]]) -> None:
        while True:
            while self._sleeper is None:
                # The other task runs a turn. Two turns of ours in one of trio's would
                # halve the patience of outboxes that wait for more.
                await checkpoint()
            await self._catch_up()
            await wait()

    @enable_ki_protection
    async def _help(self) -> None:
        while True:
            await self._sleep()
            await self._catch_up()

    async def _catch_up(self) -> None:
        # Runs turns until nothing is left, and parks.
        self._dispatcher.unpark = None
        while self._work():
            # Let other tasks run, then go on. Not shielded, or a loop that
            # always has something left could never be ended.
            await checkpoint()
        self._dispatcher.unpark = self._wake
        deadline = self._dispatcher.wake_at
        if deadline != self._park_scope.deadline:
            self._park_scope.deadline = deadline

    async def _sleep(self) -> None:
        self._sleeper = current_task()
        await wait_task_rescheduled(self._stop_sleeping)

    def _stop_sleeping(self, _raise_cancel: object) -> Abort:
        self._sleeper = None
        return Abort.SUCCEEDED

    @enable_ki_protection
    def _wake(self) -> None:
        # Called when something is marked. A turn comes soon: no second call is needed.
        self._dispatcher.unpark = None
        if self._sleeper is not None:
            reschedule(self._sleeper, READY)
            self._sleeper = None


def dispatcher_loop(dispatcher: EpollDispatcher) -> Loop:
    """Return the loop over a dispatcher's epoll."""
    return Loop(dispatcher, dispatcher.turn, partial(wait_readable, dispatcher.epoll))


def plain_loop(dispatcher: Dispatcher) -> Loop:
    """Return the loop of a dispatcher without an epoll, whose links all have pumps."""

    def work() -> bool:
        dispatcher.begin()
        late = dispatcher.tick()
        dispatcher.run_deferred()
        late = dispatcher.flush() or late
        dispatcher.woken = False
        return late or not dispatcher.idle()

    return Loop(dispatcher, work)


def new_dispatcher() -> tuple[Dispatcher, Loop]:
    """Return what this platform has: an epoll and its loop, or a plain dispatcher."""
    warn_of_slow_build()
    if HAVE_EPOLL:
        polling = EpollDispatcher(trio.current_time)
        return polling, dispatcher_loop(polling)
    dispatcher = Dispatcher(trio.current_time)
    return dispatcher, plain_loop(dispatcher)
