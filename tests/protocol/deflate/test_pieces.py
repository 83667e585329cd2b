"""Compressed messages given away in pieces."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from tests.protocol.deflating import (
    Message,
    agreed,
    brief,
    cut,
    events,
    frames,
    message_of,
    opcode_of,
    receive,
)
from tests.protocol.support import for_role, frame, lend, plain
from tests.wire import (
    BINARY,
    PING,
    STYLES,
    TEXT,
    Deflater,
    stored,
)
from trio_fastws._protocol.codes import Role
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


def test_nothing_that_can_be_inflated_waits_for_more() -> None:
    # Wherever a fragment is cut: within a step, at its end, within a reference.
    message = bytes(200_000)
    payload = Deflater().compress(message)
    for size in range(1, len(payload), 3):
        endpoint = agreed(Role.SERVER)
        endpoint.streaming = True
        first, second = frames(Role.SERVER, BINARY, cut(payload, [size]))
        expected = len(zlib.decompressobj(-15).decompress(payload[:size]))
        found = receive(endpoint, first)
        assert sum(len(event[1]) for event in found) == expected
        assert joined(found + receive(endpoint, second)) == message


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
