"""What we compress: read by a peer with exactly the window that was agreed."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest

from tests.protocol.deflating import (
    agreed,
    as_bytes,
    for_side,
    message_of,
    opcode_of,
    receive,
    send,
)
from tests.protocol.support import frame, reader_of
from tests.wire import (
    BINARY,
    TAIL,
    Deflater,
    Way,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.deflate.agreement import Agreement
from trio_fastws._protocol.endpoint import Endpoint

ROLES = list(Role)
BITS = range(9, 16)
WAYS = [(True, True), (True, False), (False, True), (False, False)]
NOISE = random.Random(1).randbytes(70_000)
MESSAGES: list[str | bytes] = [
    "Hello, hello, hello, hello!",
    b"",
    NOISE[:100],
    "κόσμε " * 20,
    bytes(5000),
    b"x",
    NOISE[:100],
    b'{"id": 1, "name": "trio", "value": 0}' * 3,
    b'{"id": 2, "name": "trio", "value": 9}' * 3,
]


# --- every combination ----------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
def test_every_combination_can_be_read(
    role: Role, bits: int, takeover: bool, persistent: bool
) -> None:
    way = Way(bits, takeover)
    for sizes in ((), (10,), (0, 3, 0), (1000, 30)):
        endpoint = agreed(role, way, persistent=persistent)
        reader = reader_of(role, way, exact=True)
        sent = total = 0
        for i, message in enumerate(MESSAGES * 2):
            compress = i % 5 != 4
            found = reader.read_one(send(endpoint, message, *sizes, compress=compress))
            assert found.message == message
            if not compress:
                assert not found.compressed
            if sizes:
                assert found.compressed == compress
                assert len(found.parts) == len(sizes) + 1
            sent += 1
            total += len(as_bytes(message))
        assert (endpoint.messages_sent, endpoint.bytes_sent) == (sent, total)


@pytest.mark.parametrize("level", [1, 6, 9])
@pytest.mark.parametrize("memory_level", [1, 5, 9])
def test_every_option_of_zlib_can_be_read(level: int, memory_level: int) -> None:
    options = {"level": level, "memory_level": memory_level}
    for takeover, persistent in WAYS:
        way = Way(10, takeover)
        endpoint = agreed(Role.SERVER, way, persistent=persistent, **options)
        reader = reader_of(Role.SERVER, way, exact=True)
        for message in MESSAGES * 2:
            assert reader.read_one(send(endpoint, message)).message == message
            assert reader.read_one(send(endpoint, message, 20)).message == message


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
@pytest.mark.parametrize("level", [1, 9])
def test_no_reference_goes_further_than_agreed(
    bits: int, takeover: bool, persistent: bool, level: int
) -> None:
    # All repeats, a little further back than the window reaches: a larger one
    # would make much less of it.
    window = 2**bits
    unit = NOISE[: window + 50]
    endpoint = agreed(
        Role.SERVER, Way(bits, takeover), persistent=persistent, level=level
    )
    reader = reader_of(Role.SERVER, Way(bits, takeover), exact=True)
    for message in (unit * 2, unit, unit, unit[: window // 2] * 2 + unit):
        for sizes in ((), (window // 3, window)):
            found = reader.read_one(send(endpoint, message, *sizes))
            assert found.message == message


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("persistent", [True, False])
def test_the_window_is_used(bits: int, persistent: bool) -> None:
    # With takeover a message that was sent before costs next to nothing.
    way = Way(bits)
    message = NOISE[:100] + bytes(100)
    endpoint = agreed(Role.SERVER, way, persistent=persistent)
    reader = reader_of(Role.SERVER, way, exact=True)
    sizes = []
    for _ in range(20):
        data = send(endpoint, message)
        assert reader.read_one(data).message == message
        sizes.append(len(data))
    assert sizes[0] > 100
    assert max(sizes[1:]) < 30


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("persistent", [True, False])
def test_the_whole_window_is_used(bits: int, persistent: bool) -> None:
    # But for 262 bytes, which zlib keeps for itself.
    way = Way(bits)
    start = NOISE[:100]
    first = start + bytes(2**bits - 262 - 100 - 3)
    endpoint = agreed(Role.SERVER, way, persistent=persistent)
    reader = reader_of(Role.SERVER, way, exact=True)
    assert reader.read_one(send(endpoint, first)).message == first
    data = send(endpoint, start)
    assert len(data) < 20
    assert reader.read_one(data).message == start


# --- no takeover: no message refers to another ----------------------------------


@pytest.mark.parametrize("persistent", [True, False])
def test_without_takeover_every_message_stands_alone(persistent: bool) -> None:
    # The reader starts anew with each; and what it gets does not depend on the
    # messages before, nor on other connections of the same server.
    way = Way(takeover=False)
    options: dict[str, Any] = {"persistent": persistent}
    messages = [b"secret " * 20, b"secret " * 21, bytes(3000), b"\0secret", NOISE[:900]]
    expected = [
        send(agreed(Role.SERVER, way, **options), message) for message in messages
    ]
    agreement = Agreement(Role.SERVER, for_side(Role.SERVER, way), zlib, **options)
    endpoints = [Endpoint(Role.SERVER, agreement=agreement) for _ in range(3)]
    for i in range(3 * len(messages)):
        at = i % len(messages)
        data = send(endpoints[i % 3], messages[at])
        assert data == expected[at]
        reader = reader_of(Role.SERVER, way, exact=True)
        assert reader.read_one(data).message == messages[at]


def test_with_takeover_connections_do_not_meet() -> None:
    for persistent in (True, False):
        agreement = Agreement(
            Role.SERVER, for_side(Role.SERVER), zlib, persistent=persistent
        )
        endpoints = [Endpoint(Role.SERVER, agreement=agreement) for _ in range(2)]
        readers = [reader_of(Role.SERVER), reader_of(Role.SERVER)]
        for i, message in enumerate(MESSAGES * 4):
            side = i * i % 3 % 2
            data = send(endpoints[side], message)
            assert readers[side].read_one(data).message == message


# --- plain where that is better -------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("takeover", "persistent"), WAYS[1:])
def test_what_does_not_get_smaller_goes_plain(
    role: Role, takeover: bool, persistent: bool
) -> None:
    endpoint = agreed(role, Way(takeover=takeover), persistent=persistent)
    reader = reader_of(role, Way(takeover=takeover))
    for size in (1, 2, 10, 1000, 30_000):
        # Twice: a plain message enters no window, so nothing refers to it.
        for _ in range(2):
            data = send(endpoint, NOISE[:size])
            assert len(data) <= size + 14
            found = reader.read_one(data)
            assert found.message == NOISE[:size]
            assert not found.compressed
    assert reader.read_one(send(endpoint, bytes(100))).compressed


def test_what_stays_as_large_goes_plain() -> None:
    # A peer had better not have to inflate it.
    for takeover in (True, False):
        found = 0
        for size in range(10, 40):
            message = bytes(range(size)) + b"00000"
            deflater = zlib.compressobj(1, wbits=-15, memLevel=5)
            data = deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH)
            if len(data) - len(TAIL) == len(message):
                found += 1
                way = Way(takeover=takeover)
                endpoint = agreed(Role.SERVER, way, persistent=False)
                assert send(endpoint, message) == frame(BINARY, message, key=None)
        assert found > 0


def test_a_persistent_compressor_has_seen_it_and_sends_it() -> None:
    endpoint = agreed(Role.SERVER)
    reader = reader_of(Role.SERVER)
    sizes = []
    for _ in range(3):
        data = send(endpoint, NOISE[:1000])
        found = reader.read_one(data)
        assert found.compressed
        assert found.message == NOISE[:1000]
        sizes.append(len(data))
    assert 1000 < sizes[0] < 1030
    assert max(sizes[1:]) < 40


@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
def test_an_empty_message_goes_plain(takeover: bool, persistent: bool) -> None:
    endpoint = agreed(Role.SERVER, Way(takeover=takeover), persistent=persistent)
    reader = reader_of(Role.SERVER)
    for message in ("", b""):
        found = reader.read_one(send(endpoint, message))
        assert found[1:] == (b"", False, [b""])
        assert found.message == message


@pytest.mark.parametrize("persistent", [True, False])
def test_a_message_that_goes_plain_enters_no_window(persistent: bool) -> None:
    endpoint = agreed(Role.SERVER, persistent=persistent)
    reader = reader_of(Role.SERVER)
    for sizes in ((), (20,)):
        found = reader.read_one(send(endpoint, NOISE[:500], *sizes, compress=False))
        assert not found.compressed
        assert b"".join(found.parts) == NOISE[:500]
    data = send(endpoint, NOISE[:500] + bytes(500))
    assert len(data) > 500
    assert reader.read_one(data).message == NOISE[:500] + bytes(500)


@pytest.mark.parametrize("role", ROLES)
def test_a_window_of_8_bits_is_not_compressed_for(role: Role) -> None:
    # zlib cannot; but it reads what a peer compresses so.
    way = Way(8)
    endpoint = agreed(role, way, way)
    reader = reader_of(role, way)
    for message in MESSAGES:
        for sizes in ((), (3, 0)):
            found = reader.read_one(send(endpoint, message, *sizes))
            assert found.message == message
            assert not found.compressed
    assert not endpoint.in_steps(10**6)
    deflater = Deflater(way)
    for message in MESSAGES:
        payload = deflater.compress(as_bytes(message))
        sizes = [5] * (len(payload) // 5)
        data = message_of(role, opcode_of(message), payload, *sizes)
        assert receive(endpoint, data) == [message]
