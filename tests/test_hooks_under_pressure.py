"""An event handler and a peer that does not read: limits, pauses and `on_drain`."""

from __future__ import annotations

import contextlib

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.handlers import Echo
from tests.serving import serving
from tests.wire import (
    PING,
    PONG,
    TEXT,
    Frame,
    binary,
    close,
    masked,
    text,
)
from trio_fastws import EventHandler, Sending

pytestmark = pytest.mark.usefixtures("transport")

CHUNK = b"x" * 100_000


class Handler(EventHandler):
    """Answers "flood" by sending until that fails; keeps a diary."""

    def __init__(self) -> None:
        self.diary = []
        self.sockets = []
        self.sent = 0
        self.inside = False

    def on_open(self, ws):
        self.sockets.append(ws)

    def on_message(self, ws, message):
        assert not self.inside
        self.inside = True
        self.diary.append(message)
        if message == "flood":
            with contextlib.suppress(trio.WouldBlock):
                while self.sent < 1000:
                    ws.send_nowait(CHUNK)
                    self.sent += 1
        elif message == "chunk":
            ws.send_nowait(CHUNK)
        elif message == "pause":
            ws.pause_reading()
        elif message == "pause and resume":
            ws.pause_reading()
            ws.resume_reading()
        self.inside = False

    def on_drain(self, ws):
        assert not self.inside
        self.diary.append("drain")

    def on_close(self, ws):
        assert not self.inside
        self.diary.append(f"close {ws.close_code}")


async def test_in_a_hook_only_the_hard_limit_stops_sending():
    handler = Handler()
    sending = Sending(high_water=1000, low_water=0, hard_limit=2_000_000)
    async with serving(handler, small=True, sending=sending) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"flood"))
        await wait_all_tasks_blocked(0.001)
        assert handler.sent * len(CHUNK) >= 2_000_000
        assert handler.sent * len(CHUNK) < 3_000_000
        # Outside of a hook the high water counts.
        with pytest.raises(trio.WouldBlock):
            handler.sockets[0].send_nowait("a")
        assert handler.diary == ["flood"]
        frames = await peer.read_frames(handler.sent)
        assert frames == [binary(CHUNK)] * handler.sent
        assert await peer.fence() == []
        assert handler.diary == ["flood", "drain"]


async def test_reading_stops_above_the_high_water_in_the_middle_of_a_read():
    handler = Handler()
    sending = Sending(high_water=200_000, low_water=50_000)
    async with serving(handler, small=True, sending=sending) as site:
        peer = await site.dial()
        await peer.send(*[Frame(TEXT, b"chunk")] * 50)
        await wait_all_tasks_blocked(0.001)
        # One read had them all; the rest is kept until the peer reads.
        assert 3 <= len(handler.diary) < 30
        assert await peer.read_frames(50) == [binary(CHUNK)] * 50
        await peer.fence()
        assert [entry for entry in handler.diary if entry != "drain"] == ["chunk"] * 50
        assert handler.diary[-1] == "drain"


async def test_on_drain_is_not_called_for_what_was_never_blocked():
    handler = Handler()
    async with serving(handler) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"a"), Frame(TEXT, b"b"))
        assert await peer.fence() == []
        handler.sockets[0].send_nowait("x")
        handler.sockets[0].send_nowait("y")
        assert await peer.read_frames(2) == [text("x"), text("y")]
        assert handler.diary == ["a", "b"]


async def test_on_drain_may_send_and_comes_again_after_the_next_jam():
    class Refill(Handler):
        def on_drain(self, ws):
            super().on_drain(ws)
            if self.diary.count("drain") < 3:
                for _ in range(20):
                    ws.send_nowait(CHUNK)

    handler = Refill()
    sending = Sending(hard_limit=2**22)
    async with serving(handler, small=True, sending=sending) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"flood"))
        total = 0
        while handler.diary.count("drain") < 3:
            assert await peer.read_frame() == binary(CHUNK)
            total += 1
        assert total >= handler.sent
        rest = await peer.fence()
        assert total + len(rest) == handler.sent + 40


async def test_an_exception_in_on_drain_is_1011(caplog):
    class Fail(Handler):
        def on_drain(self, ws):
            raise ZeroDivisionError

    handler = Fail()
    async with serving(handler, small=True, sending=Sending(hard_limit=2**21)) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"flood"))
        while (frame := await peer.read_frame()).opcode != 8:
            assert frame == binary(CHUNK)
        assert frame == close(1011, "internal error")
        await peer.send(close(1011))
        assert await peer.read_frames() == []
        while len(handler.diary) < 2:
            await trio.lowlevel.checkpoint()
    assert handler.diary == ["flood", "close 1011"]
    messages = [record.getMessage() for record in caplog.records]
    assert sum(text.startswith("exception in on_drain [") for text in messages) == 1


async def test_a_paused_peer_that_resets_is_noticed():
    handler = Handler()
    async with serving(handler, small=True) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"flood"))
        await wait_all_tasks_blocked(0.001)
        peer.reset()
        while handler.diary[-1] != "close 1006":
            await trio.lowlevel.checkpoint()
        assert handler.diary == ["flood", "close 1006"]


async def test_pause_reading_holds_frames_already_read_until_resume_reading():
    handler = Handler()
    async with serving(handler) as site:
        peer = await site.dial()
        frames = [Frame(TEXT, word) for word in (b"a", b"pause", b"b", b"c")]
        await peer.send(*frames, Frame(PING, b"p"))
        await wait_all_tasks_blocked(0.001)
        await peer.send(Frame(TEXT, b"d"))
        await wait_all_tasks_blocked(0.001)
        assert handler.diary == ["a", "pause"]
        handler.sockets[0].resume_reading()
        assert await peer.read_frame() == Frame(PONG, b"p")
        assert await peer.fence() == []
        assert handler.diary == ["a", "pause", "b", "c", "d"]


async def test_pausing_and_resuming_in_one_hook_changes_nothing():
    handler = Handler()
    async with serving(handler) as site:
        peer = await site.dial()
        words = [b"a", b"pause and resume", b"b"]
        await peer.send(*(Frame(TEXT, word) for word in words))
        assert await peer.fence() == []
        assert handler.diary == ["a", "pause and resume", "b"]


@pytest.mark.parametrize("early", [True, False])
async def test_pausing_in_on_open_holds_the_first_message(early):
    class Paused(Handler):
        def on_open(self, ws):
            super().on_open(ws)
            ws.pause_reading()

    handler = Paused()
    async with serving(handler) as site:
        words = masked(text("a"), text("b"))
        peer = await site.dial(early=words if early else b"")
        if not early:
            await peer.send(words)
        await wait_all_tasks_blocked(0.001)
        assert handler.diary == []
        handler.sockets[0].resume_reading()
        assert await peer.fence() == []
        assert handler.diary == ["a", "b"]


async def test_resuming_what_is_not_paused_does_nothing():
    handler = Handler()
    async with serving(handler) as site:
        peer = await site.dial()
        handler.sockets[0].resume_reading()
        await peer.send(Frame(TEXT, b"a"))
        assert await peer.fence() == []
        assert handler.diary == ["a"]


async def test_resume_reading_does_not_undo_another_reason_to_pause():
    handler = Handler()
    sending = Sending(high_water=200_000, low_water=50_000)
    async with serving(handler, small=True, sending=sending) as site:
        peer = await site.dial()
        await peer.send(*[Frame(TEXT, b"chunk")] * 50)
        await wait_all_tasks_blocked(0.001)
        before = len(handler.diary)
        handler.sockets[0].pause_reading()
        handler.sockets[0].resume_reading()
        await wait_all_tasks_blocked(0.001)
        assert len(handler.diary) == before < 50
        assert await peer.read_frames(50) == [binary(CHUNK)] * 50


async def test_a_paused_connection_that_is_closed_reads_on_for_the_close():
    handler = Handler()
    async with serving(handler) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"pause"), Frame(TEXT, b"never"))
        await wait_all_tasks_blocked(0.001)
        handler.sockets[0].close_nowait(4000)
        assert await peer.read_frame() == close(4000)
        await peer.send(close(4000))
        assert await peer.read_frames() == []
        while len(handler.diary) < 2:
            await trio.lowlevel.checkpoint()
        assert handler.diary == ["pause", "close 4000"]


async def test_a_policy_counts_in_hooks_too():
    handler = Handler()
    sending = Sending(policy="drop_newest", high_water=2**20, hard_limit=2**20)

    def flood(ws, message):
        for _ in range(100):
            ws.send_nowait(CHUNK)

    handler.on_message = flood
    async with serving(handler, small=True, sending=sending) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"go"))
        await wait_all_tasks_blocked(0.001)
        dropped = handler.sockets[0].statistics().dropped
        assert 80 < dropped < 95
        left = 100 - dropped
        assert await peer.read_frames(left) == [binary(CHUNK)] * left
        assert await peer.fence() == []


async def test_a_delay_does_not_hold_back_what_a_hook_answers(autojump_clock):
    async with serving(Echo(), sending=Sending(delay=2)) as site:
        peer = await site.dial()
        start = trio.current_time()
        await peer.send(Frame(TEXT, b"a"))
        assert await peer.read_frame() == text("a")
        assert trio.current_time() == start
