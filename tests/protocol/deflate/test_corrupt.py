"""Compressed data that is wrong or cut off: refused with 1007, never half a message.

What is right is judged by `rfc1951`: the payload and the four octets behind it are
whole blocks, or they are no message.
"""

from __future__ import annotations

import zlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.protocol.counting import Counting
from tests.protocol.deflating import (
    agreed,
    brief,
    check,
    cut,
    frames,
    message_of,
    receive,
)
from tests.wire import (
    BINARY,
    TAIL,
    TEXT,
    Deflater,
    stored,
    three_ways,
)
from tests.wire.rfc1951 import (
    DYNAMIC,
    FIXED,
    STORED,
    BadDeflateError,
    inflate,
)
from trio_fastws._protocol.codes import Role

BROKEN = ("Failure", 1007)
RUNS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT_OF = b"Whatever is cut off, whatever is cut up, whatever was. " * 2
SKEWED = bytes(97 + i**3 % 1009 % 13 * (i % 7) // 6 for i in range(300))


def fixed(message: bytes, style: str = "sync") -> bytes:
    return Deflater(strategy=zlib.Z_FIXED).compress(message, style)


def dynamic(message: bytes, style: str = "sync") -> bytes:
    return Deflater(level=9).compress(message, style)


PAYLOADS = {
    "fixed": fixed(TEXT_OF),
    "dynamic": dynamic(SKEWED),
    "stored": stored(TEXT_OF[:40], 9),
    "stored tails": stored(TAIL * 3, 4),
    "stored ends": stored(b"\x01" + TAIL, 5) + TAIL + fixed(b"\0\0\xff\xff"),
    "final fixed": fixed(TEXT_OF, "final"),
    "final dynamic": dynamic(SKEWED, "finals"),
    "final stored": stored(TEXT_OF[:40], 9, final=True),
    "blocks": dynamic(TEXT_OF, "blocks"),
    "ones": fixed(b"\xff" * 20) + TAIL + fixed(b"\xf0\xff\x8f\x90"),
    "empty": b"\0" + TAIL + b"\x02\0" + TAIL + b"\x03\0\0",
}


def judged(
    payload: bytes, window: bytes = b"", *, complete: bool = True
) -> bytes | None:
    """Return the message that ``payload`` is; None if it is none."""
    try:
        return inflate(payload + TAIL, window, complete=complete).output
    except BadDeflateError:
        pass
    try:
        found = inflate(payload, window, complete=complete)
    except BadDeflateError:
        return None
    # RFC 7692 7.2.3.4 wants an octet behind a final block; without, it is as clear.
    ends = bool(found.blocks) and found.blocks[-1].final
    return found.output if ends else None


def delivered(found: list[Any]) -> bytes | None:
    """Return the message among these events; None if it was refused."""
    (event,) = found
    if isinstance(event, bytes):
        return event
    assert event[:2] == BROKEN
    return None


def test_the_messages_are_what_they_should_be() -> None:
    kinds = {
        name: {block.kind for block in inflate(payload + TAIL).blocks}
        for name, payload in PAYLOADS.items()
    }
    assert FIXED in kinds["fixed"]
    assert DYNAMIC in kinds["dynamic"] & kinds["final dynamic"]
    assert kinds["stored"] == kinds["stored tails"] == {STORED}
    for name, payload in PAYLOADS.items():
        check(Role.SERVER, message_of(Role.SERVER, BINARY, payload), [judged(payload)])
        final = any(block.final for block in inflate(payload + TAIL).blocks)
        assert final == (name.startswith("final") or name == "empty")


@pytest.mark.parametrize("name", PAYLOADS)
def test_cut_off_at_every_byte(name: str) -> None:
    payload = PAYLOADS[name]
    refused = 0
    for size in range(len(payload)):
        expected = judged(payload[:size])
        refused += expected is None
        data = message_of(Role.SERVER, BINARY, payload[:size])
        for chunks in three_ways(data).values():
            assert delivered(receive(agreed(Role.SERVER), *chunks)) == expected, size
        # The end becomes known with an empty fragment, and within the last bytes.
        for sizes in ([size], [size // 2, 1], [size - 1]):
            if min(sizes) >= 0:
                data = message_of(Role.SERVER, BINARY, payload[:size], *sizes)
                found = receive(agreed(Role.SERVER), data)
                assert delivered(found) == expected, (size, sizes)
    assert refused > 0


@pytest.mark.parametrize("name", PAYLOADS)
def test_every_bit_turned(name: str) -> None:
    payload = PAYLOADS[name]
    refused = 0
    for at in range(8 * len(payload)):
        turned = bytearray(payload)
        turned[at >> 3] ^= 1 << (at & 7)
        data = message_of(Role.SERVER, BINARY, bytes(turned), at >> 4)
        found = delivered(receive(agreed(Role.SERVER), data))
        refused += found is None
        assert found == judged(bytes(turned)), at
    assert refused > 0


@settings(RUNS, max_examples=150)
@given(
    data=st.data(),
    payload=st.sampled_from(sorted(PAYLOADS.values())) | st.binary(max_size=40),
    first=st.booleans(),
)
def test_whatever_comes_is_a_message_or_refused(
    data: st.DataObject, payload: bytes, first: bool
) -> None:
    window = TEXT_OF if first else b""
    changed = bytearray(payload)
    for at in data.draw(st.lists(st.integers(0, max(0, len(payload) - 1)), max_size=3)):
        changed[at : at + 1] = data.draw(st.binary(max_size=2))
    payload = bytes(changed)
    sizes = data.draw(st.lists(st.integers(0, 30), max_size=4))
    wire = message_of(Role.SERVER, BINARY, stored(window)) if first else b""
    wire += message_of(Role.SERVER, BINARY, payload, *sizes)
    chunks = cut(wire, data.draw(st.lists(st.integers(1, 50), max_size=4)))
    found = receive(agreed(Role.SERVER), *chunks)
    assert delivered(found[first:]) == judged(payload, window)


# --- a missing end --------------------------------------------------------------


def test_a_final_block_without_an_octet_behind_it() -> None:
    # RFC 7692 7.2.3.4 wants one. What is meant is clear, at the end of a frame,
    # before an empty fragment, and for the message that follows.
    bare = fixed(b"Hello", "final")[:-1]
    whole = message_of(Role.SERVER, BINARY, bare)
    split = message_of(Role.SERVER, BINARY, bare, 4, len(bare) - 4)
    next_one = message_of(Role.SERVER, BINARY, bytes.fromhex("f2 00 11 00 00"))
    check(Role.SERVER, whole + split + next_one, [b"Hello"] * 3)


def test_a_payload_of_nothing_is_no_message() -> None:
    # RFC 7692 7.2.3.6: an empty message is one octet; the tail alone is no block.
    assert judged(b"") is None
    check(Role.SERVER, message_of(Role.SERVER, TEXT, b""), [BROKEN])
    for before in (fixed(b"x"), fixed(b"x", "final"), fixed(b"x", "final")[:-1]):
        data = message_of(Role.SERVER, TEXT, before)
        check(Role.SERVER, data + message_of(Role.SERVER, TEXT, b""), ["x", BROKEN])
    check(Role.SERVER, message_of(Role.SERVER, TEXT, b"", 0, 0), [BROKEN])


def test_what_is_cut_off_is_no_final_piece() -> None:
    for name, payload in PAYLOADS.items():
        for size in range(1, len(payload), 3):
            expected = judged(payload[:size])
            endpoint = agreed(Role.SERVER)
            endpoint.streaming = True
            data = message_of(Role.SERVER, BINARY, payload[:size], size // 2)
            *pieces, last = receive(endpoint, data)
            assert not any(piece[2] for piece in pieces), name
            if expected is None:
                assert last[:2] == BROKEN
            else:
                assert last[::2] == ("Piece", True)
                found = b"".join(piece[1] for piece in [*pieces, last])
                assert found == expected


def test_a_good_message_before_a_broken_one_is_given() -> None:
    good = message_of(Role.CLIENT, TEXT, fixed(b"good"))
    for payload in (b"\x07", b"\x06", b"\0\x01\0\0\0x", fixed(TEXT_OF)[:-3]):
        data = good + message_of(Role.CLIENT, TEXT, payload)
        check(Role.CLIENT, data, ["good", BROKEN])


def test_a_failure_may_come_before_the_message_ends() -> None:
    # Nothing waits for the rest of what can only be refused.
    first, _ = frames(Role.SERVER, BINARY, [b"\x07" + bytes(50), b"\0"])
    assert brief(receive(agreed(Role.SERVER), first)) == [BROKEN]
    endpoint = agreed(Role.SERVER)
    data = message_of(Role.SERVER, BINARY, b"\x07" + bytes(50_000))
    assert brief(receive(endpoint, data[:100])) == [BROKEN]
    assert endpoint.buffered == 0


# --- what zlib may raise --------------------------------------------------------


class LibraryError(Exception):
    """As every library has its own."""


class Failing(Counting):
    """zlib that fails in its own words."""

    error = LibraryError  # type: ignore[assignment]

    def __init__(self, reason: Exception) -> None:
        super().__init__()
        self.reason = reason

    def decompressobj(self, *_args: Any) -> Any:
        return self

    def decompress(self, _data: bytes, _most: int = 0) -> bytes:
        raise self.reason


@pytest.mark.parametrize(
    ("reason", "code"), [(LibraryError("bad"), 1007), (MemoryError(), 1009)]
)
def test_errors_of_the_library_are_failures(reason: Exception, code: int) -> None:
    endpoint = agreed(Role.SERVER, module=Failing(reason))
    data = message_of(Role.SERVER, BINARY, fixed(b"Hello"))
    assert brief(receive(endpoint, data)) == [("Failure", code)]
    assert endpoint.failed
