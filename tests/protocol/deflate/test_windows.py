"""The window of what a peer compressed: what is in it, and how far it reaches."""

from __future__ import annotations

import zlib

import pytest

from tests.protocol.deflating import agreed, check, message_of, receive
from tests.protocol.support import for_role
from tests.wire import (
    BINARY,
    STYLES,
    TEXT,
    Deflater,
    Way,
    stored,
)
from trio_fastws._protocol.codes import Role

ROLES = list(Role)
EXAMPLE = bytes.fromhex("f2 48 cd c9 c9 07 00")
REFERRING = bytes.fromhex("f2 00 11 00 00")


def dissimilar(count: int) -> list[bytes]:
    """Return messages that have nothing in common, each easy to compress."""
    return [bytes([65 + i, 97 + i, 48 + i % 10]) * 30 for i in range(count)]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("style", STYLES)
def test_plain_messages_enter_no_window(role: Role, style: str) -> None:
    first, plain, second = dissimilar(3)
    deflater = Deflater(strategy=zlib.Z_FIXED)
    data = message_of(role, BINARY, deflater.compress(first, style))
    data += for_role(role, BINARY, plain)
    data += message_of(role, BINARY, deflater.compress(second, style))
    data += for_role(role, BINARY, plain[:7], fin=False) + for_role(role, 0, b"x")
    refers = deflater.compress(first + second)
    assert len(refers) < 20  # it does refer back, over the plain ones
    data += message_of(role, BINARY, refers)
    check(role, data, [first, plain, second, plain[:7] + b"x", first + second])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("next_style", STYLES)
def test_every_style_and_context_takeover(style: str, next_style: str) -> None:
    # A message refers to the one before, over the end of a final block too.
    words = [b"the quick brown fox", b"jumps over the lazy dog", b"the quick brown fox"]
    for takeover in (True, False):
        way = Way(takeover=takeover)
        deflater = Deflater(way)
        data = b""
        for word, chosen in zip(words, (style, next_style, "sync"), strict=True):
            data += message_of(Role.SERVER, BINARY, deflater.compress(word, chosen))
        check(Role.SERVER, data, words, theirs=way)


@pytest.mark.parametrize("takeover", [True, False])
def test_references_over_a_final_block(takeover: bool) -> None:
    # Within a message they are legal with no takeover too.
    deflater = Deflater(Way(takeover=takeover))
    message = b"said twice, " * 2
    payload = deflater.compress(message, "finals")
    assert len(payload) < 25
    data = message_of(Role.SERVER, BINARY, payload) * 2
    check(Role.SERVER, data, [message] * 2, theirs=Way(takeover=takeover))
    data = message_of(Role.SERVER, BINARY, payload, 9, 6, 0)
    check(Role.SERVER, data, [message], theirs=Way(takeover=takeover))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("bits", range(8, 16))
def test_references_as_far_back_as_agreed(role: Role, bits: int) -> None:
    # One stored message as long as the window, and one that refers to its start.
    window = 2**bits
    first = bytes(i * i % 251 for i in range(3)) + b"." * (window - 3)
    data = message_of(role, BINARY, stored(first))
    data += message_of(role, BINARY, back_reference(window))
    # What we may use ourselves has nothing to do with it.
    for ours in (Way(9), Way(15)):
        endpoint = agreed(role, ours, Way(bits))
        assert receive(endpoint, data) == [first, first[:3]]


@pytest.mark.parametrize("bits", [8, 9, 12, 15])
def test_the_window_moves_on(bits: int) -> None:
    # Many messages later, and after each of them, it reaches just as far.
    window = 2**bits
    endpoint = agreed(Role.SERVER, theirs=Way(bits))
    sent = b""
    while len(sent) < 3 * window:
        message = bytes(i * i % 251 for i in range(len(sent), len(sent) + window // 7))
        data = message_of(Role.SERVER, BINARY, stored(message))
        assert receive(endpoint, data) == [message]
        sent += message
        if len(sent) >= window:
            data = message_of(Role.SERVER, BINARY, back_reference(window))
            expected = sent[-window:][:3]
            assert receive(endpoint, data) == [expected]
            sent += expected


def back_reference(distance: int) -> bytes:
    """Return a message of three bytes from so far back, in a fixed block."""
    # RFC 1951 3.2.5: a power of two is the last distance of its code.
    power = distance.bit_length() - 1
    code, extra = 2 * power - 1, power - 2
    bits = "0" + "10"  # BFINAL, BTYPE
    bits += "0000001"  # 257: three bytes
    bits += f"{code:05b}" + "1" * extra
    bits += "0000000"  # 256: the end of the block
    bits += "000"  # of the empty block to come
    bits += "0" * (-len(bits) % 8)
    octets = [bits[i : i + 8][::-1] for i in range(0, len(bits), 8)]
    return bytes(int(octet, 2) for octet in octets)


def test_references_to_before_the_first_message() -> None:
    for distance in (256, 512, 2**15):
        data = message_of(Role.SERVER, BINARY, back_reference(distance))
        check(Role.SERVER, data, [("Failure", 1007)])
    first = message_of(Role.SERVER, BINARY, stored(b"x" * 255))
    data = first + message_of(Role.SERVER, BINARY, back_reference(256))
    check(Role.SERVER, data, [b"x" * 255, ("Failure", 1007)])


def test_an_empty_message_leaves_the_window() -> None:
    data = b"".join(
        message_of(Role.SERVER, TEXT, payload)
        for payload in (EXAMPLE, b"\0", b"\x03\0\0", b"\x02\0", REFERRING)
    )
    check(Role.SERVER, data, ["Hello", "", "", "", "Hello"])


@pytest.mark.parametrize("style", STYLES)
def test_incompressible(style: str) -> None:
    noise = [zlib.compress(bytes(range(i, 256)) * 9, 9)[2:] for i in (1, 5, 9)]
    deflater = Deflater()
    data, expected = b"", []
    for message in [*noise, *noise]:
        data += message_of(Role.SERVER, BINARY, deflater.compress(message, style))
        expected.append(message)
    check(Role.SERVER, data, expected)


@pytest.mark.parametrize("size", [2**14, 2**15, 2**15 + 1, 2**16, 100_000])
@pytest.mark.parametrize("style", ["sync", "finals", "blocks"])
def test_messages_longer_than_the_window(size: int, style: str) -> None:
    for bits in (9, 15):
        deflater = Deflater(Way(bits))
        message = b"".join(i.to_bytes(3, "big") for i in range(size // 3))
        data = message_of(Role.SERVER, BINARY, deflater.compress(message, style))
        tail = message[-200:]
        referring = deflater.compress(tail)
        assert len(referring) < 150
        data += message_of(Role.SERVER, BINARY, referring)
        endpoint = agreed(Role.SERVER, theirs=Way(bits))
        assert receive(endpoint, data) == [message, tail]
