"""Text that is received as bytes: checked as ever, and as early, but not decoded."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.protocol import deflating
from tests.protocol.support import check, events, fragments, frame, lend, receive
from tests.wire import BINARY, CONTINUATION, TEXT, Deflater
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint

TEXTS = st.text("aé€😀", max_size=90).map(str.encode)
WRONG = st.sampled_from([b"\xff", b"\xed\xa0", b"\xf4\x90", b"\xc3"])
PARTS = st.lists(TEXTS | st.binary(max_size=3) | WRONG, min_size=1, max_size=5)


def as_bytes(endpoint: Endpoint) -> Endpoint:
    endpoint.receive_text_as_bytes()
    return endpoint


def encoded(event: Any) -> Any:
    """Return an event with its text as bytes, and a failure without its reply."""
    if isinstance(event, str | bytes):
        return event.encode() if isinstance(event, str) else event
    if event[0] == "Piece" and isinstance(event[1], str):
        return ("Piece", event[1].encode(), event[2])
    # A client masks its Close with a key of its own.
    return event[:3] if event[0] == "Failure" else event


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:stop] for start, stop in pairwise(edges)]


@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT])
@given(parts=PARTS, places=st.lists(st.integers(0, 600), max_size=4))
def test_it_says_the_same_at_the_same_byte(role, parts, places) -> None:
    data = fragments(role, TEXT, *parts)
    decoding, checking = Endpoint(role), as_bytes(Endpoint(role))
    for chunk in cut(data, places):
        expected = [encoded(event) for event in receive(decoding, chunk)]
        found = receive(checking, chunk)
        assert not any(isinstance(event, str) for event in found)
        assert [encoded(event) for event in found] == expected
        assert decoding.failed == checking.failed
        assert decoding.buffered == checking.buffered
        if decoding.failed:
            break
    assert decoding.messages_received == checking.messages_received
    assert decoding.bytes_received == checking.bytes_received


@given(parts=PARTS, places=st.lists(st.integers(0, 600), max_size=4))
def test_a_stream_says_the_same_at_the_same_byte(parts, places) -> None:
    data = fragments(Role.SERVER, TEXT, *parts)
    given = {}
    for kind, endpoint in (
        ("str", Endpoint(Role.SERVER)),
        ("bytes", as_bytes(Endpoint(Role.SERVER))),
    ):
        endpoint.streaming = True
        given[kind] = [receive(endpoint, chunk) for chunk in cut(data, places)]
    for text, octets in zip(given["str"], given["bytes"], strict=True):
        assert [event for event in text if event[0] == "Failure"] == [
            event for event in octets if event[0] == "Failure"
        ]
        assert all(type(event[1]) is bytes for event in octets if event[0] == "Piece")
    if b"".join(parts) == b"".join(parts).decode(errors="ignore").encode():
        pieces = [event for chunk in given["bytes"] for event in chunk]
        assert b"".join(event[1] for event in pieces) == b"".join(parts)
        assert [event[2] for event in pieces].count(True) == 1


@pytest.mark.parametrize("text", ["", "a", "κόσμε", "x" * 300 + "€"])
def test_binary_is_as_before(text: str) -> None:
    endpoint = as_bytes(Endpoint(Role.SERVER))
    data = frame(TEXT, text.encode()) + frame(BINARY, b"\xff" + text.encode())
    assert receive(endpoint, data) == [text.encode(), b"\xff" + text.encode()]


def test_a_message_that_has_begun_is_bytes_too() -> None:
    payload = "a€b😀c".encode()
    for at in range(len(payload) + 1):
        for end in range(at, len(payload) + 1):
            endpoint = Endpoint(Role.SERVER)
            receive(endpoint, frame(TEXT, payload[:at], fin=False))
            endpoint.receive_text_as_bytes()
            endpoint.receive_text_as_bytes()  # once more changes nothing
            data = frame(CONTINUATION, payload[at:end], fin=False)
            data += frame(CONTINUATION, payload[end:])
            assert receive(endpoint, data) == [payload]
            assert endpoint.memory_size() == 0


def test_a_stream_that_has_begun_goes_on_as_bytes() -> None:
    payload = "a€b😀c".encode()
    for at in range(len(payload) + 1):
        endpoint = Endpoint(Role.SERVER)
        endpoint.streaming = True
        found = receive(endpoint, frame(TEXT, payload[:at], fin=False))
        endpoint.receive_text_as_bytes()
        found += receive(endpoint, frame(CONTINUATION, payload[at:]))
        pieces = [event[1] for event in map(encoded, found)]
        assert b"".join(pieces) == payload
        assert type(found[-1][1]) is bytes


def test_a_message_that_has_begun_fails_as_early() -> None:
    endpoint = Endpoint(Role.SERVER)
    receive(endpoint, frame(TEXT, b"ok \xed", fin=False))
    endpoint.receive_text_as_bytes()
    found = receive(endpoint, frame(CONTINUATION, b"\xa0", fin=False))
    assert [event[:2] for event in found] == [("Failure", 1007)]


def test_what_is_held_is_counted_by_bytes() -> None:
    endpoint = as_bytes(Endpoint(Role.SERVER))
    text = "x" * 100 + "😀"
    receive(endpoint, frame(TEXT, text.encode(), fin=False))
    assert endpoint.memory_size() == endpoint.buffered == 104
    receive(endpoint, frame(CONTINUATION, b"\xf0", fin=False))
    assert endpoint.memory_size() == 105
    assert receive(endpoint, frame(8)) != []
    assert endpoint.memory_size() == 0


def test_a_stream_begins_with_what_was_collected() -> None:
    endpoint = as_bytes(Endpoint(Role.SERVER))
    receive(endpoint, frame(TEXT, b"a\xe2\x82", fin=False))
    endpoint.streaming = True
    assert events(endpoint) == [("Piece", b"a\xe2\x82", False)]
    assert receive(endpoint, frame(CONTINUATION, b"\xac")) == [("Piece", b"\xac", True)]


def test_the_limit_is_exact() -> None:
    for size in (10, 11):
        endpoint = as_bytes(Endpoint(Role.SERVER, max_message=10))
        found = receive(
            endpoint, fragments(Role.SERVER, TEXT, b"x" * 5, b"x" * size)[:-5]
        )
        assert found[0][:2] == ("Failure", 1009)
    check(Role.SERVER, frame(TEXT, b"x" * 10), ["x" * 10], max_message=10)


# --- compressed --------------------------------------------------------------


@pytest.mark.parametrize("role", [Role.SERVER, Role.CLIENT])
@pytest.mark.parametrize("sizes", [[], [3], [1, 1, 2]])
@pytest.mark.parametrize("streaming", [False, True])
def test_compressed_text(role, sizes, streaming) -> None:
    text = ("κόσμε 😀" * 4000).encode()  # in several steps
    for payload in (text, b"", b"short"):
        endpoint = deflating.agreed(role)
        endpoint.receive_text_as_bytes()
        endpoint.streaming = streaming
        compressed = Deflater().compress(payload)
        data = deflating.message_of(role, TEXT, compressed, *sizes)
        found = deflating.receive(endpoint, data)
        if streaming:
            found = [b"".join(event[1] for event in found)]
        assert found == [payload]


@pytest.mark.parametrize("wrong", [b"\xff", b"ok \xed\xa0\x80", b"ok \xc3"])
@pytest.mark.parametrize("sizes", [[], [2]])
def test_compressed_text_that_is_no_utf_8(wrong, sizes) -> None:
    for before in (b"", b"x" * 100_000):
        endpoint = deflating.agreed(Role.SERVER)
        endpoint.receive_text_as_bytes()
        compressed = Deflater().compress(before + wrong)
        data = deflating.message_of(Role.SERVER, TEXT, compressed, *sizes)
        found = deflating.brief(deflating.receive(endpoint, data))
        assert found == [("Failure", 1007)]


def test_it_is_only_lent() -> None:
    endpoint = as_bytes(Endpoint(Role.SERVER))
    buffer = lend(endpoint, frame(TEXT, b"whole"))
    (message,) = events(endpoint)
    buffer[:] = bytes(len(buffer))
    assert message == b"whole"
