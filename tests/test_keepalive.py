"""Keepalive, stalls and slowness: who is given up, when, and with what reason."""

from __future__ import annotations

import math
import re

import pytest
import trio
from trio.testing import lockstep_stream_pair, wait_all_tasks_blocked

from tests.wire import (
    PING,
    TEXT,
    Frame,
    Peer,
    masked,
    pong,
    text,
)
from trio_fastws import ConnectionBroken, EventHandler, Sending, Timeouts

KEEPALIVE = Timeouts(ping_interval=20, ping_timeout=5)
SMALL = Sending(high_water=10, low_water=5)


async def test_silent_peer_is_pinged_and_then_given_up(
    transport, connect, memory, autojump_clock
) -> None:
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=KEEPALIVE)
    assert await peer.read_frame() == Frame(PING, b"")
    pinged = trio.current_time()
    with pytest.raises(ConnectionBroken) as caught:
        await ws.receive()
    assert 5 <= trio.current_time() - pinged < 5.1
    assert caught.value.close_code == 1006
    assert re.fullmatch(
        r"no byte from the peer for [12]\d(\.\d)? s, "
        r"5 s after a ping \(Timeouts\.ping_timeout\)",
        caught.value.close_reason,
    )
    assert await peer.read_rest() == b""


async def test_first_ping_is_jittered_and_not_later_than_the_interval(
    transport, serve, memory, autojump_clock
) -> None:
    await serve(EventHandler(), listeners=[memory], timeouts=KEEPALIVE)
    times = []
    peers = [Peer(memory.connect()) for _ in range(30)]
    async with trio.open_nursery() as nursery:

        async def wait_for_ping(peer: Peer) -> None:
            await peer.shake()
            assert await peer.read_frame() == Frame(PING, b"")
            times.append(trio.current_time())
            await peer.stream.aclose()

        for peer in peers:
            nursery.start_soon(wait_for_ping, peer)
    assert all(10 <= time < 20.1 for time in times)
    assert len(set(times)) > 15


async def test_pings_follow_silence_not_the_clock(
    transport, connect, memory, autojump_clock
) -> None:
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=KEEPALIVE)
    assert await peer.read_frame() == Frame(PING, b"")
    await peer.send(pong(b""))
    answered = trio.current_time()
    for _ in range(3):
        assert await peer.read_frame() == Frame(PING, b"")
        # An interval after the last byte from the peer.
        assert 20 <= trio.current_time() - answered < 20.1
        await trio.sleep(1)
        await peer.send(pong(b""))
        answered = trio.current_time()
    assert ws.state == "open"


async def test_latency_is_that_of_the_last_keepalive(
    transport, connect, memory, autojump_clock
) -> None:
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=KEEPALIVE)
    await peer.read_frame()
    await trio.sleep(3)
    await peer.send(pong(b""))
    await wait_all_tasks_blocked()
    assert 3 <= ws.statistics().latency < 3.1


@pytest.mark.parametrize("data", [masked(text("hi")), masked(text("x" * 99))[:50]])
async def test_any_byte_counts_as_life(
    transport, connect, memory, autojump_clock, data
) -> None:
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=KEEPALIVE)
    assert await peer.read_frame() == Frame(PING, b"")
    await trio.sleep(4.5)
    for byte in data:
        await peer.send(bytes([byte]))
        await trio.sleep(4.5)
    assert ws.state == "open"


async def test_busy_peer_is_not_pinged(
    transport, connect, memory, autojump_clock
) -> None:
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=KEEPALIVE)
    for _ in range(100):
        await peer.send(Frame(TEXT, b"hi"))
        assert await ws.receive() == "hi"
        await trio.sleep(9)
    with trio.move_on_after(0) as nothing:
        await peer.read_frame()
    assert nothing.cancelled_caught


async def test_without_an_interval_nobody_is_pinged(
    transport, connect, memory, autojump_clock
) -> None:
    ws, peer = await connect(
        memory.connect(), listeners=[memory], timeouts=Timeouts(ping_interval=None)
    )
    with trio.move_on_after(10_000) as nothing:
        await peer.read_frame()
    assert nothing.cancelled_caught
    assert ws.state == "open"


async def test_paused_peer_that_takes_pings_is_not_given_up(
    transport, connect, memory, autojump_clock
) -> None:
    # Its answers are not read, but that it takes bytes is seen.
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=KEEPALIVE)
    ws.pause_reading()
    for _ in range(10):
        assert (await peer.read_frame()).opcode == PING
    assert trio.current_time() > 180
    assert ws.state == "open"
    ws.resume_reading()
    # Not given up at once for a silence that was ours.
    frame = await peer.read_frame()
    assert frame.opcode == PING
    await peer.send(pong(frame.payload))
    await trio.sleep(6)
    assert ws.state == "open"


async def test_slow_consumer_is_told_from_a_dead_peer(
    transport, connect, memory, autojump_clock
) -> None:
    timeouts = Timeouts(ping_interval=20, ping_timeout=5, slow_consumer=30, close=1)
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=timeouts)
    started = trio.current_time()
    ws.pause_reading()
    code, reason = await peer.read_close()
    assert code == 1008
    assert reason == "messages were not received for 30 s (Timeouts.slow_consumer)"
    assert ws.close_reason == reason
    assert 30 <= trio.current_time() - started < 30.1


async def test_peer_that_takes_no_byte_is_given_up(
    transport, connect, memory, autojump_clock
) -> None:
    timeouts = Timeouts(ping_interval=None, write_stall=7)
    stream = memory.connect(lockstep_stream_pair)
    ws, _ = await connect(stream, listeners=[memory], timeouts=timeouts, sending=SMALL)
    started = trio.current_time()

    async def send_on() -> None:
        while True:
            await ws.send(bytes(100_000))

    words = r"took no byte for 7 s \(Timeouts\.write_stall\)"
    with pytest.raises(ConnectionBroken, match=words):
        await send_on()
    assert 7 <= trio.current_time() - started < 7.1
    assert ws.close_code == 1006


async def test_slow_peer_that_takes_some_is_not_given_up(
    transport, connect, memory, autojump_clock
) -> None:
    timeouts = Timeouts(ping_interval=None, write_stall=7)
    stream = memory.connect(lockstep_stream_pair)
    ws, peer = await connect(
        stream, listeners=[memory], timeouts=timeouts, sending=SMALL
    )

    async def read_slowly() -> None:
        while True:
            await peer.read_exactly(100_000)
            await trio.sleep(5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read_slowly)
        for _ in range(20):
            await ws.send(bytes(100_000))
        assert ws.state == "open"
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("patience", [0.2, 2, 20])
@pytest.mark.parametrize("answers", [True, False])
async def test_pings_leave_at_their_interval_whatever_the_timeout_is(
    transport, connect, memory, autojump_clock, patience, answers
) -> None:
    timeouts = Timeouts(ping_interval=0.2, ping_timeout=patience)
    _, peer = await connect(memory.connect(), listeners=[memory], timeouts=timeouts)
    pings = 0
    with trio.move_on_after(2.5):
        while True:
            assert (await peer.read_frame()).opcode == PING
            pings += 1
            if answers:
                await peer.send(pong(b""))
            elif patience < 2.5:
                return  # given up in between
    assert 11 <= pings <= 13


async def test_is_given_up_a_timeout_after_the_first_ping_nobody_answered(
    transport, connect, memory, autojump_clock
) -> None:
    timeouts = Timeouts(ping_interval=2, ping_timeout=5)
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=timeouts)
    times = []
    for _ in range(3):
        assert (await peer.read_frame()).opcode == PING
        times.append(trio.current_time())
    assert await peer.read_rest() == b""
    assert [round(time - times[0]) for time in times] == [0, 2, 4]
    assert 5 <= trio.current_time() - times[0] < 5.1
    assert ws.close_reason.endswith("5 s after a ping (Timeouts.ping_timeout)")


@pytest.mark.parametrize(("answered", "latency"), [(0, 5), (1, 3), (2, 1)])
async def test_latency_is_right_with_several_pings_under_way(
    transport, connect, memory, autojump_clock, answered, latency
) -> None:
    timeouts = Timeouts(ping_interval=2, ping_timeout=50)
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=timeouts)
    payloads = [(await peer.read_frame()).payload for _ in range(3)]
    assert len(set(payloads)) == 3
    await trio.sleep(1)
    await peer.send(pong(payloads[answered]))
    await wait_all_tasks_blocked()
    assert ws.statistics().latency == pytest.approx(latency, abs=0.1)


@pytest.mark.parametrize("payload", [b"+", b"+99999999", b"x", b"+" + b"9" * 100])
async def test_latency_is_not_told_by_pongs_that_answer_nothing(
    transport, connect, memory, autojump_clock, payload
) -> None:
    timeouts = Timeouts(ping_interval=2, ping_timeout=50)
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=timeouts)
    assert await peer.read_frame() == Frame(PING, b"")
    await peer.send(pong(payload))
    await wait_all_tasks_blocked()
    assert math.isnan(ws.statistics().latency)
