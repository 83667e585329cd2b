"""Control frames of ours and compressed messages that do not fit into a frame.

RFC 6455 5.4 lets them stand between fragments, and some peers take what follows for
garbage. So they wait, for a bounded time.
"""

from __future__ import annotations

import gc

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from tests.deflate.cases import deflating, dial, linked
from tests.deflate.large import DENSE
from tests.serving import serving
from tests.wire import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    Frame,
    Peer,
)
from trio_fastws import ConnectionBroken, EventHandler, Sending, Timeouts

pytestmark = pytest.mark.usefixtures("transport")

ALIKE = b"all alike " * 20


@pytest.fixture(params=["server", "client"])
def side(request: pytest.FixtureRequest) -> str:
    return request.param


def dividing(side: str, **options):
    """Link what sends many fragments, most of which do not fit on their way."""
    options.setdefault("sending", Sending(frame_size=2**14))
    return linked(side, deflating("persistent"), small=True, **options)


async def read_whole(peer: Peer) -> tuple[bytes, list[int]]:
    """Read a message; return it and which control frames came within."""
    message, kinds = None, []
    while message is None:
        frame = await peer.read_frame()
        if frame.opcode < CLOSE:
            message = peer.assemble(frame)
        else:
            kinds.append(frame.opcode)
            assert not frame.rsv1
    return message.payload, kinds


async def test_what_fits_into_a_frame_is_not_divided(side):
    # Nothing of it has left while it is compressed: a Pong need not wait for that.
    sending = Sending(high_water=2**24)
    half = DENSE[: 3 * 2**19]
    async with linked(side, deflating("persistent"), sending=sending) as (ws, peer):
        for _ in range(3):
            ws.send_nowait(half)
            await peer.send(Frame(PING, b"?"))
        kinds = []
        for _ in range(3):
            while (frame := await peer.read_frame()).opcode == PONG:
                kinds.append(frame.opcode)
            assert frame.fin
            assert peer.assemble(frame).payload == half
        while len(kinds) < 3:
            kinds.append((await peer.read_frame()).opcode)
        assert kinds == [PONG] * 3


async def test_pings_and_pongs_wait_for_its_end(mock_clock, side):
    async with dividing(side) as (ws, peer), trio.open_nursery() as nursery:
        await ws.send(DENSE)
        await wait_all_tasks_blocked(0.001)
        assert peer.assemble(await peer.read_frame()) is None
        nursery.start_soon(ws.ping)
        await wait_all_tasks_blocked(0.001)
        for number in range(3):
            await peer.send(Frame(PING, b"%d" % number))
        await wait_all_tasks_blocked(0.001)
        await peer.send(Frame(TEXT, b"read before"))
        assert await read_whole(peer) == (DENSE, [])
        # RFC 6455 5.5.3: of several Pings only the latest need be answered.
        found = [await peer.read_frame() for _ in range(2)]
        assert (PONG, b"2") in [(f.opcode, f.payload) for f in found]
        assert [f.opcode for f in found].count(PING) == 1
        ping = next(f for f in found if f.opcode == PING)
        await peer.send(Frame(PONG, ping.payload))
        ws.send_nowait("after")
        assert (await peer.read_message()).payload == b"after"


@pytest.mark.parametrize("ping_timeout", [20, 1])
async def test_not_for_long_if_the_end_does_not_come(
    autojump_clock, side, ping_timeout
):
    # Of the time that a peer has for an answer, half is left to it.
    timeouts = Timeouts(ping_interval=None, ping_timeout=ping_timeout)
    async with dividing(side, timeouts=timeouts) as (ws, peer):
        await ws.send(DENSE)
        await wait_all_tasks_blocked(0.001)
        assert peer.assemble(await peer.read_frame()) is None
        await peer.send(Frame(PING, b"?"))
        await trio.sleep(min(2, ping_timeout / 2) + 0.1)
        payload, kinds = await read_whole(peer)
        assert payload == DENSE
        assert kinds == [PONG]


async def test_a_message_in_pieces_holds_them_as_long(autojump_clock, side):
    async with linked(side, deflating("persistent")) as (ws, peer):
        async with ws.open_message() as message:
            await message.write(ALIKE)
            frames = [await peer.read_frame()]
            start = trio.current_time()
            await peer.send(Frame(PING, b"1"))
            # Nobody says when the next piece comes: this one is answered.
            assert (await peer.read_frame()).payload == b"1"
            assert 2 <= trio.current_time() - start < 2.2
            await message.write(ALIKE)
            frames.append(await peer.read_frame())
            await peer.send(Frame(PING, b"2"))
            await wait_all_tasks_blocked(0.005)
            start = trio.current_time()
        # And this one behind the end, which is here first.
        frames.append(await peer.read_frame())
        assert [frame.fin for frame in frames] == [False, False, True]
        assert await peer.read_frame() == Frame(PONG, b"2")
        assert trio.current_time() == start


async def test_of_heartbeats_the_latest_and_no_answer_is_lost(mock_clock, side):
    async with linked(side, deflating("persistent")) as (ws, peer):
        async with ws.open_message() as message:
            await message.write(ALIKE)
            await peer.read_frame()
            await peer.send(Frame(PING, b"asked"))
            await wait_all_tasks_blocked(0.005)
            for number in range(1000):
                ws.pong_nowait(b"%d" % number)
        frame = await peer.read_frame()
        assert frame.fin
        assert await peer.read_frames(2) == [Frame(PONG, b"asked"), Frame(PONG, b"999")]
        await ws.send("no third")
        assert (await peer.read_message()).payload == b"no third"


async def test_plain_pieces_hold_nothing(mock_clock, side):
    async with (
        linked(side, deflating("persistent")) as (ws, peer),
        ws.open_message(compress=False) as message,
    ):
        await message.write(ALIKE)
        await peer.read_frame()
        await peer.send(Frame(PING, b"1"))
        assert await peer.read_frame() == Frame(PONG, b"1")


async def test_none_follows_our_close(autojump_clock, side):
    # RFC 6455 5.5.1: MUST NOT send any more frames after a Close
    async with linked(side, deflating("persistent")) as (ws, peer):

        async def break_off() -> None:
            async with ws.open_message() as message:
                await message.write(ALIKE)
                await peer.read_frame()
                await peer.send(Frame(PING, b"1"))
                await wait_all_tasks_blocked(0.005)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await break_off()
        frame = await peer.read_frame()
        assert (frame.opcode, frame.payload[:2]) == (CLOSE, (1011).to_bytes(2))
        await trio.sleep(5)
        assert await peer.finish(1011) == []
        await ws.wait_closed()


async def test_a_ping_that_is_held_is_woken_by_the_end(side):
    async with dividing(side) as (ws, peer):
        await ws.send(DENSE)
        await wait_all_tasks_blocked(0.001)
        peer.assemble(await peer.read_frame())
        woken = trio.Event()

        async def ping() -> None:
            with pytest.raises(ConnectionBroken):
                await ws.ping()
            woken.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ping)
            await wait_all_tasks_blocked(0.001)
            peer.reset()
            await woken.wait()


async def test_hooks_are_held_to_it_too(autojump_clock, transport):
    class Large(EventHandler):
        def on_message(self, ws, message) -> None:
            ws.send_nowait(DENSE)

    sending = Sending(frame_size=2**14)
    async with serving(
        Large(), small=True, deflate=deflating("window"), sending=sending
    ) as site:
        peer = await dial(site)
        await peer.send_message(TEXT, b"large")
        assert peer.assemble(await peer.read_frame()) is None
        await wait_all_tasks_blocked(0.001)
        await peer.send(Frame(PING, b"?"))
        await wait_all_tasks_blocked(0.001)
        assert await read_whole(peer) == (DENSE, [])


async def test_a_peer_that_pings_in_every_message_leaves_nothing_behind(
    mock_clock, side
):
    async with linked(side, deflating("persistent")) as (ws, peer):

        async def talk(count: int) -> int:
            for number in range(count):
                async with ws.open_message() as message:
                    await message.write(ALIKE)
                    await peer.read_frame()
                    await peer.send(Frame(PING, b"%d" % number))
                    await wait_all_tasks_blocked(0.001)
                await peer.read_frame()
                assert await peer.read_frame() == Frame(PONG, b"%d" % number)
            gc.collect()
            return len(gc.get_objects())

        few = await talk(5)
        assert await talk(60) - few < 30
