"""Which frames of a compressed message are legal (RFC 7692 6), and between them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.protocol.deflating import (
    agreed,
    brief,
    check,
    cut,
    events,
    frames,
    message_of,
    receive,
)
from tests.protocol.support import ROOM, failure, for_role, frame
from tests.wire import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TAIL,
    TEXT,
    Deflater,
    Frame,
    Way,
    parse,
    stored,
    three_ways,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint

ROLES = list(Role)
EXAMPLE = bytes.fromhex("f2 48 cd c9 c9 07 00")  # of RFC 7692 7.2.3.1
REFUSED = ("Failure", 1002)


# --- RSV1 -----------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_rsv1_without_negotiation(role: Role, opcode: int) -> None:
    # RFC 6455 5.2: MUST be 0 unless an extension is negotiated
    data = message_of(role, opcode, EXAMPLE)
    for chunks in three_ways(data).values():
        assert brief(receive(Endpoint(role), *chunks)) == [REFUSED]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CONTINUATION])
@pytest.mark.parametrize("rsv", [1, 2, 3, 5, 6, 7])
def test_other_bits_stay_reserved(role: Role, opcode: int, rsv: int) -> None:
    check(role, for_role(role, opcode, EXAMPLE, rsv=rsv), [REFUSED])


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG, 3, 7, 11, 15])
def test_rsv1_on_what_is_no_data(role: Role, opcode: int) -> None:
    # RFC 7692 6.1: MUST NOT set the bit of control frames
    check(role, for_role(role, opcode, rsv=4), [REFUSED])
    within = frames(role, TEXT, [EXAMPLE[:3], EXAMPLE[3:]])
    within.insert(1, for_role(role, opcode, rsv=4))
    check(role, b"".join(within), [REFUSED])


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("first", [0, 4])
@pytest.mark.parametrize("fin", [True, False])
def test_rsv1_on_a_continuation(role: Role, first: int, fin: bool) -> None:
    # RFC 7692 6.1: MUST NOT set it on other fragments than the first
    data = for_role(role, BINARY, EXAMPLE[:3], fin=False, rsv=first)
    data += for_role(role, CONTINUATION, EXAMPLE[3:], fin=fin, rsv=4)
    check(role, data, [REFUSED])


def test_rsv1_on_a_continuation_of_nothing() -> None:
    check(Role.SERVER, frame(CONTINUATION, EXAMPLE, rsv=4), [REFUSED])
    check(Role.SERVER, frame(CONTINUATION, EXAMPLE), [REFUSED])
    data = message_of(Role.SERVER, TEXT, EXAMPLE)
    check(Role.SERVER, data + frame(CONTINUATION, EXAMPLE), ["Hello", REFUSED])


@pytest.mark.parametrize("first", [0, 4])
@pytest.mark.parametrize("second", [0, 4])
def test_a_message_within_another(first: int, second: int) -> None:
    data = frame(BINARY, EXAMPLE[:4], fin=False, rsv=first)
    data += frame(TEXT, EXAMPLE, rsv=second)
    check(Role.SERVER, data, [REFUSED])


@pytest.mark.parametrize("role", ROLES)
def test_compressed_and_plain_messages_in_turn(role: Role) -> None:
    # RFC 7692 6.2: a message without the bit is not compressed
    compressed = message_of(role, TEXT, EXAMPLE)
    plain = for_role(role, TEXT, b"plain")
    fragmented = for_role(role, TEXT, b"pla", fin=False)
    fragmented += for_role(role, CONTINUATION, b"in")
    data = plain + compressed + plain + fragmented + compressed * 2 + fragmented
    expected = ["plain", "Hello", "plain", "plain", "Hello", "Hello", "plain"]
    check(role, data, expected)
    check(role, data, expected, theirs=Way(takeover=False))


def test_what_looks_compressed_and_is_not() -> None:
    check(Role.SERVER, frame(BINARY, EXAMPLE), [EXAMPLE])
    check(Role.SERVER, frame(BINARY, EXAMPLE + TAIL), [EXAMPLE + TAIL])


@pytest.mark.parametrize("role", ROLES)
def test_masking_is_judged_as_ever(role: Role) -> None:
    check(role, message_of(Role(1 - role), TEXT, EXAMPLE), [REFUSED])


# --- between fragments ----------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3])
def test_control_frames_between_fragments(size: int) -> None:
    payloads = cut(EXAMPLE, [size] * (len(EXAMPLE) // size))
    data, expected = b"", []
    for i, part in enumerate(frames(Role.SERVER, TEXT, payloads)):
        if i:
            data += frame(PING, bytes([i])) + frame(PONG, b"q")
            pong = frame(PONG, bytes([i]), key=None)
            expected += [("Ping", bytes([i]), pong), ("Pong", b"q")]
        data += part
    check(Role.SERVER, data, [*expected, "Hello"])


def test_a_close_between_fragments() -> None:
    first, _ = frames(Role.SERVER, TEXT, [EXAMPLE[:4], EXAMPLE[4:]])
    endpoint = agreed(Role.SERVER)
    ((*found, reply),) = receive(endpoint, first + frame(CLOSE, b"\x03\xe8"))
    assert found == ["Close", 1000, ""]
    assert parse(reply) == [Frame(CLOSE, b"\x03\xe8")]
    assert endpoint.buffered == 0
    assert receive(endpoint, message_of(Role.SERVER, TEXT, EXAMPLE)) == []


@pytest.mark.parametrize("role", ROLES)
def test_fragments_of_no_bytes(role: Role) -> None:
    for payload in (EXAMPLE, stored(b"Hello"), stored(b"Hello", 2)):
        payloads = [b"", b"", payload[:4], b"", b"", payload[4:], b"", b""]
        check(role, b"".join(frames(role, TEXT, payloads)), ["Hello"])


def test_a_fragment_that_looks_like_the_end() -> None:
    # The tail, an empty final block, and both: within a message they end nothing.
    ends = [TAIL, b"\0" + TAIL, b"\x01" + TAIL, b"\x03\0", b"\x01" + TAIL * 2]
    for end in ends:
        block = stored(end, len(end))[:-1]
        final = stored(end, len(end), final=True)[:-1]
        for payload in (block, final, final + final):
            whole = payload + b"\0"
            expected = end * (len(payload) // len(block))
            for i in range(len(whole) + 1):
                data = message_of(Role.SERVER, BINARY, whole, i, len(end))
                assert receive(agreed(Role.SERVER), data) == [expected]


def test_what_looks_like_the_end_behind_a_final_block() -> None:
    # Read on its own, it would be a stored block whose lengths do not match.
    payloads = [b"\x03\0", TAIL + b"\x01" + TAIL, b"\0"]
    data = b"".join(frames(Role.SERVER, BINARY, payloads))
    check(Role.SERVER, data, [("Failure", 1007)])
    check(Role.SERVER, data[: -len(frame(0, b"\0"))], [("Failure", 1007)])


@pytest.mark.parametrize("cuts", [(2, 4), (2, 4, 1), (2, 9), (1, 1, 4, 0), (1, 5)])
def test_a_stored_block_begins_like_the_tail(cuts: tuple[int, ...]) -> None:
    # 65,280 bytes, behind a final block: 00, LEN 00 FF, NLEN FF 00.
    message = bytes(range(255)) * 256
    payload = b"\x03\0" + stored(message)
    assert payload[2:6] == TAIL
    data = message_of(Role.SERVER, BINARY, payload, *cuts)
    assert receive(agreed(Role.SERVER), data) == [message]
    # The same by reads: of the frame's header, and then of these sizes.
    whole = message_of(Role.SERVER, BINARY, payload)
    header = len(whole) - len(payload)
    assert receive(agreed(Role.SERVER), *cut(whole, [header, *cuts])) == [message]


@pytest.mark.parametrize("kind", ["sync", "final", "finals", "stored", "blocks"])
def test_cut_by_frames_and_by_reads(kind: str) -> None:
    message = b"any of it may be cut, any of it, anywhere " * 2
    payload = Deflater().compress(message, kind)
    for i, j in pairwise([0, *range(0, len(payload), 5), len(payload)]):
        data = message_of(Role.SERVER, BINARY, payload, i, j - i)
        for size in (1, 2, 3, 7):
            chunks = cut(data, [size] * (len(data) // size))
            assert receive(agreed(Role.SERVER), *chunks) == [message]


def test_fragments_are_counted() -> None:
    payloads = [*cut(EXAMPLE, [1] * 6), b""]
    data = b"".join(frames(Role.SERVER, TEXT, payloads))
    assert len(payloads) == 8
    for most, expected in ((8, "Hello"), (7, ("Failure", 1009))):
        agreement = agreed(Role.SERVER).deflate.agreement  # type: ignore[union-attr]
        endpoint = Endpoint(Role.SERVER, max_fragments=most, agreement=agreement)
        assert brief(receive(endpoint, data * 2)) == [expected] * (1 + (most == 8))


# --- what our Close changes -----------------------------------------------------


def test_compressed_data_is_skipped_once_our_close_was_sent() -> None:
    data = message_of(Role.SERVER, BINARY, Deflater().compress(b"x" * 300, "stored"))
    bad = message_of(Role.SERVER, TEXT, b"\x07nonsense")
    rest = frame(PONG, b"q") + bad + frame(CLOSE, b"\x03\xe8")
    for size in (0, 20, 200, len(data)):
        for chunks in three_ways(data[size:] + rest).values():
            endpoint = agreed(Role.SERVER)
            receive(endpoint, data[:size])
            endpoint.encode_close()
            found = receive(endpoint, *chunks)
            assert found == [("Pong", b"q"), ("Close", 1000, "", b"")]
            assert endpoint.buffered == 0


def test_our_close_in_the_middle_of_inflating() -> None:
    # What was inflated of it, and what was not, is forgotten.
    payload = Deflater().compress(bytes(10**6))
    assert len(payload) < 2000
    data = message_of(Role.SERVER, BINARY, payload) + frame(CLOSE, b"\x03\xe8")
    endpoint = agreed(Role.SERVER)
    buffer = bytearray(ROOM) + data
    endpoint.feed(buffer, ROOM, len(buffer))
    assert not isinstance(endpoint.next_event(), bytes)  # a step, not the message
    assert endpoint.buffered > 0
    endpoint.encode_close()
    found: list[Any] = events(endpoint)
    assert found == [("Close", 1000, "", b"")]
    assert endpoint.buffered == 0


def test_nothing_is_read_after_a_failure() -> None:
    bad = message_of(Role.SERVER, TEXT, b"\x07nonsense")
    good = message_of(Role.SERVER, TEXT, EXAMPLE)
    endpoint = agreed(Role.SERVER)
    first, second = receive(endpoint, good + bad + good)
    assert first == "Hello"
    assert second == failure(1007, second[2])
    assert receive(endpoint, good) == []
    assert endpoint.failed
    assert endpoint.buffered == 0
