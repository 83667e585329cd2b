"""The task that waits for the kernel and runs turns.

Owns when a turn happens. Plain Python on purpose: nothing asynchronous is
compiled, and this runs once a turn, not once a message.

Parking. The loop parks only when nothing is marked or put off, and while it is
parked `Turn.unpark` is set, so that whoever marks something wakes somebody. Where
there is an epoll, the task that waits for it goes on waiting, and another runs the
turn: to cancel a wait and begin it again costs five times as much (35 us, and 7 to wake
a task), and an eventfd in the epoll a write, a read and a turn more.
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
    current_statistics,
    current_task,
    enable_ki_protection,
    reschedule,
    wait_readable,
    wait_task_rescheduled,
)

from .dispatcher import Dispatcher
from .links import Turn
from .ready import READY

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

HAVE_EPOLL = hasattr(select, "epoll")


class Loop:
    """Runs turns, again and again."""

    def __init__(
        self,
        turn: Turn,
        work: Callable[[bool], bool],
        wait: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        """Make one that does not run yet.

        Args:
            turn: What is parked.
            work: Runs a turn, and returns whether something is left. It is told
                whether it was what is waited for that woke the task.
            wait: Waits for the kernel. None: there is nothing to wait for but to be
                woken.
        """
        self._turn = turn
        self._work = work
        self._wait = wait
        self._nursery: trio.Nursery | None = None
        # Left at the deadline up to which the loop is parked.
        self._park_scope = trio.CancelScope()
        # Whether a task runs turns that are asked for, and which one while it sleeps.
        self._helped = wait is None
        self._sleeper: Task | None = None
        # Whether `run` has returned or failed.
        self.ended = False

    @enable_ki_protection
    async def run(self, nursery: trio.Nursery) -> None:
        """Run turns until cancelled. Safe to cancel: a turn is never cut short.

        Protected from KeyboardInterrupt, and with it every hook called from
        here: an interrupt between two lines of the bookkeeping would lose
        connections.

        Args:
            nursery: Where a second task is started at need; it ends when this does.
        """
        self._nursery = nursery
        wait = self._sleep if self._wait is None else self._wait
        try:
            while True:
                with trio.CancelScope() as self._park_scope:
                    await self._run_turns(wait)
        finally:
            self.ended = True
            self._turn.unpark = None

    @enable_ki_protection
    async def _help(self) -> None:
        await self._run_turns(self._sleep)

    async def _run_turns(self, wait: Callable[[], Awaitable[object]]) -> None:
        alone = False
        while True:
            self._turn.unpark = None
            while self._work(alone):
                # Let other tasks run, then go on. Not shielded, or a loop that
                # always has something left could never be ended.
                await checkpoint()
            deadline = self._turn.park(self._wake)
            if deadline != self._park_scope.deadline:
                self._park_scope.deadline = deadline
            await wait()
            alone = wait is self._wait
            while alone and self._helped and self._sleeper is None:
                # It sees what has come; two turns in one of trio's would halve the
                # patience of outboxes that wait for more.
                await checkpoint()

    async def _sleep(self) -> None:
        self._sleeper = current_task()
        await wait_task_rescheduled(self._stop_sleeping)

    def _stop_sleeping(self, _raise_cancel: object) -> Abort:
        self._sleeper = None
        return Abort.SUCCEEDED

    def _wake(self) -> None:
        # Somebody runs a turn soon; to ask for it again is needless.
        self._turn.unpark = None
        if self._sleeper is not None:
            reschedule(self._sleeper, READY)
            self._sleeper = None
        elif not self._helped:
            assert self._nursery is not None
            self._helped = True
            self._nursery.start_soon(self._help)


def quiet_seconds() -> float:
    """Return for how long trio has nothing to do, as far as it knows."""
    known = current_statistics()
    if known.tasks_runnable > 0 or known.run_sync_soon_queue_size > 0:
        return 0.0
    return known.seconds_to_next_deadline


def dispatcher_loop(dispatcher: Dispatcher) -> Loop:
    """Return the loop over a dispatcher's epoll."""
    wait = partial(wait_readable, dispatcher.epoll)
    return Loop(dispatcher, dispatcher.turn, wait)


def plain_loop(turn: Turn) -> Loop:
    """Return the loop of a turn without sockets, all of whose links have pumps."""

    def work(_alone: bool) -> bool:
        turn.begin()
        late = turn.tick()
        turn.go_on()
        late = turn.flush() or late
        turn.woken = False
        return late or not turn.idle()

    return Loop(turn, work)


def new_turn(stays: bool = False) -> tuple[Turn, Loop]:
    """Return what this platform has: an epoll and its loop, or a plain turn.

    Args:
        stays: Whether its turns may stay (see `Stay`). It pays if what comes wakes no
            task, and takes a descriptor more.
    """
    if HAVE_EPOLL:
        quiet = quiet_seconds if stays else None
        dispatcher = Dispatcher(trio.current_time, quiet)
        return dispatcher, dispatcher_loop(dispatcher)
    turn = Turn(trio.current_time)
    return turn, plain_loop(turn)
