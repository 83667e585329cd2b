"""Compressed messages are inflated in steps, between which others have their turn."""

from __future__ import annotations

import zlib
from typing import Any

import pytest

from tests.protocol.counting import Counting
from tests.protocol.deflating import (
    Message,
    agreed,
    cut,
    frames,
    message_of,
    opcode_of,
    receive,
)
from tests.protocol.support import for_role, lend, plain
from tests.wire import (
    BINARY,
    PING,
    TAIL,
    TEXT,
    Deflater,
    stored,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.events import WORKING

# Of all that may be inflated before somebody else has his turn.
MOST = 2**16
LARGE = b"".join(i.to_bytes(4, "big") for i in range(100_000))
LARGE_TEXT = "größer, größer; " * 30_000


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


def test_input_that_waits_between_two_pieces_is_counted() -> None:
    payload = Deflater().compress(bytes(10**6))
    endpoint = agreed(Role.SERVER)
    endpoint.streaming = True
    lend(endpoint, message_of(Role.SERVER, BINARY, payload))
    held = []
    while endpoint.next_event() is not None:
        held.append(endpoint.buffered)
    assert len(payload) > held[0] > held[5] > 0
    assert held[-1] == 0


def test_compressed_messages_are_not_received_in_place() -> None:
    # What is to come of the frame is unknown: its length says nothing.
    payload = stored(bytes(200_000))
    wire = message_of(Role.SERVER, BINARY, payload)
    endpoint = agreed(Role.SERVER)
    receive(endpoint, wire[:1000])
    assert not endpoint.wants_buffer
    assert endpoint.get_buffer() is None
    assert receive(endpoint, wire[1000:]) == [bytes(200_000)]
