"""Messages that nobody receives: when reading pauses, and what still works."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.serving import pair, serving
from tests.wire import (
    BINARY,
    PING,
    PONG,
    TEXT,
    Frame,
    binary,
    close,
    masked,
    text,
)
from trio_fastws import ConnectionBroken, EventHandler, Limits, Timeouts

pytestmark = pytest.mark.usefixtures("transport")


async def push(
    peer, payload: bytes, opcode: int = BINARY
) -> tuple[int, trio.CancelScope]:
    """Write frames until the server takes no more; returns how many are whole."""
    frame = Frame(opcode, payload)
    count = 0
    scope = trio.CancelScope()

    async def write() -> None:
        nonlocal count
        with scope:
            while True:
                await peer.send(frame)
                count += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        seen = -1
        while seen != count:
            seen = count
            await wait_all_tasks_blocked(0.005)
        scope.cancel()
    return count, scope


async def test_reading_pauses_at_the_receive_buffer_and_goes_on():
    async with pair(small=True, limits=Limits(receive_buffer=100_000)) as (ws, peer):
        count, _ = await push(peer, b"y" * 10_000)
        held = ws.statistics().receive_queue
        assert 100_000 <= held < 100_000 + 10_064
        assert ws.statistics().messages_received == 10
        for _ in range(count):
            assert await ws.receive() == b"y" * 10_000
        assert ws.statistics().receive_queue < 10_064


async def test_text_is_charged_what_it_takes_once_decoded():
    # One wide character makes every other of its message as wide.
    async with pair(small=True, limits=Limits(receive_buffer=100_000)) as (ws, peer):
        text = "y" * 9_000 + "\N{PILE OF POO}"
        await push(peer, text.encode(), TEXT)
        assert ws.statistics().messages_received == 3
        assert ws.statistics().receive_queue == 3 * (4 * 9_001 + 64)
        assert await ws.receive() == text


async def test_small_messages_are_charged_their_overhead():
    async with pair(limits=Limits(receive_buffer=6500)) as (ws, peer):
        await peer.send(*(Frame(TEXT, b"a") for _ in range(500)))
        await wait_all_tasks_blocked(0.001)
        assert ws.statistics().receive_queue == 6500
        assert ws.statistics().messages_received == 100
        for _ in range(500):
            assert await ws.receive() == "a"


async def test_pings_are_answered_while_nobody_receives():
    async with pair(limits=Limits(receive_buffer=10_000)) as (ws, peer):
        for number in range(5):
            await peer.send(Frame(BINARY, b"y" * 1000), Frame(PING, b"%d" % number))
            assert await peer.read_frame() == Frame(PONG, b"%d" % number)
        assert ws.statistics().messages_received == 5


async def test_a_paused_connection_notices_a_reset(autojump_clock):
    limits = Limits(receive_buffer=1000)
    async with pair(limits=limits) as (ws, peer):
        await peer.send(Frame(BINARY, b"y" * 2000))
        await wait_all_tasks_blocked(0.001)
        peer.reset()
        await wait_all_tasks_blocked(0.001)
        # What came before can still be received; then the loss is reported.
        assert await ws.receive() == b"y" * 2000
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert caught.value.close_code == 1006


async def test_what_the_kernel_held_when_the_peer_reset_is_delivered():
    async with pair(limits=Limits(receive_buffer=1000)) as (ws, peer):
        for number in range(6):
            await peer.send(Frame(BINARY, b"%d" % number * 2000))
            await wait_all_tasks_blocked(0.001)
        assert ws.statistics().messages_received == 1
        peer.reset()
        await wait_all_tasks_blocked(0.001)
        for number in range(6):
            assert await ws.receive() == b"%d" % number * 2000
        with pytest.raises(ConnectionBroken):
            await ws.receive()


async def test_a_pause_after_our_close_does_not_hold_up_the_end():
    async with pair() as (ws, peer):
        ws.close_nowait()
        ws.pause_reading()
        assert await peer.read_frame() == close(1000)
        await peer.send(close(1000))
        assert await peer.read_frames() == []
        assert ws.close_code == 1000


async def test_slow_consumer_closes_a_connection_nobody_reads(autojump_clock):
    timeouts = Timeouts(slow_consumer=5, ping_interval=1, ping_timeout=1)
    limits = Limits(receive_buffer=1000)
    async with pair(limits=limits, timeouts=timeouts) as (ws, peer):
        start = trio.current_time()
        await peer.send(Frame(TEXT, b"y" * 2000))
        frames = []
        while (frame := await peer.read_frame()).opcode != 8:
            frames.append(frame)
        # Pings show that the peer takes them; our own side was slow.
        assert {frame.opcode for frame in frames} == {PING}
        reason = "messages were not received for 5 s (Timeouts.slow_consumer)"
        assert frame == close(1008, reason)
        assert 5 <= trio.current_time() - start < 5.2
        await peer.send(close(1008))
        assert await peer.read_frames() == []
        assert ws.close_code == 1008
        assert await ws.receive() == "y" * 2000
        with pytest.raises(ConnectionBroken, match="not received for 5 s"):
            await ws.receive()


async def test_a_consumer_that_is_quick_enough_is_left_alone(autojump_clock):
    timeouts = Timeouts(slow_consumer=5, ping_interval=None)
    async with pair(limits=Limits(receive_buffer=1000), timeouts=timeouts) as (
        ws,
        peer,
    ):
        for _ in range(5):
            await peer.send(Frame(TEXT, b"y" * 2000))
            await trio.sleep(4)
            assert await ws.receive() == "y" * 2000
        assert ws.state == "open"


async def test_a_slow_peer_is_not_taken_for_a_slow_consumer(autojump_clock):
    class Flood(EventHandler):
        def on_message(self, ws, message):
            sockets.append(ws)
            ws.send_nowait(b"x" * 2**20)

    sockets = []
    timeouts = Timeouts(slow_consumer=5, ping_interval=None, write_stall=None)
    async with serving(Flood(), small=True, timeouts=timeouts) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"go"))
        await trio.sleep(20)
        assert sockets[0].state == "open"
        assert await peer.read_frame() == binary(b"x" * 2**20)


async def test_a_flood_in_one_read_does_not_keep_other_tasks_waiting():
    # 40,000 messages are more than one turn's time.
    async with pair(limits=Limits(receive_buffer=2**24)) as (ws, peer):
        received, others = 0, 0

        async def run() -> None:
            nonlocal others
            while received < 40_000:
                others += 1
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(run)
            nursery.start_soon(peer.send, masked(text("a")) * 40_000)
            async for message in ws:
                assert message == "a"
                received += 1
                if received == 40_000:
                    break
        assert others > 40_000


async def test_the_limit_on_messages_is_exact():
    async with pair(limits=Limits(message_size=1000)) as (ws, peer):
        await peer.send(Frame(BINARY, b"x" * 1000), Frame(BINARY, b"x" * 1001))
        assert len(await ws.receive()) == 1000
        with pytest.raises(ConnectionBroken) as caught:
            await ws.receive()
        assert caught.value.close_code == 1009
        assert (await peer.read_frame()).payload[:2] == (1009).to_bytes(2, "big")
