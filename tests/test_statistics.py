"""Counters of a connection and of a server."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import trio
from trio.testing import assert_checkpoints, wait_all_tasks_blocked

from tests.handlers import Keeper
from tests.serving import pair, serving
from tests.wire import (
    BINARY,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
)
from trio_fastws import ConnectionBroken, Statistics, Timeouts

pytestmark = pytest.mark.usefixtures("transport")


async def test_a_new_connection_has_counted_nothing():
    async with pair() as (ws, _):
        statistics = ws.statistics()
        assert math.isnan(statistics.latency)
        # Not a number is not equal to itself.
        assert replace(statistics, latency=0) == Statistics(*[0] * 10)


async def test_messages_and_payload_bytes_are_counted_both_ways():
    async with pair() as (ws, peer):
        await ws.send("grüße")
        ws.send_nowait(b"abc")
        async with ws.open_message() as message:
            await message.write(b"12")
            await message.write(b"345")
        await peer.read_frames(5)
        await peer.send(Frame(TEXT, "ü".encode()), Frame(BINARY, b"xyz"))
        await peer.send(Frame(BINARY, b"a", fin=False), Frame(0, b"b"))
        await peer.fence()
        statistics = ws.statistics()
        assert statistics.messages_sent == 3
        assert statistics.bytes_sent == 7 + 3 + 5
        assert statistics.messages_received == 3
        assert statistics.bytes_received == 2 + 3 + 2


@pytest.mark.parametrize(
    ("character", "width"),
    [("x", 1), ("\xe9", 1), ("\u20ac", 2), ("\N{PILE OF POO}", 4)],
)
async def test_unread_text_is_counted_as_it_lies_in_memory(character, width):
    async with pair() as (ws, peer):
        text = "x" * 999 + character
        await peer.send(Frame(TEXT, text.encode()), Frame(TEXT, b"ascii"))
        await peer.fence()
        assert ws.statistics().receive_queue == 1000 * width + 64 + 5 + 64
        assert await ws.receive() == text
        assert ws.statistics().receive_queue == 5 + 64


async def test_queues_are_counted_with_their_overhead():
    async with pair() as (ws, peer):
        await peer.send(Frame(TEXT, b"abc"), Frame(BINARY, b"defgh"))
        await peer.fence()
        assert ws.statistics().receive_queue == 3 + 64 + 5 + 64
        await ws.receive()
        assert ws.statistics().receive_queue == 5 + 64
        await ws.receive()
        assert ws.statistics().receive_queue == 0
        ws.send_nowait("at once")
        ws.send_nowait("queued")
        assert ws.statistics().send_queue == 2 + 6
        await peer.read_frames(2)
        assert ws.statistics().send_queue == 0


async def test_latency_is_the_round_trip_of_the_keepalive(autojump_clock):
    timeouts = Timeouts(ping_interval=10, ping_timeout=10)
    async with pair(timeouts=timeouts) as (ws, peer):
        assert await peer.read_frame() == Frame(PING, b"")
        assert math.isnan(ws.statistics().latency)
        await trio.sleep(2)
        await peer.send(Frame(PONG, b""))
        await wait_all_tasks_blocked()
        assert ws.statistics().latency == pytest.approx(2, abs=0.1)


async def test_ping_gives_the_round_trip(autojump_clock):
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        trips = []

        async def ping() -> None:
            trips.append(await ws.ping())

        nursery.start_soon(ping)
        frame = await peer.read_frame()
        await trio.sleep(3)
        await peer.send(Frame(PONG, frame.payload))
        await wait_all_tasks_blocked()
        assert trips == [pytest.approx(3, abs=0.1)]


@pytest.mark.parametrize("who", ["us", "peer"])
async def test_nobody_is_pinged_after_the_close(who):
    async with pair() as (ws, peer):
        if who == "us":
            ws.close_nowait()
            with pytest.raises(trio.ClosedResourceError), assert_checkpoints():
                await ws.ping()
        else:
            await peer.send(close(1000))
            await ws.wait_closed()
            with pytest.raises(ConnectionBroken), assert_checkpoints():
                await ws.ping()
        await peer.send(close(1000))
        assert await peer.read_frames() == [close(1000)]


async def test_a_ping_that_the_close_overtakes_is_told():
    async with pair() as (ws, peer), trio.open_nursery() as nursery:

        async def ping() -> None:
            with pytest.raises(ConnectionBroken):
                await ws.ping()

        nursery.start_soon(ping)
        assert (await peer.read_frame()).opcode == PING
        await peer.send(close(1000))


async def test_a_pong_answers_the_pings_before_it_too():
    # RFC 6455 5.5.3: MAY elect to send a Pong for only the most recent Ping
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        ended = []

        async def ping(number: int) -> None:
            await ws.ping()
            ended.append(number)

        for number in range(3):
            nursery.start_soon(ping, number)
            await wait_all_tasks_blocked()
        frames = await peer.read_frames(3)
        assert all(frame.opcode == PING for frame in frames)
        await peer.send(Frame(PONG, b"unasked"))
        await wait_all_tasks_blocked()
        assert ended == []
        await peer.send(Frame(PONG, frames[1].payload))
        await wait_all_tasks_blocked()
        assert sorted(ended) == [0, 1]
        await peer.send(Frame(PONG, frames[2].payload))


async def test_a_server_counts_its_connections():
    keeper = Keeper()
    async with serving(keeper) as site:
        first = await site.dial()
        await site.dial()
        await site.connect()
        await wait_all_tasks_blocked(0.001)
        statistics = site.server.statistics()
        assert (statistics.connections, statistics.accepted) == (2, 2)
        assert statistics.handshakes == 1
        sockets = {await keeper.next(), await keeper.next()}
        assert set(site.server.connections) == sockets
        await first.aclose()
        await wait_all_tasks_blocked(0.001)
        statistics = site.server.statistics()
        assert (statistics.connections, statistics.accepted) == (1, 2)
