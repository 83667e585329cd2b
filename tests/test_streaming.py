"""`WebSocket.open_message`: messages that are sent piece by piece."""

from __future__ import annotations

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.serving import pair
from tests.wire import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    text,
)
from trio_fastws import ConnectionBroken, Sending

pytestmark = pytest.mark.usefixtures("transport")


async def test_a_binary_message_goes_out_as_fragments():
    async with pair() as (ws, peer):
        async with ws.open_message() as message:
            with assert_checkpoints():
                await message.write(b"one")
            await message.write(bytearray(b"two"))
            await message.write(memoryview(b"three"))
            # Each is on its way before the message ends.
            assert await peer.read_frames(3) == [
                Frame(BINARY, b"one", fin=False),
                Frame(CONTINUATION, b"two", fin=False),
                Frame(CONTINUATION, b"three", fin=False),
            ]
        assert await peer.read_frame() == Frame(CONTINUATION, b"", fin=True)


async def test_a_text_message_goes_out_as_fragments():
    async with pair() as (ws, peer):
        async with ws.open_message(text=True) as message:
            await message.write("grü")
            await message.write("ße")
        assert await peer.read_frames(3) == [
            Frame(TEXT, "grü".encode(), fin=False),
            Frame(CONTINUATION, "ße".encode(), fin=False),
            Frame(CONTINUATION, b"", fin=True),
        ]


@pytest.mark.parametrize(("is_text", "opcode"), [(True, TEXT), (False, BINARY)])
async def test_a_message_without_pieces_is_an_empty_one(is_text, opcode):
    async with pair() as (ws, peer):
        async with ws.open_message(text=is_text):
            pass
        assert await peer.read_frame() == Frame(opcode, b"")


async def test_a_piece_of_the_wrong_type_is_refused():
    async with pair() as (ws, peer):
        async with ws.open_message(text=True) as message:
            with pytest.raises(TypeError, match="must be str or bytes-like, not int"):
                await message.write(5)
            with pytest.raises(UnicodeEncodeError):
                await message.write("\ud800")
            await message.write("yes")
        async with ws.open_message() as message:
            with pytest.raises(TypeError, match="must be bytes-like, not str"):
                await message.write("no")
            with pytest.raises(TypeError, match="not int"):
                await message.write(5)
        assert await peer.read_frames(3) == [
            Frame(TEXT, b"yes", fin=False),
            Frame(CONTINUATION, b""),
            Frame(BINARY, b""),
        ]


async def test_a_finished_message_takes_no_more():
    async with pair() as (ws, peer):
        async with ws.open_message() as message:
            await message.write(b"a")
        with pytest.raises(trio.ClosedResourceError), assert_checkpoints():
            await message.write(b"b")
        assert len(await peer.read_frames(2)) == 2
        assert await peer.fence() == []


async def test_other_sends_wait_meanwhile_and_control_frames_pass():
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        async with ws.open_message() as message:
            await message.write(b"a")
            nursery.start_soon(ws.send, "first")
            await wait_all_tasks_blocked()
            nursery.start_soon(ws.send, "second")
            await wait_all_tasks_blocked()
            with pytest.raises(trio.WouldBlock):
                ws.send_nowait("no")
            assert await peer.fence() == [Frame(BINARY, b"a", fin=False)]
            nursery.start_soon(ws.ping)
            frame = await peer.read_frame()
            assert frame.opcode == PING
            await peer.send(Frame(PONG, frame.payload))
            await message.write(b"b")
        assert await peer.read_frames(4) == [
            Frame(CONTINUATION, b"b", fin=False),
            Frame(CONTINUATION, b""),
            text("first"),
            text("second"),
        ]


async def test_messages_in_pieces_wait_for_each_other():
    async with pair() as (ws, peer):

        async def send(name: bytes) -> None:
            async with ws.open_message() as message:
                for _ in range(3):
                    await message.write(name)

        async with trio.open_nursery() as nursery:
            for name in (b"a", b"b", b"c"):
                nursery.start_soon(send, name)
        payloads = [frame.payload for frame in await peer.read_frames(12)]
        messages = sorted(b"".join(payloads[at : at + 4]) for at in (0, 4, 8))
        assert messages == [b"aaa", b"bbb", b"ccc"]


async def break_off(ws, before=None) -> None:
    async with ws.open_message() as message:
        await message.write(b"part")
        if before is not None:
            await before()
        raise ZeroDivisionError


async def test_an_exception_in_the_block_is_1011_and_never_fin():
    async with pair() as (ws, peer):
        with pytest.raises(ZeroDivisionError):
            await break_off(ws)
        with pytest.raises(ConnectionBroken) as caught:
            await ws.send("more")
        assert caught.value.close_code == 1011
        assert await peer.read_frames(2) == [
            Frame(BINARY, b"part", fin=False),
            close(1011, "message broken off"),
        ]
        await peer.send(close(1011))
        assert await peer.read_frames() == []


async def test_cancelling_the_block_is_1011_and_never_fin():
    async with pair() as (ws, peer):
        with trio.CancelScope() as scope:
            async with ws.open_message() as message:
                await message.write(b"part")
                scope.cancel()
        assert await peer.read_frames(2) == [
            Frame(BINARY, b"part", fin=False),
            close(1011, "message broken off"),
        ]


async def test_an_exception_before_the_first_piece_harms_nothing():
    async with pair() as (ws, peer):
        with pytest.raises(ZeroDivisionError):
            async with ws.open_message():
                raise ZeroDivisionError
        await ws.send("fine")
        assert await peer.read_frame() == text("fine")


async def test_senders_that_waited_for_a_broken_message_are_told():
    async with pair() as (ws, _), trio.open_nursery() as nursery:

        async def send() -> None:
            with pytest.raises(ConnectionBroken):
                await ws.send("late")

        async def let_it_wait() -> None:
            nursery.start_soon(send)
            await wait_all_tasks_blocked()

        with pytest.raises(ZeroDivisionError):
            await break_off(ws, let_it_wait)


async def test_a_piece_waits_for_room():
    sending = Sending(high_water=100_000, low_water=10_000)
    async with pair(small=True, sending=sending) as (ws, peer):
        total = 60
        written = 0

        async def write() -> None:
            nonlocal written
            async with ws.open_message() as message:
                for _ in range(total):
                    await message.write(b"x" * 50_000)
                    written += 1

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await wait_all_tasks_blocked(0.002)
            assert 2 <= written < total
            frames = await peer.read_frames(total + 1)
        assert sum(len(frame.payload) for frame in frames) == total * 50_000
        assert [frame.fin for frame in frames] == [False] * total + [True]


async def test_a_message_that_the_peers_close_cut_off_is_connection_broken():
    async def send(ws, peer) -> None:
        async with ws.open_message() as message:
            await message.write(b"part")
            await peer.send(close(1000))
            await ws.wait_closed()
            with pytest.raises(ConnectionBroken), assert_checkpoints():
                await message.write(b"late")

    async with pair() as (ws, peer):
        with pytest.raises(ConnectionBroken):
            await send(ws, peer)
        assert await peer.read_frames() == [
            Frame(BINARY, b"part", fin=False),
            close(1000),
        ]


@pytest.mark.parametrize("delay", [0, 1])
async def test_pieces_and_messages_keep_their_order(autojump_clock, delay):
    async with pair(sending=Sending(delay=delay)) as (ws, peer):
        await ws.send("before")
        async with ws.open_message(text=True) as message:
            await message.write("a")
            await message.write("b")
        await ws.send("after")
        assert [frame.payload for frame in await peer.read_frames(5)] == [
            b"before",
            b"a",
            b"b",
            b"",
            b"after",
        ]


async def test_a_message_is_entered_once():
    async with pair() as (ws, peer):
        message = ws.open_message()
        async with message:
            await message.write(b"a")
        with pytest.raises(RuntimeError, match="entered before"):
            await message.__aenter__()
        await ws.send("next")
        assert await peer.read_frames(3) == [
            Frame(BINARY, b"a", fin=False),
            Frame(CONTINUATION, b""),
            text("next"),
        ]
        assert await peer.fence() == []


async def test_a_message_cannot_be_entered_in_its_own_block():
    async with pair() as (ws, peer):
        async with ws.open_message() as message:
            await message.write(b"a")
            with pytest.raises(RuntimeError, match="entered before"):
                async with message:
                    pytest.fail("entered")
            await message.write(b"b")
        assert await peer.read_frames(3) == [
            Frame(BINARY, b"a", fin=False),
            Frame(CONTINUATION, b"b", fin=False),
            Frame(CONTINUATION, b""),
        ]


async def test_a_message_can_be_entered_by_one_of_two_tasks():
    async with pair() as (ws, peer):
        message = ws.open_message()
        refused = []

        async def write(piece: bytes) -> None:
            try:
                async with message:
                    await message.write(piece)
            except RuntimeError:
                refused.append(piece)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(write, b"a")
            nursery.start_soon(write, b"b")
        assert len(refused) == 1
        sent = await peer.read_frames(2)
        assert sent[1] == Frame(CONTINUATION, b"")
        assert {sent[0].payload, *refused} == {b"a", b"b"}


async def test_a_block_that_could_not_be_entered_may_be_tried_again():
    async with pair() as (ws, peer):
        message = ws.open_message()
        with trio.CancelScope() as scope:
            scope.cancel()
            await message.__aenter__()
        assert scope.cancelled_caught
        async with message:
            await message.write(b"a")
        assert len(await peer.read_frames(2)) == 2


async def test_nothing_is_written_before_the_block():
    async with pair() as (ws, peer):
        with pytest.raises(RuntimeError, match="async with"):
            await ws.open_message().write(b"a")
        assert await peer.fence() == []
