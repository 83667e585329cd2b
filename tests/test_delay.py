"""`Sending.delay`: how long exactly, and what it does not hold back."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.deflate.cases import linked
from tests.serving import serving
from tests.wire import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    close,
    text,
)
from trio_fastws import EventHandler, Sending

pytestmark = pytest.mark.usefixtures("transport")

# Less than a tick of the timer wheel, more than one, and what is no multiple of it.
DELAYS = [0.0001, 0.001, 0.01, 0.02, 0.3, 2.0]


class Hooks(EventHandler):
    """Echoes; sends to all what is said to all, closes when told so."""

    def __init__(self) -> None:
        self.sockets = []

    def on_open(self, ws):
        self.sockets.append(ws)

    def on_message(self, ws, message):
        if message == "close":
            ws.send_nowait("bye")
            ws.close_nowait(4000)
        elif message.startswith("all"):
            for other in self.sockets:
                other.send_nowait(message)
        else:
            ws.send_nowait(message)


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("side", ["server", "client"])
async def test_messages_are_delayed_exactly_as_long(autojump_clock, side, delay):
    async with linked(side, None, sending=Sending(delay=delay)) as (ws, peer):
        for number in range(3):
            # At no particular time of the wheel.
            await trio.sleep(0.0137)
            start = trio.current_time()
            await ws.send(f"{number}")
            ws.send_nowait("too")
            assert await peer.read_payloads(2) == [b"%d" % number, b"too"]
            assert trio.current_time() == pytest.approx(start + delay, abs=1e-7)


@pytest.mark.parametrize("delay", [0.001, 0.3])
async def test_each_connection_has_its_own_delay(autojump_clock, delay):
    # One timer for all of them.
    handler = Hooks()
    async with serving(handler, sending=Sending(delay=delay)) as site:
        peers = [await site.dial() for _ in range(4)]
        await peers[-1].fence()
        start = trio.current_time()
        came = {}

        async def read(number: int) -> None:
            assert await peers[number].read_frame() == text("price")
            came[number] = trio.current_time() - start

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(read, number)
                handler.sockets[number].send_nowait("price")
                await trio.sleep(delay / 4)
        for number in range(4):
            expected = delay + number * delay / 4
            assert came[number] == pytest.approx(expected, abs=1e-7)


async def test_a_hook_answers_its_own_peer_at_once_and_others_later(autojump_clock):
    handler = Hooks()
    async with serving(handler, sending=Sending(delay=0.3)) as site:
        speaker, other = await site.dial(), await site.dial()
        await other.fence()
        start = trio.current_time()
        await speaker.send(Frame(TEXT, b"all hear"), Frame(TEXT, b"echo"))
        assert await speaker.read_frames(2) == [text("all hear"), text("echo")]
        assert trio.current_time() == start
        assert await other.read_frame() == text("all hear")
        assert trio.current_time() == pytest.approx(start + 0.3)


async def test_an_answer_takes_along_what_was_held_and_stays_behind_it(autojump_clock):
    handler = Hooks()
    async with serving(handler, sending=Sending(delay=0.3)) as site:
        peer = await site.dial()
        await peer.fence()
        ws = handler.sockets[0]
        start = trio.current_time()
        ws.send_nowait("first")
        await trio.sleep(0.1)
        await peer.send(Frame(TEXT, b"echo"))
        assert await peer.read_frames(2) == [text("first"), text("echo")]
        assert trio.current_time() == pytest.approx(start + 0.1)
        # What is sent now has all of its own delay.
        ws.send_nowait("second")
        assert await peer.read_frame() == text("second")
        assert trio.current_time() == pytest.approx(start + 0.4)


@pytest.mark.parametrize("held", [True, False])
async def test_a_close_of_a_hook_is_not_held(autojump_clock, held):
    handler = Hooks()
    async with serving(handler, sending=Sending(delay=0.3)) as site:
        peer = await site.dial()
        await peer.fence()
        if held:
            handler.sockets[0].send_nowait("held")
        start = trio.current_time()
        await peer.send(Frame(TEXT, b"close"))
        expected = [text("held")] * held + [text("bye"), close(4000)]
        assert await peer.read_frames(len(expected)) == expected
        assert trio.current_time() == start


@pytest.mark.parametrize("side", ["server", "client"])
@pytest.mark.parametrize("held", [True, False])
async def test_nor_is_our_reply_to_a_close_nor_a_pong(autojump_clock, side, held):
    async with linked(side, None, sending=Sending(delay=0.3)) as (ws, peer):
        start = trio.current_time()
        for frame in (PING, CLOSE):
            if held:
                await ws.send("held")
            payload = b"" if frame == PING else (1000).to_bytes(2)
            await peer.send(Frame(frame, payload))
            if held:
                assert (await peer.read_message()).payload == b"held"
            found = await peer.read_frame()
            answer = PONG if frame == PING else CLOSE
            assert (found.opcode, found.payload) == (answer, payload)
        assert trio.current_time() == start


@pytest.mark.parametrize("side", ["server", "client"])
async def test_nor_is_aclose(autojump_clock, side):
    async with (
        linked(side, None, sending=Sending(delay=0.3)) as (ws, peer),
        trio.open_nursery() as nursery,
    ):
        start = trio.current_time()
        await ws.send("last")
        nursery.start_soon(ws.aclose)
        assert await peer.read_payloads(1) == [b"last"]
        assert (await peer.read_frame()).opcode == CLOSE
        assert trio.current_time() == start
        await peer.finish(1000)


async def test_what_is_enough_to_be_written_does_not_shorten_the_next(autojump_clock):
    async with linked("server", None, sending=Sending(delay=0.3)) as (ws, peer):
        start = trio.current_time()
        await ws.send("a")
        await trio.sleep(0.2)
        await ws.send(b"b" * 16_384)
        assert await peer.read_payloads(2) == [b"a", b"b" * 16_384]
        assert trio.current_time() == pytest.approx(start + 0.2)
        await ws.send("c")
        await trio.sleep(0.2)  # the first delay is over meanwhile
        await ws.send("d")
        assert await peer.read_payloads(2) == [b"c", b"d"]
        assert trio.current_time() == pytest.approx(start + 0.5)


async def test_a_keepalive_and_other_timers_go_on(autojump_clock):
    handler = Hooks()
    async with serving(handler, sending=Sending(delay=0.001)) as site:
        peer = await site.dial()
        await peer.fence()
        ws = handler.sockets[0]
        for _ in range(50):
            ws.send_nowait("tick")
            assert await peer.read_frame() == text("tick")
        await wait_all_tasks_blocked()
        await peer.send(Frame(PING, b"?"))
        assert await peer.read_frame() == Frame(PONG, b"?")
