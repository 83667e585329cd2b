"""Compressed messages that mean harm, or are broken: what they cost, and whom."""

from __future__ import annotations

import zlib

import pytest
import trio

from tests.deflate.cases import (
    MODES,
    OFFER,
    Story,
    deflating,
    dial,
    each_side,
    epoll_only,
    linked,
)
from tests.deflate.harm import Echo, Used, bomb, echo
from tests.serving import serving
from tests.wire import (
    BINARY,
    CONTINUATION,
    RSV1,
    TEXT,
    Frame,
    fragments,
    split,
)
from trio_fastws import ConnectionBroken, Limits

pytestmark = pytest.mark.usefixtures("transport")


@pytest.fixture(params=["binary", "text"])
def opcode(request: pytest.FixtureRequest) -> int:
    return BINARY if request.param == "binary" else TEXT


# --- the limit on messages --------------------------------------------------


@each_side
@pytest.mark.parametrize("limit", [1, 1000, 65536, 200_000])
async def test_the_limit_is_exact_on_what_comes_out(side, opcode, limit):
    deflate = deflating("persistent")
    limits = Limits(message_size=limit)
    async with linked(side, deflate, limits=limits) as (ws, peer):
        for size in (None, 7):
            await peer.send_message(opcode, b"x" * limit, size)
            message = await ws.receive()
            assert message == (b"x" if opcode == BINARY else "x") * limit
        await peer.send_message(opcode, b"x" * (limit + 1))
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert caught.value.close_code == 1009
        words = f"over the limit of {limit} (Limits.message_size)"
        assert words in caught.value.close_reason
        code, reason = await peer.read_close()
        assert code == 1009
        assert words in reason


@each_side
async def test_a_message_that_compression_made_larger_is_within_the_limit(side):
    noise = Story().random.randbytes(5000)
    limits = Limits(message_size=5000)
    async with linked(side, deflating("persistent"), limits=limits) as (ws, peer):
        data = peer.deflate(noise)
        assert len(data) > 5000
        await peer.send(Frame(BINARY, data, rsv=RSV1))
        assert await ws.receive() == noise


@each_side
async def test_no_limit_is_none(side):
    limits = Limits(message_size=None)
    async with (
        linked(side, deflating("persistent"), limits=limits) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(peer.send, Frame(BINARY, bomb(5_000_001), True, RSV1))
        assert await ws.receive() == bytes(5_000_001)


# --- bombs ------------------------------------------------------------------


@epoll_only
@pytest.mark.parametrize("mode", MODES)
async def test_a_bomb_costs_its_own_connection_and_little_memory(mode, opcode):
    data = bomb(64 * 2**20)
    assert len(data) < 2**17
    handler = Echo()
    story = Story()
    async with serving(handler, deflate=deflating(mode)) as site:
        innocent, guilty = await dial(site), await dial(site)
        frame = guilty.encode(Frame(opcode, data, rsv=RSV1))
        await echo(innocent, story.tell())
        with Used() as used:
            await guilty.stream.send_all(frame)
            code, reason = await guilty.read_close()
            assert used.peak() < 4 * 2**20
        assert code == 1009
        assert reason.endswith(f" {2**20} (Limits.message_size)")
        for _ in range(5):
            await echo(innocent, story.tell())
        while not handler.reasons:
            await trio.lowlevel.checkpoint()
        assert handler.reasons == [(1009, reason)]
        assert len(site.server.connections) == 1


async def test_a_bomb_in_many_fragments_is_the_same():
    data = bomb(64 * 2**20)
    async with serving(Echo(), deflate=deflating("persistent")) as site:
        innocent, guilty = await dial(site), await dial(site)
        # None of them ends the message.
        frames = fragments(TEXT, [*split(data, 100), b""], RSV1)[:-1]
        with Used() as used:
            await guilty.send(*frames)
            assert (await guilty.read_close())[0] == 1009
            assert used.peak() < 4 * 2**20
        await echo(innocent, b"alive")


async def test_many_bombs_at_once_are_as_harmless():
    data = bomb(16 * 2**20)
    async with serving(Echo(), deflate=deflating("persistent")) as site:
        innocent = await dial(site)
        guilty = [await dial(site) for _ in range(20)]
        with Used() as used:
            for peer in guilty:
                await peer.send(Frame(BINARY, data, rsv=RSV1))
            await echo(innocent, b"alive")
            for peer in guilty:
                assert (await peer.read_close())[0] == 1009
            # What a message may have, for each of them, and its growth.
            assert used.peak() < 20 * 3 * 2**20
        await echo(innocent, b"still alive")


@each_side
async def test_a_bomb_that_is_discarded_uses_no_memory(side):
    # After our Close data is read and discarded; it is not even inflated.
    limits = Limits(message_size=None)
    data = bomb(64 * 2**20)
    async with linked(side, deflating("persistent"), limits=limits) as (ws, peer):
        with Used() as used:
            ws.close_nowait()
            await peer.send(Frame(BINARY, data, rsv=RSV1))
            assert (await peer.read_close())[0] == 1000
            assert await peer.finish() == []
            await ws.wait_closed()
            assert used.peak() < 4 * 2**20


# --- broken data ------------------------------------------------------------


def corrupt() -> dict[str, bytes]:
    good = zlib.compressobj(6, zlib.DEFLATED, -15)
    data = good.compress(Story().tell(2000)) + good.flush(zlib.Z_SYNC_FLUSH)
    return {
        "reserved block": b"\xff" * 10,
        "stored length": b"\0\1\2\3\4",
        "too far back": zlib_with_dictionary(),
        "cut off": data[: len(data) // 2],
        "cut in the last byte": data[:-6],
        "bit flipped": data[:40] + bytes([data[40] ^ 255]) + data[41:],
    }


def zlib_with_dictionary() -> bytes:
    # Refers to what was never said.
    words = Story(9).tell(500)
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15, zdict=words)
    return (compressor.compress(words) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


@epoll_only
@pytest.mark.parametrize("what", [*corrupt()])
@pytest.mark.parametrize("mode", MODES)
async def test_corrupt_data_is_1007_and_the_others_live_on(what, mode):
    handler = Echo()
    story = Story()
    async with serving(handler, deflate=deflating(mode)) as site:
        innocent, guilty = await dial(site), await dial(site)
        await echo(innocent, story.tell())
        await guilty.send(Frame(BINARY, corrupt()[what], rsv=RSV1))
        code, reason = await guilty.read_close()
        assert code == 1007
        assert "compressed" in reason
        for _ in range(3):
            await echo(innocent, story.tell())
        while not handler.reasons:
            await trio.lowlevel.checkpoint()
        assert handler.reasons == [(1007, reason)]


@each_side
async def test_corrupt_data_tells_the_receiver(side):
    async with linked(side, deflating("persistent")) as (ws, peer):
        await peer.send_message(TEXT, b"good")
        await peer.send(Frame(TEXT, b"\xff" * 10, rsv=RSV1))
        assert await ws.receive() == "good"
        with pytest.raises(ConnectionBroken, match="compressed data is corrupt") as (
            caught
        ):
            await ws.receive()
        assert caught.value.close_code == 1007


@each_side
async def test_text_that_inflates_to_no_utf8_is_1007(side):
    async with linked(side, deflating("persistent")) as (ws, peer):
        await peer.send_message(TEXT, "grün".encode())
        assert await ws.receive() == "grün"
        await peer.send_message(TEXT, "grün".encode("latin-1"))
        with pytest.raises(ConnectionBroken, match="not UTF-8") as caught:
            await ws.receive()
        assert caught.value.close_code == 1007


@pytest.mark.parametrize("where", ["continuation", "control", "not agreed"])
async def test_rsv1_where_it_must_not_be_is_1002(where):
    handler = Echo()
    async with serving(handler, deflate=deflating("persistent")) as site:
        innocent = await dial(site)
        guilty = await dial(site, None if where == "not agreed" else OFFER)
        if where == "continuation":
            await guilty.send(Frame(TEXT, b"a", fin=False))
            await guilty.send(Frame(CONTINUATION, b"b", rsv=RSV1))
        else:
            await guilty.send(Frame(9 if where == "control" else TEXT, b"a", rsv=RSV1))
        code, reason = await guilty.read_close()
        assert code == 1002
        assert "RSV1" in reason or "reserved bits" in reason
        await echo(innocent, b"alive")
