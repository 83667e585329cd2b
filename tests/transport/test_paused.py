"""Links whose reading is paused: woken once by the end of the peer, never spun by it.

With no interest at all a reset is never seen or reported for ever, and
level-triggered EPOLLRDHUP reports a FIN for ever (DESIGN.md, section 5).
"""

from __future__ import annotations

import errno
import socket

import pytest

from tests.transport.support import events_of
from tests.wire import read_now, reset

LOOKS = 20


@pytest.fixture
def paused(dispatcher, connect, tcp_pair):
    """Give an owner, its paused link and the peer's socket."""
    ours, theirs = tcp_pair()
    owner, link, peer = connect(pair=(ours, theirs))
    dispatcher.turn()
    link.want(False, False)
    dispatcher.turn()
    return owner, link, peer


def poll(dispatcher) -> int:
    """Return how many events the next looks at the kernel bring."""
    return sum(len(events_of(dispatcher)) for _ in range(LOOKS))


def test_data_does_not_wake(dispatcher, paused) -> None:
    owner, link, peer = paused
    peer.send(b"waits")
    assert poll(dispatcher) == 0
    link.want(True, False)
    dispatcher.turn()
    assert owner.data == b"waits"


def test_fin_wakes_once(dispatcher, paused) -> None:
    _owner, _link, peer = paused
    peer.shutdown(socket.SHUT_WR)
    assert poll(dispatcher) == 1


def test_reset_wakes_once(dispatcher, paused) -> None:
    _owner, _link, peer = paused
    reset(peer)
    assert poll(dispatcher) == 1


def test_reset_after_fin_wakes_once_more(dispatcher, paused) -> None:
    owner, link, peer = paused
    peer.send(b"unread")
    peer.shutdown(socket.SHUT_WR)
    assert poll(dispatcher) == 1
    link.write([b"nobody reads this"], 17)
    # Unread input makes the kernel reset at close.
    peer.close()
    assert poll(dispatcher) == 1
    assert owner.log == []


def test_fin_is_not_reported_before_reading_resumes(dispatcher, paused) -> None:
    owner, link, peer = paused
    peer.send(b"before")
    peer.close()
    for _ in range(3):
        assert dispatcher.turn() is False
    assert (owner.data, owner.log) == (b"", [])
    link.want(True, False)
    for _ in range(3):
        dispatcher.turn()
    assert (owner.data, owner.log) == (b"before", ["eof"])


def test_reset_is_reported_at_once_and_only_once(dispatcher, paused) -> None:
    owner, link, peer = paused
    reset(peer)
    for _ in range(3):
        assert dispatcher.turn() is False
    assert owner.log == ["hangup"]
    assert link.broken
    assert poll(dispatcher) == 0


def test_bytes_that_came_before_a_reset_are_still_readable(dispatcher, paused) -> None:
    owner, link, peer = paused
    link.write([b"unread by the peer"], 18)
    peer.send(b"before")
    peer.close()  # with unread input: a reset
    dispatcher.turn()
    assert owner.log == ["hangup"]
    assert owner.data == b""
    link.want(True, False)
    for _ in range(3):
        dispatcher.turn()
    assert owner.data == b"before"
    assert len(owner.log) == 2
    assert poll(dispatcher) == 0


def test_a_fin_from_both_sides_is_no_reset(dispatcher, paused) -> None:
    owner, link, peer = paused
    link.end_output()
    assert read_now(peer) == b""
    peer.close()
    for _ in range(3):
        dispatcher.turn()
    assert owner.log == []
    assert not link.broken
    assert poll(dispatcher) == 0


def test_after_the_end_nothing_wakes_any_more(dispatcher, connect, tcp_pair) -> None:
    owner, _link, peer = connect(pair=tcp_pair())
    peer.shutdown(socket.SHUT_WR)
    dispatcher.turn()
    assert owner.log == ["eof"]
    assert poll(dispatcher) == 0
    reset(peer)
    assert poll(dispatcher) <= 1


def test_writing_after_a_hangup_forgets(dispatcher, paused) -> None:
    _owner, link, peer = paused
    reset(peer)
    dispatcher.turn()
    assert link.write([b"x"], 1) == 1


def test_a_reset_while_reading_and_writing_wait(dispatcher, paused) -> None:
    owner, link, peer = paused
    link.want(True, True)
    reset(peer)
    for _ in range(3):
        dispatcher.turn()
    errors = [entry for entry in owner.log if isinstance(entry, OSError)]
    assert [error.errno for error in errors] == [errno.ECONNRESET]
