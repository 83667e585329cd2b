"""Messages put together: fragments, text, limits, large ones, pieces."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from tests.protocol.wire import (
    BINARY,
    CONTINUATION,
    KEY,
    PING,
    PONG,
    ROOM,
    TEXT,
    check,
    events,
    failure,
    for_role,
    frame,
    receive,
    three_ways,
    xor,
)
from trio_fastws._protocol import messages as module
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.messages import DIRECT_FROM, TRUSTED

ROLES = list(Role)
LARGE = bytes(range(256)) * 600  # 150 KiB


def fragments(role: Role, opcode: int, *payloads: bytes) -> bytes:
    """Return a message in as many frames as there are payloads."""
    last = len(payloads) - 1
    return b"".join(
        for_role(role, CONTINUATION if i else opcode, payload, fin=i == last)
        for i, payload in enumerate(payloads)
    )


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
    endpoint = Endpoint(Role.SERVER)
    endpoint.rsv1_allowed = True
    data = frame(BINARY, b"a", fin=False, rsv=4) + frame(CONTINUATION, b"b", rsv=4)
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


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("limit", [0, 1, 125, 126, 1000])
def test_the_limit_is_exact(opcode: int, limit: int) -> None:
    payload = b"x" * limit
    expected: str | bytes = payload if opcode == BINARY else payload.decode()
    check(Role.SERVER, frame(opcode, payload), [expected], max_message=limit)
    half = limit // 2
    split = fragments(Role.SERVER, opcode, payload[:half], payload[half:])
    check(Role.SERVER, split, [expected], max_message=limit)
    reason = f"message of {limit + 1} bytes is over the limit of {limit}"
    over = frame(opcode, payload + b"x")
    check(Role.SERVER, over, [failure(1009, reason)], max_message=limit)


def test_the_limit_holds_for_all_fragments_together() -> None:
    reason = "message of 6 bytes with 5 more is over the limit of 10"
    data = fragments(Role.SERVER, BINARY, b"abc", b"def", b"ghijk")
    check(Role.SERVER, data, [failure(1009, reason)], max_message=10)


@pytest.mark.parametrize("length", [2**20 + 1, 2**40, 2**63 - 1])
def test_a_header_over_the_limit_is_refused_at_once(length: int) -> None:
    data = frame(BINARY, length=length)
    reason = f"message of {length} bytes is over the limit of 1048576"
    assert receive(Endpoint(Role.SERVER), data) == [failure(1009, reason)]


def test_what_has_no_memory_is_refused() -> None:
    length = 2**61
    endpoint = Endpoint(Role.SERVER, max_message=length)
    reason = f"no memory for a frame of {length} bytes"
    data = frame(BINARY, length=length)
    assert receive(endpoint, data) == [failure(1009, reason)]


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
    reason = f"message of more than {allowed} fragments"
    bad = fragments(Role.SERVER, BINARY, b"", *empty)
    assert receive(endpoint, bad) == [failure(1009, reason)]


def test_without_limits_any_number_passes() -> None:
    data = fragments(Role.SERVER, BINARY, *[b"x"] * 3000)
    assert receive(Endpoint(Role.SERVER, None), data) == [b"x" * 3000]


# --- large binary messages ---------------------------------------------------


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
    assert receive(endpoint, data[:5003]) == []
    found, rest = fill(endpoint, data[5003:], step)
    if not found:  # a last piece is too small to be worth it
        assert len(rest) < DIRECT_FROM
        found = receive(endpoint, rest + for_role(role, TEXT, b"next"))
        assert found == [LARGE, "next"]
    else:
        assert (found, rest) == ([LARGE], b"")
    assert endpoint.get_buffer() is None
    assert endpoint.buffered == 0
    assert endpoint.bytes_received >= len(LARGE)


@pytest.mark.parametrize("first", [0, 1, 40_000])
def test_a_large_fragment_is_received_in_its_place(first: int) -> None:
    endpoint = Endpoint(Role.SERVER)
    head, tail = LARGE[:first], LARGE[first:]
    data = fragments(Role.SERVER, BINARY, head, tail)
    start = len(data) - 140_000
    if first < 10_000:
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
    head = len(frame(BINARY, b"head")) + 14
    assert receive(endpoint, data[:head]) == []
    assert fill(endpoint, data[head : head + len(LARGE)]) == ([], b"")
    found = receive(endpoint, data[head + len(LARGE) :])
    assert found == [b"head" + LARGE + b"tail", "x"]


def test_only_large_binary_has_a_buffer() -> None:
    for opcode, size in [(BINARY, DIRECT_FROM - 1), (TEXT, 100_000)]:
        endpoint = Endpoint(Role.SERVER)
        assert receive(endpoint, frame(opcode, length=size)) == []
        assert not endpoint.wants_buffer
        assert endpoint.get_buffer() is None


def test_a_buffer_that_was_not_used_is_taken_back() -> None:
    data = frame(BINARY, LARGE)
    endpoint = Endpoint(Role.SERVER)
    assert receive(endpoint, data[:1000]) == []
    assert endpoint.get_buffer() is not None  # and nothing came
    assert endpoint.get_buffer() is not None
    assert receive(endpoint, data[1000:]) == [LARGE]


def test_a_buffer_takes_no_more_than_it_has() -> None:
    endpoint = Endpoint(Role.SERVER)
    with pytest.raises(ValueError, match="no room for 1 bytes"):
        endpoint.filled(1)
    receive(endpoint, frame(BINARY, length=DIRECT_FROM))
    view = endpoint.get_buffer()
    assert view is not None
    assert len(view) == DIRECT_FROM
    with pytest.raises(ValueError, match="no room"):
        endpoint.filled(DIRECT_FROM + 1)


def test_without_a_limit_a_header_alone_gets_little_memory() -> None:
    endpoint = Endpoint(Role.SERVER, max_message=None)
    assert receive(endpoint, frame(BINARY, length=2**40)) == []
    step = bytes(5 * 2**20)
    lengths = []
    for _ in range(5):
        view = endpoint.get_buffer()
        assert view is not None
        lengths.append(len(view))
        size = min(len(view), len(step))
        endpoint.filled(size)
        assert events(endpoint) == []
    assert lengths[0] == TRUSTED
    assert max(lengths) <= 2 * TRUSTED  # it doubles when it is full
    assert endpoint.buffered == 21 * 2**20 == TRUSTED + 5 * 2**20


def test_a_large_message_without_a_limit_is_right() -> None:
    size = TRUSTED + 100_000
    payload = LARGE * (size // len(LARGE) + 1)
    data = frame(BINARY, payload[:size], key=None)
    endpoint = Endpoint(Role.CLIENT, max_message=None)
    assert receive(endpoint, data[:10]) == []
    found, rest = fill(endpoint, data[10:])
    assert rest == b""
    assert found[0] == payload[:size]


def test_no_memory_to_grow_means_no_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    # Then the payload is fed, and fails for the same reason in its place.
    class Full(module.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() + len(data) > 10:
                raise MemoryError
            return super().write(data)

    monkeypatch.setattr(module, "BytesIO", Full)
    endpoint = Endpoint(Role.SERVER)
    assert receive(endpoint, frame(BINARY, b"x" * 10, fin=False)) == []
    assert receive(endpoint, frame(CONTINUATION, length=100_000)) == []
    assert endpoint.wants_buffer
    assert endpoint.get_buffer() is None
    reason = "no memory for a frame of 100000 bytes"
    assert receive(endpoint, b"x") == [failure(1009, reason)]


# --- what is held, and what was counted --------------------------------------


def test_buffered_counts_what_is_held() -> None:
    endpoint = Endpoint(Role.SERVER)
    assert endpoint.buffered == 0
    data = fragments(Role.SERVER, BINARY, b"abc", b"defgh")
    receive(endpoint, data[:-2])
    assert endpoint.buffered == 6
    assert receive(endpoint, data[-2:]) == [b"abcdefgh"]
    assert endpoint.buffered == 0
    endpoint.receive_data(frame(TEXT, b"1") + frame(TEXT, b"22"))
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
    data = xor(b"xy" * 10_000, KEY)
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
    assert receive(endpoint, data[-4:-1]) == [piece(give(b"de"))] or opcode
    assert events(endpoint) == []
    endpoint = Endpoint(Role.SERVER)
    receive(endpoint, data[:-4])
    endpoint.streaming = True
    found = receive(endpoint, data[-4:])
    assert found[0] == piece(give(b"abc"))
    assert found[-1][2]
    assert "".join(str(f[1], "ascii") if opcode == BINARY else f[1] for f in found) == (
        "abcdef"
    )


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
    receive(endpoint, data[:1014])
    view = endpoint.get_buffer()
    assert view is not None
    endpoint.streaming = True  # while the buffer is lent
    assert events(endpoint) == [piece(LARGE[:1000])]
    assert endpoint.get_buffer() is None
    assert receive(endpoint, data[1014:]) == [piece(LARGE[1000:], True)]


def test_streaming_stops_with_the_final_piece() -> None:
    endpoint = Endpoint(Role.SERVER)
    endpoint.streaming = True
    endpoint.receive_data(frame(TEXT, b"one") + frame(TEXT, b"two"))
    assert endpoint.next_event().data == "one"  # type: ignore[union-attr]
    endpoint.streaming = False
    assert endpoint.next_event() == "two"


def test_limits_hold_while_streaming() -> None:
    endpoint = Endpoint(Role.SERVER, max_message=5)
    endpoint.streaming = True
    data = fragments(Role.SERVER, BINARY, b"abc", b"def")
    reason = "message of 3 bytes with 3 more is over the limit of 5"
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
    endpoint.receive_data(frame(TEXT, b"x"))
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
