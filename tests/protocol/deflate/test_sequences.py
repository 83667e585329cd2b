"""Whatever is sent arrives: two endpoints, and an endpoint with a peer of zlib."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings, strategies as st

from tests.protocol.deflating import (
    Message,
    agreed,
    as_bytes,
    cut,
    frames,
    opcode_of,
    send,
)
from tests.protocol.support import ROOM, for_role, plain, reader_of
from tests.wire import (
    CONTINUATION,
    PING,
    STYLES,
    Deflater,
    Way,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.events import WORKING

RUNS = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
WORDS = st.sampled_from(
    ["trio ", "web", "socket ", "κόσμε", "𝄞", "0123456789" * 9, "\0", "ab" * 40]
)
PHRASES = st.lists(WORDS, min_size=1, max_size=5).map("".join)
# Most of them refer to themselves, or to each other.
TEXTS = st.one_of(
    st.lists(WORDS, min_size=3, max_size=12).map("".join),
    st.tuples(PHRASES, st.integers(2, 9)).map(lambda drawn: drawn[0] * drawn[1]),
    st.text(max_size=30),
)
SOME = random.Random(6).randbytes(3000)
BINARY = st.one_of(
    st.binary(max_size=100),
    st.sampled_from([1, 100, 300, 3000]).map(lambda size: SOME[:size]),
    st.sampled_from([10, 600, 40_000, 140_000]).map(
        lambda size: b"large " * (size // 6)
    ),
    st.sampled_from([700, 40_000]).map(
        lambda size: bytes(i * i >> 7 & 255 for i in range(size))
    ),
)
MESSAGES: st.SearchStrategy[Message] = TEXTS | TEXTS.map(str.encode) | BINARY
WAYS = st.builds(Way, st.integers(9, 15), st.booleans())
SIZES = st.lists(st.integers(0, 40) | st.just(30_000), max_size=3)
# How the bytes come: in chunks of these sizes, over and over.
CHUNKS = st.lists(
    st.integers(1, 9) | st.integers(1, 300) | st.just(70_000), min_size=1, max_size=4
)


class Step(NamedTuple):
    """A message, and how it goes."""

    side: int
    message: Message
    compress: bool
    sizes: list[int]
    ping: bool


STEPS = st.lists(
    st.builds(
        Step,
        st.integers(0, 1),
        MESSAGES,
        st.booleans() | st.just(True),
        SIZES,
        st.booleans(),
    ),
    max_size=10,
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "persistent": st.booleans(),
        "level": st.integers(1, 9),
        "memory_level": st.integers(1, 9),
    },
)


def in_chunks(data: bytes, sizes: list[int]) -> list[bytes]:
    # So many that the shortest do not make a test of a minute.
    total = max(1, sum(sizes))
    times = min(len(data) // total, 200)
    return cut(data, sizes * times)


def deliver(
    endpoint: Endpoint, data: bytes, sizes: list[int], *, keep: bool, streaming: bool
) -> list[Any]:
    """Return the messages and Pings that come of ``data``."""
    found: list[Any] = []
    pieces: list[Any] = []
    for chunk in in_chunks(data, sizes):
        buffer = bytearray(ROOM) + chunk
        endpoint.feed(buffer, ROOM, len(buffer))
        endpoint.streaming = endpoint.streaming or streaming
        for event in iter(endpoint.next_event, None):
            if keep:
                endpoint.keep()
                buffer[:] = b"\xff" * len(buffer)
            if event is WORKING:
                continue
            kind, *rest = (
                (plain(event),) if isinstance(event, str | bytes) else plain(event)
            )
            if kind == "Piece":
                pieces.append(rest[0])
                if rest[1]:
                    found.append(pieces[0][:0].join(pieces))
                    pieces = []
                    # The next one comes whole, unless it is asked for again.
                    endpoint.streaming = False
            elif kind == "Ping":
                found.append(("Ping", rest[0]))
            else:
                found.append(event)
        buffer[:] = b"\xff" * len(buffer)
    assert pieces == []
    assert endpoint.buffered == 0
    return found


@RUNS
@given(
    ways=st.tuples(WAYS, WAYS),
    options=st.tuples(OPTIONS, OPTIONS),
    steps=STEPS,
    chunks=CHUNKS,
    keep=st.booleans(),
    streaming=st.booleans(),
)
def test_between_two_endpoints(
    ways: tuple[Way, Way],
    options: tuple[dict[str, Any], dict[str, Any]],
    steps: list[Step],
    chunks: list[int],
    keep: bool,
    streaming: bool,
) -> None:
    # And a reader of zlib sees the same, whose window is exactly what was agreed.
    endpoints = [
        agreed(role, ways[role], ways[1 - role], **options[role]) for role in Role
    ]
    readers = [reader_of(role, ways[role]) for role in Role]
    wires = [b"", b""]
    expected: list[list[Any]] = [[], []]
    for number, (side, message, compress, sizes, ping) in enumerate(steps):
        sender = endpoints[side]
        parts = cut(as_bytes(message), sizes)
        data = b""
        for i, part in enumerate(parts):
            if i and ping:
                payload = bytes([number, i])
                data += sender.encode_ping(payload)
                expected[1 - side].append(("Ping", payload))
            out: list[bytes] = []
            opcode = CONTINUATION if i else opcode_of(message)
            sender.encode(opcode | 0x40 * compress, part, i == len(sizes), out)
            data += b"".join(out)
        found = readers[side].read_one(data)
        assert found.message == message
        assert compress or not found.compressed
        wires[1 - side] += data
        expected[1 - side].append(message)
    for role, endpoint in zip(Role, endpoints, strict=True):
        found = deliver(endpoint, wires[role], chunks, keep=keep, streaming=streaming)
        assert found == expected[role]
        sent = [step.message for step in steps if step.side == 1 - role]
        assert endpoint.messages_received == len(sent)
        assert endpoint.bytes_received == sum(len(as_bytes(item)) for item in sent)


@RUNS
@given(
    role=st.sampled_from(list(Role)),
    way=st.builds(Way, st.integers(8, 15), st.booleans()),
    strategy=st.integers(0, 4),
    steps=st.lists(
        st.tuples(MESSAGES, st.sampled_from([*STYLES, "plain"]), SIZES, st.booleans()),
        max_size=10,
    ),
    chunks=CHUNKS,
    keep=st.booleans(),
    streaming=st.booleans(),
)
def test_from_a_peer_of_zlib(
    role: Role,
    way: Way,
    strategy: int,
    steps: list[tuple[Message, str, list[int], bool]],
    chunks: list[int],
    keep: bool,
    streaming: bool,
) -> None:
    endpoint = agreed(role, theirs=way)
    deflater = Deflater(way, strategy=strategy)
    wire = b""
    expected: list[Any] = []
    for message, style, sizes, ping in steps:
        data = as_bytes(message)
        opcode = opcode_of(message)
        if style == "plain":
            found = [for_role(role, opcode, data)]
        else:
            found = frames(role, opcode, cut(deflater.compress(data, style), sizes))
        if ping:
            found.insert(-1, for_role(role, PING, b"p"))
            expected.append(("Ping", b"p"))
        wire += b"".join(found)
        expected.append(message)
    found = deliver(endpoint, wire, chunks, keep=keep, streaming=streaming)
    assert found == expected


@settings(RUNS, max_examples=60)
@given(
    ways=st.tuples(WAYS, WAYS), options=OPTIONS, messages=st.lists(MESSAGES, max_size=6)
)
def test_an_echo(
    ways: tuple[Way, Way], options: dict[str, Any], messages: list[Message]
) -> None:
    # To and fro, so that the windows of the two directions cannot be confused.
    client = agreed(Role.CLIENT, *ways, **options)
    server = agreed(Role.SERVER, *ways[::-1], **options)
    for message in [*messages, *messages]:
        for sender, receiver in ((client, server), (server, client)):
            wire = send(sender, message)
            found = deliver(receiver, wire, [10**9], keep=False, streaming=False)
            assert found == [message]
    assert client.bytes_received == server.bytes_sent
