"""What every link, owner and turn can rely on."""

from __future__ import annotations

import errno
import math
import os

import pytest

from tests.transport.support import Clock, Recorder, Sink
from tests.wire import read_now, reset
from trio_fastws._layout import HEADROOM
from trio_fastws._transport.contract import Dispatcher, Link, Owner
from trio_fastws._transport.epoll import SocketLink
from trio_fastws._transport.linger import END_SECONDS, Linger
from trio_fastws._transport.wheel import Timer


@pytest.fixture
def plain_dispatcher() -> Dispatcher:
    dispatcher = Dispatcher(Clock())
    dispatcher.begin()
    return dispatcher


class Busy(Recorder):
    """Never has enough: asks for another turn in every hook."""

    def _on_mark(self) -> None:
        super()._on_mark()
        self.dispatcher.mark(self)

    def _on_deferred(self) -> None:
        super()._on_deferred()
        self.dispatcher.defer(self)


def test_an_owner_ignores_what_it_does_not_override(plain_dispatcher) -> None:
    owner = Owner()
    Sink(owner)
    assert owner._get_buffer() is None
    owner._on_data(HEADROOM, HEADROOM + 4)
    owner._on_filled(4)
    owner._on_eof(None)
    owner._on_hangup()
    owner._on_writable()
    owner._on_mark()
    owner._on_deferred()
    assert owner._on_deadline(1.0) == math.inf


def test_a_bare_link_can_do_nothing_and_has_no_address(plain_dispatcher) -> None:
    link = Link(plain_dispatcher, Owner())
    for act in (
        lambda: link.write([b"x"], 1),
        lambda: link.want(True, True),
        link.end_output,
        link.close,
        lambda: link.on_ready(1),
    ):
        with pytest.raises(NotImplementedError):
            act()
    assert (link.peer_address(), link.local_address()) == (None, None)
    plain_dispatcher.close()


def test_an_adopted_link_belongs_to_its_new_owner_only() -> None:
    old, new = Owner(), Owner()
    link = Sink(old)
    assert old._link is link
    link.adopt(new)
    assert (old._link, new._link, link.owner) == (None, link, new)
    new._link = link.owner = None
    link.adopt(old)
    assert (old._link, link.owner) == (link, old)


def test_begin_reads_the_clock_and_counts(plain_dispatcher) -> None:
    before = plain_dispatcher.number
    plain_dispatcher.clock.seconds = 123.0
    plain_dispatcher.begin()
    assert (plain_dispatcher.now, plain_dispatcher.number) == (123.0, before + 1)


def test_marked_twice_is_called_once(plain_dispatcher) -> None:
    owner = Recorder()
    plain_dispatcher.mark(owner)
    plain_dispatcher.mark(owner)
    assert not plain_dispatcher.idle()
    assert plain_dispatcher.flush() is False
    assert owner.log == ["mark"]
    assert plain_dispatcher.idle()
    assert plain_dispatcher.flush() is False
    assert owner.log == ["mark"]


def test_deferred_twice_is_called_once(plain_dispatcher) -> None:
    owner = Recorder()
    plain_dispatcher.defer(owner)
    plain_dispatcher.defer(owner)
    assert owner._is_deferred
    assert not plain_dispatcher.idle()
    plain_dispatcher.run_deferred()
    assert owner.log == ["continue"]
    assert not owner._is_deferred
    assert plain_dispatcher.idle()


def test_who_asks_again_is_not_called_again_in_the_same_round(plain_dispatcher) -> None:
    owner = Busy()
    owner.dispatcher = plain_dispatcher
    plain_dispatcher.mark(owner)
    plain_dispatcher.defer(owner)
    assert plain_dispatcher.flush() is True
    plain_dispatcher.run_deferred()
    assert owner.log == ["mark", "continue"]
    assert not plain_dispatcher.idle()


def test_a_flush_without_time_stops_and_loses_nobody(plain_dispatcher) -> None:
    owners = [Recorder() for _ in range(200)]
    for owner in owners:
        plain_dispatcher.mark(owner)
    plain_dispatcher.until = 0.0
    assert plain_dispatcher.flush() is True
    called = sum(len(owner.log) for owner in owners)
    assert 0 < called < 200
    late = Recorder()
    plain_dispatcher.mark(late)
    while plain_dispatcher.flush():
        pass
    assert [owner.log for owner in (*owners, late)] == [["mark"]] * 201


def test_who_is_marked_in_a_flush_that_stops_early_is_not_lost(
    plain_dispatcher,
) -> None:
    late = Recorder()

    class Marking(Recorder):
        def _on_mark(self) -> None:
            super()._on_mark()
            plain_dispatcher.mark(late)

    owners = [Marking() for _ in range(100)]
    for owner in owners:
        plain_dispatcher.mark(owner)
    plain_dispatcher.until = 0.0
    assert plain_dispatcher.flush() is True
    assert (late._is_marked, late.log) == (True, [])
    plain_dispatcher.until = math.inf
    while plain_dispatcher.flush():
        pass
    assert "mark" in late.log
    assert all(owner.log == ["mark"] for owner in owners)


def test_tick_calls_the_timers_that_are_due(plain_dispatcher) -> None:
    calls: list[float] = []

    class Note(Timer):
        def _on_deadline(self, now: float) -> float:
            calls.append(now)
            return math.inf

    plain_dispatcher.schedule(Note(), plain_dispatcher.now + 5)
    assert plain_dispatcher.tick() is False
    assert calls == []
    plain_dispatcher.clock.seconds += 6
    plain_dispatcher.begin()
    assert plain_dispatcher.tick() is False
    assert calls == [plain_dispatcher.now]


@pytest.mark.parametrize("how", ["mark", "defer"])
def test_marking_and_deferring_unpark(plain_dispatcher, how) -> None:
    unparked: list[str] = []
    plain_dispatcher.unpark = lambda: unparked.append(how)
    owner = Owner()
    getattr(plain_dispatcher, how)(owner)
    assert unparked == [how]
    getattr(plain_dispatcher, how)(owner)
    assert unparked == [how], "once is enough"


def test_only_an_earlier_deadline_unparks(plain_dispatcher) -> None:
    unparked: list[float] = []
    plain_dispatcher.wake_at = 200.0
    plain_dispatcher.unpark = lambda: unparked.append(
        plain_dispatcher.wheel.next_deadline()
    )
    plain_dispatcher.schedule(Timer(), 300.0)
    plain_dispatcher.schedule(Timer(), math.inf)
    assert unparked == []
    plain_dispatcher.schedule(Timer(), 150.0)
    assert unparked == [150.0]


# --- the end of a link ------------------------------------------------------


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@pytest.fixture
def ending(dispatcher, tcp_pair):
    """Give a link that lingers for 10 s: descriptor, peer, and its old owner."""
    sock, theirs = tcp_pair()
    ours = sock.fileno()
    owner = Recorder()
    link = SocketLink(dispatcher, owner, sock.detach())
    link.write([b"last words"], 10)
    Linger(link, 10.0)
    return ours, theirs, owner


def test_lingering_ends_output_and_discards_until_the_peer_closes(
    dispatcher, ending
) -> None:
    ours, theirs, owner = ending
    assert owner._link is None
    theirs.send(b"more")
    dispatcher.turn()
    assert is_open(ours)
    assert read_now(theirs) == b"last words"
    assert theirs.recv(1) == b""
    theirs.close()
    dispatcher.turn()
    assert not is_open(ours)
    assert (owner.data, owner.log) == (b"", [])
    assert dispatcher.wheel.next_deadline() == math.inf


def test_lingering_ends_a_second_after_the_last_byte_if_some_are_expected(
    plain_dispatcher,
) -> None:
    class Silent(Sink):
        def end_output(self, unread: bool = False) -> None: ...
        def want(self, read: bool, write: bool) -> None: ...
        def close(self) -> None:
            closed.append(True)

    closed: list[bool] = []
    link = Silent(Owner())
    linger = Linger(link, 10.0, True)
    began = link.dispatcher.now
    link.dispatcher.now = began + 0.9
    linger._on_data(HEADROOM, HEADROOM + 1)
    assert linger._on_deadline(began + 1.8) < math.inf
    assert not closed
    assert linger._on_deadline(began + 1.9) == math.inf
    assert closed


def test_lingering_ends_with_a_reset(dispatcher, ending) -> None:
    ours, theirs, _owner = ending
    reset(theirs)
    dispatcher.turn()
    assert not is_open(ours)


def test_lingering_ends_at_its_deadline_and_not_before(
    dispatcher, ending, clock
) -> None:
    ours, _theirs, _owner = ending
    start = clock.seconds
    for seconds, there in ((9.9, True), (10.1, False)):
        clock.seconds = start + seconds
        dispatcher.turn()
        assert is_open(ours) is there


def test_lingering_called_before_its_deadline_answers_with_it(plain_dispatcher) -> None:
    class Quiet(Sink):
        def end_output(self, unread: bool = False) -> None: ...
        def want(self, read: bool, write: bool) -> None: ...
        def unacknowledged(self) -> int:
            return self.held

        def close(self) -> None:
            closed.append(True)

    closed: list[bool] = []
    link = Quiet(Owner())
    link.held = 0
    linger = Linger(link, 10.0)
    deadline = link.dispatcher.now + 10.0
    soon = link.dispatcher.now + END_SECONDS
    assert soon - 0.5 < linger._on_deadline(soon - 0.5) <= soon
    assert not closed
    # The peer has not got all of it: its second has not begun.
    link.held = 1
    for seconds in (soon, deadline - 1):
        assert seconds < linger._on_deadline(seconds) <= deadline
    assert not closed
    assert linger._on_deadline(deadline) == math.inf
    assert closed
    linger._link = None
    linger._on_hangup()
    linger._on_eof(OSError(errno.ECONNRESET, "reset"))
    assert len(closed) == 1


def test_the_last_link_to_stop_lingering_tells(dispatcher, tcp_pair) -> None:
    told: list[int] = []
    dispatcher.on_lingered = lambda: told.append(dispatcher.lingering)
    peers = []
    for _ in range(2):
        ours, theirs = tcp_pair()
        Linger(SocketLink(dispatcher, Recorder(), ours.detach()), 10.0)
        peers.append(theirs)
    assert dispatcher.lingering == 2
    peers[0].close()
    dispatcher.turn()
    assert (dispatcher.lingering, told) == (1, [])
    peers[1].close()
    dispatcher.turn()
    assert (dispatcher.lingering, told) == (0, [0])
