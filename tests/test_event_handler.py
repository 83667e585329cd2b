"""Hooks: their order, what they may do, and that they never nest."""

from __future__ import annotations

import functools

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.serving import serving
from tests.wire import (
    PING,
    PONG,
    TEXT,
    Frame,
    Writes,
    binary,
    close,
    text,
)
from trio_fastws import EventHandler

pytestmark = pytest.mark.usefixtures("transport")


class Recorder(EventHandler):
    """Writes down every hook with its depth; calls ``react`` inside."""

    def __init__(self, **react) -> None:
        self.calls = []
        self.ended = trio.Event()
        self.sockets = []
        self._react = react
        self._inside = None

    def _note(self, name, ws, *args):
        assert self._inside is None, f"{name} inside {self._inside}"
        self._inside = name
        try:
            self.calls.append((name, *args))
            react = self._react.get(name)
            if react is not None:
                react(ws, *args)
        finally:
            self._inside = None

    def on_open(self, ws):
        self.sockets.append(ws)
        self._note("on_open", ws)

    def on_message(self, ws, message):
        self._note("on_message", ws, message)

    def on_ping(self, ws, payload):
        self._note("on_ping", ws, payload)

    def on_pong(self, ws, payload):
        self._note("on_pong", ws, payload)

    def on_drain(self, ws):
        self._note("on_drain", ws)

    def on_close(self, ws):
        self._note("on_close", ws)
        self.ended.set()


def echo(ws, message):
    ws.send_nowait(message)


async def test_hooks_come_in_the_order_of_the_frames():
    handler = Recorder(on_open=lambda ws: ws.send_nowait("welcome"), on_message=echo)
    async with serving(handler) as site:
        peer = await site.dial(early=Frame(TEXT, b"early"))
        await peer.send(
            Frame(PING, b"1"), Frame(TEXT, b"a"), Frame(PONG, b"2"), close()
        )
        assert await peer.read_frames() == [
            text("welcome"),
            text("early"),
            Frame(PONG, b"1"),
            text("a"),
            close(1000),
        ]
        await handler.ended.wait()
    assert handler.calls == [
        ("on_open",),
        ("on_message", "early"),
        ("on_ping", b"1"),
        ("on_message", "a"),
        ("on_pong", b"2"),
        ("on_close",),
    ]


async def test_the_base_class_ignores_everything():
    async with serving(EventHandler()) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"a"), Frame(PONG), Frame(PING, b"p"))
        assert await peer.read_frame() == Frame(PONG, b"p")
        await peer.send(close())
        assert await peer.read_frame() == close(1000)


async def test_a_wrapper_of_a_hook_that_does_nothing_is_called():
    opened = []

    class Wrapping(EventHandler):
        @functools.wraps(EventHandler.on_open)
        def on_open(self, ws):
            super().on_open(ws)
            opened.append("in the class")

    handler = Wrapping()
    async with serving(handler) as site:
        await site.dial()
        handler.on_open = lambda ws: opened.append("in the instance")
        await site.dial()
    assert opened == ["in the class", "in the instance"]


async def test_what_a_batch_of_hooks_sends_leaves_in_one_write():
    writes = Writes()
    handler = Recorder(on_message=echo)
    async with serving(handler) as site:
        peer = await site.dial()
        writes.watch(peer.stream)
        await peer.send(*(Frame(TEXT, b"%d" % n) for n in range(50)))
        assert await peer.read_frames(50) == [text(f"{n}") for n in range(50)]
        assert writes.count == 1


async def test_closing_in_on_message_stops_frames_already_read():
    def stop(ws, message):
        ws.send_nowait(f"got {message}")
        if message == "2":
            ws.close_nowait(4000, "enough")
            with pytest.raises(trio.ClosedResourceError):
                ws.send_nowait("more")

    handler = Recorder(on_message=stop)
    async with serving(handler) as site:
        peer = await site.dial()
        frames = [Frame(TEXT, b"%d" % n) for n in range(5)]
        await peer.send(*frames, Frame(PING, b"late"))
        assert await peer.read_frames(4) == [
            text("got 0"),
            text("got 1"),
            text("got 2"),
            close(4000, "enough"),
        ]
        assert ("on_close",) not in handler.calls
        await peer.send(Frame(TEXT, b"6"), close(4000))
        assert await peer.read_frames() == []
        await handler.ended.wait()
    names = [f"{call[0]} {call[-1]}" for call in handler.calls]
    assert names[1:] == [
        "on_message 0",
        "on_message 1",
        "on_message 2",
        "on_close on_close",
    ]


async def test_closing_in_on_open_means_no_message():
    handler = Recorder(on_open=lambda ws: ws.close_nowait(1008, "no"))
    async with serving(handler) as site:
        peer = await site.dial(early=Frame(TEXT, b"early"))
        assert await peer.read_frame() == close(1008, "no")
        await peer.send(Frame(TEXT, b"more"), close(1008))
        assert await peer.read_frames() == []
        await handler.ended.wait()
    assert handler.calls == [("on_open",), ("on_close",)]


async def test_a_failing_hook_stops_frames_already_read_and_only_its_own_peer(caplog):
    def fail(_, message):
        if message == "bad":
            raise ZeroDivisionError(message)

    handler = Recorder(on_message=fail)
    async with serving(handler) as site:
        good, bad = await site.dial(), await site.dial()
        await bad.send(Frame(TEXT, b"bad"), Frame(TEXT, b"bad"), Frame(TEXT, b"x"))
        frame = await bad.read_frame()
        assert frame.payload[:2] == (1011).to_bytes(2, "big")
        await bad.send(close(1011))
        assert await bad.read_frames() == []
        await handler.ended.wait()
        await good.send(Frame(TEXT, b"fine"))
        assert await good.fence() == []
    assert handler.calls[2:5] == [
        ("on_message", "bad"),
        ("on_close",),
        ("on_message", "fine"),
    ]
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    assert [record.exc_info[0] for record in errors] == [ZeroDivisionError]
    assert handler.sockets[1].close_code == 1011


async def test_on_close_is_called_once_and_last_however_often_it_is_closed():
    def close_twice(ws, *_):
        ws.close_nowait(4001)
        ws.close_nowait(4002)

    handler = Recorder(on_message=close_twice, on_close=close_twice)
    async with serving(handler) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"a"))
        assert await peer.read_frame() == close(4001)
        handler.sockets[0].close_nowait(4003)
        await peer.send(close(4001), Frame(TEXT, b"b"))
        assert await peer.read_frames() == []
        await handler.ended.wait()
        handler.sockets[0].close_nowait(4004)
        await wait_all_tasks_blocked()
    assert [call[0] for call in handler.calls] == ["on_open", "on_message", "on_close"]
    assert handler.sockets[0].close_code == 4001


@pytest.mark.parametrize("how", ["fin", "reset"])
async def test_on_close_comes_when_the_peer_is_lost(how):
    codes = []
    handler = Recorder(on_close=lambda ws: codes.append(ws.close_code))
    async with serving(handler) as site:
        peer = await site.dial()
        if how == "fin":
            await peer.aclose()
        else:
            peer.reset()
        await handler.ended.wait()
    assert codes == [1006]


async def test_a_failing_on_close_is_only_logged(caplog):
    def fail(ws):
        raise ZeroDivisionError

    handler = Recorder(on_close=fail)
    handler.ended.set()
    async with serving(handler) as site:
        first, second = await site.dial(), await site.dial()
        await first.send(close())
        assert await first.read_frames() == [close(1000)]
        assert await second.fence() == []
        assert handler.sockets[0].close_code == 1000
    errors = [record for record in caplog.records if record.levelname == "ERROR"]
    texts = [record.getMessage().partition(" [")[0] for record in errors]
    assert texts == ["exception in on_close"] * 2


async def test_sending_to_every_peer_from_a_hook():
    def tell_all(_, message):
        for other in handler.sockets:
            other.send_nowait(message)

    handler = Recorder(on_message=tell_all)
    async with serving(handler) as site:
        peers = [await site.dial() for _ in range(5)]
        await peers[2].send(*(Frame(TEXT, b"%d" % n) for n in range(10)))
        for peer in peers:
            assert await peer.read_frames(10) == [text(f"{n}") for n in range(10)]


async def test_closing_every_peer_from_a_hook_never_nests():
    def close_all(_, message):
        for other in handler.sockets:
            other.send_nowait(message)
            other.close_nowait(4000)

    handler = Recorder(on_message=close_all)
    async with serving(handler) as site:
        peers = [await site.dial() for _ in range(5)]
        await peers[0].send(Frame(TEXT, b"end"))
        for peer in peers:
            assert await peer.read_frames(2) == [text("end"), close(4000)]
            await peer.send(close(4000))
            assert await peer.read_frames() == []
        while len(handler.calls) < 11:
            await trio.lowlevel.checkpoint()
    assert handler.calls[-5:] == [("on_close",)] * 5


async def test_sending_to_a_peer_that_died_this_moment_is_no_error_in_a_hook():
    def relay(_, message):
        victim.reset()
        handler.sockets[0].send_nowait(message)
        handler.sockets[0].send_nowait(message)

    handler = Recorder(on_message=relay)
    async with serving(handler) as site:
        victim, peer = await site.dial(), await site.dial()
        await peer.send(Frame(TEXT, b"hello"))
        assert await peer.fence() == []
        await handler.ended.wait()
        assert handler.sockets[0].close_code == 1006
        assert handler.sockets[1].close_code is None


async def test_a_large_answer_in_a_hook_is_in_order():
    def answer(ws, message):
        ws.send_nowait(b"x" * 100_000)
        ws.send_nowait("small")

    handler = Recorder(on_message=answer)
    async with serving(handler) as site:
        peer = await site.dial()
        await peer.send(Frame(TEXT, b"go"), Frame(PING, b"p"))
        assert await peer.read_frames(3) == [
            binary(b"x" * 100_000),
            text("small"),
            Frame(PONG, b"p"),
        ]
