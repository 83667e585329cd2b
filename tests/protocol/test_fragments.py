"""Messages of ours that are larger than a frame may be (RFC 6455 5.4)."""

from __future__ import annotations

import random

import pytest

from tests.protocol.deflating import agreed
from tests.protocol.support import COMPRESSED, reader_of
from tests.wire import (
    BINARY,
    CONTINUATION,
    TEXT,
    Way,
    continuation,
    parse,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.fragments import Fragments
from trio_fastws._protocol.prepared import PreparedMessage

ROLES = list(Role)
WAYS = [(True, True), (True, False), (False, False)]
NOISE = random.Random(1).randbytes(300_000)


def run(endpoint: Endpoint, fragments: Fragments) -> list[bytes]:
    """Return what each step has made, as bytes."""
    steps = []
    while not fragments.done:
        parts: list[bytes] = []
        size = fragments.step(endpoint, parts)
        steps.append(b"".join(parts))
        assert size == len(steps[-1])
    assert fragments.size() == 0
    return steps


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 2000, 100_000, 300_000])
@pytest.mark.parametrize("frame_size", [1000, 20_000, 2**20])
def test_a_plain_message_step_by_step(role: Role, size: int, frame_size: int) -> None:
    endpoint = Endpoint(role)
    payload = NOISE[:size]
    steps = run(endpoint, Fragments(TEXT, payload, True, frame_size))
    found = parse(b"".join(steps))
    assert len(found) == len(steps) == (size - 1) // frame_size + 1
    assert [frame.opcode for frame in found] == [
        TEXT,
        *[CONTINUATION] * (len(found) - 1),
    ]
    assert [frame.fin for frame in found] == [False] * (len(found) - 1) + [True]
    assert b"".join(frame.payload for frame in found) == payload
    assert max(len(frame.payload) for frame in found) <= frame_size
    assert (endpoint.messages_sent, endpoint.bytes_sent) == (1, size)


def test_a_server_copies_nothing_of_it() -> None:
    fragments = Fragments(BINARY, NOISE, True, 100_000)
    while not fragments.done:
        parts: list[bytes] = []
        fragments.step(Endpoint(Role.SERVER), parts)
        header, view = parts
        assert len(header) <= 10
        assert isinstance(view, memoryview)
        assert view.obj is NOISE


def test_a_piece_does_not_end_its_message() -> None:
    endpoint = Endpoint(Role.SERVER)
    fragments = Fragments(CONTINUATION, b"abcde", False, 2)
    assert [
        parse(step, masked=False, within_message=True)
        for step in run(endpoint, fragments)
    ] == [[continuation(data, False)] for data in (b"ab", b"cd", b"e")]
    assert (endpoint.messages_sent, endpoint.bytes_sent) == (0, 5)
    # Whether it does may be known late.
    fragments = Fragments(CONTINUATION, b"abc", False, 2)
    fragments.step(endpoint, [])
    fragments.fin = True
    last = parse(run(endpoint, fragments)[0], masked=False, within_message=True)
    assert last == [continuation(b"c")]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
@pytest.mark.parametrize("level", [1, 4, 9])
def test_a_compressed_message_is_one_frame(
    role: Role, takeover: bool, persistent: bool, level: int
) -> None:
    # However many steps it takes to compress it.
    way = Way(takeover=takeover)
    endpoint = agreed(role, way, persistent=persistent, level=level)
    reader = reader_of(role, way)
    for message in (NOISE.hex(), NOISE.hex()[:50_000], "ab" * 500_000):
        large = Fragments(TEXT | COMPRESSED, message.encode(), True, 2**20)
        *before, last = run(endpoint, large)
        assert len(before) > 0
        assert set(before) == {b""}
        found = reader.read_one(last)
        assert (found.message, found.compressed) == (message, True)
        assert len(found.parts) == 1
        assert not endpoint.dividing


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
@pytest.mark.parametrize("frame_size", [125, 1000, 100_000])
def test_a_compressed_message_that_is_over_a_frame(
    role: Role, takeover: bool, persistent: bool, frame_size: int
) -> None:
    way = Way(takeover=takeover)
    endpoint = agreed(role, way, persistent=persistent)
    reader = reader_of(role, way)
    for _ in range(2):
        large = Fragments(BINARY | COMPRESSED, NOISE, True, frame_size)
        data = b""
        while not large.done:
            parts: list[bytes] = []
            large.step(endpoint, parts)
            data += b"".join(parts)
            assert endpoint.dividing == (data != b"" and not large.done)
        found = reader.read_one(data)
        assert found.message == NOISE
        *full, last = map(len, found.parts)
        assert set(full) == {frame_size}
        assert 0 < last <= frame_size


def test_what_is_gathered_counts() -> None:
    endpoint = agreed(Role.SERVER)
    large = Fragments(BINARY | COMPRESSED, NOISE, True, 2**20)
    large.step(endpoint, [])
    # Noise gets no smaller.
    assert large.size() > len(NOISE) * 0.95


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("compress", [True, False])
def test_a_small_compressed_message_is_cut_too(role: Role, compress: bool) -> None:
    endpoint, reader = agreed(role), reader_of(role)
    for size in (100, 5000, 20_000):
        parts: list[bytes] = []
        opcode = BINARY | COMPRESSED if compress else BINARY
        endpoint.encode(opcode, NOISE[:size], True, parts, 1000)
        found = reader.read_one(b"".join(parts))
        assert found.message == NOISE[:size]
        assert found.compressed is compress
        assert max(map(len, found.parts)) <= 1000
        assert not endpoint.dividing


def test_a_message_in_pieces_is_divided_until_its_end() -> None:
    endpoint = agreed(Role.SERVER)
    parts: list[bytes] = []
    assert not endpoint.dividing
    endpoint.encode(BINARY | COMPRESSED, b"a" * 99, False, parts)
    assert endpoint.dividing
    endpoint.encode(CONTINUATION | COMPRESSED, b"b" * 99, False, parts)
    assert endpoint.dividing
    endpoint.encode(CONTINUATION | COMPRESSED, b"", True, parts)
    assert not endpoint.dividing
    # Plain, it may be.
    endpoint.encode(BINARY, b"a" * 99, False, parts)
    assert not endpoint.dividing


def test_a_prepared_message_is_cut_once() -> None:
    prepared = PreparedMessage(NOISE)
    shared = prepared._get_fragments(100_000)
    assert prepared._get_fragments(100_000) is shared
    assert len(shared) == 3
    endpoint = Endpoint(Role.SERVER)
    large = Fragments(BINARY, NOISE, True, 100_000, shared)
    parts: list[bytes] = []
    while not large.done:
        large.step(endpoint, parts)
    made = [part for frame in shared for part in frame[0]]
    assert [*map(id, parts)] == [*map(id, made)]
    assert [(frame.opcode, frame.fin) for frame in parse(b"".join(parts))] == [
        (BINARY, False),
        (CONTINUATION, False),
        (CONTINUATION, True),
    ]
    assert (endpoint.messages_sent, endpoint.bytes_sent) == (1, len(NOISE))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("text", [True, False])
def test_a_prepared_message_in_small_frames(role: Role, text: bool) -> None:
    message = "price " * 500 if text else NOISE[:3000]
    prepared = PreparedMessage(message)
    for _ in range(2):
        for endpoint in (
            Endpoint(role),
            agreed(role, Way(takeover=False)),
            agreed(role, persistent=False),
        ):
            parts: list[bytes] = []
            size = endpoint.encode_prepared(prepared, True, parts, 125)
            assert size == sum(map(len, parts))
            way = Way(takeover=False)
            found = reader_of(role, way).read_one(b"".join(parts))
            assert found.message == message
            assert max(map(len, found.parts)) <= 125
            assert endpoint.messages_sent == 1


@pytest.mark.parametrize("opcode", [BINARY, BINARY | COMPRESSED])
def test_no_step_follows_our_close(opcode: int) -> None:
    endpoint = agreed(Role.SERVER)
    large = Fragments(opcode, NOISE, True, 1000)
    large.step(endpoint, [])
    endpoint.encode_close()
    with pytest.raises(RuntimeError, match="cannot follow our Close"):
        large.step(endpoint, [])
