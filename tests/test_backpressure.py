"""Peers that read more slowly than we send, and every policy for them."""

from __future__ import annotations

import pytest
import trio
from trio.testing import Sequencer, wait_all_tasks_blocked

from tests.serving import fill, pair
from tests.wire import (
    BINARY,
    PING,
    PONG,
    Frame,
    binary,
    close,
    text,
)
from trio_fastws import ConnectionBroken, Sending, Timeouts

pytestmark = pytest.mark.usefixtures("transport")

BIG = b"x" * 30_000


async def test_blocked_senders_go_on_first_come_first_served():
    async with pair(small=True) as (ws, peer), trio.open_nursery() as nursery:
        frames = await fill(ws, BIG)
        order = []
        sequencer = Sequencer()

        async def send(number: int) -> None:
            async with sequencer(number):
                pass
            await ws.send(f"{number}")
            order.append(number)

        for number in range(8):
            nursery.start_soon(send, number)
            await wait_all_tasks_blocked()
        assert order == []
        with pytest.raises(trio.WouldBlock):
            ws.send_nowait("no")
        expected = [*frames, *(text(f"{number}") for number in range(8))]
        assert await peer.read_frames(len(expected)) == expected
        await wait_all_tasks_blocked()
        assert order == list(range(8))


async def test_who_gets_room_hands_it_on_but_nobody_overtakes():
    async with pair(small=True) as (ws, peer), trio.open_nursery() as nursery:
        frames = await fill(ws, BIG)
        sent = []

        async def send(count: int) -> None:
            for number in range(count):
                await ws.send(b"%d" % number + BIG)
                sent.append(number)

        # Each queues again behind the others, so they take turns.
        for _ in range(3):
            nursery.start_soon(send, 4)
            await wait_all_tasks_blocked()
        received = await peer.read_frames(len(frames) + 12)
        assert received[: len(frames)] == frames
        numbers = [frame.payload[:1] for frame in received[len(frames) :]]
        assert numbers == [b"%d" % number for number in range(4) for _ in range(3)]


async def test_room_means_high_water_and_again_low_water():
    sending = Sending(high_water=100_000, low_water=0)
    async with pair(small=True, sending=sending) as (ws, peer):
        frames = await fill(ws, BIG)
        assert ws.statistics().send_queue >= 100_000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ws.send, "late")
            await wait_all_tasks_blocked()
            assert ws.statistics().send_queue >= 100_000
            assert await peer.read_frames(len(frames)) == frames
            assert await peer.read_frame() == text("late")
        assert ws.statistics().send_queue == 0


async def test_a_message_over_the_high_water_is_taken_when_nothing_waits():
    async with pair(small=True, sending=Sending(high_water=0, low_water=0)) as (
        ws,
        peer,
    ):
        for _ in range(3):
            with trio.fail_after(5):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(ws.send, b"y" * 300_000)
                    assert await peer.read_frame() == binary(b"y" * 300_000)


async def clog(ws) -> list[Frame]:
    """Send until the wire is full, so that all that follows has to wait."""
    frames = []
    while ws.statistics().send_queue < 2**17:
        ws.send_nowait(b"x" * 2**20)
        frames.append(binary(b"x" * 2**20))
        await wait_all_tasks_blocked(0.001)
    return frames


async def test_max_messages_is_a_limit_too():
    sending = Sending(high_water=2**24, hard_limit=2**24, max_messages=3)
    async with pair(small=True, sending=sending) as (ws, peer):
        frames = await clog(ws)
        for number in range(3):
            ws.send_nowait(f"{number}")
        with pytest.raises(trio.WouldBlock):
            ws.send_nowait("3")
        frames += [text(f"{number}") for number in range(3)]
        assert await peer.read_frames(len(frames)) == frames


async def overflow(ws, count: int) -> list[Frame]:
    frames = await clog(ws)
    for number in range(count):
        await ws.send(f"{number}")
        await wait_all_tasks_blocked()
    return frames


async def test_drop_oldest_keeps_the_newest_and_counts():
    sending = Sending(policy="drop_oldest", max_messages=3)
    async with pair(small=True, sending=sending) as (ws, peer):
        frames = await overflow(ws, 10)
        # The wire alone is over the high water: only the newest waits behind.
        assert ws.statistics().dropped == 9
        frames.append(text("9"))
        assert await peer.read_frames(len(frames)) == frames
        assert ws.statistics().messages_sent == len(frames)
        assert await peer.fence() == []


async def test_drop_newest_keeps_the_oldest_and_counts():
    sending = Sending(policy="drop_newest", high_water=2**23, max_messages=3)
    async with pair(small=True, sending=sending) as (ws, peer):
        frames = await overflow(ws, 10)
        assert ws.statistics().dropped == 7
        frames += [text("0"), text("1"), text("2")]
        assert await peer.read_frames(len(frames)) == frames
        assert await peer.fence() == []
        ws.send_nowait("again")
        assert await peer.read_frame() == text("again")


async def test_policy_close_closes_with_1008_and_tears_nothing():
    sending = Sending(policy="close", high_water=2**23, max_messages=3)
    async with pair(small=True, sending=sending) as (ws, peer):
        frames = await overflow(ws, 3)
        ws.send_nowait("one too many")
        with pytest.raises(ConnectionBroken) as caught:
            await ws.send("more")
        assert caught.value.close_code == 1008
        assert caught.value.close_reason == "the peer reads too slowly"
        frames.append(close(1008, "the peer reads too slowly"))
        assert await peer.read_frames(len(frames)) == frames
        await peer.send(close(1008))
        assert await peer.read_frames() == []


async def test_control_frames_bypass_the_policy():
    async with pair(small=True) as (ws, peer), trio.open_nursery() as nursery:
        frames = await fill(ws, BIG)
        nursery.start_soon(ws.ping)
        await wait_all_tasks_blocked()
        received = []
        while (frame := await peer.read_frame()).opcode != PING:
            received.append(frame)
        await peer.send(Frame(PONG, frame.payload))
        assert received == frames[: len(received)]


async def test_a_pong_that_had_to_wait_comes_before_our_close():
    # RFC 6455 5.5.1: MUST NOT send any more frames after a Close
    sending = Sending(high_water=1000, low_water=0)
    async with pair(small=True, sending=sending) as (ws, peer):
        frames = await fill(ws, 10 * BIG)
        await peer.send(Frame(PING, b"1"), Frame(PING, b"2"))
        await wait_all_tasks_blocked(0.001)
        ws.close_nowait(1000)
        await wait_all_tasks_blocked(0.001)
        received = await peer.read_frames(len(frames) + 2)
        assert received[-1] == close(1000)
        assert [f for f in received if f.opcode == PONG] == [Frame(PONG, b"2")]
        assert [f for f in received if f.opcode == BINARY] == frames
        await peer.send(close())
        assert await peer.read_frames() == []


async def test_a_peer_that_takes_no_byte_is_given_up(autojump_clock):
    timeouts = Timeouts(write_stall=3, ping_interval=None)
    async with pair(small=True, timeouts=timeouts) as (ws, _):
        await fill(ws, BIG)
        start = trio.current_time()
        with pytest.raises(ConnectionBroken, match="took no byte for 3 s"):
            await ws.send("more")
        assert 2.9 <= trio.current_time() - start < 3.2
