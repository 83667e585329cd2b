"""A turn waits for more in its own epoll, if that pays and keeps nobody waiting."""

from __future__ import annotations

import math
import os
import queue
import resource

import pytest
import trio

from tests.transport.support import Clock, Recorder
from trio_fastws._transport import syscalls as calls
from trio_fastws._transport.epoll import EpollDispatcher, SocketLink
from trio_fastws._transport.loop import new_dispatcher


def have_timers() -> bool:
    timer = calls.new_timer()
    if timer >= 0:
        os.close(timer)
    return timer >= 0


needs_timers = pytest.mark.skipif(
    not have_timers(), reason="Python has timers from 3.13 on, our C always"
)


class Others:
    """Says how quiet it is, and does something just before the turn waits."""

    def __init__(self, seconds: float = math.inf) -> None:
        self.seconds = seconds
        self.asked = 0
        self.acts = []

    def __call__(self) -> float:
        self.asked += 1
        if self.acts:
            self.acts.pop(0)()
        return self.seconds


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
def dispatcher(others, sockets):
    dispatcher = EpollDispatcher(Clock(), others)
    yield dispatcher
    dispatcher.close()


def open_descriptors() -> set[str]:
    return set(os.listdir("/proc/self/fd"))


def in_one_turn(dispatcher, others, peer, act=None) -> bool:
    """Whether a turn that began with one message handled a second one as well.

    On a machine that stands still for a while it does not: its time is over then.
    """
    begun = len(others.acts)
    others.acts.append(act or (lambda: peer.send(b"two")))
    peer.send(b"one")
    left = dispatcher.turn(True)
    if len(others.acts) > begun:  # it did not ask: its last stay was in vain
        others.acts.pop()
        return False
    return not left


@needs_timers
def test_what_comes_while_it_stays_is_handled_in_the_same_turn(
    dispatcher, connect, others
) -> None:
    owner, _link, peer = connect()
    for _ in range(100):
        owner.reads.clear()
        if in_one_turn(dispatcher, others, peer) and owner.reads == [3, 3]:
            return
        dispatcher.turn()
    raise AssertionError("what came was never handled in the same turn")


@needs_timers
def test_it_does_not_stay_for_ever(dispatcher, connect, others) -> None:
    owner, _link, peer = connect()
    peer.send(b"one")
    assert dispatcher.turn(True) is False
    assert owner.reads == [3]
    # Nor is anything left of it that would be reported again.
    assert [dispatcher.turn() for _ in range(3)] == [False] * 3
    assert dispatcher.epoll.poll(0) == []


@needs_timers
def test_time_goes_on_while_it_stays(connect, dispatcher, others) -> None:
    times = []

    class Timed(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            times.append(dispatcher.time())

    def later() -> None:
        dispatcher.clock.seconds += 5
        peer.send(b"two")

    _owner, _link, peer = connect(Timed())
    for _ in range(100):
        times.clear()
        if in_one_turn(dispatcher, others, peer, later) and len(times) == 2:
            assert times[1] - times[0] == 5
            return
        dispatcher.turn()
    raise AssertionError("what came was never handled in the same turn")


def test_it_stays_only_if_nothing_else_woke_the_task(
    dispatcher, connect, others
) -> None:
    owner, _link, peer = connect()
    peer.send(b"one")
    dispatcher.turn()
    assert owner.reads == [3]
    assert others.asked == 0


def test_it_does_not_stay_if_a_task_was_woken(dispatcher, connect, others) -> None:
    class Waker(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            dispatcher.woken = True

    _owner, _link, peer = connect(Waker())
    peer.send(b"one")
    dispatcher.turn(True)
    assert others.asked == 0


def test_it_does_not_stay_if_there_is_much_to_do(dispatcher, connect, others) -> None:
    peers = [connect()[2] for _ in range(10)]
    for peer in peers:
        peer.send(b"one")
    dispatcher.turn(True)
    assert others.asked == 0


@needs_timers
@pytest.mark.parametrize(
    ("seconds", "most"),
    [
        (0.0, 9),  # others have something to do
        (0.0005, 9),
        (math.inf, 19),  # nothing comes
    ],
)
def test_it_soon_stops_trying_in_vain(
    dispatcher, connect, others, seconds, most
) -> None:
    others.seconds = seconds
    owner, _link, peer = connect()
    for _ in range(200):
        peer.send(b"one")
        dispatcher.turn(True)
    assert len(owner.reads) == 200
    assert 0 < others.asked <= most


@needs_timers
def test_it_goes_on_staying_while_that_pays(dispatcher, connect, others) -> None:
    owner, _link, peer = connect()
    paid = 0
    for _ in range(100):
        before = len(owner.reads)
        others.acts = [lambda: peer.send(b"more")] * 5
        peer.send(b"one")
        dispatcher.turn(True)
        paid += len(owner.reads) == before + 6
    # A machine may stand still for a while, but not most of the time.
    assert paid > 10


def test_without_a_descriptor_for_a_timer_it_does_not_stay(
    others, connect, unix_pair
) -> None:
    ours, theirs = unix_pair()
    spare = os.dup(0)
    lowest = os.dup(0)
    os.close(lowest)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    os.close(spare)  # for the epoll
    try:
        dispatcher = EpollDispatcher(Clock(), others)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    owner = Recorder()
    SocketLink(dispatcher, owner, ours.detach())
    theirs.send(b"one")
    dispatcher.turn(True)
    dispatcher.close()
    assert owner.reads == [3]
    assert others.asked == 0


def test_the_timer_is_closed_with_the_dispatcher() -> None:
    before = open_descriptors()
    dispatcher = EpollDispatcher(Clock(), Others())
    made = open_descriptors() - before
    dispatcher.close()
    assert len(made) == 2 if have_timers() else 1  # its epoll is the other
    assert open_descriptors() <= before


@pytest.mark.parametrize("stays", [False, True])
def test_only_who_asks_for_it_stays(stays) -> None:
    async def descriptors() -> int:
        before = open_descriptors()
        turn, _loop = new_dispatcher(stays=stays)
        made = open_descriptors() - before
        turn.close()
        return len(made)

    async def guest() -> None:
        outcomes.append(await descriptors())

    assert trio.run(descriptors) == 1 + (stays and have_timers())
    # Another loop runs trio's, and would have to wait as well.
    todo: queue.SimpleQueue = queue.SimpleQueue()
    outcomes: list[int] = []
    ended: list[object] = []
    trio.lowlevel.start_guest_run(
        guest, run_sync_soon_threadsafe=todo.put, done_callback=ended.append
    )
    while not ended:
        todo.get(timeout=10)()
    assert outcomes == [1]
