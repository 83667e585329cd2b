"""Cancelled at every schedule point: whole frames only, nothing twice, nothing lost."""

from __future__ import annotations

from contextlib import suppress

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.cutting import cancel_when_blocked, cut, cut_everywhere
from tests.serving import fill, pair
from tests.wire import (
    BINARY,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    masked,
    text,
)
from trio_fastws import Sending

pytestmark = pytest.mark.usefixtures("transport")

BIG = b"x" * 40_000


async def test_a_cancelled_send_has_queued_nothing():
    async with pair() as (ws, peer):
        sent = []
        async for result in cut_everywhere(lambda: ws.send(f"{len(sent)}"), 1):
            if result is not None:
                sent.append(text(f"{len(sent)}"))
        ws.send_nowait("end")
        assert await peer.read_frames(len(sent) + 1) == [*sent, text("end")]


async def test_a_send_cancelled_while_it_waits_for_room_has_queued_nothing():
    # The peer reads while the send waits, so that its wake-up is cut as well.
    async with pair(small=True) as (ws, peer):
        expected, received = [], []

        async def send_late() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(read_all_but_one)
                await ws.send(f"late {len(expected)}")
                sent.append(True)

        async def read_all_but_one() -> None:
            while len(received) < len(expected) - 1:
                received.append(await peer.read_frame())

        for step in range(1, 60):
            expected += await fill(ws, BIG)
            sent: list[bool] = []
            await cut(step, send_late)
            if sent:
                expected.append(text(f"late {len(expected)}"))
            while len(received) < len(expected):
                received.append(await peer.read_frame())
            assert received == expected
        assert await peer.fence() == []


async def test_a_cancelled_waiter_does_not_hold_up_those_behind_it():
    async with pair(small=True) as (ws, peer), trio.open_nursery() as nursery:
        frames = await fill(ws, BIG)
        scope = trio.CancelScope()

        async def first() -> None:
            with scope:
                await ws.send("first")

        nursery.start_soon(first)
        await wait_all_tasks_blocked()
        nursery.start_soon(ws.send, "second")
        await wait_all_tasks_blocked()
        scope.cancel()
        assert await peer.read_frames(len(frames) + 1) == [*frames, text("second")]


async def test_a_cancelled_receive_has_lost_nothing():
    async with pair() as (ws, peer):
        received, number = [], 0

        async def receive() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.send, Frame(TEXT, b"%d" % number))
                received.append(await ws.receive())

        for number in range(40):
            await cut(number + 1, receive)
        await peer.send(Frame(TEXT, b"end"))
        while received[-1:] != ["end"]:
            received.append(await ws.receive())
        # A write that was cancelled before it began is the only one missing.
        assert received[:-1] == sorted(set(received[:-1]), key=int)
        assert len(received) >= 30
        assert ws.statistics().messages_received == len(received)


async def test_a_cancelled_ping_leaves_the_connection_well():
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        pings = []

        async def answer() -> None:
            while (frame := await peer.read_frame()).opcode == PING:
                pings.append(frame.payload)
                await peer.send(Frame(PONG, frame.payload))
            assert frame == text("end")

        nursery.start_soon(answer)
        async for result in cut_everywhere(ws.ping, 2):
            assert result is None or result[0] >= 0
        assert await ws.ping() >= 0
        await ws.send("end")
    assert len(set(pings)) == len(pings), "every Ping is its own"


async def test_a_cancelled_aclose_aborts_and_tears_nothing():
    step, reached = 0, True
    while reached:
        step += 1
        async with pair() as (ws, peer), trio.open_nursery() as nursery:
            frames = []

            async def converse(peer=peer, frames=frames) -> None:
                with suppress(trio.BrokenResourceError):  # it may be aborted
                    while (frame := await peer.read_frame()) is not None:
                        frames.append(frame)
                        if frame == close(1000, "bye"):
                            await peer.send(close(1000))
                assert not peer.buffer

            nursery.start_soon(converse)
            await ws.send("before")
            reached, result = await cut(step, lambda ws=ws: ws.aclose(1000, "bye"))
            # Cancelled or not, it is over now.
            await ws.wait_closed()
            if result is None:
                assert ws.close_code in (1000, 1006)
            else:
                assert ws.close_code == 1000
        assert frames in ([text("before"), close(1000, "bye")], [text("before")], [])
        if result is not None:
            assert frames == [text("before"), close(1000, "bye")]
    assert step > 3


async def test_a_cancelled_aclose_does_not_wait_for_the_peer():
    async with pair() as (ws, peer):
        with trio.move_on_after(0) as scope:
            await ws.aclose(4000, "enough")
        assert scope.cancelled_caught
        assert ws.close_code == 1006
        assert ws.close_reason == "closing was cancelled"
        await ws.wait_closed()
        # The Close was on its way before the first checkpoint.
        frames = await peer.read_frames()
        assert frames in ([close(4000, "enough")], [])


async def test_a_cancelled_write_of_a_piece_has_queued_nothing():
    async with pair() as (ws, peer):
        pieces = []
        async with ws.open_message() as message:

            async def write() -> None:
                await message.write(b"%d" % len(pieces))
                pieces.append(b"%d" % len(pieces))

            step, reached = 0, True
            while reached:
                step += 1
                reached, _ = await cut(step, write)
        assert pieces
        assert step > 1
        frames = await peer.read_frames(len(pieces) + 1)
        opcodes = [BINARY] + [CONTINUATION] * len(pieces)
        assert frames == [
            Frame(opcode, payload, fin=False)
            for opcode, payload in zip(opcodes, pieces, strict=False)
        ] + [Frame(CONTINUATION, b"", fin=True)]


async def test_a_write_cancelled_while_it_waits_for_room_has_queued_nothing():
    async with pair(small=True, sending=Sending(high_water=2**16)) as (ws, peer):
        async with ws.open_message() as message:
            count = 0
            while not await cancel_when_blocked(lambda: message.write(BIG)):
                count += 1
            assert count > 1
            frames = await peer.read_frames(count)
            assert [frame.payload for frame in frames] == [BIG] * count
            assert not any(frame.fin for frame in frames)
            assert await peer.fence() == []
        assert await peer.read_frame() == Frame(CONTINUATION, b"")


@pytest.mark.parametrize("whole", [True, False])
async def test_a_cancelled_receive_of_a_piece_has_lost_nothing(whole):
    async with pair() as (ws, peer):
        pieces = [b"%02d" % number for number in range(40)]
        received = []
        async with ws.receive_stream() as message:

            async def receive(number: int) -> None:
                async with trio.open_nursery() as nursery:
                    opcode = CONTINUATION if number else BINARY
                    frame = masked(Frame(opcode, pieces[number], number == 39))
                    if whole:
                        nursery.start_soon(send, frame)
                    else:
                        nursery.start_soon(send, frame[:5], frame[5:])
                    received.append(await message.receive())

            async def send(*parts: bytes) -> None:
                with trio.CancelScope(shield=True):
                    for part in parts:
                        await peer.send(part)

            for number in range(40):
                await cut(number + 1, receive, number)
            while True:
                try:
                    received.append(await message.receive())
                except trio.EndOfChannel:
                    break
        assert b"".join(received) == b"".join(pieces)


async def test_opening_a_stream_can_be_cancelled():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"kept"))
        await wait_all_tasks_blocked()
        with trio.move_on_after(0) as scope:
            async with ws.receive_stream():
                raise AssertionError("entering is a checkpoint")
        assert scope.cancelled_caught
        assert await ws.receive() == "kept"


async def test_leaving_a_stream_before_its_first_piece_loses_nothing():
    async with pair() as (ws, peer):

        async def receive() -> None:
            async with ws.receive_stream() as message:
                await message.receive()

        assert await cancel_when_blocked(receive)
        await peer.send(Frame(TEXT, b"kept"))
        assert await ws.receive() == "kept"


async def test_opening_a_message_can_be_cancelled():
    async with pair() as (ws, peer):
        with trio.move_on_after(0) as scope:
            async with ws.open_message():
                raise AssertionError("entering is a checkpoint")
        assert scope.cancelled_caught
        await ws.send("after")
        assert await peer.read_frame() == text("after")


async def test_waiting_to_open_a_message_can_be_cancelled():
    async with pair() as (ws, peer):
        async with ws.open_message(text=True) as message:

            async def open_another() -> None:
                async with ws.open_message():
                    raise AssertionError("it is another's turn")

            assert await cancel_when_blocked(open_another)
            await message.write("a")
        await ws.send("after")
        assert (await peer.read_frames(3))[2] == text("after")
