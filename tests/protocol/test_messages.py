"""Messages put together: fragments, text, limits, what is held and counted."""

from __future__ import annotations

import tracemalloc

import pytest

from tests.protocol.deflating import agreed
from tests.protocol.support import ROOM, check, failure, fragments, frame, lend, receive
from tests.wire import (
    BINARY,
    CONTINUATION,
    MASKING_KEY,
    PING,
    PONG,
    TEXT,
    three_ways,
    xor,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint

ROLES = list(Role)


# --- 5.4: fragmentation ------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "parts", [(b"",), (b"", b""), (b"ab", b"", b"c"), (b"", b"", b"abc"), (b"x",) * 9]
)
def test_must_support_fragmented_and_unfragmented_messages(
    role: Role, parts: tuple[bytes, ...]
) -> None:
    whole = b"".join(parts)
    check(role, fragments(role, BINARY, *parts), [whole])
    check(role, fragments(role, TEXT, *parts), [whole.decode()])


def test_must_handle_control_frames_between_fragments() -> None:
    data = (
        frame(TEXT, b"He", fin=False)
        + frame(PING, b"p")
        + frame(CONTINUATION, b"ll", fin=False)
        + frame(PONG, b"q")
        + frame(CONTINUATION, b"o")
    )
    check(
        Role.SERVER,
        data,
        [("Ping", b"p", frame(PONG, b"p", key=None)), ("Pong", b"q"), "Hello"],
    )


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [False, True])
def test_must_not_interleave_messages(opcode: int, fin: bool) -> None:
    data = frame(BINARY, b"a", fin=False) + frame(opcode, b"b", fin=fin)
    expected = failure(1002, "new message before the last one ended")
    check(Role.SERVER, data, [expected])


@pytest.mark.parametrize("fin", [False, True])
def test_must_not_continue_what_has_not_begun(fin: bool) -> None:
    expected = failure(1002, "continuation of no message")
    check(Role.SERVER, frame(CONTINUATION, b"a", fin=fin), [expected])
    data = frame(TEXT, b"a") + frame(CONTINUATION, b"b", fin=fin)
    check(Role.SERVER, data, ["a", expected])


def test_rsv1_belongs_to_the_first_fragment() -> None:
    endpoint = agreed(Role.SERVER)
    data = frame(BINARY, b"", fin=False, rsv=4) + frame(CONTINUATION, b"b", rsv=4)
    expected = failure(1002, "RSV1 is set on a continuation")
    assert receive(endpoint, data) == [expected]


# --- 5.6 and 8.1: text -------------------------------------------------------


@pytest.mark.parametrize("text", ["κόσμε", "a\r\nb\n\r", "€😀￿", "\0", "x" * 300])
def test_text_split_anywhere(text: str) -> None:
    data = text.encode()
    check(Role.SERVER, frame(TEXT, data), [text])
    for cut in range(len(data)):
        split = fragments(Role.SERVER, TEXT, data[:cut], data[cut:])
        assert receive(Endpoint(Role.SERVER), split) == [text]


@pytest.mark.parametrize("bad", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90"])
def test_must_fail_on_text_that_is_not_utf_8(bad: bytes) -> None:
    for data in (
        frame(TEXT, b"good " + bad),
        fragments(Role.SERVER, TEXT, b"good ", bad),
        fragments(Role.SERVER, TEXT, b"good " + bad[:1], bad[1:] + b" "),
    ):
        for chunks in three_ways(data).values():
            ((kind, code, reason, _),) = receive(Endpoint(Role.SERVER), *chunks)
            assert (kind, code) == ("Failure", 1007)
            assert reason.startswith("text is not UTF-8: ")


def test_text_must_not_end_within_a_character() -> None:
    for data in (frame(TEXT, b"\xe2\x82"), fragments(Role.SERVER, TEXT, b"\xe2", b"")):
        expected = failure(1007, "text is not UTF-8: unexpected end of data")
        check(Role.SERVER, data, [expected])


def test_text_fails_at_its_first_bad_byte() -> None:
    # Nothing of what the header promises has to come first.
    data = frame(TEXT, b"ok\xed\xa0", length=100_000)
    endpoint = Endpoint(Role.SERVER)
    assert receive(endpoint, data[:-1]) == []
    assert receive(endpoint, data[-1:])[0][:2] == ("Failure", 1007)


# --- limits ------------------------------------------------------------------


def over_limit(size: object, limit: int, more: str = "") -> str:
    over = f"is over the limit of {limit} (Limits.message_size)"
    return f"message of {size} bytes{more} {over}"


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("limit", [0, 1, 125, 126, 1000])
def test_the_limit_is_exact(opcode: int, limit: int) -> None:
    payload = b"x" * limit
    expected: str | bytes = payload if opcode == BINARY else payload.decode()
    check(Role.SERVER, frame(opcode, payload), [expected], max_message=limit)
    half = limit // 2
    split = fragments(Role.SERVER, opcode, payload[:half], payload[half:])
    check(Role.SERVER, split, [expected], max_message=limit)
    reason = over_limit(limit + 1, limit)
    over = frame(opcode, payload + b"x")
    check(Role.SERVER, over, [failure(1009, reason)], max_message=limit)


def test_the_limit_holds_for_all_fragments_together() -> None:
    reason = over_limit("6 + 5", 10)
    data = fragments(Role.SERVER, BINARY, b"abc", b"def", b"ghijk")
    check(Role.SERVER, data, [failure(1009, reason)], max_message=10)


def test_of_a_message_that_is_not_whole_the_least_size_is_said() -> None:
    reason = over_limit(5, 4, " or more")
    data = frame(BINARY, b"abcde", fin=False)
    check(Role.SERVER, data, [failure(1009, reason)], max_message=4)
    reason = over_limit("3 + 2", 4, " or more")
    data = frame(BINARY, b"abc", fin=False) + frame(CONTINUATION, b"de", fin=False)
    check(Role.SERVER, data, [failure(1009, reason)], max_message=4)


@pytest.mark.parametrize("length", [2**20 + 1, 2**40, 2**63 - 1])
def test_a_header_over_the_limit_is_refused_at_once(length: int) -> None:
    data = frame(BINARY, length=length)
    reason = over_limit(length, 2**20)
    assert receive(Endpoint(Role.SERVER), data) == [failure(1009, reason)]


@pytest.mark.parametrize(("fin", "more"), [(True, ""), (False, " or more")])
def test_what_is_over_the_limit_is_said_in_a_close_whatever_the_numbers(
    fin: bool, more: str
) -> None:
    # RFC 6455 5.5: a control frame has at most 125 bytes, so a reason at most 123.
    endpoint = Endpoint(Role.SERVER, max_message=2**62)
    endpoint.streaming = True
    data = frame(BINARY, bytes(99_999), fin=False)
    data += frame(CONTINUATION, length=2**63 - 1, fin=fin)
    *_, (_, code, reason, reply) = receive(endpoint, data)
    assert (code, reason) == (1009, over_limit(f"99999 + {2**63 - 1}", 2**62, more))
    # A terabyte would still fit.
    assert len(reply) + 8 <= 127


def test_a_length_alone_takes_no_memory() -> None:
    # What has none when it comes is refused: see `test_large_messages`.
    endpoint = Endpoint(Role.SERVER, max_message=2**61)
    assert receive(endpoint, frame(BINARY, length=2**61)) == []
    assert endpoint.memory_size() == 0


@pytest.mark.parametrize(
    ("max_message", "max_fragments", "allowed"),
    [(2**20, 3, 3), (None, 3, 3), (1000, None, 1024), (2**18, None, 2048)],
)
def test_a_message_has_so_many_fragments_and_no_more(
    max_message: int | None, max_fragments: int | None, allowed: int
) -> None:
    empty = [b""] * allowed
    good = fragments(Role.SERVER, BINARY, *empty)
    endpoint = Endpoint(Role.SERVER, max_message, max_fragments)
    # Every message has its own.
    assert receive(endpoint, good, good) == [b"", b""]
    reason = f"message of more than {allowed} fragments (Limits.fragments)"
    bad = fragments(Role.SERVER, BINARY, b"", *empty)
    assert receive(endpoint, bad) == [failure(1009, reason)]


def test_without_limits_any_number_passes() -> None:
    data = fragments(Role.SERVER, BINARY, *[b"x"] * 3000)
    assert receive(Endpoint(Role.SERVER, None), data) == [b"x" * 3000]


# --- what is held, and what was counted --------------------------------------


def test_buffered_counts_what_is_held() -> None:
    endpoint = Endpoint(Role.SERVER)
    assert endpoint.buffered == 0
    data = fragments(Role.SERVER, BINARY, b"abc", b"defgh")
    receive(endpoint, data[:-2])
    assert endpoint.buffered == 6
    assert receive(endpoint, data[-2:]) == [b"abcdefgh"]
    assert endpoint.buffered == 0
    lend(endpoint, frame(TEXT, b"1") + frame(TEXT, b"22"))
    assert endpoint.next_event() == "1"
    assert endpoint.buffered == len(frame(TEXT, b"22"))


def test_messages_are_counted_when_they_are_whole() -> None:
    endpoint = Endpoint(Role.SERVER)
    data = frame(TEXT, b"12") + fragments(Role.SERVER, BINARY, b"3", b"45")
    receive(endpoint, data, frame(PING, b"p"), frame(BINARY, b"x", fin=False))
    assert (endpoint.messages_received, endpoint.bytes_received) == (2, 5)
    receive(endpoint, frame(CONTINUATION), frame(TEXT, b"\xff"))
    assert (endpoint.messages_received, endpoint.bytes_received) == (3, 6)


def test_an_endless_text_in_little_pieces_takes_little_memory() -> None:
    # As a list of parts it was forty times its size.
    data = xor(b"xy" * 10_000, MASKING_KEY)
    endpoint = Endpoint(Role.SERVER)
    receive(endpoint, frame(TEXT, length=100_000))
    buffer = bytearray(ROOM + 2)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for at in range(0, len(data), 2):
        buffer[ROOM:] = data[at : at + 2]
        endpoint.feed(buffer, ROOM, ROOM + 2)
        assert endpoint.next_event() is None
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert endpoint.buffered == len(data)
    assert grown < 6 * len(data)
