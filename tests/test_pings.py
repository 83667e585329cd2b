"""Pings and Pongs with payloads of the user's own: `ping(payload)`, `pong_nowait`."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
from trio.testing import (
    assert_checkpoints,
    assert_no_checkpoints,
    wait_all_tasks_blocked,
)

from tests.serving import fill, pair, serving
from tests.wire import (
    PING,
    PONG,
    Frame,
    close,
    pong,
    text,
)
from trio_fastws import ConnectionBroken, EventHandler, Sending, Timeouts, WebSocket

pytestmark = pytest.mark.usefixtures("transport")

# What is refused, and how.
WRONG = [
    (bytes(126), ValueError, "126 bytes is over the 125 .*5.5"),
    (memoryview(bytes(200)), ValueError, "200 bytes"),
    ("text", TypeError, "bytes-like, not str"),
    (None, TypeError, "bytes-like, not NoneType"),
    (5, TypeError, "bytes-like, not int"),
]


# --- ping ---------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"x", bytes(125), bytearray(b"ab"), b"\xff\0"])
async def test_a_ping_carries_the_payload_and_its_pong_answers_it(payload) -> None:
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        nursery.start_soon(ws.ping, payload)
        assert await peer.read_frame() == Frame(PING, bytes(payload))
        await peer.send(pong(b"another"))
        await wait_all_tasks_blocked(0.001)
        assert len(nursery.child_tasks) == 1
        await peer.send(pong(bytes(payload)))


async def test_an_empty_payload_is_one_of_its_own() -> None:
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(ws.ping)
        payloads = [(await peer.read_frame()).payload for _ in range(3)]
        assert len({*payloads, b""}) == 4
        for payload in payloads:
            await peer.send(pong(payload))


@pytest.mark.parametrize(("payload", "error", "words"), WRONG)
async def test_a_wrong_payload_of_a_ping_is_refused_at_once(
    payload, error, words
) -> None:
    async with pair() as (ws, peer):
        with pytest.raises(error, match=words), assert_no_checkpoints():
            await ws.ping(payload)
        assert await peer.fence() == []


async def test_a_payload_that_is_under_way_is_refused() -> None:
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        nursery.start_soon(ws.ping, b"same")
        assert (await peer.read_frame()).payload == b"same"
        with pytest.raises(ValueError, match="b'same' is unanswered"):
            await ws.ping(b"same")
        await peer.send(pong(b"same"))
        await wait_all_tasks_blocked(0.001)
        nursery.start_soon(ws.ping, b"same")
        assert (await peer.read_frame()).payload == b"same"
        await peer.send(pong(b"same"))


async def test_a_payload_can_be_used_again_as_soon_as_it_is_answered() -> None:
    # Also before the task that has waited for the answer runs again.
    async def ping_often(ws: WebSocket) -> None:
        for _ in range(30):
            while True:
                try:
                    await ws.ping(b"same")
                except ValueError:
                    continue
                break

    async with pair() as (ws, peer):
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(ping_often, ws)
            for _ in range(60):
                assert await peer.read_frame() == Frame(PING, b"same")
                await peer.send(pong(b"same"))
        assert await peer.fence() == []


async def test_payloads_of_our_own_are_not_those_of_the_users() -> None:
    async with pair() as (ws, peer), trio.open_nursery() as nursery:
        for number in range(1, 6):
            nursery.start_soon(ws.ping, b"%d" % number)
        taken = {(await peer.read_frame()).payload for _ in range(5)}
        nursery.start_soon(ws.ping)
        payload = (await peer.read_frame()).payload
        assert payload not in taken
        # RFC 6455 5.5.3: the latest answers those before it as well.
        await peer.send(pong(payload))


async def test_a_ping_is_a_checkpoint_also_when_it_is_answered_in_error() -> None:
    async with pair() as (ws, peer):
        await peer.send(close(1000))
        await ws.wait_closed()
        with pytest.raises(ConnectionBroken), assert_checkpoints():
            await ws.ping(b"x")


# What the keepalive has sent is told from what a program sends.
@pytest.mark.parametrize("payload", [b"+", b"+1000000", b"+0", b"1"])
async def test_no_payload_is_taken_for_the_keepalives(
    autojump_clock, connect, memory, payload
) -> None:
    timeouts = Timeouts(ping_interval=2, ping_timeout=50)
    ws, peer = await connect(memory.connect(), listeners=[memory], timeouts=timeouts)
    # Two of its own are under way: the second says when it was sent.
    assert [(await peer.read_frame()).opcode for _ in range(2)] == [PING, PING]
    with trio.move_on_after(0.5):
        await ws.ping(payload)
    assert (await peer.read_frame()) == Frame(PING, payload)
    # Nobody waits for it any more.
    await peer.send(pong(payload))
    await wait_all_tasks_blocked()
    assert math.isnan(ws.statistics().latency)


# --- pong_nowait --------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"beat", bytearray(125)])
async def test_a_heartbeat_is_a_pong_that_nobody_asked_for(payload) -> None:
    async with pair() as (ws, peer):
        with assert_no_checkpoints():
            ws.pong_nowait(payload)
        assert await peer.read_frame() == Frame(PONG, bytes(payload))
        ws.send_nowait("before")
        ws.pong_nowait(b"behind it")
        assert await peer.read_frames(2) == [text("before"), Frame(PONG, b"behind it")]
        assert ws.statistics().messages_sent == 1


@pytest.mark.parametrize(("payload", "error", "words"), WRONG)
async def test_a_wrong_payload_of_a_heartbeat_is_refused(payload, error, words) -> None:
    async with pair() as (ws, peer):
        with pytest.raises(error, match=words):
            ws.pong_nowait(payload)
        assert await peer.fence() == []


def beat(ws: WebSocket, times: int) -> None:
    """Send so many heartbeats, as fast as it goes."""
    for _ in range(times):
        ws.pong_nowait(bytes(100))


async def test_a_peer_that_never_reads_costs_no_more_than_the_hard_limit() -> None:
    sending = Sending(high_water=1000, low_water=0, hard_limit=20_000)
    async with pair(small=True, sending=sending) as (ws, peer):
        await fill(ws, bytes(1000))
        with pytest.raises(trio.WouldBlock):
            beat(ws, 10_000)
        assert ws.statistics().send_queue < 20_000 + 200
        assert ws.state == "open"
        # And it takes them again when the peer reads.
        while (await peer.read_frame()).opcode != PONG:
            pass
        await wait_all_tasks_blocked(0.001)
        ws.pong_nowait()


async def test_no_policy_drops_a_heartbeat() -> None:
    sending = Sending(policy="drop_newest", max_messages=1)
    async with pair(small=True, sending=sending) as (ws, peer):
        while ws.statistics().dropped == 0:
            ws.send_nowait(bytes(50_000))
            await wait_all_tasks_blocked()
        ws.pong_nowait(b"beat")
        while (frame := await peer.read_frame()).opcode != PONG:
            pass
        assert frame.payload == b"beat"


async def test_after_the_close_a_heartbeat_is_an_error() -> None:
    async with pair() as (ws, peer):
        ws.close_nowait()
        with pytest.raises(trio.ClosedResourceError):
            ws.pong_nowait()
        await peer.send(close(1000))
        assert await peer.read_frames() == [close(1000)]
    async with pair() as (ws, peer):
        await peer.send(close(4000))
        await ws.wait_closed()
        with pytest.raises(ConnectionBroken):
            ws.pong_nowait()


async def test_heartbeats_of_a_hook() -> None:
    errors: list[Any] = []

    class Handler(EventHandler):
        def __init__(self) -> None:
            self.members: list[WebSocket] = []

        def on_open(self, ws: WebSocket) -> None:
            self.members.append(ws)

        def on_message(self, ws: WebSocket, message: str | bytes) -> None:
            for member in self.members:
                member.pong_nowait(b"to all")
            # Many leave as they come, and are not kept until the hook is over.
            beat(ws, 1000)
            ws.close_nowait()
            try:
                ws.pong_nowait()
            except trio.ClosedResourceError as error:
                errors.append(error)

    handler = Handler()
    async with serving(handler) as site:
        first, gone, third = [await site.dial() for _ in range(3)]
        await gone.send(close(1000))
        await handler.members[1].wait_closed()
        await first.send(text("go"))
        frames = [Frame(PONG, b"to all"), *[Frame(PONG, bytes(100))] * 1000]
        assert await first.read_frames(1001) == frames
        assert await first.read_frame() == close(1000)
        assert await third.read_frame() == Frame(PONG, b"to all")
        assert handler.members[1].statistics().dropped == 0
    assert len(errors) == 1
