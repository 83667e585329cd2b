"""Messages that we compress piece by piece, and in steps because they are large."""

from __future__ import annotations

import random
import zlib
from itertools import pairwise
from typing import Any

import pytest

from tests.protocol.counting import Counting
from tests.protocol.deflating import agreed, cut, send
from tests.protocol.support import COMPRESSED, reader_of
from tests.wire import (
    BINARY,
    CONTINUATION,
    TAIL,
    TEXT,
    Way,
    parse,
    ping,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.deflate.agreement import STEP
from trio_fastws._protocol.endpoint import Endpoint

ROLES = list(Role)
WAYS = [(True, True), (True, False), (False, True), (False, False)]
NOISE = random.Random(2).randbytes(200_000)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
def test_only_the_first_fragment_has_rsv1(
    role: Role, takeover: bool, persistent: bool
) -> None:
    # RFC 7692 6.1
    endpoint = agreed(role, Way(takeover=takeover), persistent=persistent)
    for _ in range(2):
        found = parse(send(endpoint, "Hello, Hello", 2, 0, 5, 0))
        first, *rest = [(frame.opcode, frame.fin) for frame in found]
        assert (*first, found[0].rsv1) == (TEXT, False, True)
        assert rest == [(CONTINUATION, False)] * 3 + [(CONTINUATION, True)]


@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
@pytest.mark.parametrize("sizes", [(0,), (0, 0, 0), (5, 0), (0, 5), (5, 0, 0, 7, 0)])
def test_fragments_of_no_bytes(
    takeover: bool, persistent: bool, sizes: tuple[int, ...]
) -> None:
    way = Way(takeover=takeover)
    endpoint = agreed(Role.SERVER, way, persistent=persistent)
    reader = reader_of(Role.SERVER, way, exact=True)
    for message in ("", "Hello", "Hello, Hello", b"", b"Hello", b"Hello" * 9, ""):
        found = reader.read_one(send(endpoint, message, *sizes))
        assert found.message == message
        assert found.compressed


@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
def test_what_was_sent_can_be_read_at_once(takeover: bool, persistent: bool) -> None:
    # A receiver that streams need not wait for the fragments to come.
    endpoint = agreed(Role.SERVER, Way(takeover=takeover), persistent=persistent)
    inflater = zlib.decompressobj(-15)
    payloads = [b"Hello " * 3, b"Hello", b"!", NOISE[:50]]
    for _ in range(3):
        for i, payload in enumerate(payloads):
            parts: list[bytes] = []
            opcode = COMPRESSED | (CONTINUATION if i else BINARY)
            endpoint.encode(opcode, payload, i == len(payloads) - 1, parts)
            (frame,) = parse(b"".join(parts), within_message=i > 0)
            assert inflater.decompress(frame.payload) == payload
        inflater.decompress(TAIL)
        if not takeover:
            inflater = zlib.decompressobj(-15)


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
@pytest.mark.parametrize("bits", [9, 12, 15])
def test_whole_messages_and_fragmented_ones_in_turn(
    role: Role, takeover: bool, persistent: bool, bits: int
) -> None:
    way = Way(bits, takeover)
    endpoint = agreed(role, way, persistent=persistent)
    reader = reader_of(role, way, exact=True)
    words = ["alpha " * 20, "beta " * 9, "alpha beta " * 5, "gamma", "gamma alpha"]
    for i, word in enumerate(words * 4):
        sizes = [(), (3,), (0, 30), (1, 1, 1)][i % 4]
        found = reader.read_one(send(endpoint, word, *sizes, compress=i % 7 > 0))
        assert found.message == word


def test_the_first_fragment_decides() -> None:
    endpoint = agreed(Role.SERVER)
    reader = reader_of(Role.SERVER)
    assert reader.read_one(send(endpoint, "before " * 9, 10)).compressed
    parts: list[bytes] = []
    endpoint.encode(TEXT, b"plain, ", False, parts)
    endpoint.encode(CONTINUATION | COMPRESSED, b"whatever ", False, parts)
    endpoint.encode(CONTINUATION | COMPRESSED, b"comes", True, parts)
    found = reader.read_one(b"".join(parts))
    assert found == (
        TEXT,
        b"plain, whatever comes",
        False,
        [b"plain, ", b"whatever ", b"comes"],
    )
    assert reader.read_one(send(endpoint, "after " * 9, 10)).message == "after " * 9


def test_control_frames_between_our_fragments() -> None:
    endpoint = agreed(Role.SERVER)
    reader = reader_of(Role.SERVER)
    data, parts = b"", cut(b"Hello, Hello, Hello", [6, 6])
    for i, payload in enumerate(parts):
        if i:
            data += endpoint.encode_ping(bytes([i]))
        out: list[bytes] = []
        endpoint.encode(
            COMPRESSED | (CONTINUATION if i else TEXT), payload, i == 2, out
        )
        data += b"".join(out)
    assert reader.read_one(data).message == "Hello, Hello, Hello"
    assert reader.control == [ping(b"\1"), ping(b"\2")]


# --- in steps -------------------------------------------------------------------


def in_steps(size: int) -> list[int]:
    return [STEP] * ((size - 1) // STEP)


@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
@pytest.mark.parametrize("kind", ["noise", "text"])
def test_large_messages_in_steps(takeover: bool, persistent: bool, kind: str) -> None:
    way = Way(12, takeover)
    endpoint = agreed(Role.SERVER, way, persistent=persistent)
    reader = reader_of(Role.SERVER, way)
    large = NOISE if kind == "noise" else b"large " * 30_000
    for message in (large, b"small", large[:50_000], large[:STEP]):
        steps = in_steps(len(message))
        assert endpoint.in_steps(len(message)) == (len(steps) > 0)
        found = reader.read_one(send(endpoint, message, *steps))
        assert found.message == message
        for payload in found.parts:
            # Incompressible, it grows by the heads of its stored blocks.
            assert len(payload) < STEP + 100


def test_what_is_compressed_in_steps() -> None:
    for role in ROLES:
        endpoint = agreed(role)
        assert not endpoint.in_steps(0)
        assert not endpoint.in_steps(STEP)
        assert endpoint.in_steps(STEP + 1)
        assert not Endpoint(role).in_steps(10**6)


@pytest.mark.parametrize("compress", [True, False])
def test_a_step_costs_no_more_than_a_step(compress: bool) -> None:
    module = Counting()
    endpoint = agreed(Role.SERVER, module=module)
    compressed: list[int] = [0]
    for size in (STEP, STEP, 100):
        parts: list[bytes] = []
        opcode = CONTINUATION if len(compressed) > 1 else BINARY
        endpoint.encode(opcode | COMPRESSED * compress, bytes(size), size == 100, parts)
        compressed.append(module.compressed)
    steps = [after - before for before, after in pairwise(compressed)]
    assert steps == ([STEP, STEP, 100] if compress else [0, 0, 0])


# --- without negotiation --------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("sizes", [(), (3, 0)])
def test_without_negotiation_nothing_is_compressed(
    role: Role, sizes: tuple[int, ...]
) -> None:
    # RFC 6455 5.2: COMPRESSED MUST be 0 unless an extension is negotiated
    found = reader_of(role).read_one(send(Endpoint(role), "Hello" * 20, *sizes))
    assert found[:3] == (TEXT, b"Hello" * 20, False)


def test_a_closed_endpoint_compresses_nothing() -> None:
    module = Counting()
    endpoint = agreed(Role.SERVER, module=module)
    endpoint.encode_close()
    with pytest.raises(RuntimeError, match="cannot follow our Close"):
        endpoint.encode(TEXT | COMPRESSED, b"Hello", True, [])
    assert module.compressed == 0


# --- when compressing fails -----------------------------------------------------


class NoMemory(Counting):
    """zlib that runs out of memory when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.left = -1

    def count(self, size: int) -> None:
        super().count(size)
        self.left -= 1
        if self.left == 0:
            raise MemoryError


@pytest.mark.parametrize(("takeover", "persistent"), WAYS)
@pytest.mark.parametrize("call", [1, 2])
def test_a_message_that_could_not_be_compressed(
    takeover: bool, persistent: bool, call: int
) -> None:
    # It was not sent: what follows does not refer to it, nor to half of it.
    way = Way(takeover=takeover)
    module = NoMemory()
    endpoint = agreed(Role.SERVER, way, module=module, persistent=persistent)
    reader = reader_of(Role.SERVER, way, exact=True)
    for word in ("alpha " * 9, "beta " * 9):
        assert reader.read_one(send(endpoint, word)).message == word
        module.left = call
        with pytest.raises(MemoryError):
            send(endpoint, NOISE[:50] + bytes(99))
        for again in (word, "gamma " * 9, (NOISE[:50] + bytes(99)).hex()):
            found: Any = reader.read_one(send(endpoint, again))
            assert found.message == again
