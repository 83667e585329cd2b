"""Messages that are compressed piece by piece."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.cutting import cut
from tests.deflate.cases import MODES, Story, deflating, linked
from tests.wire import (
    BINARY,
    CLOSE,
    TAIL,
    TEXT,
    Inflater,
)
from trio_fastws import ConnectionBroken, PerMessageDeflate, Sending

pytestmark = pytest.mark.usefixtures("transport")

ALIKE = b"all alike " * 20


@pytest.fixture(params=["server", "client"])
def side(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


async def write_pieces(ws, pieces: list[bytes], **options) -> None:
    async with ws.open_message(**options) as message:
        for piece in pieces:
            await message.write(piece.decode() if options.get("text") else piece)


@pytest.mark.parametrize("text", [True, False])
async def test_pieces_are_compressed_as_one_message(side, mode, text):
    story = Story(3)
    async with linked(side, deflating(mode)) as (ws, peer):
        for count in (1, 2, 7):
            before, after = story.tell(), story.tell()
            pieces = [story.tell() for _ in range(count)]
            await ws.send(before)
            await write_pieces(ws, pieces, text=text)
            await ws.send(after)
            assert (await peer.read_message()).payload == before
            found = await peer.read_message()
            assert found.opcode == (TEXT if text else BINARY)
            assert found.payload == b"".join(pieces)
            assert found.compressed
            assert sum(found.sizes) < len(found.payload)
            assert (await peer.read_message()).payload == after


async def test_a_compressed_piece_is_on_its_way_before_the_message_ends(side, mode):
    async with (
        linked(side, deflating(mode)) as (ws, peer),
        ws.open_message() as message,
    ):
        await message.write(ALIKE)
        frame = await peer.read_frame()
        assert (frame.opcode, frame.fin, frame.rsv1) == (BINARY, False, True)
        # A sync flush ends it, of which only the last piece loses its tail.
        assert Inflater().inflate(frame.payload.removesuffix(TAIL)) == ALIKE


async def test_pieces_have_no_threshold_and_compress_false_is_plain(side):
    async with linked(side, PerMessageDeflate(threshold=1000)) as (ws, peer):
        await write_pieces(ws, [b"a", b"b"])
        await write_pieces(ws, [b"a", b"b"], compress=True)
        await write_pieces(ws, [ALIKE, ALIKE], compress=False)
        found = [await peer.read_message() for _ in range(3)]
        assert [m.payload for m in found] == [b"ab", b"ab", ALIKE + ALIKE]
        assert [m.compressed for m in found] == [True, True, False]


async def test_pieces_that_are_all_empty_are_an_empty_message(side, mode):
    async with linked(side, deflating(mode)) as (ws, peer):
        await write_pieces(ws, [])
        await write_pieces(ws, [b"", b""])
        await ws.send(ALIKE)
        assert await peer.read_payloads(3) == [b"", b"", ALIKE]


async def test_a_large_piece_waits_its_turn_and_arrives(side, mode):
    story = Story(4)
    pieces = [story.random.randbytes(200_000).hex().encode() for _ in range(3)]
    async with linked(side, deflating(mode)) as (ws, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_pieces, ws, pieces)
            await wait_all_tasks_blocked()
            nursery.start_soon(ws.send, "behind")
            assert (await peer.read_message()).payload == b"".join(pieces)
        assert await peer.read_payloads(1) == [b"behind"]


async def test_a_cancelled_write_of_a_piece_never_reached_the_compressor(mode):
    story = Story(5)
    async with linked("server", deflating(mode)) as (ws, peer):
        pieces = []
        async with ws.open_message() as message:

            async def write() -> None:
                piece = story.tell()
                await message.write(piece)
                pieces.append(piece)

            step, reached = 0, True
            while reached:
                step += 1
                reached, _ = await cut(step, write)
        assert len(story.told) > len(pieces) > 0
        await ws.send(story.tell())
        assert await peer.read_payloads(2) == [b"".join(pieces), story.told[-1]]


async def break_off(ws, piece: bytes) -> None:
    async with ws.open_message() as message:
        await message.write(piece)
        raise ZeroDivisionError


async def test_a_compressed_message_that_is_broken_off_never_has_its_end(side):
    async with linked(side, deflating("persistent")) as (ws, peer):
        with pytest.raises(ZeroDivisionError):
            await break_off(ws, ALIKE)
        with pytest.raises(ConnectionBroken):
            await ws.send("more")
        first, last = await peer.read_frame(), await peer.read_frame()
        assert (first.fin, first.rsv1) == (False, True)
        assert (last.opcode, last.payload[:2]) == (CLOSE, (1011).to_bytes(2))


async def test_a_large_piece_that_is_broken_off_never_has_its_end(side):
    # Cut off by an exception, while it is being compressed.
    large = Story(6).random.randbytes(500_000).hex().encode()
    async with linked(side, deflating("persistent")) as (ws, peer):
        with pytest.raises(ZeroDivisionError):
            await break_off(ws, large)
        fins = []
        while (frame := await peer.read_frame()).opcode != CLOSE:
            fins.append(frame.fin)
        assert frame.payload[:2] == (1011).to_bytes(2)
        assert fins
        assert not any(fins)
        assert await peer.finish(1011) == []


@pytest.mark.parametrize("small", [True, False])
async def test_leaving_cancelled_behind_a_large_piece_is_1011(side, small):
    large = Story(7).random.randbytes(2**20).hex().encode()
    async with linked(side, deflating("persistent"), small=small) as (ws, peer):
        with trio.CancelScope() as scope:
            async with ws.open_message() as message:
                await message.write(large)
                scope.cancel()
        assert scope.cancelled_caught
        while (frame := await peer.read_frame()).opcode != CLOSE:
            assert not frame.fin
        assert frame.payload[:2] == (1011).to_bytes(2)


async def test_pieces_wait_for_room_and_pass_their_turn_on(side, mode):
    story = Story(8)
    sending = Sending(high_water=100_000, low_water=10_000)
    deflate = deflating(mode)
    async with linked(side, deflate, small=True, sending=sending) as (ws, peer):
        pieces = [story.random.randbytes(20_000).hex().encode() for _ in range(30)]
        behind = [story.tell() for _ in range(3)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_pieces, ws, pieces)
            await wait_all_tasks_blocked()
            for message in behind:
                nursery.start_soon(ws.send, message)
                await wait_all_tasks_blocked()
            assert ws.statistics().send_queue < 300_000
            assert await peer.read_payloads(4) == [b"".join(pieces), *behind]


@pytest.mark.parametrize("pieces", [[], [b""], [b"a", b"b"]])
async def test_pieces_behind_a_large_message_stay_behind_it(side, pieces):
    story = Story(9)
    large = story.random.randbytes(2**20).hex().encode()
    sending = Sending(high_water=2**26, hard_limit=2**26)
    deflate = deflating("persistent")
    async with linked(side, deflate, small=True, sending=sending) as (ws, peer):
        told = story.tell()
        ws.send_nowait(large)
        ws.send_nowait(told)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_pieces, ws, pieces)
            await wait_all_tasks_blocked()
            nursery.start_soon(ws.send, "behind")
            await wait_all_tasks_blocked()
            assert await peer.read_payloads(4) == [
                large,
                told,
                b"".join(pieces),
                b"behind",
            ]


@pytest.mark.parametrize("pieces", [[], [b""], [b"a", b"b"]])
async def test_pieces_in_the_middle_of_a_large_message_stay_behind_it(side, pieces):
    large = Story(10).random.randbytes(2**20).hex().encode()
    sending = Sending(high_water=2**26, hard_limit=2**26)
    deflate = deflating("persistent")
    async with linked(side, deflate, small=True, sending=sending) as (ws, peer):
        ws.send_nowait(large)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write_pieces, ws, pieces)
            assert peer.assemble(await peer.read_frame()) is None
            assert await peer.read_payloads(2) == [large, b"".join(pieces)]
