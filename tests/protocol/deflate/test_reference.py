"""The reference of these tests is judged first: by zlib, and by the RFC."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.wire import (
    STYLES,
    TAIL,
    Deflater,
    Inflater,
    Way,
    stored,
)
from tests.wire.rfc1951 import (
    DYNAMIC,
    FIXED,
    STORED,
    BadDeflateError,
    Block,
    inflate,
)

RUNS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
WORDS = st.lists(st.sampled_from([b"trio ", b"web", b"socket", b"\xff\0", b"z" * 300]))
TEXTS = WORDS.map(b"".join) | st.binary(max_size=60)


def test_every_kind_of_block() -> None:
    message = bytes(range(200)) * 3
    assert inflate(stored(message, 250) + TAIL).blocks == [
        Block(False, STORED, 250),
        Block(False, STORED, 250),
        Block(False, STORED, 100),
        Block(False, STORED, 0),
    ]
    message = bytes(i * i % 23 % 5 for i in range(2000)) + b"!"
    for strategy, kind in ((zlib.Z_FIXED, FIXED), (zlib.Z_DEFAULT_STRATEGY, DYNAMIC)):
        deflater = zlib.compressobj(9, wbits=-15, strategy=strategy)
        found = inflate(deflater.compress(message) + deflater.flush())
        assert found.output == message
        assert found.blocks == [Block(True, kind, 2001)]
        assert found.distance == 23


@settings(RUNS, max_examples=60)
@given(
    messages=st.lists(st.tuples(TEXTS, st.sampled_from(STYLES)), max_size=5),
    bits=st.integers(8, 15),
    takeover=st.booleans(),
    strategy=st.integers(0, 4),
)
def test_what_the_reference_sends_it_reads(
    messages: list[tuple[bytes, str]], bits: int, takeover: bool, strategy: int
) -> None:
    way = Way(bits, takeover)
    deflater, inflater = Deflater(way, strategy=strategy), Inflater(way)
    for message, style in messages:
        window = inflater.window
        payload = deflater.compress(message, style)
        assert inflater.inflate(payload) == message
        found = inflate(payload + TAIL, window)
        assert found.output == message
        assert found.distance <= 2**bits
        assert any(block.final for block in found.blocks) == style.startswith("final")


@settings(RUNS, max_examples=200)
@given(data=st.data(), message=TEXTS, style=st.sampled_from(STYLES))
def test_both_readers_see_what_is_broken(
    data: st.DataObject, message: bytes, style: str
) -> None:
    payload = bytearray(Deflater().compress(message, style))
    stop = data.draw(st.integers(0, len(payload)))
    del payload[stop:]
    if payload and data.draw(st.booleans()):
        at = data.draw(st.integers(0, len(payload) - 1))
        payload[at] ^= data.draw(st.integers(1, 255))
    try:
        expected = inflate(bytes(payload) + TAIL).output
    except BadDeflateError:
        with pytest.raises(BadDeflateError):
            Inflater().inflate(bytes(payload))
    else:
        assert Inflater().inflate(bytes(payload)) == expected
