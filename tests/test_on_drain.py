"""Who was refused by `trio.WouldBlock` is told, once, when there is room again."""

from __future__ import annotations

import contextlib

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.serving import serving
from tests.wire import (
    BINARY,
    binary,
    text,
)
from trio_fastws import EventHandler, Sending

pytestmark = pytest.mark.usefixtures("transport")


class Drained(EventHandler):
    """Writes down what was waiting whenever `on_drain` is called."""

    def __init__(self) -> None:
        self.sockets = []
        self.queues = []

    def on_open(self, ws):
        self.sockets.append(ws)

    def on_drain(self, ws):
        self.queues.append(ws.statistics().send_queue)


def burst(ws, size: int) -> int:
    """Send until that is refused, without letting anybody else run."""
    for number in range(5000):
        try:
            ws.send_nowait(b"x" * size)
        except trio.WouldBlock:
            return number
    raise AssertionError("never refused")


@contextlib.asynccontextmanager
async def drained(**options):
    handler = Drained()
    async with serving(handler, **options) as site:
        peer = await site.dial()
        await peer.fence()
        yield handler, handler.sockets[0], peer


@pytest.mark.parametrize(
    ("size", "sending"),
    [
        (1024, Sending()),
        (100, Sending()),
        (100, Sending(high_water=4096, low_water=1024)),
        (100, Sending(high_water=4096)),
        (100, Sending(max_messages=10)),
        (5000, Sending(high_water=1000, low_water=1000)),
        (5000, Sending(high_water=1, low_water=0)),
        (100, Sending(high_water=4096, low_water=4096)),
    ],
)
async def test_a_refused_burst_is_followed_by_one_drain(size, sending):
    # Whether or not the kernel has ever refused a byte.
    async with drained(sending=sending) as (handler, ws, peer):
        for episode in (1, 2, 3):
            count = burst(ws, size)
            assert len(handler.queues) == episode - 1, "called inside of a task"
            assert await peer.read_frames(count) == [binary(b"x" * size)] * count
            await peer.fence()
            assert len(handler.queues) == episode
        low_water = sending.low_water
        if low_water is None:
            low_water = sending.high_water // 4
        assert max(handler.queues) <= low_water


async def test_there_is_room_when_it_is_called():
    class Refill(Drained):
        def on_drain(self, ws):
            super().on_drain(ws)
            if len(self.queues) < 5:
                ws.send_nowait("more")

    handler = Refill()
    sending = Sending(high_water=4096, low_water=4096, hard_limit=4096)
    async with serving(handler, sending=sending) as site:
        peer = await site.dial()
        await peer.fence()
        count = burst(handler.sockets[0], 100)
        await peer.read_frames(count)
        assert await peer.read_frame() == text("more")
        await peer.fence()
        # What is sent from it, and not refused, is no reason to call it again.
        assert len(handler.queues) == 1


async def test_of_a_slow_peer_it_tells_at_the_low_water_and_not_again():
    sending = Sending(high_water=200_000, low_water=100_000)
    async with drained(small=True, sending=sending) as (handler, ws, peer):
        sent = 0
        while True:
            count = burst(ws, 10_000)
            if not count:
                break
            sent += count
            await wait_all_tasks_blocked(0.001)
        assert await peer.read_frames(sent) == [binary(b"x" * 10_000)] * sent
        await peer.fence()
        assert len(handler.queues) == 1
        assert 0 < handler.queues[0] <= 100_000


async def test_a_refused_send_that_a_delay_holds_back(autojump_clock):
    sending = Sending(delay=2, high_water=10_000, low_water=1000)
    async with drained(sending=sending) as (handler, ws, peer):
        count = burst(ws, 1000)
        with trio.move_on_after(1):
            await trio.sleep_forever()
        assert handler.queues == []
        await peer.read_frames(count)
        await peer.fence()
        assert len(handler.queues) == 1


async def test_refused_in_a_hook_by_the_hard_limit():
    class Flood(Drained):
        def on_message(self, ws, message):
            burst(ws, 1000)

    handler = Flood()
    sending = Sending(high_water=50_000, low_water=20_000, hard_limit=100_000)
    async with serving(handler, small=True, sending=sending) as site:
        peer = await site.dial()
        await peer.send(b"\x82\x80\0\0\0\0")
        frames = []
        while not handler.queues:
            frames.append(await peer.read_frame())
        await peer.fence()
        assert {frame.opcode for frame in frames} == {BINARY}
        assert len(handler.queues) == 1
        assert handler.queues[0] <= 20_000


async def test_refused_while_a_message_is_sent_in_pieces():
    async with drained() as (handler, ws, peer):
        async with ws.open_message() as message:
            await message.write(b"a piece")
            for _ in range(3):
                with pytest.raises(trio.WouldBlock):
                    ws.send_nowait("between")
            await peer.read_frame()
            await peer.fence()
            assert handler.queues == []
        await peer.read_frame()
        await wait_all_tasks_blocked()
        assert handler.queues == [0]
        await ws.send("after")
        assert await peer.read_frame() == text("after")
        await peer.fence()
        assert handler.queues == [0]


async def test_refused_behind_senders_that_wait_is_told_behind_them():
    async with drained(small=True) as (handler, ws, peer):
        sent = 0
        while count := burst(ws, 10_000):
            sent += count
            await wait_all_tasks_blocked(0.001)
        before = len(handler.queues)
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(ws.send, f"{number}")
                await wait_all_tasks_blocked()
            with pytest.raises(trio.WouldBlock):
                ws.send_nowait("not yet")
            await peer.read_frames(sent)
        # Those who waited were first.
        assert await peer.read_frames(5) == [text(f"{n}") for n in range(5)]
        await peer.fence()
        assert len(handler.queues) == before + 1


async def test_senders_wait_for_the_number_of_messages_too():
    sending = Sending(
        high_water=2**22, low_water=2**22, hard_limit=2**22, max_messages=2
    )
    async with drained(small=True, sending=sending) as (handler, ws, peer):
        sent = burst(ws, 100_000)
        await wait_all_tasks_blocked(0.001)
        sent += burst(ws, 100_000)
        done = []

        async def send(number: int) -> None:
            await ws.send(b"%d" % number + b"y" * 100_000)
            done.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(send, number)
                await wait_all_tasks_blocked()
            assert done == []
            with pytest.raises(trio.WouldBlock):
                ws.send_nowait("no")
            await peer.read_frames(sent + 4)
        await peer.fence()
        assert done == [0, 1, 2, 3]
        assert len(handler.queues) == 1
