"""Limits hold on what comes out of a compressed message, and on the work it takes."""

from __future__ import annotations

import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.protocol.deflating import (
    agreed,
    brief,
    check,
    message_of,
    receive,
    send,
)
from tests.protocol.support import ROOM, frame, reader_of
from tests.wire import (
    BINARY,
    STYLES,
    TEXT,
    Deflater,
    stored,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Piece

ROLES = list(Role)
TOO_BIG = ("Failure", 1009)


# --- exact ----------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("limit", [1, 100, 5000])
def test_the_limit_is_exact(role: Role, style: str, limit: int) -> None:
    for message in (b"x" * limit, b"x" * (limit + 1), bytes(2 * limit)):
        payload = Deflater().compress(message, style)
        data = message_of(role, BINARY, payload)
        expected = message if len(message) == limit else TOO_BIG
        check(role, data, [expected], max_message=limit)
        data = message_of(role, BINARY, payload, 2, 0, len(payload) // 2)
        check(role, data, [expected], max_message=limit)


@pytest.mark.parametrize("style", STYLES)
def test_the_limit_is_on_bytes_not_on_characters(style: str) -> None:
    for text, limit in (("€" * 40, 120), ("𝄞é", 6), ("a" * 120, 120)):
        payload = Deflater().compress(text.encode(), style)
        data = message_of(Role.SERVER, TEXT, payload)
        check(Role.SERVER, data, [text], max_message=limit)
        check(Role.SERVER, data, [TOO_BIG], max_message=limit - 1)
        data = message_of(Role.SERVER, TEXT, payload, 3, 1, 0)
        check(Role.SERVER, data, [text], max_message=limit)
        check(Role.SERVER, data, [TOO_BIG], max_message=limit - 1)


def test_a_limit_of_nothing() -> None:
    data = message_of(Role.SERVER, BINARY, b"\0")
    check(Role.SERVER, data, [b""], max_message=0)
    data += message_of(Role.SERVER, BINARY, stored(b"x"))
    check(Role.SERVER, data, [b"", TOO_BIG], max_message=0)


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_the_limit_is_exact_while_streaming(opcode: int, over: int) -> None:
    limit = 200_000
    message = b"streamed" * (limit // 8) + b"!" * over
    data = message_of(Role.SERVER, opcode, Deflater().compress(message), 30, 50)
    for chunks in ((data,), tuple(data[i : i + 1] for i in range(len(data)))):
        endpoint = agreed(Role.SERVER, max_message=limit)
        endpoint.streaming = True
        *pieces, last = receive(endpoint, *chunks)
        received = sum(len(piece[1]) for piece in pieces)
        if over:
            assert last[:2] == TOO_BIG
            assert received <= limit
        else:
            assert last[::2] == ("Piece", True)
            assert received + len(last[1]) == limit


def test_a_message_over_the_limit_leaves_nothing() -> None:
    payload = Deflater().compress(b"x" * 5001, "blocks")
    endpoint = agreed(Role.SERVER, max_message=5000)
    receive(endpoint, message_of(Role.SERVER, BINARY, payload))
    assert endpoint.failed
    assert endpoint.buffered == 0
    assert endpoint.messages_received == 0


def test_no_limit() -> None:
    message = b"no limit" * 500_000
    data = message_of(Role.SERVER, BINARY, Deflater().compress(message))
    assert receive(agreed(Role.SERVER, max_message=None), data) == [message]


# --- frames that are longer than the message ------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("limit", "block"), [(1000, 1), (1000, 7), (70_000, 60_000)])
def test_a_frame_may_be_longer_than_the_limit(
    role: Role, limit: int, block: int
) -> None:
    # Stored blocks add five bytes to each; a message within the limit is good.
    message = bytes(i * i % 251 for i in range(limit))
    payload = stored(message, block)
    assert len(payload) > limit
    data = message_of(role, BINARY, payload)
    assert receive(agreed(role, max_message=limit), data) == [message]
    found = receive(agreed(role, max_message=limit - 1), data)
    assert brief(found) == [TOO_BIG]
    data = message_of(role, BINARY, payload, limit // 2, limit)
    assert receive(agreed(role, max_message=limit), data) == [message]


def test_empty_blocks_add_nothing_to_the_message() -> None:
    payload = b"\0\0\0\xff\xff" * 400 + stored(b"Hello")
    data = message_of(Role.SERVER, TEXT, payload, 1000)
    check(Role.SERVER, data, ["Hello"], max_message=5)
    check(Role.SERVER, data, [TOO_BIG], max_message=4)


@pytest.mark.parametrize("size", [2**20 + 1, 2**33, 2**62, 2**63 - 1])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_header_alone_gets_no_memory(size: int, opcode: int) -> None:
    # What the message has is unknown before it is inflated.
    header = frame(opcode, length=size, rsv=4)
    begun = stored(b"x" * 3000)[:-1] * 3

    def run() -> list[Any]:
        endpoint = agreed(Role.SERVER, max_message=10_000)
        found = receive(endpoint, header)
        found += receive(endpoint, mask(begun))
        assert endpoint.buffered < 2 * len(begun)
        assert endpoint.get_buffer() is None
        return found + receive(endpoint, mask(stored(b"x" * 3000), len(begun)))

    found, peak = peak_of(run)
    assert brief(found) == [TOO_BIG]
    assert peak < 200_000


def mask(payload: bytes, at: int = 0) -> bytes:
    """Return a part of a payload as `wire.frame` masks it."""
    return frame(BINARY, bytes(at % 4) + payload)[-len(payload) :]


def test_a_plain_frame_over_the_limit_is_refused_at_its_header() -> None:
    data = frame(BINARY, length=1001)
    endpoint = agreed(Role.SERVER, max_message=1000)
    assert brief(receive(endpoint, data)) == [TOO_BIG]


# --- bombs ----------------------------------------------------------------------


def peak_of(run: Callable[[], Any]) -> tuple[Any, int]:
    """Return what ``run`` returns, and the most memory it held at a time."""
    tracemalloc.start()
    try:
        found = run()
        return found, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fragments", [1, 5])
def test_a_bomb_gets_no_more_memory_than_the_limit(
    role: Role, opcode: int, fragments: int
) -> None:
    # 64 MiB of zeros are 64 KiB, a thousand to one; of which most is not inflated.
    deflater = zlib.compressobj(9, wbits=-15)
    payload = b"".join(deflater.compress(bytes(2**20)) for _ in range(64))
    payload += deflater.flush(zlib.Z_SYNC_FLUSH)[:-4]
    assert len(payload) < 70_000
    step = len(payload) // fragments
    data = message_of(role, opcode, payload, *[step] * (fragments - 1))

    def run() -> list[Any]:
        return receive(agreed(role, max_message=2**18), data)

    found, peak = peak_of(run)
    assert brief(found) == [TOO_BIG]
    # The input, the message as far as it came, twice when it grows, and zlib.
    assert peak < 2 * len(data) + 4 * 2**18


def test_a_streamed_bomb_gets_the_memory_of_a_piece() -> None:
    deflater = zlib.compressobj(9, wbits=-15)
    payload = b"".join(deflater.compress(bytes(2**20)) for _ in range(32))
    payload += deflater.flush(zlib.Z_SYNC_FLUSH)[:-4]
    data = message_of(Role.SERVER, BINARY, payload)
    endpoint = agreed(Role.SERVER, max_message=None)
    endpoint.streaming = True

    def run() -> int:
        buffer = bytearray(ROOM) + data
        endpoint.feed(buffer, ROOM, len(buffer))
        size = 0
        for event in iter(endpoint.next_event, None):
            assert isinstance(event, Piece)
            size += len(event.data)
        return size

    size, peak = peak_of(run)
    assert size == 2**25
    assert peak < 2**20


def test_what_is_sent_may_be_over_the_limit() -> None:
    # The limit is on what is received.
    sent = send(agreed(Role.SERVER, max_message=10), b"x" * 1000)
    assert reader_of(Role.SERVER).read_one(sent).message == b"x" * 1000
