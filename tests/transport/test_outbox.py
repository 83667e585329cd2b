"""The outbox: what is committed goes out whole and in order, the rest may wait."""

from __future__ import annotations

import pytest

from tests.transport.support import Sender, Sink, pattern
from tests.wire import read_now
from trio_fastws._connection.outbox import ITEM_OVERHEAD, WIRE_SIZE
from trio_fastws._transport.epoll import SocketLink
from trio_fastws._transport.syscalls import JOIN_BELOW, MAX_PARTS


@pytest.fixture
def sender() -> Sender:
    return Sender()


@pytest.fixture
def sink(sender) -> Sink:
    return Sink(sender)


def test_a_new_outbox_is_empty(sender, sink) -> None:
    outbox = sender.outbox
    assert (outbox.size(), outbox.count(), outbox.takes()) == (0, 0, True)
    assert outbox.flush(sink, 1.0) is True
    assert sink.calls == []


def test_committed_bytes_count_as_they_are_and_items_with_their_overhead(
    sender, sink
) -> None:
    outbox = sender.outbox
    outbox.commit([b"ab", b"c"], 3)
    assert (outbox.size(), outbox.count()) == (3, 0)
    outbox.put(b"item", 4)
    assert (outbox.size(), outbox.count()) == (3 + 4 + ITEM_OVERHEAD, 1)
    assert outbox.pending_size == 4 + ITEM_OVERHEAD


def test_items_are_encoded_when_promoted_and_not_before(sender, sink) -> None:
    sink.room = 2
    sender.outbox.put(b"one", 3)
    sender.outbox.put(b"two", 3)
    assert sender.log == []
    assert sender.outbox.flush(sink, 1.0) is False
    assert sender.log == [b"one", b"two"]
    assert sender.outbox.count() == 0
    assert sink.written == b"on"


def test_everything_leaves_in_the_order_it_came(sender, sink) -> None:
    sink.room = 1 << 30
    sender.outbox.commit([b"0", b"1"], 2)
    for item in (b"2", b"3", b"4"):
        sender.outbox.put(item, 1)
    assert sender.outbox.flush(sink, 1.0) is True
    assert sink.written == b"01234"
    assert sender.outbox.size() == 0
    # Together, not one by one.
    assert len(sink.calls) == 1


def test_promotion_stops_when_the_wire_is_full(sender, sink) -> None:
    item = bytes(WIRE_SIZE // 4)
    for _ in range(10):
        sender.outbox.put(item, len(item))
    assert sender.outbox.flush(sink, 1.0) is False
    assert sender.outbox.wire_size == WIRE_SIZE
    assert sender.outbox.count() == 6
    # Flushing again with no room promotes nothing more.
    sender.outbox.flush(sink, 1.0)
    assert sender.outbox.count() == 6


def test_nothing_is_encoded_into_a_full_wire_nor_past_pending_items(sender) -> None:
    outbox = sender.outbox
    outbox.commit([bytes(WIRE_SIZE - 1)], WIRE_SIZE - 1)
    assert outbox.takes()
    outbox.commit([b"x"], 1)
    assert not outbox.takes()
    other = Sender().outbox
    other.put(b"first", 5)
    assert not other.takes()


def test_a_link_that_keeps_taking_is_given_everything_in_one_flush(
    sender, sink
) -> None:
    sink.room = 1 << 30
    item = bytes(WIRE_SIZE)
    for _ in range(5):
        sender.outbox.put(item, len(item))
    assert sender.outbox.flush(sink, 1.0) is True
    assert len(sink.written) == 5 * WIRE_SIZE
    assert len(sink.calls) == 5


def test_a_large_payload_is_passed_by_reference(sender, sink) -> None:
    payload = bytes(10 * WIRE_SIZE)
    sink.room = len(payload)
    sender.outbox.put(payload, len(payload))
    sender.outbox.flush(sink, 1.0)
    assert sink.calls[0][0] is payload


@pytest.mark.parametrize("room", [1, 2, 3, 4, 5, 6, 7, 100])
def test_partial_writes_resume_where_they_stopped(sender, sink, room) -> None:
    parts = [b"a", b"bcd", b"", b"ef", b"g" * 10]
    whole = b"".join(parts)
    sender.outbox.commit(parts, len(whole))
    sender.outbox.put(b"item", 4)
    done = False
    while not done:
        sink.room = room
        done = sender.outbox.flush(sink, 1.0)
        assert sender.outbox.blocked is not done
    assert sink.written == whole + b"item"
    assert sender.outbox.wire == []


def test_the_time_of_the_last_progress_is_kept(sender, sink) -> None:
    outbox = sender.outbox
    assert outbox.since == 0.0
    outbox.commit([b"abc"], 3)
    sink.room = 1
    outbox.flush(sink, 7.0)
    assert outbox.since == 7.0
    outbox.flush(sink, 8.0)
    assert outbox.since == 7.0, "no byte was taken"


def test_drop_oldest_drops_pending_items_only_and_the_oldest_first(
    sender, sink
) -> None:
    outbox = sender.outbox
    outbox.commit([b"wire"], 4)
    assert outbox.drop_oldest() is False
    for item in (b"1", b"2", b"3"):
        outbox.put(item, 1)
    assert outbox.drop_oldest() is True
    assert (outbox.count(), outbox.pending_size) == (2, 2 * (1 + ITEM_OVERHEAD))
    sink.room = 100
    outbox.flush(sink, 1.0)
    assert sink.written == b"wire23"
    assert outbox.drop_oldest() is False


def test_a_dropped_item_is_never_encoded(sender, sink) -> None:
    sender.outbox.put(b"dropped", 7)
    sender.outbox.drop_oldest()
    assert (sender.outbox.count(), sender.outbox.pending_size) == (0, 0)
    sink.room = 100
    assert sender.outbox.flush(sink, 1.0) is True
    assert sender.log == []


def test_dropping_what_is_pending_leaves_what_is_committed(sender, sink) -> None:
    outbox = sender.outbox
    outbox.commit([b"wire"], 4)
    outbox.put(b"item", 4)
    outbox.pong = b"pong"
    outbox.drop_pending()
    assert outbox.size() == 4
    sink.room = 100
    assert outbox.flush(sink, 1.0) is True
    assert sink.written == b"wire"


def test_a_later_pong_replaces_one_that_waits(sender, sink) -> None:
    outbox = sender.outbox
    outbox.commit([bytes(WIRE_SIZE)], WIRE_SIZE)
    outbox.pong = b"<first>"
    outbox.flush(sink, 1.0)
    outbox.pong = b"<later>"
    sink.room = 1 << 30
    assert outbox.flush(sink, 1.0) is True
    assert sink.written == bytes(WIRE_SIZE) + b"<later>"
    assert outbox.pong is None


def test_a_pong_behind_a_full_wire_waits(sender, sink) -> None:
    outbox = sender.outbox
    outbox.commit([bytes(WIRE_SIZE)], WIRE_SIZE)
    outbox.pong = b"pong"
    outbox.flush(sink, 1.0)
    assert outbox.pong == b"pong"
    assert outbox.wire_size == WIRE_SIZE


def drain(dispatcher, sender, peer) -> bytes:
    """Turn and read until the sender's outbox is empty."""
    received = bytearray()
    while not sender.flush():
        received += read_now(peer)
        dispatcher.turn()
    return bytes(received + read_now(peer))


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (7, 3000),  # joined
        (JOIN_BELOW - 1, 40),  # joined, and larger than the buffer
        (JOIN_BELOW, 40),  # sendmsg
        (50_000, 20),  # sendmsg, each part larger than the buffer
        (JOIN_BELOW, MAX_PARTS + 50),  # more than one sendmsg takes
        (1_000_000, 1),
    ],
)
def test_a_small_socket_buffer_tears_nothing(
    dispatcher, unix_pair, size, count
) -> None:
    ours, theirs = unix_pair(4096)
    sender = Sender()
    SocketLink(dispatcher, sender, ours.detach())
    whole = pattern(size * count)
    parts = [whole[i : i + size] for i in range(0, len(whole), size)]
    half = count // 2
    sender.outbox.commit(parts[:half], half * size)
    for part in parts[half:]:
        sender.outbox.put(part, size)
    assert drain(dispatcher, sender, theirs) == whole


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (JOIN_BELOW, 1),
        (JOIN_BELOW - 1, 2),
        (JOIN_BELOW, 2),
        (JOIN_BELOW, MAX_PARTS),
        (JOIN_BELOW, MAX_PARTS + 1),
        (JOIN_BELOW, 2 * MAX_PARTS + 1),
        (1, 10 * MAX_PARTS),
    ],
)
def test_a_write_is_short_only_if_the_socket_is_full(
    dispatcher, unix_pair, size, count
) -> None:
    # EPOLLOUT of a paused link is edge-triggered: a write that stopped short
    # for any other reason than a full socket would never be resumed.
    ours, theirs = unix_pair(2**20)
    link = SocketLink(dispatcher, Sender(), ours.detach())
    parts = [bytes([number & 0xFF]) * size for number in range(count)]
    taken = link.write(parts, size * count)
    received = read_now(theirs)
    assert (taken, received) == (size * count, b"".join(parts))
