"""The other libraries, judged like zlib: what they send, read and refuse."""

from __future__ import annotations

import random
from importlib import import_module
from typing import Any

import pytest

from tests.protocol.deflate.test_corrupt import PAYLOADS, delivered, judged
from tests.protocol.deflating import (
    Message,
    agreed,
    as_bytes,
    brief,
    cut,
    message_of,
    opcode_of,
    receive,
    send,
)
from tests.protocol.support import ROOM, reader_of
from tests.wire import (
    BINARY,
    STYLES,
    TEXT,
    Deflater,
    Way,
    stored,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.events import WORKING

WAYS = [(True, True), (True, False), (False, True), (False, False)]
NOISE = random.Random(3).randbytes(40_000)
MESSAGES: list[Message] = [
    "Hello, hello, hello, hello!",
    NOISE[:100],
    "κόσμε " * 20,
    bytes(5000),
    b"x",
    NOISE[:100],
    b'{"id": 1, "name": "trio", "value": 0}' * 3,
    b'{"id": 2, "name": "trio", "value": 9}' * 3,
]
LEVELS = {"zlib": (1, 9), "zlib_ng.zlib_ng": (1, 9), "isal.isal_zlib": (0, 3)}


@pytest.fixture(params=LEVELS)
def module(request: pytest.FixtureRequest) -> Any:
    """Give a library that looks like zlib."""
    return import_module(request.param)


@pytest.mark.parametrize("bits", [9, 10, 12, 15])
@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
def test_what_it_sends(
    module: Any, bits: int, takeover: bool, persistent: bool
) -> None:
    way = Way(bits, takeover)
    window = NOISE[: 2**bits]
    for role in Role:
        for level in LEVELS[module.__name__]:
            options = {"module": module, "level": level, "persistent": persistent}
            endpoint = agreed(role, way, **options)
            reader = reader_of(role, way, exact=True)
            for i, message in enumerate(MESSAGES * 2):
                for sizes in ((), (10, 0, 20), (0, 0)):
                    compress = i % 5 != 4
                    data = send(endpoint, message, *sizes, compress=compress)
                    assert reader.read_one(data).message == message
            if level:
                # What a larger window would make more of.
                for message in (window + NOISE[:50], window, window[50:] * 2):
                    found = reader.read_one(send(endpoint, message))
                    assert found.message == message


@pytest.mark.parametrize("persistent", [True, False])
def test_it_uses_the_window(module: Any, persistent: bool) -> None:
    endpoint = agreed(Role.SERVER, module=module, persistent=persistent)
    reader = reader_of(Role.SERVER, exact=True)
    message = NOISE[:200] + bytes(100)
    sizes = []
    for _ in range(5):
        data = send(endpoint, message)
        assert reader.read_one(data).message == message
        sizes.append(len(data))
    assert max(sizes[1:]) < 60 < 200 < sizes[0]


def test_its_pooled_compressor_forgets(module: Any) -> None:
    way = Way(takeover=False)
    endpoint = agreed(Role.SERVER, way, module=module)
    for message in [b"secret " * 20, b"secret " * 21, bytes(3000), b"\0secret"] * 3:
        reader = reader_of(Role.SERVER, way, exact=True)
        assert reader.read_one(send(endpoint, message)).message == message


@pytest.mark.parametrize("takeover", [True, False])
@pytest.mark.parametrize("bits", [8, 9, 11, 15])
def test_what_it_reads(module: Any, bits: int, takeover: bool) -> None:
    way = Way(bits, takeover)
    for size in (1, 5, 10**6):
        deflater = Deflater(way)
        endpoint = agreed(Role.SERVER, theirs=way, module=module)
        for i, message in enumerate(MESSAGES * 6):
            payload = deflater.compress(as_bytes(message), STYLES[i % len(STYLES)])
            sizes = [size] * (min(200, len(payload)) // size)
            data = message_of(Role.SERVER, opcode_of(message), payload, *sizes)
            chunks = cut(data, [size] * (min(200, len(data)) // size))
            assert receive(endpoint, *chunks) == [message]


def test_it_reads_what_it_sends(module: Any) -> None:
    for takeover, persistent in WAYS:
        way = Way(12, takeover)
        options = {"module": module, "persistent": persistent}
        client = agreed(Role.CLIENT, way, way, **options)
        server = agreed(Role.SERVER, way, way, **options)
        for message in [*MESSAGES * 2, NOISE * 4, bytes(200_000)]:
            assert receive(server, send(client, message)) == [message]
            assert receive(client, send(server, message, 100, 0)) == [message]


def check_verdict(module: Any, payload: bytes, found: bytes | None) -> None:
    """Check what became of ``payload``."""
    if module.__name__ == "isal.isal_zlib" and found != judged(payload):
        # igzip takes codes that leave room for more, of which the RFC is silent.
        assert found == judged(payload, complete=False)
    else:
        assert found == judged(payload)


@pytest.mark.parametrize("name", PAYLOADS)
def test_it_refuses_what_is_cut_off(module: Any, name: str) -> None:
    payload = PAYLOADS[name]
    for size in range(len(payload)):
        data = message_of(Role.SERVER, BINARY, payload[:size], size // 2)
        found = receive(agreed(Role.SERVER, module=module), data)
        check_verdict(module, payload[:size], delivered(found))


@pytest.mark.parametrize("name", PAYLOADS)
def test_it_refuses_what_is_corrupt(module: Any, name: str) -> None:
    payload = PAYLOADS[name]
    # zlib sees every bit turned in `test_corrupt`.
    for at in range(0, 8 * len(payload), 3):
        turned = bytearray(payload)
        turned[at >> 3] ^= 1 << (at & 7)
        data = message_of(Role.SERVER, BINARY, bytes(turned))
        found = receive(agreed(Role.SERVER, module=module), data)
        check_verdict(module, bytes(turned), delivered(found))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("limit", [1, 100, 70_000])
def test_its_limit_is_exact(module: Any, style: str, limit: int) -> None:
    for size in (limit, limit + 1, 2 * limit + 1):
        message = b"x" * size
        data = message_of(Role.SERVER, TEXT, Deflater().compress(message, style), 3)
        endpoint = agreed(Role.SERVER, module=module, max_message=limit)
        expected = message.decode() if size == limit else ("Failure", 1009)
        assert brief(receive(endpoint, data)) == [expected]


def test_its_steps_are_bounded(module: Any) -> None:
    size = 2**22
    endpoint = agreed(Role.SERVER, module=module, max_message=size)
    payload = Deflater().compress(bytes(size))
    buffer = bytearray(ROOM) + message_of(Role.SERVER, BINARY, payload)
    endpoint.feed(buffer, ROOM, len(buffer))
    steps = 1
    while (event := endpoint.next_event()) is WORKING:
        steps += 1
    assert event == bytes(size)
    assert steps >= size // 2**16


def test_it_reads_many_small_blocks(module: Any) -> None:
    for final in (True, False):
        payload = stored(NOISE[:300], 1, final=final)
        data = message_of(Role.SERVER, BINARY, payload, 77)
        endpoint = agreed(Role.SERVER, module=module)
        assert receive(endpoint, data) == [NOISE[:300]]
