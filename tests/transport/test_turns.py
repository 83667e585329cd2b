"""How long a turn lasts, and that nothing is lost where it ends."""

from __future__ import annotations

import math

import pytest

from tests.transport.support import Recorder, events_of
from tests.wire import reset
from trio_fastws._transport import (
    contract as links,
    epoll as dispatchers,
    wheel as wheels,
)
from trio_fastws._transport.contract import TURN_SECONDS
from trio_fastws._transport.syscalls import MAX_EVENTS
from trio_fastws._transport.wheel import Timer


class Echo(Recorder):
    """Sends back what comes: two of them are never done with each other."""

    def _on_data(self, start: int, stop: int) -> None:
        super()._on_data(start, stop)
        data = bytes(self._link.dispatcher.buffer[start:stop])
        self._link.write([data], len(data))


class Hasty(Recorder):
    """Uses up the turn's time with whatever it is told."""

    def _waste(self) -> None:
        self._link.dispatcher.until = 0.0

    def _on_data(self, start: int, stop: int) -> None:
        super()._on_data(start, stop)
        self._waste()

    def _on_hangup(self) -> None:
        super()._on_hangup()
        self._waste()


@pytest.fixture
def stopwatch(monkeypatch) -> Stopwatch:
    """Replace the clock by which a turn measures itself."""
    stopwatch = Stopwatch()
    for module in (links, dispatchers, wheels):
        monkeypatch.setattr(module, "perf_counter", stopwatch)
    return stopwatch


class Stopwatch:
    """Goes on by ``step`` seconds each time it is looked at."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.seconds += self.step
        return self.seconds


def test_a_flood_ends_the_turn_and_goes_on_in_the_next(
    dispatcher, connect, unix_pair, stopwatch
) -> None:
    stopwatch.step = TURN_SECONDS / 10
    ours, theirs = unix_pair()
    one, link, _ = connect(Echo(), (ours, theirs))
    two, _link, _ = connect(Echo(), (theirs, ours))
    link.write([b"ball"], 4)
    counts = []
    for _ in range(3):
        dispatcher.turn()
        counts.append(len(one.reads) + len(two.reads))
    # A turn looks at the kernel again and again, and still comes to an end.
    assert 1 < counts[0] < counts[1] < counts[2] <= 40


def test_a_turn_without_time_leaves_ready_links_to_the_next(
    dispatcher, connect
) -> None:
    made = [connect(Hasty()) for _ in range(100)]
    for _owner, _link, peer in made:
        peer.send(b"x")
    assert dispatcher.turn() is True
    served = [len(owner.data) for owner, _link, _peer in made]
    assert 0 < sum(served) < 100
    while dispatcher.turn():
        pass
    assert [bytes(owner.data) for owner, _link, _peer in made] == [b"x"] * 100


def test_edge_triggered_events_survive_the_end_of_a_turn(
    dispatcher, connect, tcp_pair
) -> None:
    # The kernel will not repeat them: what a turn has no time for is kept.
    made = [connect(Hasty(), tcp_pair()) for _ in range(40)]
    for _owner, link, _peer in made:
        link.want(False, False)
    dispatcher.turn()
    for _owner, _link, peer in made:
        reset(peer)
    assert dispatcher.turn() is True
    assert 0 < sum(len(owner.log) for owner, _link, _peer in made) < 40
    while dispatcher.turn():
        pass
    assert [owner.log for owner, _link, _peer in made] == [["hangup"]] * 40
    assert events_of(dispatcher) == []


def test_more_links_than_one_poll_brings_are_all_served(dispatcher, connect) -> None:
    owners = []
    for _ in range(MAX_EVENTS + 10):
        owner, _link, peer = connect()
        owners.append(owner)
        peer.send(b"x")
        peer.close()
    for _ in range(3):
        dispatcher.turn()
    while dispatcher.turn():
        pass
    assert all((owner.data, owner.log) == (b"x", ["eof"]) for owner in owners)


def test_a_turn_polls_until_nothing_comes(
    dispatcher, connect, unix_pair, stopwatch
) -> None:
    ours, theirs = unix_pair()

    class Once(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            super()._on_data(start, stop)
            if len(self.reads) == 1:
                self._link.write([b"answer"], 6)

    one, link, _ = connect(Once(), (ours, theirs))
    two, _link, _ = connect(Once(), (theirs, ours))
    link.write([b"question"], 8)
    assert dispatcher.turn() is False
    assert (one.data, two.data) == (b"answer", b"questionanswer")


def test_a_turn_that_woke_a_task_ends_to_let_it_run(
    dispatcher, connect, unix_pair, stopwatch
) -> None:
    class Waking(Echo):
        def _on_data(self, start: int, stop: int) -> None:
            super()._on_data(start, stop)
            self._link.dispatcher.woken = True

    ours, theirs = unix_pair()
    one, link, _ = connect(Waking(), (ours, theirs))
    two, _link, _ = connect(Waking(), (theirs, ours))
    link.write([b"ball"], 4)
    dispatcher.turn()
    assert len(one.reads) + len(two.reads) == 1
    assert dispatcher.woken is False


def test_deferred_input_ends_the_turn(dispatcher, connect, stopwatch) -> None:
    # The stopwatch stands still: a link with more to read, which nobody may
    # read now, would keep this turn busy for ever.
    class Slow(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            super()._on_data(start, stop)
            self._link.dispatcher.defer(self)
            if len(self.reads) == 1:
                peer.send(b"more")

    owner, _link, peer = connect(Slow())
    peer.send(b"some")
    assert dispatcher.turn() is True
    assert owner.data == b"some"
    while dispatcher.turn():
        pass
    assert owner.data == b"somemore"


def test_an_owner_with_unparsed_input_is_passed_over_by_events(
    dispatcher, connect
) -> None:
    # Put off by a neighbour in the same batch, before its own event is handled.
    class Pusher(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            super()._on_data(start, stop)
            for owner in owners:
                if owner is not self:
                    self._link.dispatcher.defer(owner)

    made = [connect(Pusher()) for _ in range(2)]
    owners = [owner for owner, _link, _peer in made]
    for _owner, _link, peer in made:
        peer.send(b"x")
    dispatcher.turn()
    assert sorted(bytes(owner.data) for owner in owners) == [b"", b"x"]
    while dispatcher.turn():
        pass
    assert [owner.data for owner in owners] == [b"x", b"x"]


def test_marked_owners_are_called_behind_the_events_that_marked_them(
    dispatcher, connect
) -> None:
    class Marking(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            self.log.append("data")
            self._link.dispatcher.mark(self)

    made = [connect(Marking()) for _ in range(2)]
    order: list[object] = []
    for owner, _link, peer in made:
        owner.log = order
        peer.send(b"x")
    assert dispatcher.turn() is False
    assert order == ["data", "data", "mark", "mark"]


@pytest.mark.parametrize("how", ["mark", "defer"])
def test_a_turn_says_that_something_is_left(dispatcher, connect, how) -> None:
    class Restless(Recorder):
        def _on_mark(self) -> None:
            super()._on_mark()
            self.again()

        def _on_deferred(self) -> None:
            super()._on_deferred()
            self.again()

        def again(self) -> None:
            if len(self.log) < 3:
                getattr(self._link.dispatcher, how)(self)

    owner, _link, _peer = connect(Restless())
    getattr(dispatcher, how)(owner)
    turns = 1
    while dispatcher.turn():
        turns += 1
    assert len(owner.log) == 3
    assert turns > 1 or how == "mark"


def test_timers_run_at_the_start_of_a_turn(dispatcher, clock) -> None:
    calls: list[float] = []

    class Note(Timer):
        def _on_deadline(self, now: float) -> float:
            calls.append(now)
            return math.inf

    dispatcher.schedule(Note(), clock.seconds + 1)
    dispatcher.turn()
    assert calls == []
    clock.seconds += 2
    dispatcher.turn()
    assert calls == [clock.seconds]


def test_ten_thousand_timers_at_once_do_not_hold_the_turn(
    dispatcher, clock, stopwatch
) -> None:
    calls: list[float] = []

    class Note(Timer):
        def _on_deadline(self, now: float) -> float:
            calls.append(now)
            return math.inf

    stopwatch.step = TURN_SECONDS / 10
    for _ in range(10_000):
        dispatcher.schedule(Note(), clock.seconds)
    assert dispatcher.turn() is True
    assert 0 < len(calls) < 1000
    while dispatcher.turn():
        pass
    assert len(calls) == 10_000
