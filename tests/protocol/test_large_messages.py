"""Large binary messages, received in their final place."""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocol.support import events, failure, for_role, fragments, frame, receive
from tests.wire import (
    BINARY,
    CONTINUATION,
    TEXT,
)
from trio_fastws._protocol import store as module
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint

ROLES = list(Role)
LARGE = bytes(range(256)) * 1000  # 250 KiB
# So much has to come first; less than so much is not worth a buffer.
STAGE, DIRECT_FROM, TRUSTED = 32 * 1024, 32 * 1024, 16 * 2**20


def fill(endpoint: Endpoint, data: bytes, step: int = 2**30) -> tuple[list[Any], bytes]:
    """Write into the endpoint's buffer as long as it has one.

    Returns:
        The events that came of it, and the rest of ``data``.
    """
    found: list[Any] = []
    while data and not found:
        view = endpoint.get_buffer()
        if view is None:
            break
        size = min(step, len(view), len(data))
        view[:size] = data[:size]
        endpoint.filled(size)
        found += events(endpoint)
        data = data[size:]
    return found, data


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("step", [1009, 50_000, 2**30])
def test_a_large_payload_is_received_in_its_place(role: Role, step: int) -> None:
    data = for_role(role, BINARY, LARGE)
    endpoint = Endpoint(role)
    assert endpoint.get_buffer() is None
    start = STAGE + 5003
    assert receive(endpoint, data[:start]) == []
    found, rest = fill(endpoint, data[start:], step)
    if not found:  # a last piece is too small to be worth it
        assert len(rest) < DIRECT_FROM
        found = receive(endpoint, rest + for_role(role, TEXT, b"next"))
        assert found == [LARGE, "next"]
    else:
        assert (found, rest) == ([LARGE], b"")
    assert endpoint.get_buffer() is None
    assert endpoint.buffered == 0
    assert endpoint.bytes_received == sum(map(len, found))


@pytest.mark.parametrize("first", [0, 1, 80_000])
def test_a_large_fragment_is_received_in_its_place(first: int) -> None:
    endpoint = Endpoint(Role.SERVER)
    head, tail = LARGE[:first], LARGE[first:]
    data = fragments(Role.SERVER, BINARY, head, tail)
    start = len(data) - 140_000
    if first < STAGE:
        assert receive(endpoint, data[:start]) == []
    else:
        assert receive(endpoint, frame(BINARY, head, fin=False)) == []
        begun = frame(CONTINUATION, tail)[:14]
        assert receive(endpoint, begun) == []
        start = len(data) - len(tail)
    found, rest = fill(endpoint, data[start:])
    assert (found, rest) == ([LARGE], b"")


def test_fragments_around_a_large_one() -> None:
    data = fragments(Role.SERVER, BINARY, b"head", LARGE, b"tail") + frame(TEXT, b"x")
    endpoint = Endpoint(Role.SERVER)
    end = len(frame(BINARY, b"head")) + 14 + len(LARGE)
    assert receive(endpoint, data[: end - 140_000]) == []
    assert fill(endpoint, data[end - 140_000 : end]) == ([], b"")
    found = receive(endpoint, data[end:])
    assert found == [b"head" + LARGE + b"tail", "x"]


def test_only_large_binary_has_a_buffer() -> None:
    for opcode, size in [(BINARY, DIRECT_FROM - 1), (TEXT, 100_000)]:
        endpoint = Endpoint(Role.SERVER)
        data = frame(opcode, bytes(STAGE), length=STAGE + size)
        assert receive(endpoint, data) == []
        assert not endpoint.wants_buffer
        assert endpoint.get_buffer() is None


def test_a_buffer_that_was_not_used_is_taken_back() -> None:
    data = frame(BINARY, LARGE)
    endpoint = Endpoint(Role.SERVER)
    assert receive(endpoint, data[: STAGE + 1000]) == []
    assert endpoint.get_buffer() is not None  # and nothing came
    assert endpoint.get_buffer() is not None
    assert receive(endpoint, data[STAGE + 1000 :]) == [LARGE]


def test_a_buffer_takes_no_more_than_it_has() -> None:
    endpoint = Endpoint(Role.SERVER)
    with pytest.raises(ValueError, match="no room for 1 bytes"):
        endpoint.filled(1)
    receive(endpoint, frame(BINARY, bytes(STAGE), length=STAGE + DIRECT_FROM))
    view = endpoint.get_buffer()
    assert view is not None
    assert len(view) == DIRECT_FROM
    with pytest.raises(ValueError, match="no room"):
        endpoint.filled(DIRECT_FROM + 1)


def test_an_announced_message_gets_room_as_it_comes() -> None:
    endpoint = Endpoint(Role.SERVER)
    assert receive(endpoint, frame(BINARY, b"x", length=2**20)) == []
    assert endpoint.memory_size() == 16 * 1024
    held = []
    for size in (999, 19_000, STAGE - 20_001):
        assert receive(endpoint, bytes(size)) == []
        held.append(endpoint.memory_size())
        assert endpoint.get_buffer() is None
    assert held == [16 * 1024, 40_000, 40_000]
    assert receive(endpoint, b"x") == []
    view = endpoint.get_buffer()
    assert view is not None
    assert len(view) == 2**20 - STAGE
    assert endpoint.memory_size() == 2**20


def test_a_message_of_unknown_size_gets_room_as_it_comes() -> None:
    endpoint = Endpoint(Role.SERVER, max_message=None)
    assert receive(endpoint, frame(BINARY, bytes(STAGE), length=2**40)) == []
    assert endpoint.memory_size() == 32 * STAGE
    step = bytes(5 * 2**20)
    lengths = []
    for _ in range(5):
        view = endpoint.get_buffer()
        assert view is not None
        lengths.append(len(view))
        endpoint.filled(min(len(view), len(step)))
        assert events(endpoint) == []
    assert lengths[0] == 31 * STAGE
    assert max(lengths) <= TRUSTED
    assert endpoint.buffered == sum(min(n, len(step)) for n in lengths) + STAGE
    assert endpoint.memory_size() <= 2 * endpoint.buffered


def test_what_was_given_away_in_pieces_counts_as_zeros() -> None:
    assert module.BinaryStore().take(3) == bytes(3)


def test_what_is_held_is_counted_and_let_go() -> None:
    endpoint = Endpoint(Role.SERVER)
    assert endpoint.memory_size() == 0
    assert receive(endpoint, frame(BINARY, b"x" * 1000, fin=False)) == []
    assert endpoint.memory_size() == 1000
    assert receive(endpoint, frame(CONTINUATION, b"x" * 500)) == [b"x" * 1500]
    assert endpoint.memory_size() == 0
    receive(endpoint, frame(BINARY, b"x" * 1000, fin=False))
    assert receive(endpoint, frame(8)) != []
    assert endpoint.memory_size() == 0


@pytest.mark.parametrize(("character", "width"), [("x", 1), ("\xe9", 1), ("\u20ac", 2)])
def test_text_is_counted_as_it_lies_in_memory(character: str, width: int) -> None:
    endpoint = Endpoint(Role.SERVER)
    text = character * 700
    assert receive(endpoint, frame(TEXT, text.encode(), fin=False)) == []
    assert endpoint.memory_size() == 700 * width


def test_one_wide_character_makes_all_that_is_joined_with_it_wide() -> None:
    endpoint = Endpoint(Role.SERVER, max_fragments=1000)
    assert receive(endpoint, frame(TEXT, b"x" * 100, fin=False)) == []
    for _ in range(254):
        assert receive(endpoint, frame(CONTINUATION, b"x" * 100, fin=False)) == []
    assert endpoint.memory_size() == 255 * 100
    emoji = "\N{PILE OF POO}".encode()
    assert receive(endpoint, frame(CONTINUATION, emoji, fin=False)) == []
    assert endpoint.memory_size() == 4 * (255 * 100 + 1)


def test_a_large_message_without_a_limit_is_right() -> None:
    size = TRUSTED + 100_000
    payload = LARGE * (size // len(LARGE) + 1)
    data = frame(BINARY, payload[:size], key=None)
    endpoint = Endpoint(Role.CLIENT, max_message=None)
    assert receive(endpoint, data[: STAGE + 10]) == []
    found, rest = fill(endpoint, data[STAGE + 10 :])
    assert rest == b""
    assert found[0] == payload[:size]


def test_no_memory_to_grow_means_no_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    # Then the payload is fed, and fails for the same reason in its place.
    class Full(module.BytesIO):
        def __init__(self, held: bytes = b"") -> None:
            if len(held) > STAGE:
                raise MemoryError
            super().__init__(held)

        def write(self, data: Any) -> int:
            if self.tell() + len(data) > STAGE:
                raise MemoryError
            return super().write(data)

    monkeypatch.setattr(module, "BytesIO", Full)
    endpoint = Endpoint(Role.SERVER)
    assert receive(endpoint, frame(BINARY, b"x" * STAGE, fin=False)) == []
    assert receive(endpoint, frame(CONTINUATION, length=100_000)) == []
    assert endpoint.wants_buffer
    assert endpoint.get_buffer() is None
    reason = "no memory for a frame of 100000 bytes"
    assert receive(endpoint, b"x") == [failure(1009, reason)]
