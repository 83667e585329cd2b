"""One turn over an epoll: what is read, written, and concluded from events."""

from __future__ import annotations

import contextlib
import errno
import socket

from tests.transport.support import Recorder, Sender, events_of, pattern
from tests.wire import read_now, reset
from trio_fastws._transport.contract import READ_SIZE
from trio_fastws._transport.syscalls import EPOLLIN, EPOLLOUT

QUIET = 3  # turns in which nothing must happen any more


# --- reading ----------------------------------------------------------------


def test_data_comes_whole_and_in_order(dispatcher, connect) -> None:
    owner, _link, peer = connect()
    for piece in (b"one", b"two"):
        peer.send(piece)
        dispatcher.turn()
    assert owner.data == b"onetwo"
    assert owner.reads == [3, 3]


def test_a_turn_with_nothing_to_do_leaves_nothing(dispatcher, connect) -> None:
    owner, _link, _peer = connect()
    assert dispatcher.turn() is False
    assert (owner.data, owner.log) == (b"", [])


def test_what_one_read_leaves_is_read_by_the_next(
    dispatcher, connect, unix_pair
) -> None:
    # Level-triggered: the event comes again as long as there is data.
    owner, _link, peer = connect(pair=unix_pair(4 * READ_SIZE))
    whole = pattern(2 * READ_SIZE + 5)
    sent = 0
    while len(owner.data) < len(whole):
        with contextlib.suppress(BlockingIOError):
            sent += peer.send(whole[sent:])
        dispatcher.turn()
    assert owner.data == whole
    assert max(owner.reads) <= READ_SIZE


def test_an_owner_may_have_data_put_into_its_own_buffer(dispatcher, connect) -> None:
    class Direct(Recorder):
        def __init__(self) -> None:
            super().__init__()
            self.target = bytearray(5)
            self._direct = True

        def _get_buffer(self):
            return memoryview(self.target)

        def _on_filled(self, size: int) -> None:
            self.reads.append(size)
            self._direct = False

    owner, _link, peer = connect(Direct())
    peer.send(b"largepayload")
    dispatcher.turn()
    assert owner.target == b"large"
    assert owner.data == b"payload"
    assert owner.reads == [5, 7]


def test_an_owner_that_has_not_parsed_its_last_read_is_not_given_more(
    dispatcher, connect
) -> None:
    class Slow(Recorder):
        def _on_data(self, start: int, stop: int) -> None:
            super()._on_data(start, stop)
            self._link.dispatcher.defer(self)
            if len(self.reads) == 1:
                peer.send(b"second")

        def _on_deferred(self) -> None:
            super()._on_deferred()
            self.log.append(len(self.data))

    owner, _link, peer = connect(Slow())
    peer.send(b"first")
    dispatcher.turn()
    assert owner.data == b"first"
    dispatcher.turn()
    # It went on with the first before the second was read.
    assert owner.log[:2] == ["continue", 5]
    assert owner.data == b"firstsecond"


# --- the end ----------------------------------------------------------------


def test_the_end_comes_once_behind_all_data(dispatcher, connect) -> None:
    owner, _link, peer = connect()
    peer.send(b"last")
    peer.close()
    for _ in range(QUIET):
        assert dispatcher.turn() is False
    assert owner.data == b"last"
    assert owner.log == ["eof"]
    assert events_of(dispatcher) == []


def test_a_half_closed_peer_can_still_be_written_to(
    dispatcher, connect, tcp_pair
) -> None:
    owner, link, peer = connect(pair=tcp_pair())
    peer.shutdown(socket.SHUT_WR)
    for _ in range(QUIET):
        dispatcher.turn()
    assert owner.log == ["eof"]
    assert link.write([b"still here"], 10) == 10
    assert read_now(peer) == b"still here"


def test_a_reset_comes_as_its_error(dispatcher, connect, tcp_pair) -> None:
    owner, _link, peer = connect(pair=tcp_pair())
    reset(peer)
    for _ in range(QUIET):
        dispatcher.turn()
    (error,) = owner.log
    assert error.errno == errno.ECONNRESET
    assert events_of(dispatcher) == []


def test_writing_to_a_dead_peer_does_not_raise_and_the_end_comes(
    dispatcher, connect, tcp_pair
) -> None:
    owner, link, peer = connect(pair=tcp_pair())
    reset(peer)
    assert link.write([b"lost"], 4) == 4
    assert link.broken
    # It goes on taking everything.
    assert link.write([b"a" * 9000, b"b" * 9000], 18000) == 18000
    dispatcher.turn()
    assert len(owner.log) == 1
    assert owner.log[0] == "eof" or isinstance(owner.log[0], OSError)


def test_a_paused_link_that_cannot_be_written_to_is_marked(
    dispatcher, connect, unix_pair
) -> None:
    # A stale edge must not be all that could tell its owner.
    owner, link, peer = connect()
    link.want(False, False)
    dispatcher.turn()
    peer.close()
    assert link.write([b"lost"], 4) == 4
    assert owner._is_marked
    dispatcher.turn()
    assert "mark" in owner.log


# --- writing ----------------------------------------------------------------


def test_epollout_is_registered_only_while_blocked(dispatcher, connect) -> None:
    owner, _link, peer = connect(Sender())
    assert events_of(dispatcher) == []
    owner.parts.append(bytes(1 << 22))
    assert owner.flush() is False
    assert events_of(dispatcher) == []
    received = len(read_now(peer))
    assert [mask for _fd, mask in events_of(dispatcher)] == [EPOLLOUT]
    while received < 1 << 22:
        dispatcher.turn()
        received += len(read_now(peer))
    dispatcher.turn()
    assert set(owner.log) == {"writable"}
    assert events_of(dispatcher) == []


def test_a_paused_link_still_writes(dispatcher, connect) -> None:
    owner, link, peer = connect(Sender())
    size = 1 << 21
    link.want(False, True)
    received = bytearray()
    owner.parts.append(pattern(size))
    owner._on_writable = lambda: owner.flush(False)
    owner.flush(False)
    peer.send(b"unread")
    while len(received) < size:
        received += read_now(peer)
        dispatcher.turn()
    assert received == pattern(size)
    assert owner.data == b""


def test_an_owner_may_close_in_on_writable(dispatcher, connect) -> None:
    class Leaver(Sender):
        def _on_writable(self) -> None:
            self._link.close()

    owner, link, peer = connect(Leaver())
    link.want(True, True)
    peer.send(b"never read")
    dispatcher.turn()
    assert owner._link is None
    assert owner.data == b""


def test_shutting_down_sends_fin_and_reading_goes_on(
    dispatcher, connect, tcp_pair
) -> None:
    owner, link, peer = connect(pair=tcp_pair())
    link.write([b"end"], 3)
    link.end_output()
    assert peer.recv(10) == b"end"
    assert peer.recv(10) == b""
    peer.send(b"answer")
    dispatcher.turn()
    assert owner.data == b"answer"


def test_shutting_down_a_dead_connection_marks_it_broken(
    dispatcher, connect, tcp_pair
) -> None:
    _owner, link, peer = connect(pair=tcp_pair())
    reset(peer)
    dispatcher.turn()
    link.end_output()
    assert link.broken


# --- closing ----------------------------------------------------------------


def test_a_closed_link_lets_go_and_takes_everything(dispatcher, connect) -> None:
    owner, link, peer = connect()
    link.close()
    link.close()
    link.want(True, True)
    assert link.write([b"x"], 1) == 1
    assert owner._link is None
    assert peer.recv(1) == b""
    dispatcher.turn()
    assert owner.log == []


def test_a_closed_link_without_an_owner(dispatcher, connect) -> None:
    owner, link, _peer = connect()
    owner._link = link.owner = None
    link.close()
    assert link.local_address() is None


def test_a_closed_dispatcher_has_closed_its_links(dispatcher, connect) -> None:
    peers = [connect()[2] for _ in range(3)]
    _owner, link, _peer = connect()
    link.close()
    dispatcher.close()
    assert [peer.recv(1) for peer in peers] == [b""] * 3
    assert dispatcher.epoll.closed


def test_addresses_are_the_sockets_until_they_are_gone(
    dispatcher, connect, tcp_pair
) -> None:
    pair = tcp_pair()
    ours, theirs = (sock.getsockname() for sock in pair)
    _owner, link, _peer = connect(pair=pair)
    assert (link.local_address(), link.peer_address()) == (ours, theirs)
    link.close()
    assert (link.local_address(), link.peer_address()) == (None, None)


def test_registering_asks_for_reading_only(dispatcher, connect) -> None:
    _owner, _link, peer = connect()
    peer.send(b"x")
    assert [mask for _fd, mask in events_of(dispatcher)] == [EPOLLIN]
