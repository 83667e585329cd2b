"""The outbox: what is committed goes out whole and in order, the rest may wait."""

from __future__ import annotations

import pytest

from tests.transport.support import Clock, Recorder, Sink
from tests.wire.frames import binary, close, unmasked
from trio_fastws import Limits, Sending, Timeouts
from trio_fastws._config.arguments import Options
from trio_fastws._config.options import ITEM_OVERHEAD
from trio_fastws._connection.outbox import Outbox
from trio_fastws._connection.shared import WIRE_SIZE, Shared
from trio_fastws._protocol.codes import BINARY, CLOSE, Role
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._transport.contract import Dispatcher


def make(**sending) -> Outbox:
    options = Options(Limits(), Timeouts(), Sending(**sending), None)
    dispatcher = Dispatcher(Clock())
    dispatcher.begin()
    shared = Shared(dispatcher, options, lambda *_: None, Role.SERVER)
    return Outbox(shared, Endpoint(Role.SERVER), 0.0)


def put(outbox: Outbox, *payloads: bytes) -> None:
    """Queue messages, as behind others that wait."""
    for payload in payloads:
        outbox.put((BINARY, payload), len(payload))


def wire(*payloads: bytes) -> bytes:
    """Return messages as a server writes them."""
    return unmasked(*map(binary, payloads))


def count(outbox: Outbox) -> int:
    return len(outbox.pending or ())


@pytest.fixture
def outbox() -> Outbox:
    return make()


@pytest.fixture
def sink() -> Sink:
    return Sink(Recorder())


def test_a_new_outbox_is_empty(outbox, sink) -> None:
    assert (outbox.size(), outbox.has_room(), outbox.takes()) == (0, True, True)
    assert outbox.flush(sink, 1.0) is True
    assert sink.calls == []


def test_committed_bytes_count_as_they_are_and_messages_with_their_overhead(
    outbox,
) -> None:
    outbox.commit([b"ab", b"c"], 3)
    assert outbox.size() == 3
    put(outbox, b"item")
    assert outbox.size() == 3 + 4 + ITEM_OVERHEAD
    assert outbox.pending_size == 4 + ITEM_OVERHEAD


def test_messages_are_encoded_when_promoted_and_not_before(outbox, sink) -> None:
    sink.room = 2
    put(outbox, b"one", b"two")
    assert outbox.wire_size == 0
    assert outbox.flush(sink, 1.0) is False
    assert outbox.pending is None
    assert outbox.wire_size == len(wire(b"one", b"two")) - 2
    assert sink.written == wire(b"one", b"two")[:2]


def test_everything_leaves_in_the_order_it_came(outbox, sink) -> None:
    sink.room = 1 << 30
    outbox.commit([b"0", b"1"], 2)
    put(outbox, b"2", b"3", b"4")
    outbox.put((CLOSE, (1000, "bye")), 0)
    assert outbox.flush(sink, 1.0) is True
    last = unmasked(close(1000, "bye"))
    assert sink.written == b"01" + wire(b"2", b"3", b"4") + last
    assert outbox.size() == 0
    # Together, not one by one.
    assert len(sink.calls) == 1


def test_promotion_stops_when_the_wire_is_full(outbox, sink) -> None:
    payload = bytes(WIRE_SIZE // 4)
    put(outbox, *[payload] * 10)
    assert outbox.flush(sink, 1.0) is False
    assert outbox.wire_size == 4 * len(wire(payload))
    assert count(outbox) == 6


def test_nothing_is_encoded_into_a_full_wire_nor_past_pending_messages(outbox) -> None:
    outbox.commit([bytes(WIRE_SIZE - 1)], WIRE_SIZE - 1)
    assert outbox.takes()
    outbox.commit([b"x"], 1)
    assert not outbox.takes()
    outbox.add(BINARY, b"later", None, None)
    assert (outbox.wire_size, count(outbox)) == (WIRE_SIZE, 1)
    other = make()
    put(other, b"first")
    assert not other.takes()


def test_a_link_that_keeps_taking_is_given_everything_in_one_flush(
    outbox, sink
) -> None:
    sink.room = 1 << 30
    payload = bytes(WIRE_SIZE)
    put(outbox, *[payload] * 5)
    assert outbox.flush(sink, 1.0) is True
    assert sink.written == wire(*[payload] * 5)
    assert len(sink.calls) == 5


def test_a_large_payload_is_passed_by_reference(outbox, sink) -> None:
    payload = bytes(10 * WIRE_SIZE)
    sink.room = 1 << 30
    put(outbox, payload)
    outbox.flush(sink, 1.0)
    assert any(part is payload for part in sink.calls[0])


@pytest.mark.parametrize("room", [1, 2, 3, 4, 5, 6, 7, 100])
def test_partial_writes_resume_where_they_stopped(outbox, sink, room) -> None:
    parts = [b"a", b"bcd", b"", b"ef", b"g" * 10]
    whole = b"".join(parts)
    outbox.commit(parts, len(whole))
    put(outbox, b"item")
    done = False
    while not done:
        sink.room = room
        done = outbox.flush(sink, 1.0)
        assert outbox.blocked is not done
    assert sink.written == whole + wire(b"item")
    assert outbox.wire == []


def test_the_time_of_the_last_progress_is_kept(outbox, sink) -> None:
    assert outbox.since == 0.0
    outbox.commit([b"abc"], 3)
    sink.room = 1
    outbox.flush(sink, 7.0)
    assert outbox.since == 7.0
    outbox.flush(sink, 8.0)
    assert outbox.since == 7.0, "no byte was taken"


# --- what a policy drops ----------------------------------------------------


def test_the_oldest_go_first_and_only_what_is_pending(sink) -> None:
    outbox = make(policy="drop_oldest", high_water=300, low_water=0, hard_limit=300)
    outbox.commit([b"wire"], 4)
    put(outbox, b"1", b"2", b"3")
    assert outbox.make_room(1) == 0
    assert outbox.make_room(100) == 1
    assert (count(outbox), outbox.pending_size) == (2, 2 * (1 + ITEM_OVERHEAD))
    assert outbox.make_room(10_000) == 2, "and then it has its place"
    put(outbox, b"latest")
    sink.room = 100
    outbox.flush(sink, 1.0)
    assert sink.written == b"wire" + wire(b"latest")


def test_the_newest_goes_instead_of_those_that_wait() -> None:
    outbox = make(policy="drop_newest", high_water=300, low_water=0, hard_limit=300)
    put(outbox, b"1", b"2", b"3")
    assert outbox.make_room(1) == 0
    assert outbox.make_room(100) == -1
    assert count(outbox) == 3


def test_there_is_room_below_the_high_water_and_the_number_of_messages() -> None:
    outbox = make(high_water=200, low_water=0, hard_limit=400, max_messages=3)
    put(outbox, b"1", b"2")
    assert outbox.has_room()
    put(outbox, b"3")
    assert not outbox.has_room()
    few = make(high_water=2**20, low_water=0, max_messages=2)
    put(few, b"1")
    assert few.has_room()
    put(few, b"2")
    assert not few.has_room()


def test_dropping_what_is_pending_leaves_what_is_committed(outbox, sink) -> None:
    outbox.commit([b"wire"], 4)
    put(outbox, b"item")
    outbox.postpone_pong(b"pong")
    outbox.drop_pending()
    assert outbox.size() == 4
    sink.room = 100
    assert outbox.flush(sink, 1.0) is True
    assert sink.written == b"wire"


# --- Pongs for a peer that does not read ------------------------------------


def test_a_later_pong_replaces_one_that_waits(outbox, sink) -> None:
    outbox.commit([bytes(WIRE_SIZE)], WIRE_SIZE)
    outbox.postpone_pong(b"<first>")
    outbox.flush(sink, 1.0)
    outbox.postpone_pong(b"<later>")
    sink.room = 1 << 30
    assert outbox.flush(sink, 1.0) is True
    assert sink.written == bytes(WIRE_SIZE) + b"<later>"


def test_a_pong_behind_a_full_wire_waits(outbox, sink) -> None:
    outbox.commit([bytes(WIRE_SIZE)], WIRE_SIZE)
    outbox.postpone_pong(b"pong")
    outbox.flush(sink, 1.0)
    assert outbox.wire_size == WIRE_SIZE


# --- sparing: a policy that drops may think better of it ---------------------


def sparing() -> Outbox:
    return make(policy="drop_oldest", unsent_limit=1024)


def test_behind_a_short_write_nothing_more_is_promoted(sink) -> None:
    outbox = sparing()
    payloads = [bytes([number]) * 400 for number in range(4)]
    put(outbox, *payloads)
    sink.room = 2
    assert outbox.flush(sink, 1.0) is False
    # As much as the wire may have, since nobody knew.
    assert count(outbox) == 1
    sink.room = 1000
    assert outbox.flush(sink, 1.0) is False
    assert count(outbox) == 1
    assert not outbox.takes()
    outbox.drop_pending()
    put(outbox, b"latest")
    sink.room = len(wire(*payloads[:3])) - 1002 + 2
    assert outbox.flush(sink, 1.0) is False
    assert outbox.pending is None
    sink.room = 1000
    assert outbox.flush(sink, 1.0) is True
    assert sink.written == wire(*payloads[:3], b"latest")


def test_from_then_on_one_message_at_a_time(sink) -> None:
    outbox = sparing()
    outbox.commit([b"wire"], 4)
    outbox.flush(sink, 1.0)
    payloads = [bytes([number]) * 600 for number in range(4)]
    put(outbox, *payloads)
    sink.room = 4
    assert outbox.flush(sink, 1.0) is False
    assert count(outbox) == 3
    sink.room = len(wire(*payloads[:2])) + 1
    assert outbox.flush(sink, 1.0) is False
    assert count(outbox) == 1


def test_a_pong_is_spared_by_nobody(sink) -> None:
    outbox = sparing()
    outbox.commit([b"wire"], 4)
    outbox.flush(sink, 1.0)
    put(outbox, b"item")
    outbox.postpone_pong(b"pong")
    sink.room = 8
    assert outbox.flush(sink, 1.0) is False
    assert sink.written == b"wirepong"
