"""Messages given away in pieces, and input that is kept for later."""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocol.support import (
    ROOM,
    events,
    failure,
    fragments,
    frame,
    lend,
    receive,
)
from tests.wire import (
    BINARY,
    CONTINUATION,
    PING,
    TEXT,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint

LARGE = bytes(range(256)) * 600  # 150 KiB


# --- in pieces ---------------------------------------------------------------


def piece(data: str | bytes, final: bool = False) -> tuple[str, str | bytes, bool]:
    return ("Piece", data, final)


def test_streaming_gives_what_each_read_brought() -> None:
    endpoint = Endpoint(Role.SERVER)
    endpoint.streaming = True
    data = fragments(Role.SERVER, BINARY, b"abc", b"", b"def", b"")
    assert receive(endpoint, data) == [piece(b"abc"), piece(b"def"), piece(b"", True)]
    data = fragments(Role.SERVER, BINARY, b"abcd", b"ef")
    found = receive(endpoint, data[:8], data[8:12], data[12:])
    assert found == [piece(b"ab"), piece(b"cd"), piece(b"ef", True)]
    assert receive(endpoint, frame(TEXT, b"all")) == [piece("all", True)]
    assert endpoint.messages_received == 3


def test_streaming_text_by_whole_characters() -> None:
    endpoint = Endpoint(Role.SERVER)
    endpoint.streaming = True
    data = "a€".encode()
    data = fragments(Role.SERVER, TEXT, data[:2], data[2:3], data[3:])
    assert receive(endpoint, data) == [piece("a"), piece("€", True)]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_streaming_begins_with_what_was_collected(opcode: int) -> None:
    def give(value: bytes) -> str | bytes:
        return value.decode() if opcode == TEXT else value

    endpoint = Endpoint(Role.SERVER)
    data = fragments(Role.SERVER, opcode, b"abc", b"def")
    receive(endpoint, data[:-4])
    assert endpoint.buffered == 3
    endpoint.streaming = True
    assert endpoint.buffered == 3  # it has not been given away
    assert events(endpoint) == [piece(give(b"abc"))]
    assert endpoint.buffered == 0
    found = receive(endpoint, data[-4:-1], data[-1:])
    assert found == [piece(give(b"de")), piece(give(b"f"), True)]


def test_streaming_begins_with_nothing_after_an_empty_fragment() -> None:
    for opcode in (TEXT, BINARY):
        endpoint = Endpoint(Role.SERVER)
        receive(endpoint, frame(opcode, fin=False))
        endpoint.streaming = True
        assert events(endpoint) == []
        found = receive(endpoint, frame(CONTINUATION, b"x"))
        assert found == [piece("x" if opcode == TEXT else b"x", True)]


def test_streaming_a_large_message_that_is_being_filled() -> None:
    data = frame(BINARY, LARGE)
    endpoint = Endpoint(Role.SERVER)
    receive(endpoint, data[:70_014])
    view = endpoint.get_buffer()
    assert view is not None
    endpoint.streaming = True  # while the buffer is lent
    assert events(endpoint) == [piece(LARGE[:70_000])]
    assert endpoint.get_buffer() is None
    assert receive(endpoint, data[70_014:]) == [piece(LARGE[70_000:], True)]


def test_streaming_stops_with_the_final_piece() -> None:
    endpoint = Endpoint(Role.SERVER)
    endpoint.streaming = True
    lend(endpoint, frame(TEXT, b"one") + frame(TEXT, b"two"))
    assert endpoint.next_event().data == "one"  # type: ignore[union-attr]
    endpoint.streaming = False
    assert endpoint.next_event() == "two"


def test_limits_hold_while_streaming() -> None:
    endpoint = Endpoint(Role.SERVER, max_message=5)
    endpoint.streaming = True
    data = fragments(Role.SERVER, BINARY, b"abc", b"def")
    reason = "message of 3 + 3 bytes is over the limit of 5 (Limits.message_size)"
    assert receive(endpoint, data) == [piece(b"abc"), failure(1009, reason)]


# --- keeping what is not parsed yet ------------------------------------------


def test_keep_parts_from_the_lent_buffer() -> None:
    texts = [str(i) * 30 for i in range(10)]
    buffer = bytearray(ROOM) + b"".join(frame(TEXT, t.encode()) for t in texts)
    buffer += frame(TEXT, b"cut off")[:9]
    endpoint = Endpoint(Role.SERVER)
    endpoint.feed(buffer, ROOM, len(buffer))
    found: list[Any] = []
    for _ in texts:
        found.append(endpoint.next_event())
        endpoint.keep()
        endpoint.keep()
        buffer[:] = bytes(len(buffer))
    assert found == texts
    assert endpoint.next_event() is None
    assert receive(endpoint, frame(TEXT, b"cut off")[9:]) == ["cut off"]


def test_keep_with_nothing_left() -> None:
    endpoint = Endpoint(Role.SERVER)
    endpoint.keep()
    lend(endpoint, frame(TEXT, b"x"))
    assert endpoint.next_event() == "x"
    endpoint.keep()
    assert endpoint.buffered == 0
    assert receive(endpoint, frame(TEXT, b"y")) == ["y"]


def test_keep_within_a_payload() -> None:
    data = frame(PING, b"1") + frame(BINARY, b"abcdef") + frame(TEXT, b"z")
    endpoint = Endpoint(Role.SERVER)
    buffer = bytearray(ROOM) + data[:12]
    endpoint.feed(buffer, ROOM, len(buffer))
    assert endpoint.next_event() is not None
    endpoint.keep()
    assert events(endpoint) == []
    assert receive(endpoint, data[12:]) == [b"abcdef", "z"]
