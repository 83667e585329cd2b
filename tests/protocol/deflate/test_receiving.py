"""Compressed messages from a peer: the examples of RFC 7692, and what it allows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.protocol.deflating import agreed, brief, check, frames, message_of, receive
from tests.protocol.support import for_role
from tests.wire import (
    BINARY,
    STYLES,
    TAIL,
    TEXT,
    Deflater,
    Way,
    stored,
    three_ways,
)
from trio_fastws._protocol.codes import Role

ROLES = list(Role)
EXAMPLE = bytes.fromhex("f2 48 cd c9 c9 07 00")
REFERRING = bytes.fromhex("f2 00 11 00 00")
STORED = bytes.fromhex("00 05 00 fa ff 48 65 6c 6c 6f 00")
FINAL = bytes.fromhex("f3 48 cd c9 c9 07 00 00")
TWO_BLOCKS = bytes.fromhex("f2 48 05 00 00 00 ff ff ca c9 c9 07 00")


def in_pieces(role: Role, opcode: int, payload: bytes) -> list[bytes]:
    """Return a compressed message, fragmented in each way there is in two places."""
    size = len(payload)
    cuts = [(a, b - a) for a in range(size + 1) for b in range(a, size + 1)]
    return [message_of(role, opcode, payload, *sizes) for sizes in [(), *cuts]]


# --- RFC 7692 7.2.3: the examples ----------------------------------------------


@pytest.mark.parametrize("role", ROLES)
def test_example_one_compressed_block(role: Role) -> None:
    # RFC 7692 7.2.3.1: as one frame and as two, byte for byte
    frame = bytes.fromhex("c1 07 f2 48 cd c9 c9 07 00")
    first = bytes.fromhex("41 03 f2 48 cd")
    second = bytes.fromhex("80 04 c9 c9 07 00")
    if role == Role.CLIENT:
        check(role, frame, ["Hello"])
        check(role, first + second, ["Hello"])
    check(role, message_of(role, TEXT, EXAMPLE), ["Hello"])
    check(role, message_of(role, BINARY, EXAMPLE), [b"Hello"])


@pytest.mark.parametrize("role", ROLES)
def test_example_shared_window(role: Role) -> None:
    # RFC 7692 7.2.3.2: the second message refers to the first
    data = message_of(role, TEXT, EXAMPLE)
    check(role, data * 3, ["Hello"] * 3)
    data += message_of(role, TEXT, REFERRING)
    check(role, data, ["Hello", "Hello"])
    # Without takeover there is nothing it could refer to.
    failure = ("Failure", 1007)
    check(role, data, ["Hello", failure], theirs=Way(takeover=False))


@pytest.mark.parametrize("role", ROLES)
def test_example_block_without_compression(role: Role) -> None:
    # RFC 7692 7.2.3.3; later messages may refer to it
    data = message_of(role, TEXT, STORED) + message_of(role, TEXT, REFERRING)
    check(role, data, ["Hello", "Hello"])


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("takeover", [True, False])
def test_example_final_block(role: Role, takeover: bool) -> None:
    # RFC 7692 7.2.3.4
    data = message_of(role, TEXT, FINAL) + message_of(role, TEXT, FINAL)
    data += message_of(role, TEXT, EXAMPLE)
    check(role, data, ["Hello"] * 3, theirs=Way(takeover=takeover))


@pytest.mark.parametrize("role", ROLES)
def test_example_two_blocks(role: Role) -> None:
    # RFC 7692 7.2.3.5: the first of the two ends with a sync flush
    check(role, message_of(role, TEXT, TWO_BLOCKS), ["Hello"])


@pytest.mark.parametrize("role", ROLES)
def test_example_empty_message(role: Role) -> None:
    # RFC 7692 7.2.3.6: an empty block without compression, first or not
    empty = message_of(role, TEXT, b"\0")
    data = empty + message_of(role, TEXT, EXAMPLE) + empty
    data += message_of(role, TEXT, REFERRING) + message_of(role, BINARY, b"\0")
    check(role, data, ["", "Hello", "", "Hello", b""])
    check(role, empty * 2, ["", ""], theirs=Way(takeover=False))


@pytest.mark.parametrize("payload", [b"\0", b"\x02\0", b"\x03\0\0", stored(b"")])
def test_empty_messages_in_every_form(payload: bytes) -> None:
    # Fixed blocks of nothing, and a final one; igzip sends such.
    for data in in_pieces(Role.SERVER, TEXT, payload):
        check(Role.SERVER, data, [""])


@pytest.mark.parametrize(
    "payload", [EXAMPLE, STORED, FINAL, TWO_BLOCKS], ids=["one", "stored", "bf", "two"]
)
def test_examples_fragmented_anywhere(payload: bytes) -> None:
    # Fragments of no bytes among them, first, in the middle and last.
    for opcode, expected in ((TEXT, "Hello"), (BINARY, b"Hello")):
        for first in in_pieces(Role.SERVER, opcode, payload):
            data = first + message_of(Role.SERVER, TEXT, REFERRING)
            assert receive(agreed(Role.SERVER), data) == [expected, "Hello"]


# --- text -----------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("style", STYLES)
def test_text_split_within_its_characters(role: Role, style: str) -> None:
    text = "κόσμε €uro 𝄞 " * 3
    payload = Deflater().compress(text.encode(), style)
    for size in range(len(payload) + 1):
        data = message_of(role, TEXT, payload, size)
        assert receive(agreed(role), data) == [text]
    check(role, message_of(role, TEXT, payload), [text])


def test_blocks_that_end_within_a_character() -> None:
    payload = stored("€𝄞é".encode(), 1)
    for size in range(len(payload) + 1):
        data = message_of(Role.SERVER, TEXT, payload, size, 0, 1)
        check(Role.SERVER, data, ["€𝄞é"])


@pytest.mark.parametrize(
    "bad", [b"\xff", b"\xed\xa0\x80", b"\xe2\x82", b"ok\xc3(", b"\xf4\x90"]
)
@pytest.mark.parametrize("style", STYLES)
def test_what_is_inflated_must_be_utf_8(bad: bytes, style: str) -> None:
    # RFC 6455 8.1; the same bytes are a good binary message
    for around in (b"", b"a" * 100):
        payload = Deflater().compress(around + bad, style)
        data = message_of(Role.SERVER, TEXT, payload)
        check(Role.SERVER, data, [("Failure", 1007)])
        data = message_of(Role.SERVER, TEXT, payload, 1, 0, 2)
        check(Role.SERVER, data, [("Failure", 1007)])
        data = message_of(Role.SERVER, BINARY, payload)
        check(Role.SERVER, data, [around + bad])


def test_bad_text_is_refused_before_it_ends() -> None:
    payload = Deflater().compress(b"good \xff bad", "blocks")
    first, _ = frames(Role.SERVER, TEXT, [payload, b"\0"])
    assert brief(receive(agreed(Role.SERVER), first)) == [("Failure", 1007)]


# --- counting -------------------------------------------------------------------


def test_messages_are_counted_as_they_come_out() -> None:
    payload = Deflater().compress(b"z" * 5000)
    data = message_of(Role.SERVER, BINARY, payload) + for_role(
        Role.SERVER, TEXT, b"plain"
    )
    for chunks in three_ways(data).values():
        endpoint = agreed(Role.SERVER)
        received: list[Any] = receive(endpoint, *chunks)
        assert received == [b"z" * 5000, "plain"]
        assert endpoint.messages_received == 2
        assert endpoint.bytes_received == 5005


def test_the_tail_may_be_sent_too() -> None:
    # Some do not remove it; it is an empty block like any other.
    data = message_of(Role.SERVER, TEXT, EXAMPLE + TAIL + b"\0")
    check(Role.SERVER, data, ["Hello"])
