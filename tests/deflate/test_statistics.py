"""What is counted of compressed messages: as they are said, and as they travel."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.deflate.cases import MODES, Story, deflating, linked
from tests.wire import (
    BINARY,
    CONTINUATION,
    RSV1,
    TEXT,
    Frame,
)
from trio_fastws import Limits, PreparedMessage

pytestmark = pytest.mark.usefixtures("transport")


@pytest.fixture(params=["server", "client"])
def side(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


def counted(ws, direction: str) -> tuple[int, int, int]:
    statistics = ws.statistics()
    return (
        getattr(statistics, f"messages_{direction}"),
        getattr(statistics, f"bytes_{direction}"),
        getattr(statistics, f"encoded_{direction}"),
    )


async def test_nothing_is_counted_at_first(side, mode):
    async with linked(side, deflating(mode)) as (ws, _):
        assert counted(ws, "sent") == counted(ws, "received") == (0, 0, 0)


async def test_what_is_sent_is_counted_before_and_after(side, mode):
    story = Story(1)
    async with linked(side, deflating(mode)) as (ws, peer):
        size, encoded = 0, 0
        for number in range(30):
            message, compress = story.tell(), number % 4 != 0
            if number % 3 == 0:
                await ws.send(message, compress=compress)
            elif number % 3 == 1:
                ws.send_nowait(PreparedMessage(message, compress=compress))
            else:
                async with ws.open_message(compress=compress) as pieces:
                    await pieces.write(message[:100])
                    await pieces.write(message[100:])
            found = await peer.read_message()
            assert found.payload == message
            size += len(message)
            encoded += sum(found.sizes)
            assert counted(ws, "sent") == (number + 1, size, encoded)
        assert encoded < size


async def test_what_is_received_is_counted_before_and_after(side, mode):
    story = Story(2)
    async with linked(side, deflating(mode)) as (ws, peer):
        size, encoded = 0, 0
        for number in range(30):
            message = story.tell()
            if number % 3 == 0:
                await peer.send(Frame(BINARY, message))
                wire = len(message)
            else:
                data = peer.deflate(message)
                wire = len(data)
                await peer.send(Frame(BINARY, data[:50], fin=False, rsv=RSV1))
                await peer.send(Frame(CONTINUATION, data[50:]))
            assert await ws.receive() == message
            size += len(message)
            encoded += wire
            assert counted(ws, "received") == (number + 1, size, encoded)
        assert encoded < size


async def test_without_compression_both_are_equal(side):
    async with linked(side, None) as (ws, peer):
        await ws.send("grüße")
        async with ws.open_message() as message:
            await message.write(b"12")
            await message.write(b"345")
        await peer.read_payloads(2)
        await peer.send(Frame(TEXT, "ü".encode()))
        await peer.send(Frame(BINARY, b"a", fin=False))
        await peer.send(Frame(CONTINUATION, b"bc"))
        await peer.fence()
        assert counted(ws, "sent") == (2, 7 + 5, 7 + 5)
        assert counted(ws, "received") == (2, 2 + 3, 2 + 3)


async def test_what_compression_costs_is_counted_too(side):
    # With takeover what has entered the window has to be sent, even if larger.
    noise = Story(3).random.randbytes(5000)
    async with linked(side, deflating("persistent")) as (ws, peer):
        await ws.send(noise)
        found = await peer.read_message()
        assert found.compressed
        assert counted(ws, "sent") == (1, 5000, sum(found.sizes))
        assert sum(found.sizes) > 5000
        data = peer.deflate(noise)
        await peer.send(Frame(BINARY, data, rsv=RSV1))
        assert await ws.receive() == noise
        assert counted(ws, "received") == (1, 5000, len(data))


async def test_a_large_message_is_counted_in_the_end(side, mode):
    message = Story(4).random.randbytes(700_000).hex()
    limits = Limits(message_size=2**21, receive_buffer=2**21)
    async with linked(side, deflating(mode), limits=limits) as (ws, peer):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ws.send, message)
            found = await peer.read_message()
        assert counted(ws, "sent") == (1, len(message), sum(found.sizes))
        data = peer.deflate(message.encode())
        async with trio.open_nursery() as nursery:
            frame = peer.encode(Frame(TEXT, data, rsv=RSV1))
            nursery.start_soon(peer.stream.send_all, frame)
            assert await ws.receive() == message
        assert counted(ws, "received") == (1, len(message), len(data))


async def test_queues_hold_what_is_said_not_what_travels(side, mode):
    async with linked(side, deflating(mode)) as (ws, peer):
        await peer.send_message(BINARY, b"a" * 10_000)
        await peer.fence()
        assert ws.statistics().receive_queue == 10_000 + 64
        await ws.receive()
        assert ws.statistics().receive_queue == 0


async def test_a_queue_of_messages_to_be_compressed_empties(side, mode):
    story = Story(5)
    async with linked(side, deflating(mode), small=True) as (ws, peer):
        sent = [story.random.randbytes(600_000).hex().encode()]
        ws.send_nowait(sent[0])
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                sent.append(story.tell())
                nursery.start_soon(ws.send, sent[-1])
                await wait_all_tasks_blocked()
            assert ws.statistics().send_queue > 100_000
            assert await peer.read_payloads(4) == sent
        await wait_all_tasks_blocked()
        assert ws.statistics().send_queue == 0
        assert ws.statistics().messages_sent == 4
