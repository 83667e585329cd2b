"""Compressed messages given away in pieces, and inflated in steps."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from tests.protocol.counting import Counting
from tests.protocol.deflating import (
    agreed,
    brief,
    cut,
    events,
    frames,
    message_of,
    opcode_of,
    receive,
)
from tests.protocol.wire import BINARY, PING, ROOM, TEXT, for_role, frame, plain
from tests.protocol.zlib_peer import STYLES, TAIL, Deflater, Message, stored
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.events import WORKING

ROLES = list(Role)
# Of all that may be inflated before somebody else has his turn.
MOST = 2**16
LARGE = b"".join(i.to_bytes(4, "big") for i in range(100_000))
LARGE_TEXT = "größer, größer; " * 30_000


def joined(found: list[Any]) -> Message:
    """Return the message whose pieces these events are."""
    assert [event[0] for event in found] == ["Piece"] * len(found)
    assert [event[2] for event in found] == [False] * (len(found) - 1) + [True]
    parts = [event[1] for event in found]
    message: Message = parts[0][:0].join(parts)
    return message


def lend(endpoint: Endpoint, data: bytes) -> bytearray:
    buffer = bytearray(ROOM) + data
    endpoint.feed(buffer, ROOM, len(buffer))
    return buffer


# --- in pieces ------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("message", ["κόσμε " * 9, b"binary " * 9, "", b""])
def test_pieces_make_the_message(role: Role, style: str, message: Message) -> None:
    data = message.encode() if isinstance(message, str) else message
    payload = Deflater().compress(data, style)
    for sizes in ((), (1,), (0, 3, 0), (2, len(payload) - 2, 0)):
        wire = message_of(role, opcode_of(message), payload, *sizes)
        for chunks in ([wire], cut(wire, [1] * len(wire)), cut(wire, [7, 9])):
            endpoint = agreed(role)
            endpoint.streaming = True
            assert joined(receive(endpoint, *chunks)) == message
            assert endpoint.buffered == 0
            assert endpoint.messages_received == 1
            assert endpoint.bytes_received == len(data)


@pytest.mark.parametrize("message", [LARGE, LARGE_TEXT])
@pytest.mark.parametrize("style", ["sync", "finals", "stored"])
def test_pieces_are_of_a_bounded_size(message: Message, style: str) -> None:
    data = message.encode() if isinstance(message, str) else message
    payload = Deflater().compress(data, style)
    endpoint = agreed(Role.SERVER)
    endpoint.streaming = True
    found = receive(endpoint, message_of(Role.SERVER, opcode_of(message), payload))
    assert joined(found) == message
    assert max(len(event[1]) for event in found) <= MOST
    assert len(found) >= len(data) // MOST


def test_a_piece_for_what_each_read_brought() -> None:
    endpoint = agreed(Role.SERVER)
    endpoint.streaming = True
    payloads = [stored(word)[:-1] for word in (b"alpha", b"beta", b"gamma")]
    alpha, beta, gamma = frames(Role.SERVER, TEXT, [*payloads[:2], payloads[2] + b"\0"])
    assert receive(endpoint, alpha) == [("Piece", "alpha", False)]
    assert receive(endpoint, beta[:-2]) == [("Piece", "be", False)]
    assert receive(endpoint, beta[-2:]) == [("Piece", "ta", False)]
    *most, last = receive(endpoint, gamma)
    assert joined([*most, last]) == "gamma"


def test_control_frames_between_pieces() -> None:
    endpoint = agreed(Role.SERVER)
    endpoint.streaming = True
    first, second = frames(Role.SERVER, BINARY, [stored(b"one")[:-1], stored(b"two")])
    pong = frame(10, b"p", key=None)
    found = receive(endpoint, first + frame(PING, b"p") + second)
    assert found[:2] == [("Piece", b"one", False), ("Ping", b"p", pong)]
    assert joined(found[2:]) == b"two"


@pytest.mark.parametrize("message", ["κόσμε " * 90, b"binary " * 90])
def test_streaming_begins_in_the_middle(message: Message) -> None:
    # With what was collected, wherever that is; and ends with the final piece.
    data = message.encode() if isinstance(message, str) else message
    payload = Deflater().compress(data, "blocks")
    wire = message_of(Role.SERVER, opcode_of(message), payload, len(payload) // 2)
    for size in range(1, len(wire)):
        endpoint = agreed(Role.SERVER)
        assert receive(endpoint, wire[:size]) == []
        endpoint.streaming = True
        found = events(endpoint)
        assert endpoint.buffered == 0 or not found
        found += receive(endpoint, wire[size:])
        assert joined(found) == message
        endpoint.streaming = False
        assert receive(endpoint, for_role(Role.SERVER, TEXT, b"x")) == ["x"]


@pytest.mark.parametrize("message", [LARGE_TEXT, LARGE])
@pytest.mark.parametrize("steps", [1, 3])
def test_streaming_begins_between_two_steps(message: Message, steps: int) -> None:
    data = message.encode() if isinstance(message, str) else message
    payload = Deflater().compress(data)
    endpoint = agreed(Role.SERVER)
    lend(endpoint, message_of(Role.SERVER, opcode_of(message), payload))
    for _ in range(steps):
        assert endpoint.next_event() is WORKING
    endpoint.streaming = True
    found = events(endpoint)
    assert joined(found) == message
    assert len(found) > 3


def test_streaming_ends_between_two_messages() -> None:
    payload = Deflater().compress(LARGE)
    wire = message_of(Role.SERVER, BINARY, payload)
    endpoint = agreed(Role.SERVER)
    endpoint.streaming = True
    lend(endpoint, wire + wire[:0] + for_role(Role.SERVER, TEXT, b"next"))
    found: list[Any] = []
    while not found or not found[-1][2]:
        event = endpoint.next_event()
        if event is not WORKING:
            found.append(plain(event))
    endpoint.streaming = False
    assert joined(found) == LARGE
    assert events(endpoint) == ["next"]


def test_broken_text_in_pieces() -> None:
    # What came before it is given, and nothing after.
    payload = stored(b"gut") + b"\0\0\xff\xff" + stored(b"\xff") + b"\0"
    endpoint = agreed(Role.SERVER)
    endpoint.streaming = True
    first, second = frames(Role.SERVER, TEXT, [payload[:8], payload[8:]])
    assert receive(endpoint, first) == [("Piece", "gut", False)]
    assert brief(receive(endpoint, second)) == [("Failure", 1007)]


# --- in steps -------------------------------------------------------------------


@pytest.mark.parametrize("size", [2**20, 2**24])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("streaming", [True, False])
def test_a_step_inflates_no_more_than_its_share(
    size: int, opcode: int, streaming: bool
) -> None:
    module = Counting()
    endpoint = agreed(Role.SERVER, module=module, max_message=size)
    endpoint.streaming = streaming
    payload = Deflater().compress(bytes(size))
    lend(endpoint, message_of(Role.SERVER, opcode, payload))
    received = steps = before = 0
    while (event := endpoint.next_event()) is not None:
        steps += 1
        assert module.got - before <= MOST
        before = module.got
        if event is not WORKING:
            received += len(getattr(event, "data", event))
    assert received == size
    assert steps >= size // MOST


@pytest.mark.parametrize("size", [100, 60_000])
def test_a_call_inflates_no_more_than_its_share_of_fragments(size: int) -> None:
    # Each is inflated in one step; thousands of them may lie in one buffer.
    module = Counting()
    endpoint = agreed(Role.SERVER, module=module, max_message=2**24)
    count = min(2**24 // size, 1000)
    part = Deflater(strategy=zlib.Z_FIXED).compress(bytes(size)) + TAIL
    payloads = [part] * (count - 1) + [part.removesuffix(TAIL)]
    lend(endpoint, b"".join(frames(Role.SERVER, BINARY, payloads)))
    event: Any = WORKING
    before = 0
    while event is WORKING:
        event = endpoint.next_event()
        assert module.got - before <= 2 * MOST
        before = module.got
    assert event == bytes(size * count)


@pytest.mark.parametrize("filler", [b"\0\0\0\xff\xff", b"\x02\0\0\0\xff\xff"])
def test_a_step_reads_no_more_than_its_share(filler: bytes) -> None:
    # Nothing comes of this input, so the output bounds nothing.
    module = Counting()
    endpoint = agreed(Role.SERVER, module=module)
    payload = filler * (2**20 // len(filler)) + b"\0"
    lend(endpoint, message_of(Role.SERVER, BINARY, payload))
    event: Any = WORKING
    before = 0
    while event is WORKING:
        event = endpoint.next_event()
        assert module.given - before <= MOST
        before = module.given
    assert event == b""


@pytest.mark.parametrize("message", [LARGE_TEXT, LARGE])
@pytest.mark.parametrize("style", ["sync", "finals", "blocks"])
@pytest.mark.parametrize("keep", [True, False])
def test_working_goes_on_exactly_where_it_was(
    message: Message, style: str, keep: bool
) -> None:
    # The buffer is copied between two steps, and used for something else.
    data = message.encode() if isinstance(message, str) else message
    payload = Deflater().compress(data, style)
    sizes = [len(payload) // 3, 5]
    wire = message_of(Role.SERVER, opcode_of(message), payload, *sizes)
    wire += for_role(Role.SERVER, PING, b"p") + for_role(Role.SERVER, TEXT, b"next")
    endpoint = agreed(Role.SERVER)
    buffer = lend(endpoint, wire)
    found: list[Any] = []
    working = 0
    while (event := endpoint.next_event()) is not None:
        working += event is WORKING
        if event is not WORKING:
            found.append(plain(event))
        if keep:
            endpoint.keep()
            buffer[:] = b"\xff" * len(buffer)
    assert found[0] == message
    assert [found[1][0], *found[2:]] == ["Ping", "next"]
    assert working >= len(data) // MOST - 1
    assert endpoint.buffered == 0


def test_more_may_be_fed_when_nothing_is_left_of_the_buffer() -> None:
    # In reads of which each is inflated to its end before the next is lent.
    payload = Deflater().compress(LARGE, "blocks")
    wire = message_of(Role.SERVER, BINARY, payload, 1000) * 2
    endpoint = agreed(Role.SERVER)
    found: list[Any] = []
    for chunk in cut(wire, [4096] * (len(wire) // 4096)):
        lend(endpoint, chunk)
        while (event := endpoint.next_event()) is not None:
            endpoint.keep()
            if event is not WORKING:
                found.append(event)
    assert found == [LARGE, LARGE]


def test_receive_data_between_two_steps() -> None:
    payload = Deflater().compress(LARGE)
    wire = message_of(Role.SERVER, BINARY, payload)
    endpoint = agreed(Role.SERVER)
    endpoint.receive_data(wire[:-100])
    assert endpoint.next_event() is WORKING
    endpoint.receive_data(wire[-100:])
    endpoint.receive_data(for_role(Role.SERVER, TEXT, b"next"))
    assert events(endpoint) == [LARGE, "next"]


def test_what_is_held_between_two_steps_is_counted() -> None:
    payload = Deflater().compress(bytes(10**6))
    endpoint = agreed(Role.SERVER)
    lend(endpoint, message_of(Role.SERVER, BINARY, payload))
    held = []
    while endpoint.next_event() is WORKING:
        held.append(endpoint.buffered)
    assert held == sorted(held)
    assert 900_000 < held[-1] < 10**6 + 2 * len(payload)
    assert endpoint.buffered == 0


def test_compressed_messages_are_not_received_in_place() -> None:
    # What is to come of the frame is unknown: its length says nothing.
    payload = stored(bytes(200_000))
    wire = message_of(Role.SERVER, BINARY, payload)
    endpoint = agreed(Role.SERVER)
    receive(endpoint, wire[:1000])
    assert not endpoint.wants_buffer
    assert endpoint.get_buffer() is None
    assert receive(endpoint, wire[1000:]) == [bytes(200_000)]
