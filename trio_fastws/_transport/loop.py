"""The task that waits for the kernel and runs turns.

Owns when a turn happens. Plain Python on purpose: nothing asynchronous is
compiled, and this runs once a turn, not once a message.

Parking. The loop parks only when nothing is marked or put off, and while it is
parked `Turn.unpark` is set, so that whoever marks something wakes it. It is
woken by cancelling the scope it waits in: an eventfd in the epoll would cost a
write, a read and a turn more (10 us). One scope serves until it is cancelled.
"""

from __future__ import annotations

import select
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from .dispatcher import Dispatcher
from .links import Turn

HAVE_EPOLL = hasattr(select, "epoll")


class Loop:
    """Runs turns, again and again."""

    def __init__(self, turn: Turn, work: Callable[[], bool], wait: _Wait) -> None:
        self._turn = turn
        self._work = work
        self._wait = wait
        # Whether `run` has returned or failed.
        self.ended = False

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Run turns until cancelled. Safe to cancel: a turn is never cut short.

        Protected from KeyboardInterrupt, and with it every hook called from
        here: an interrupt between two lines of the bookkeeping would lose
        connections.
        """
        try:
            while True:
                with trio.CancelScope() as park:
                    await self._run_in(park)
        finally:
            self.ended = True

    async def _run_in(self, park: trio.CancelScope) -> None:
        turn, cancel, wait = self._turn, park.cancel, self._wait
        while True:
            if self._work():
                # Let other tasks run, then go on. Not shielded, or a loop that
                # always has something left could never be ended.
                await trio.lowlevel.checkpoint()
                continue
            deadline = turn.park(cancel)
            if deadline != park.deadline:
                park.deadline = deadline
            try:
                await wait()
            finally:
                turn.unpark = None


_Wait = Callable[[], Awaitable[object]]


def dispatcher_loop(dispatcher: Dispatcher) -> Loop:
    """Return the loop over a dispatcher's epoll."""
    wait = partial(trio.lowlevel.wait_readable, dispatcher.epoll)
    return Loop(dispatcher, dispatcher.turn, wait)


def plain_loop(turn: Turn) -> Loop:
    """Return the loop of a turn without sockets, all of whose links have pumps."""

    def work() -> bool:
        turn.begin()
        late = turn.tick()
        turn.go_on()
        late = turn.flush() or late
        turn.woken = False
        return late or not turn.idle()

    return Loop(turn, work, trio.sleep_forever)


def new_turn() -> tuple[Turn, Loop]:
    """Return what this platform has: an epoll and its loop, or a plain turn."""
    if HAVE_EPOLL:
        dispatcher = Dispatcher(trio.current_time)
        return dispatcher, dispatcher_loop(dispatcher)
    turn = Turn(trio.current_time)
    return turn, plain_loop(turn)
