"""A message for many: its frames are made once, and no window is disturbed."""

from __future__ import annotations

import random
import zlib
from typing import Any

import pytest

from tests.protocol.counting import Counting
from tests.protocol.deflating import Message, agreed, as_bytes, for_side, receive, send
from tests.protocol.support import frame, reader_of
from tests.wire import (
    BINARY,
    FULL,
    TEXT,
    Way,
)
from trio_fastws._protocol.codes import Role
from trio_fastws._protocol.deflate.agreement import SHARED_STEPS, STEP, Agreement
from trio_fastws._protocol.endpoint import Endpoint
from trio_fastws._protocol.prepared import PreparedMessage

SHARED_SIZE = SHARED_STEPS * STEP
NOISE = random.Random(4).randbytes(SHARED_SIZE + 1)
NEWS = "the latest news, the latest! " * 10
# Takeover, and whether the compressor is persistent: these share.
SHARING = [(True, False), (False, True), (False, False)]


def encode(
    endpoint: Endpoint, prepared: PreparedMessage, *, compress: bool = True
) -> tuple[bytes, list[bytes]]:
    """Return a prepared message as ``endpoint`` sends it, and its parts."""
    parts: list[bytes] = []
    size = endpoint.encode_prepared(prepared, compress, parts)
    data = b"".join(parts)
    assert len(data) == size
    return data, parts


def servers(count: int, way: Way = FULL, **options: Any) -> list[Endpoint]:
    """Return endpoints of one server with equal parameters."""
    options = {"module": zlib, "persistent": False, **options}
    module = options.pop("module")
    agreement = Agreement(Role.SERVER, for_side(Role.SERVER, way), module, **options)
    return [Endpoint(Role.SERVER, agreement=agreement) for _ in range(count)]


# --- once -----------------------------------------------------------------------


@pytest.mark.parametrize(("takeover", "persistent"), SHARING)
def test_it_is_compressed_once_for_all_that_are_alike(
    takeover: bool, persistent: bool
) -> None:
    module = Counting()
    way = Way(12, takeover)
    options: dict[str, Any] = {"module": module, "persistent": persistent}
    # Of two servers, and some without what they would share.
    alike = servers(5, way, **options) + servers(5, way, **options)
    prepared = PreparedMessage(NEWS)
    found = [encode(endpoint, prepared) for endpoint in alike]
    assert module.compressed == len(NEWS)
    first_data, first_parts = found[0]
    for data, parts in found:
        assert data == first_data
        assert all(a is b for a, b in zip(parts, first_parts, strict=True))
        sent = reader_of(Role.SERVER, way, exact=True).read_one(data)
        assert sent[:3] == (TEXT, NEWS.encode(), True)


def test_other_parameters_get_other_frames() -> None:
    module = Counting()
    prepared = PreparedMessage(NOISE[:3000] * 2)
    ways = [Way(bits, takeover) for bits in range(9, 16) for takeover in (True, False)]
    for _ in range(3):
        for way in ways:
            (endpoint,) = servers(1, way, module=module)
            data, _ = encode(endpoint, prepared)
            sent = reader_of(Role.SERVER, way, exact=True).read_one(data)
            assert sent.message == NOISE[:3000] * 2
    # Once for each size of the window; whether it is kept makes no difference.
    assert module.compressed == 7 * 6000
    for option in ({"level": 9}, {"memory_level": 9}):
        before = module.compressed
        for endpoint in servers(3, module=module, **option):
            encode(endpoint, prepared)
        assert module.compressed - before == 6000


def test_plain_frames_are_shared_too() -> None:
    module = Counting()
    prepared = PreparedMessage(NOISE[:20_000])
    endpoints = [*servers(3, module=module), Endpoint(Role.SERVER)]
    found = [encode(endpoint, prepared) for endpoint in endpoints]
    assert module.compressed == 20_000  # to find out that it gets no smaller
    found += [encode(endpoint, prepared, compress=False) for endpoint in endpoints]
    for _, parts in found:
        assert parts == [frame(BINARY, NOISE[:20_000], key=None)[:4], NOISE[:20_000]]
        assert all(a is b for a, b in zip(parts, found[0][1], strict=True))
    assert module.compressed == 20_000


def test_what_is_not_to_be_compressed_is_not() -> None:
    module = Counting()
    for endpoint in servers(2, module=module):
        data, _ = encode(endpoint, PreparedMessage(NEWS), compress=False)
        assert data == frame(TEXT, NEWS.encode(), key=None)
        assert encode(endpoint, PreparedMessage(""))[0] == frame(TEXT, key=None)
    assert module.compressed == 0


# --- who does not share ---------------------------------------------------------


def test_a_persistent_compressor_gets_it_too() -> None:
    # Otherwise the next message would refer to what the peer does not have there.
    module = Counting()
    first, second = servers(2, module=module, persistent=True)
    prepared = PreparedMessage(NEWS)
    for endpoint in (first, second):
        reader = reader_of(Role.SERVER, exact=True)
        sizes = []
        for _ in range(3):
            assert reader.read_one(send(endpoint, "hello " * 5)).message == "hello " * 5
            data, _ = encode(endpoint, prepared)
            assert reader.read_one(data).message == NEWS
            sizes.append(len(data))
        assert max(sizes[1:]) < 20 < sizes[0]
    assert module.compressed == 6 * (30 + len(NEWS))


@pytest.mark.parametrize("compress", [True, False])
@pytest.mark.parametrize("agreeing", [True, False])
def test_clients_mask_their_own(compress: bool, agreeing: bool) -> None:
    # RFC 6455 5.3: a fresh key for each frame
    prepared = PreparedMessage(NEWS)
    found = []
    for _ in range(3):
        client = Endpoint(Role.CLIENT)
        if agreeing:
            client = agreed(Role.CLIENT, persistent=False)
        data, _ = encode(client, prepared, compress=compress)
        sent = reader_of(Role.CLIENT).read_one(data)
        assert sent[:3] == (TEXT, NEWS.encode(), compress and agreeing)
        found.append(data)
    assert len(set(found)) == 3


def test_what_is_very_large_is_not_shared() -> None:
    module = Counting()
    for size in (SHARED_SIZE, SHARED_SIZE + 1):
        endpoints = servers(2, module=module)
        prepared = PreparedMessage(bytes(size))
        before = module.compressed
        for endpoint in endpoints:
            assert endpoint.may_share(size) == (size == SHARED_SIZE)
            data, _ = encode(endpoint, prepared)
            assert reader_of(Role.SERVER).read_one(data)[:3] == (
                BINARY,
                bytes(size),
                True,
            )
        assert module.compressed - before == size * (1 if size == SHARED_SIZE else 2)


def test_who_may_share() -> None:
    for takeover, persistent in SHARING:
        (endpoint,) = servers(1, Way(takeover=takeover), persistent=persistent)
        assert endpoint.may_share(0)
        assert not agreed(Role.CLIENT, Way(takeover=takeover)).may_share(0)
    assert not servers(1, persistent=True)[0].may_share(0)
    assert not servers(1, Way(8))[0].may_share(0)
    assert not Endpoint(Role.SERVER).may_share(0)


def test_a_window_of_8_bits_gets_it_plain() -> None:
    for takeover in (True, False):
        (endpoint,) = servers(1, Way(8, takeover))
        data, _ = encode(endpoint, PreparedMessage(NEWS))
        assert data == frame(TEXT, NEWS.encode(), key=None, length_bits=16)


# --- between other messages -----------------------------------------------------


@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize(("takeover", "persistent"), [(True, True), *SHARING])
def test_shared_messages_among_others(
    bits: int, takeover: bool, persistent: bool
) -> None:
    # What comes next may refer to the shared one; it refers to nothing.
    way = Way(bits, takeover)
    (endpoint,) = servers(1, way, persistent=persistent)
    reader = reader_of(Role.SERVER, way, exact=True)
    words: list[Message] = ["alpha " * 9, b"beta " * 9, NOISE[:90], NOISE[:2000], ""]
    sent: list[int] = []
    for i in range(60):
        word = words[i * i % 11 % 5]
        if i % 3 == 0:
            data, _ = encode(endpoint, PreparedMessage(word), compress=i % 4 > 0)
        elif i % 3 == 1:
            data = send(endpoint, word, compress=i % 5 > 0)
        else:
            data = send(endpoint, word, 3, 0)
        assert reader.read_one(data).message == word
        sent.append(len(as_bytes(word)))
    assert (endpoint.messages_sent, endpoint.bytes_sent) == (60, sum(sent))


def test_a_later_message_refers_to_a_shared_one() -> None:
    (endpoint,) = servers(1)
    word = NOISE[:300] + bytes(100)
    reader = reader_of(Role.SERVER, exact=True)
    data, _ = encode(endpoint, PreparedMessage(word))
    assert reader.read_one(data)[:3] == (BINARY, word, True)
    data = send(endpoint, word)
    assert len(data) < 40
    assert reader.read_one(data).message == word
    # One that went plain, because it got no smaller, is in no window.
    data, _ = encode(endpoint, PreparedMessage(NOISE[1000:2000]))
    assert reader.read_one(data)[:3] == (BINARY, NOISE[1000:2000], False)
    data = send(endpoint, NOISE[1000:2000])
    assert reader.read_one(data)[:3] == (BINARY, NOISE[1000:2000], False)


# --- what it is -----------------------------------------------------------------


@pytest.mark.parametrize("compress", [True, False])
def test_a_prepared_message_tells_what_it_is(compress: bool) -> None:
    for given, message in ((NEWS, NEWS), (b"ab", b"ab"), (bytearray(b"ab"), b"ab")):
        prepared = PreparedMessage(given, compress=compress)
        assert prepared.message == message
        assert prepared.compress == compress
        assert len(prepared) == len(as_bytes(message))
    changed = bytearray(b"before")
    prepared = PreparedMessage(memoryview(changed))
    changed[:] = b"after!"
    assert prepared.message == b"before"
    assert repr(prepared) == "<PreparedMessage of 6 bytes, binary>"
    assert repr(PreparedMessage("é")) == "<PreparedMessage of 2 bytes, text>"


def test_what_no_message_can_be() -> None:
    with pytest.raises(TypeError, match="not int"):
        PreparedMessage(3)  # type: ignore[arg-type]
    with pytest.raises(UnicodeEncodeError):
        PreparedMessage("\ud800")


def test_nothing_follows_our_close() -> None:
    for endpoint in (*servers(1), Endpoint(Role.SERVER), Endpoint(Role.CLIENT)):
        endpoint.encode_close()
        for compress in (True, False):
            parts: list[bytes] = []
            with pytest.raises(RuntimeError, match="cannot follow our Close"):
                endpoint.encode_prepared(PreparedMessage(NEWS), compress, parts)
            assert parts == []
        assert endpoint.messages_sent == 0


def test_an_endpoint_reads_it() -> None:
    client = agreed(Role.CLIENT)
    (server,) = servers(1)
    prepared = PreparedMessage(NEWS)
    data = b"".join(encode(server, prepared)[0] for _ in range(3))
    assert receive(client, data) == [NEWS] * 3
