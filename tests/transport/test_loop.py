"""When turns happen: nothing is left behind when the loop parks."""

from __future__ import annotations

import math
from contextvars import ContextVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.transport.support import Recorder, Sender, Signal, pattern
from tests.wire import read_now
from trio_fastws._transport import loop as loops
from trio_fastws._transport.contract import Dispatcher
from trio_fastws._transport.epoll import EpollDispatcher, SocketLink
from trio_fastws._transport.loop import dispatcher_loop, new_dispatcher, plain_loop
from trio_fastws._transport.wheel import Timer


class Note(Timer):
    """Notes the times at which it is called, ``every`` so many seconds."""

    def __init__(self, every: float = math.inf) -> None:
        super().__init__()
        self.every = every
        self.calls: list[float] = []

    def _on_deadline(self, now: float) -> float:
        self.calls.append(now)
        return now + self.every


def test_a_platform_with_epoll_has_a_dispatcher(monkeypatch) -> None:
    async def kinds() -> list[type]:
        made = []
        for have in (True, False):
            monkeypatch.setattr(loops, "HAVE_EPOLL", have)
            dispatcher, _loop = new_dispatcher()
            made.append(type(dispatcher))
            dispatcher.close()
        return made

    assert trio.run(kinds) == [EpollDispatcher, Dispatcher]


# --- waking -----------------------------------------------------------------


@pytest.mark.parametrize("how", ["mark", "defer"])
async def test_asking_while_it_is_parked_wakes_it(running_dispatcher, how) -> None:
    for _ in range(3):
        owner = Signal()
        await wait_all_tasks_blocked()
        getattr(running_dispatcher, how)(owner)
        await owner.called.wait()
        await wait_all_tasks_blocked()
        assert len(owner.log) == 1


async def test_to_ask_twice_wakes_it_once(watched) -> None:
    dispatcher, counted = watched
    for _ in range(3):
        first, second = Signal(), Signal()
        before = counted.turns
        dispatcher.mark(first)
        dispatcher.defer(second)
        await second.called.wait()
        await wait_all_tasks_blocked()
        assert (first.log, second.log) == (["mark"], ["continue"])
        assert counted.turns == before + 1


async def test_data_and_tasks_that_ask_do_not_double_its_turns(
    watched, unix_pair
) -> None:
    # An outbox waits for so many turns, and hopes that every task has run in each.
    dispatcher, counted = watched
    ours, theirs = unix_pair()
    SocketLink(dispatcher, Recorder(), ours.detach())
    done = trio.Event()

    class Restless(Recorder):
        def _on_mark(self) -> None:
            super()._on_mark()
            if len(self.log) < 50:
                dispatcher.mark(self)
            else:
                done.set()

    before = counted.turns
    dispatcher.mark(Restless())
    rounds = 0
    while not done.is_set():
        theirs.send(b"x")  # which wakes the task that waits for the kernel
        await trio.lowlevel.checkpoint()
        rounds += 1
    assert counted.turns - before <= rounds + 2


async def test_a_deadline_while_a_task_asks_does_not_double_its_turns(watched) -> None:
    dispatcher, counted = watched
    note = Note()
    done = trio.Event()

    class Restless(Recorder):
        def _on_mark(self) -> None:
            if note.calls:
                super()._on_mark()
            if len(self.log) < 50:
                dispatcher.mark(self)
            else:
                done.set()

    dispatcher.schedule(note, dispatcher.clock() + 0.001)
    await wait_all_tasks_blocked()  # up to the deadline, it is parked
    before = counted.turns
    dispatcher.mark(Restless())
    rounds = 0
    while not done.is_set():
        await trio.lowlevel.checkpoint()
        rounds += 1
    assert counted.turns - before <= rounds + 2


async def test_who_asks_leaves_nothing_of_its_context(running_dispatcher) -> None:
    name: ContextVar[str] = ContextVar("name", default="nobody")
    seen = []

    class Asks(Signal):
        def _on_mark(self) -> None:
            seen.append(name.get())
            super()._on_mark()

    for asker in ("first", "second"):
        name.set(asker)
        owner = Asks()
        running_dispatcher.mark(owner)
        await owner.called.wait()
        await wait_all_tasks_blocked()
    assert seen == ["nobody", "nobody"]


async def test_nothing_interrupts_the_one_who_asks(
    running_dispatcher, monkeypatch
) -> None:
    # Between "somebody was woken" and waking it, or nobody would ever be.
    protected = []
    real = loops.reschedule

    def spy(*args: object) -> None:
        protected.append(trio.lowlevel.currently_ki_protected())
        real(*args)

    monkeypatch.setattr(loops, "reschedule", spy)
    for _ in range(2):
        owner = Signal()
        running_dispatcher.mark(owner)
        await owner.called.wait()
        await wait_all_tasks_blocked()
    assert protected
    assert all(protected)


async def test_whoever_runs_a_turn_is_protected(running_dispatcher) -> None:
    protected = []

    class Asks(Signal):
        def _on_mark(self) -> None:
            protected.append(trio.lowlevel.currently_ki_protected())
            super()._on_mark()

    for _ in range(2):
        owner = Asks()
        running_dispatcher.mark(owner)
        await owner.called.wait()
        await wait_all_tasks_blocked()
    assert protected == [True, True]


async def test_data_wakes_it(watched, unix_pair) -> None:
    dispatcher, _counted = watched
    ours, theirs = unix_pair()
    owner = Signal()
    SocketLink(dispatcher, owner, ours.detach())
    await wait_all_tasks_blocked()
    theirs.send(b"wake up")
    await owner.called.wait()
    assert owner.data == b"wake up"


async def test_it_parks_and_does_not_spin(watched, unix_pair) -> None:
    dispatcher, counted = watched
    SocketLink(dispatcher, Recorder(), unix_pair()[0].detach())
    await wait_all_tasks_blocked()
    before = counted.turns
    for _ in range(5):
        await wait_all_tasks_blocked(0.001)
    assert counted.turns == before


async def test_marking_itself_in_a_turn_keeps_it_awake(running_dispatcher) -> None:
    class Restless(Signal):
        def _on_mark(self) -> None:
            self.log.append("mark")
            if len(self.log) < 5:
                running_dispatcher.mark(self)
            else:
                self.called.set()

    owner = Restless()
    running_dispatcher.mark(owner)
    await owner.called.wait()
    assert owner.log == ["mark"] * 5


# --- deadlines --------------------------------------------------------------


async def test_deadlines_wake_it_in_time(autojump_clock, running_dispatcher) -> None:
    start = trio.current_time()
    notes = {seconds: Note() for seconds in (5.0, 1.0, 3600.0)}
    for seconds, note in notes.items():
        running_dispatcher.schedule(note, start + seconds)
    await trio.sleep(4000)
    for seconds, note in notes.items():
        (called,) = note.calls
        assert seconds <= called - start < seconds + 1 / 32


async def test_an_earlier_deadline_set_while_it_is_parked_is_kept(
    autojump_clock, running_dispatcher
) -> None:
    start = trio.current_time()
    late, early = Note(), Note()
    running_dispatcher.schedule(late, start + 100)
    await trio.sleep(1)
    running_dispatcher.schedule(early, start + 2)
    await trio.sleep(2)
    assert len(early.calls) == 1
    assert late.calls == []
    await trio.sleep(100)
    assert len(late.calls) == 1


async def test_a_repeating_timer_repeats(autojump_clock, running_dispatcher) -> None:
    note = Note(every=10.0)
    running_dispatcher.schedule(note, trio.current_time() + 10)
    await trio.sleep(105)
    assert len(note.calls) == 10


async def test_more_timers_than_a_turn_has_time_for_all_run(
    autojump_clock, running_dispatcher
) -> None:
    notes = [Note() for _ in range(10_000)]
    due = trio.current_time() + 5
    for note in notes:
        running_dispatcher.schedule(note, due)
    await trio.sleep(6)
    assert all(len(note.calls) == 1 for note in notes)


# --- other tasks, and the end -----------------------------------------------


async def test_a_sleeper_makes_progress_while_links_flood(watched, unix_pair) -> None:
    # The one test on the real clock: nothing is asserted about how long it took.
    dispatcher, counted = watched
    ours, theirs = unix_pair()

    class Echo(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            self.reads.append(stop - start)
            data = bytes(self._link.dispatcher.buffer[start:stop])
            self._link.write([data], len(data))

    one, two = Echo(), Echo()
    SocketLink(dispatcher, one, ours.detach())
    SocketLink(dispatcher, two, theirs.detach())
    one._link.write([b"ball"], 4)
    played = []
    for _ in range(5):
        await trio.sleep(0.001)
        # On a machine that stands still a millisecond may pass between the loop's part
        # of one batch and ours of the next, with no turn in between.
        for _ in range(2):
            await trio.lowlevel.checkpoint()
        played.append(len(one.reads))
    assert sorted(set(played)) == played, "the flood went on all the time"
    assert counted.turns >= 5


async def test_other_tasks_run_while_there_is_always_something_left(
    running_dispatcher,
) -> None:
    class Restless(Recorder):
        def _on_deferred(self) -> None:
            super()._on_deferred()
            running_dispatcher.defer(self)

    owner = Restless()
    running_dispatcher.defer(owner)
    counts = []
    for _ in range(5):
        await trio.lowlevel.checkpoint()
        await trio.lowlevel.checkpoint()
        counts.append(len(owner.log))
    assert counts[0] < counts[-1] <= 20


@pytest.mark.parametrize("make", [dispatcher_loop, plain_loop])
async def test_cancelled_it_ends_even_if_something_is_always_left(
    make, nursery
) -> None:
    class Restless(Recorder):
        def _on_deferred(self) -> None:
            super()._on_deferred()
            dispatcher.defer(self)
            if len(self.log) == 5:
                scope.cancel()

    dispatcher = EpollDispatcher(trio.current_time)
    dispatcher.defer(Restless())
    loop = make(dispatcher)
    with trio.CancelScope() as scope:
        await loop.run(nursery)
    assert loop.ended
    dispatcher.close()


async def test_cancelled_it_has_finished_its_turn(unix_pair, nursery) -> None:
    dispatcher = EpollDispatcher(trio.current_time)
    loop = dispatcher_loop(dispatcher)

    class Canceller(Sender):
        def _on_data(self, start: int, stop: int) -> None:
            scope.cancel()
            self.parts.append(pattern(100))
            self._link.dispatcher.mark(self)

        def _on_mark(self) -> None:
            self.flush()

    ours, theirs = unix_pair()
    SocketLink(dispatcher, Canceller(), ours.detach())
    theirs.send(b"go")
    assert not loop.ended
    with trio.CancelScope() as scope:
        await loop.run(nursery)
    assert scope.cancelled_caught
    assert loop.ended
    assert read_now(theirs) == pattern(100)
    assert dispatcher.unpark is None
    dispatcher.close()


@pytest.mark.parametrize("make", [dispatcher_loop, plain_loop])
async def test_cancelled_while_parked_it_ends(make) -> None:
    dispatcher = EpollDispatcher(trio.current_time)
    loop = make(dispatcher)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.run, nursery)
        await wait_all_tasks_blocked()
        assert dispatcher.unpark is not None
        nursery.cancel_scope.cancel()
    assert loop.ended
    assert dispatcher.unpark is None
    dispatcher.close()


async def test_what_a_hook_exits_with_ends_it(unix_pair, nursery) -> None:
    dispatcher = EpollDispatcher(trio.current_time)
    loop = dispatcher_loop(dispatcher)

    class Broken(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            raise SystemExit(3)

    ours, theirs = unix_pair()
    SocketLink(dispatcher, Broken(), ours.detach())
    theirs.send(b"go")
    with pytest.raises(SystemExit):
        await loop.run(nursery)
    assert loop.ended
    dispatcher.close()
