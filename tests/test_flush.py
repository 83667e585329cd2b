"""`WebSocket.flush`: what was sent before is with the system when it returns."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import trio
from trio.testing import (
    assert_checkpoints,
    lockstep_stream_pair,
    memory_stream_pair,
    wait_all_tasks_blocked,
)

from tests.serving import fill, pair, serving
from tests.wire import (
    Frame,
    Peer,
    binary,
    close,
    text,
)
from trio_fastws import (
    ConnectionBroken,
    EventHandler,
    Sending,
    Timeouts,
    WebSocket,
    open_websocket,
)

pytestmark = pytest.mark.usefixtures("transport")


class Flush:
    """A task that flushes, and what came of it."""

    def __init__(self, ws: WebSocket, nursery: trio.Nursery) -> None:
        self.scope = trio.CancelScope()
        self.outcome: Any = None
        self.ended = trio.Event()
        nursery.start_soon(self._run, ws)

    async def _run(self, ws: WebSocket) -> None:
        self.outcome = "cancelled"
        with self.scope:
            try:
                await ws.flush()
            except (trio.ClosedResourceError, ConnectionBroken) as error:
                self.outcome = type(error)
            else:
                self.outcome = "flushed"
        self.ended.set()

    def waits(self) -> bool:
        return not self.ended.is_set()


async def read_until(peer: Peer, flush: Flush) -> list[Frame]:
    """Let the peer read as long as something is not flushed."""
    frames: list[Frame] = []
    while flush.waits():
        frame = await peer.read_frame()
        assert frame is not None
        frames.append(frame)
        await wait_all_tasks_blocked(0.001)
    return frames


async def test_with_nothing_sent_it_is_a_checkpoint() -> None:
    async with pair() as (ws, peer):
        with assert_checkpoints():
            await ws.flush()
        await ws.send("a")
        with assert_checkpoints():
            await ws.flush()
        assert await peer.read_frame() == text("a")


async def test_it_waits_until_the_kernel_has_all() -> None:
    async with pair(small=True) as (ws, peer), trio.open_nursery() as nursery:
        await fill(ws, bytes(50_000))
        flush = Flush(ws, nursery)
        await wait_all_tasks_blocked(0.001)
        assert flush.waits()
        await read_until(peer, flush)
        assert flush.outcome == "flushed"
        assert ws.statistics().send_queue == 0


async def test_a_message_that_is_encoded_in_steps_is_waited_for() -> None:
    sending = Sending(frame_size=1000)
    async with pair(small=True, sending=sending) as (ws, peer):
        async with trio.open_nursery() as nursery:
            payload = bytes(300_000)
            ws.send_nowait(payload)
            flush = Flush(ws, nursery)
            frames = await read_until(peer, flush)
            assert flush.outcome == "flushed"
            while not frames[-1].fin:
                frames.append(await peer.read_frame())
        assert b"".join(frame.payload for frame in frames) == payload


async def test_what_is_delayed_is_written_now(mock_clock) -> None:
    sending = Sending(delay=1000)
    async with pair(sending=sending) as (ws, peer):
        ws.send_nowait("a")
        ws.send_nowait("b")
        await wait_all_tasks_blocked(0.001)
        await ws.flush()
        assert await peer.read_frames(2) == [text("a"), text("b")]
        # What is sent later is delayed as before, and leaves in its time.
        ws.send_nowait("c")
        await wait_all_tasks_blocked(0.001)
        assert ws.statistics().send_queue > 0
        mock_clock.jump(1000)
        assert await peer.read_frame() == text("c")


@pytest.mark.parametrize("policy", ["wait", "drop_oldest", "drop_newest"])
async def test_others_that_send_on_do_not_keep_it_waiting(policy) -> None:
    sending = Sending(policy=policy, high_water=200_000, low_water=100_000)
    async with (
        pair(small=True, sending=sending) as (ws, peer),
        trio.open_nursery() as nursery,
    ):

        def refill() -> None:
            while ws.statistics().send_queue < 100_000:
                ws.send_nowait(bytes(20_000))

        while ws.statistics().send_queue < 100_000:
            refill()
            await wait_all_tasks_blocked(0.001)
        flush = Flush(ws, nursery)
        read = 0
        while flush.waits():
            read += len((await peer.read_frame()).payload)
            refill()
            await wait_all_tasks_blocked(0.001)
            refill()
            assert ws.statistics().send_queue > 0
        assert flush.outcome == "flushed"
        # What waited, what is promoted with it, and the buffers below.
        assert read < 1_000_000


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest"])
async def test_what_a_policy_drops_is_not_waited_for(policy) -> None:
    sending = Sending(policy=policy, max_messages=3, high_water=2**20)
    async with (
        pair(small=True, sending=sending) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        while ws.statistics().dropped == 0:
            ws.send_nowait(bytes(50_000))
            await wait_all_tasks_blocked(0.001)
        flush = Flush(ws, nursery)
        await wait_all_tasks_blocked(0.001)
        before = ws.statistics().dropped
        for number in range(10):
            ws.send_nowait(b"%d" % number)
        assert ws.statistics().dropped == before + 10
        await read_until(peer, flush)
        assert flush.outcome == "flushed"


async def test_what_was_dropped_before_is_not_waited_for_again() -> None:
    # One message is encoded in steps, behind it one was dropped for another.
    sending = Sending(
        policy="drop_oldest", frame_size=1000, high_water=2**21, max_messages=1
    )
    async with (
        pair(small=True, sending=sending) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        ws.send_nowait(bytes(1_000_000))
        await wait_all_tasks_blocked(0.001)
        ws.send_nowait(b"dropped")
        ws.send_nowait(bytes(500_000))
        assert ws.statistics().dropped == 1
        flush = Flush(ws, nursery)
        frames = await read_until(peer, flush)
        assert flush.outcome == "flushed"
        # But for what is in the buffers of the kernel, the second one too.
        assert sum(len(frame.payload) for frame in frames) > 1_200_000


@pytest.mark.parametrize("policy", ["drop_oldest", "close"])
async def test_what_a_policy_drops_stands_for_nothing_that_came_before(policy) -> None:
    # A message is encoded in steps; behind it others are dropped.
    sending = Sending(policy=policy, frame_size=1000, high_water=2**21, max_messages=2)
    async with (
        pair(small=True, sending=sending) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        payload = bytes(1_000_000)
        ws.send_nowait(payload)
        flush = Flush(ws, nursery)
        await wait_all_tasks_blocked(0.001)
        assert flush.waits()
        for _ in range(4):
            with contextlib.suppress(trio.ClosedResourceError, ConnectionBroken):
                ws.send_nowait(b"later")
            await wait_all_tasks_blocked(0.001)
        frames = await read_until(peer, flush)
        assert flush.outcome == "flushed"
        # What is missing is in the buffers of the kernel.
        read = sum(len(frame.payload) for frame in frames)
        assert read > len(payload) // 2


async def test_a_task_of_a_hook_may_flush() -> None:
    done = trio.Event()

    class Handler(EventHandler):
        def on_message(self, ws: WebSocket, message: str | bytes) -> None:
            for _ in range(10):
                ws.send_nowait(bytes(50_000))
            ws.start_soon(self.finish, ws)

        async def finish(self, ws: WebSocket) -> None:
            await ws.flush()
            assert ws.statistics().send_queue == 0
            done.set()

    async with serving(Handler(), small=True) as site:
        peer = await site.dial()
        await peer.send(text("go"))
        for _ in range(10):
            assert await peer.read_frame() == binary(bytes(50_000))
        await done.wait()


async def test_cancelled_it_has_no_effect() -> None:
    async with pair(small=True) as (ws, peer), trio.open_nursery() as nursery:
        frames = await fill(ws, bytes(50_000))
        first, second = Flush(ws, nursery), Flush(ws, nursery)
        await wait_all_tasks_blocked(0.001)
        first.scope.cancel()
        await first.ended.wait()
        assert second.waits()
        for expected in frames:
            assert await peer.read_frame() == expected
        await second.ended.wait()
        assert (first.outcome, second.outcome) == ("cancelled", "flushed")
        await ws.send("still here")
        assert await peer.read_frame() == text("still here")


# --- behind a pump ------------------------------------------------------------


async def test_a_stream_has_it_when_send_all_has_returned(connect, memory) -> None:
    ws, peer = await connect(memory.connect(lockstep_stream_pair), listeners=[memory])
    async with trio.open_nursery() as nursery:
        # The link takes it, but the stream waits for its reader.
        ws.send_nowait("a")
        assert ws.statistics().send_queue == 0
        flush = Flush(ws, nursery)
        await wait_all_tasks_blocked()
        assert flush.waits()
        ws.send_nowait("later")
        assert await peer.read_frame() == text("a")
        await flush.ended.wait()
        assert flush.outcome == "flushed"
        assert await peer.read_frame() == text("later")


async def test_more_than_the_pump_takes_is_waited_for(connect, memory) -> None:
    ws, peer = await connect(memory.connect(lockstep_stream_pair), listeners=[memory])
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            ws.send_nowait(bytes(60_000))
        assert ws.statistics().send_queue > 0
        flush = Flush(ws, nursery)
        frames = await read_until(peer, flush)
        assert flush.outcome == "flushed"
        assert frames == [binary(bytes(60_000))] * 3


async def test_others_do_not_keep_a_pump_busy_for_it(connect, memory) -> None:
    ws, peer = await connect(memory.connect(lockstep_stream_pair), listeners=[memory])
    async with trio.open_nursery() as nursery:
        ws.send_nowait("first")
        flush = Flush(ws, nursery)
        await wait_all_tasks_blocked()
        for _ in range(10):
            ws.send_nowait("another")
            await wait_all_tasks_blocked()
            assert await peer.read_frame() is not None
            if not flush.waits():
                break
        assert flush.outcome == "flushed"


async def test_tls(serve, server_tls, client_tls) -> None:
    received = trio.Event()

    async def handler(ws: WebSocket) -> None:
        async for _ in ws:
            received.set()

    server = await serve(handler, ssl_context=server_tls)
    url = f"wss://127.0.0.1:{server.port}"
    async with open_websocket(url, ssl_context=client_tls) as ws:
        for _ in range(10):
            await ws.send(bytes(100_000))
        await ws.flush()
        assert ws.statistics().send_queue == 0
        await received.wait()


# --- ends ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "outcome"),
    [
        ("close", ConnectionBroken),
        ("reset", ConnectionBroken),
        ("abort", trio.ClosedResourceError),
    ],
)
async def test_it_is_told_when_the_connection_ends_before(how, outcome) -> None:
    # So much that the last messages are not committed.
    sending = Sending(high_water=2**20)
    async with (
        pair(small=True, sending=sending) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        await fill(ws, bytes(50_000))
        flush = Flush(ws, nursery)
        await wait_all_tasks_blocked(0.001)
        if how == "close":
            # What is not committed is dropped: nobody will get it.
            await peer.send(close(1000))
        elif how == "reset":
            peer.reset()
        else:
            ws.abort()
        await flush.ended.wait()
        assert flush.outcome is outcome


@pytest.mark.parametrize(
    ("who", "error"), [("us", trio.ClosedResourceError), ("peer", ConnectionBroken)]
)
async def test_after_the_end_it_raises_as_send_does(who, error) -> None:
    async with pair() as (ws, peer):
        if who == "us":
            ws.close_nowait()
        await peer.send(close(1000))
        await ws.wait_closed()
        with pytest.raises(error), assert_checkpoints():
            await ws.flush()


async def test_while_closing_it_waits_for_the_close_to_be_written() -> None:
    async with pair(small=True) as (ws, peer), trio.open_nursery() as nursery:
        frames = await fill(ws, bytes(50_000))
        before = Flush(ws, nursery)
        await wait_all_tasks_blocked(0.001)
        ws.close_nowait(4000)
        behind = Flush(ws, nursery)
        await wait_all_tasks_blocked(0.001)
        assert before.waits()
        assert behind.waits()
        for expected in [*frames, close(4000)]:
            assert await peer.read_frame() == expected
        await behind.ended.wait()
        assert (before.outcome, behind.outcome) == ("flushed", "flushed")
        assert ws.state == "closing"


async def test_both_closes_leave_before_a_stream_ends(autojump_clock) -> None:
    # The transport ends when all is written, and that is told.
    stream, theirs = lockstep_stream_pair()
    peer = Peer(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.welcome)
        async with open_websocket("ws://127.0.0.1/", stream=stream) as ws:
            await wait_all_tasks_blocked()
            await peer.send(close(4000))
            while ws.state == "open":
                await trio.lowlevel.checkpoint()
            flush = Flush(ws, nursery)
            await wait_all_tasks_blocked()
            assert flush.waits()
            assert await peer.read_frame() == close(4000)
            await flush.ended.wait()
            assert flush.outcome == "flushed"
            await trio.aclose_forcefully(theirs)


async def test_a_server_ends_when_it_was_flushed(connect, memory, mock_clock) -> None:
    ws, peer = await connect(memory.connect(lockstep_stream_pair), listeners=[memory])
    async with trio.open_nursery() as nursery:
        ws.send_nowait("a")
        flush, cancelled = Flush(ws, nursery), Flush(ws, nursery)
        await wait_all_tasks_blocked()
        await peer.send(close(1000))
        await wait_all_tasks_blocked()
        cancelled.scope.cancel()
        assert await peer.read_frames() == [text("a"), close(1000)]
        await flush.ended.wait()
        await ws.wait_closed()
        assert (flush.outcome, cancelled.outcome) == ("flushed", "cancelled")


@pytest.mark.parametrize("make_pair", [memory_stream_pair, lockstep_stream_pair])
async def test_a_cancelled_flush_does_not_hold_the_end_up(
    connect, memory, make_pair, mock_clock
) -> None:
    ws, peer = await connect(memory.connect(make_pair), listeners=[memory])
    async with trio.open_nursery() as nursery:
        ws.send_nowait("a")
        ws.close_nowait(1000)
        flush = Flush(ws, nursery)
        await wait_all_tasks_blocked()
        flush.scope.cancel()
        assert await peer.read_frames(2) == [text("a"), close(1000)]
        await peer.send(close(1000))
        await ws.wait_closed()
        assert ws.close_code == 1000


async def test_a_peer_that_never_reads_is_given_up_and_it_is_told(
    autojump_clock, connect, memory
) -> None:
    timeouts = Timeouts(ping_interval=None, write_stall=5)
    ws, _peer = await connect(
        memory.connect(lockstep_stream_pair), listeners=[memory], timeouts=timeouts
    )
    for _ in range(3):
        ws.send_nowait(bytes(60_000))
    with pytest.raises(ConnectionBroken, match="write_stall"):
        await ws.flush()


async def test_another_trio_run_may_not_flush() -> None:
    async with pair() as (ws, _):
        with pytest.raises(RuntimeError, match=r"trio\.from_thread"):
            await trio.to_thread.run_sync(trio.run, ws.flush)
