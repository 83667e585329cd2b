"""Compressed messages of nothing, without end."""

from __future__ import annotations

import zlib

import pytest
import trio

from tests.deflate.cases import MODES, deflating, dial, each_side, epoll_only, linked
from tests.deflate.harm import Echo, Used, echo
from tests.serving import serving
from tests.wire import (
    BINARY,
    CONTINUATION,
    RSV1,
    TEXT,
    Frame,
)
from trio_fastws import Limits

pytestmark = pytest.mark.usefixtures("transport")

EMPTY_BLOCK = b"\0\0\0\xff\xff"
FINAL_BLOCK = b"\1\0\0\xff\xff"
SMALLEST_FINAL_BLOCK = b"\3\0"


@epoll_only
@pytest.mark.parametrize("block", [FINAL_BLOCK, SMALLEST_FINAL_BLOCK])
@pytest.mark.parametrize("mode", MODES)
async def test_a_flood_of_final_blocks_is_bounded(mode, block):
    handler = Echo()
    async with serving(handler, deflate=deflating(mode)) as site:
        innocent, guilty = await dial(site), await dial(site)
        frame = guilty.encode(Frame(BINARY, block * 100_000, rsv=RSV1))
        with Used() as used:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(guilty.stream.send_all, frame)
                await echo(innocent, b"alive")
                code, reason = await guilty.read_close()
                nursery.cancel_scope.cancel()
            assert code in (1007, 1008, 1009)
            assert reason
            assert used.peak() < 4 * 2**20
        await echo(innocent, b"still alive")


async def count_echoes(innocent, flood) -> int:
    """Return how many echoes a peer gets while another floods the server."""
    echoes, ended = 0, False

    async def run() -> None:
        nonlocal ended
        await flood()
        ended = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        while not ended:
            await echo(innocent, b"%d" % echoes)
            echoes += 1
    return echoes


@pytest.mark.parametrize("block", [FINAL_BLOCK, SMALLEST_FINAL_BLOCK])
async def test_others_are_served_between_final_blocks(block):
    # One read has all of them, and each of them costs an inflater.
    data = block * (200_000 // len(block)) + b"\0"
    limits = Limits(message_size=None)
    async with serving(Echo(), deflate=deflating("persistent"), limits=limits) as site:
        innocent, guilty = await dial(site), await dial(site)

        async def flood() -> None:
            await guilty.send(Frame(BINARY, data, rsv=RSV1))
            assert (await guilty.read_message()).payload == b""

        # At once, it would be two or three.
        assert await count_echoes(innocent, flood) >= 6


@each_side
async def test_some_final_blocks_are_read(side):
    # RFC 7692 7.2.3.4: a block with BFINAL, and another behind it
    async with linked(side, deflating("persistent")) as (ws, peer):
        for _ in range(3):
            compressor = zlib.compressobj(6, zlib.DEFLATED, -15)
            data = compressor.compress(b"Hello ") + compressor.flush()
            await peer.send(Frame(TEXT, data + b"\0", rsv=RSV1))
            assert await ws.receive() == "Hello "


async def test_endless_empty_fragments_are_1009():
    limits = Limits(fragments=500)
    async with serving(Echo(), deflate=deflating("persistent"), limits=limits) as site:
        innocent, guilty = await dial(site), await dial(site)
        empty = guilty.encode(Frame(CONTINUATION, b"", False))
        first = guilty.encode(Frame(TEXT, b"", False, RSV1))
        await guilty.stream.send_all(first + empty * 499)
        assert await guilty.fence() == []
        await guilty.stream.send_all(empty)
        code, reason = await guilty.read_close()
        assert code == 1009
        assert reason == "message of more than 500 fragments (Limits.fragments)"
        await echo(innocent, b"alive")


async def test_endless_empty_blocks_cost_others_nothing():
    # 8 MB that inflate to nothing: they hold up nobody, and are not collected.
    async with serving(Echo(), deflate=deflating("persistent")) as site:
        innocent, guilty = await dial(site), await dial(site)
        first = guilty.encode(Frame(TEXT, EMPTY_BLOCK * 20_000, False, RSV1))
        more = guilty.encode(Frame(CONTINUATION, EMPTY_BLOCK * 20_000, False))
        with Used() as used:

            async def flood() -> None:
                await guilty.stream.send_all(first)
                for _ in range(79):
                    await guilty.stream.send_all(more)
                await guilty.send(Frame(CONTINUATION, b"\0"))
                assert (await guilty.read_message()).payload == b""

            assert await count_echoes(innocent, flood) >= 6
            assert used.peak() < 4 * 2**20
